"""Write docs/columns.md, the dictionary of the cohort's columns, from the record's schema.

python scripts/make_columns_doc.py            writes it
python scripts/make_columns_doc.py --check    exit 1 where it is not what it would be
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.cohort.columns import cohort_columns, lesion_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from volstrat.cohort.columns import Column

PATH = Path(__file__).resolve().parents[1] / "docs" / "columns.md"
_HEAD = """# The columns of a cohort's tables

Made by `scripts/make_columns_doc.py` from the record's JSON Schema. The same columns are in the CSV and
in the Parquet file; Parquet fields carry unit and description as metadata.

In CSV, null is an empty cell, booleans are `true` and `false`, numbers read back to the same value, and line
breaks within a text are written as escapes. A unit of `1` is a fraction from 0 to 1.
"""


def columns_doc() -> str:
    """Return the page."""
    parts = [
        _HEAD,
        "## cohort.csv, cohort.parquet\n\nOne row a subject, failed ones too, by subject.\n",
        _table(cohort_columns()),
        "## lesions.csv, lesions.parquet\n\nOne row a lesion or PET-only region, by subject.\n",
        _table(lesion_columns()),
    ]
    return "\n".join(parts)


def _table(columns: Iterable[Column]) -> str:
    lines = ["| Column | Type | Unit | Meaning |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.kind} | {c.unit} | {c.description} |" for c in columns]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the script."""
    text = columns_doc()
    if sys.argv[1:] == ["--check"]:
        sys.exit(PATH.read_text(encoding="utf-8") != text)
    PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
