"""Write docs/findings.md, every finding and error, from the catalogue.

python scripts/make_findings_doc.py            writes it
python scripts/make_findings_doc.py --check    exit 1 where it is not what it would be
"""

from __future__ import annotations

import sys
from pathlib import Path

from volstrat.terms.catalogue import ERRORS, SECTIONS
from volstrat.terms.findings import SEVERITIES

PATH = Path(__file__).resolve().parents[1] / "docs" / "findings.md"

_HEAD = """# Findings and errors

Made by `scripts/make_findings_doc.py` from `volstrat/terms/catalogue`. No other code can be raised.

A finding says what a person should know about a case, beside its numbers. Its code is stable; the
sentence beside it may get better.

| Severity | Meaning |
|---|---|
| `blocking` | why there is no stratum |
| `review` | there is a stratum, and a person must look before it is used: the status is `review` |
| `warning` | the numbers stand, with a reservation |
| `info` | worth knowing |

Where stratum 1 holds, findings that concern only avid disease are `info`; an unmarked PET-only region is
`review` whatever the stratum. Doubts about SUV are `review` only where a rule rests on it; where a reader
drew what is avid, SUV is description.
"""

_READINGS = """In `agreement.json`, of the whole comparison, a subject or a pair of readings; in no record.

"""
_INTRODUCTIONS = {"Comparing readings": _READINGS}
_COLUMNS = "| Code | Severity | What it says | What to do |\n|---|---|---|---|"

_ERRORS = """## Errors

A failed case has one error: `code`, `message` (what, where, expected) and `hint` (the next step).

| Code | Meaning | What to do |
|---|---|---|
"""


def findings_doc() -> str:
    """Return the page."""
    parts = [_HEAD]
    for heading, entries in SECTIONS.items():
        lines = [f"## {heading}\n\n{_INTRODUCTIONS.get(heading, '')}{_COLUMNS}"]
        for entry in entries:
            severities = {entry.severity, *entry.also}
            shown = ", ".join(s for s in reversed(SEVERITIES) if s in severities)
            lines.append(f"| `{entry.code}` | {shown} | {entry.means} | {entry.do} |")
        parts.append("\n".join(lines) + "\n")
    parts.append(_ERRORS + "".join(f"| `{e.code}` | {e.means} | {e.do} |\n" for e in ERRORS))
    return "\n".join(parts)


def main() -> None:
    """Run the script."""
    text = findings_doc()
    if sys.argv[1:] == ["--check"]:
        sys.exit(PATH.read_text(encoding="utf-8") != text)
    PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
