"""What the documents say is what the program does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import make_cli_reference
import make_record_doc

ROOT = Path(__file__).resolve().parents[1]


def finding_codes() -> set[str]:
    """Codes that the package gives to findings, read from its source."""
    codes: set[str] = set()
    for path in (ROOT / "volstrat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            codes |= {
                k.value.value
                for k in node.keywords
                if k.arg == "code" and isinstance(k.value, ast.Constant) and isinstance(k.value.value, str)
            }
    return codes


def error_codes() -> set[str]:
    """Codes of the errors, read from their source."""
    text = (ROOT / "volstrat" / "errors.py").read_text(encoding="utf-8")
    return set(re.findall(r'^    code = "(\w+)"', text, flags=re.MULTILINE)) - {"error"}


def documented() -> set[str]:
    """Codes in the first column of the tables of docs/findings.md."""
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, flags=re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_every_finding_and_error_code_is_documented() -> None:
    """`docs/findings.md` names every code that a record can carry."""
    assert finding_codes() | error_codes() <= documented()


def test_no_documented_code_is_gone() -> None:
    """Every code in `docs/findings.md` still stands in the source."""
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "volstrat").rglob("*.py"))
    severities = {"blocking", "review", "warning", "info"}
    assert {code for code in documented() - severities if f'"{code}"' not in source} == set()


def test_the_command_reference_is_up_to_date() -> None:
    """`docs/cli.md` is what `scripts/make_cli_reference.py` writes."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == make_cli_reference.reference()


def test_the_list_of_the_records_keys_is_up_to_date() -> None:
    """`docs/record.md` lists what `scripts/make_record_doc.py` finds in the schema."""
    assert make_record_doc.PATH.read_text(encoding="utf-8") == make_record_doc.record_doc()
