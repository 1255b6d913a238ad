"""Show the records of the sample subjects beside what `sample_data/expected.json` says.

python scripts/show_sample_results.py OUT    exit 1 where a status or a stratum differs
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).resolve().parent.parent / "sample_data" / "expected.json"


def outcome(record: dict[str, Any]) -> str:
    """Return status and stratum in a few words."""
    stratum = (record["stratum"] or "").replace("_", " ")
    status = record["status"].replace("_", " ")
    if not stratum:
        return str(status)
    return str(stratum) if status == "assigned" else f"{stratum}, {status}"


def resectable(record: dict[str, Any]) -> str:
    """Return the resectable share of the tumour, or a dash."""
    fraction = (record.get("volumes") or {}).get("resectable_fraction")
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def main() -> int:
    """Print the table; say what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="what `volstrat batch sample_data -o OUT` wrote")
    out = parser.parse_args().out
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    row = "{:<28} {:>10}  {:<20} {}".format
    print(row("subject", "resectable", "volstrat says", "expected"))
    wrong = 0
    for subject, want in expected.items():
        path = out / subject / "case.json"
        got = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        same = got is not None and (got["status"], got["stratum"]) == (want["status"], want["stratum"])
        wrong += not same
        said = ("no record", "-") if got is None else (outcome(got), resectable(got))
        print(row(subject, said[1], said[0], outcome(want) + ("" if same else "   <- DIFFERS")))
        print(f"  {want['story']}")
    print(f"\n{len(expected) - wrong} of {len(expected)} sample subjects are as expected.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
