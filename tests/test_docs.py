"""What the documents say is what the program does."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter

import pytest

import make_cli_reference
import make_findings_doc
import make_record_files
from volstrat.errors import VolstratError
from volstrat.terms.catalogue import CATALOGUE, ERRORS
from volstrat.terms.findings import Finding

ROOT = Path(__file__).resolve().parents[1]


def calls() -> list[tuple[str, ast.Call]]:
    """Every call in the package of a plain function or class, with the file it stands in."""
    found = []
    for path in sorted((ROOT / "volstrat").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.append((path.name, node))
    return found


def text_of(node: ast.expr | None) -> str | None:
    """Return the text of a literal, else None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def from_catalogue() -> list[tuple[str, str, list[str], set[str]]]:
    """Return the calls of `finding` and `sentence`: file and line, literal code, forms, fields."""
    found = []
    for name, node in calls():
        code = text_of(node.args[0]) if node.args else None
        if code is None or getattr(node.func, "id", "") not in ("finding", "sentence"):
            continue
        fields = {k.arg for k in node.keywords if k.arg not in (None, "severity", "where")}
        form = node.args[1] if len(node.args) > 1 else None
        forms = [form.body, form.orelse] if isinstance(form, ast.IfExp) else [form]
        words = [text_of(one) or "" for one in forms]
        found.append((f"{name}:{node.lineno}", code, words, {f for f in fields if f is not None}))
    return found


def class_codes() -> set[str]:
    """Return the codes that classes of the package are given, read from its source."""
    codes = set()
    for path in (ROOT / "volstrat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                sets = [n for n in node.body if isinstance(n, ast.Assign)]
                given += [n.value for n in sets if ast.unparse(n.targets[0]) == "code"]
                codes |= {code for one in given if (code := text_of(one)) is not None}
    return codes


def test_no_finding_is_raised_outside_the_catalogue() -> None:
    """Every literal code in the source has an entry, and `Finding` refuses another."""
    literal = {text_of(k.value) for _, node in calls() for k in node.keywords if k.arg == "code"}
    assert literal - {None} <= set(CATALOGUE)
    assert {code for _, code, _, _ in from_catalogue()} <= set(CATALOGUE)
    with pytest.raises(ValueError, match="no entry"):
        Finding(code="no_such_code", severity="info", message="")


def test_every_entry_of_the_catalogue_is_raised_somewhere() -> None:
    """A code whose last use is gone leaves the catalogue too."""
    files = [p for p in (ROOT / "volstrat").rglob("*.py") if "catalogue" not in p.parts]
    source = "".join(p.read_text(encoding="utf-8") for p in files)
    assert {code for code in CATALOGUE if f'"{code}"' not in source} == set()


def test_every_sentence_is_given_exactly_its_fields() -> None:
    """What a call of `finding` or `sentence` passes is what the sentence names in braces."""
    wrong = []
    for where, code, forms, fields in from_catalogue():
        for form in forms:
            assert form in CATALOGUE[code].forms, f"{where}: write the form of {code} out as a literal"
            named = {field for _, field, _, _ in Formatter().parse(CATALOGUE[code].forms[form]) if field}
            if named != fields and not (len(forms) > 1 and named < fields):
                wrong.append((where, code, form, named ^ fields))
    assert wrong == []


def test_every_error_code_stands_in_the_catalogue() -> None:
    """One entry a class of error, and one for what volstrat did not foresee."""
    base = {VolstratError.code}
    assert (class_codes() - base) | {"internal_error"} == {entry.code for entry in ERRORS}


def test_the_page_of_findings_is_up_to_date() -> None:
    """`docs/findings.md` is what `scripts/make_findings_doc.py` writes."""
    assert make_findings_doc.PATH.read_text(encoding="utf-8") == make_findings_doc.findings_doc()


def test_the_command_reference_is_up_to_date() -> None:
    """`docs/cli.md` is what `scripts/make_cli_reference.py` writes."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == make_cli_reference.reference()


def test_what_follows_from_the_records_types_is_up_to_date() -> None:
    """Schema files, `docs/columns.md` and the keys in `docs/record.md`: `scripts/make_record_files.py`."""
    assert make_record_files.stale() == []
