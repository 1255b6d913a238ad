"""``python -m volstrat``."""

from volstrat.cli import main

main()
