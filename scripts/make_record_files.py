"""Write what follows from record and agreement types: schemas, columns.md, keys of record.md, `Lesion`.

python scripts/make_record_files.py            writes them
python scripts/make_record_files.py --check    names what is not what it would be; exit 1 where one is not
"""

from __future__ import annotations

import ast
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from volstrat.case.record_types import CaseRecord, LesionRecord
from volstrat.case.typed_json import fields_of, is_object, record_schema
from volstrat.cohort.columns import cohort_columns, lesion_columns
from volstrat.comparison import agreement_schema
from volstrat.comparison.agreement_tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from volstrat.case.typed_json import Form
    from volstrat.cohort.columns import Column
    from volstrat.store.tables import TableColumn

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- keys: made by scripts/make_record_files.py from volstrat/case/record_types.py -->\n"
END = "<!-- end of keys -->\n"
FIELDS = "    # fields: made by scripts/make_record_files.py from `LesionRecord`\n"
FIELDS_END = "    # end of fields\n"
_COLUMNS = """# The columns of a cohort's tables

Made by `scripts/make_record_files.py` from the types of the record. The same columns are in the CSV and
in the Parquet file; Parquet fields carry unit and description as metadata.

In CSV, null is an empty cell, booleans are `true` and `false`, numbers read back to the same value, and line
breaks within a text are written as escapes. A unit of `1` is a fraction from 0 to 1. So that no spreadsheet
takes a text for a formula, a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return and is no
plain number has an apostrophe before it, in every CSV that volstrat writes; where volstrat reads a table it
takes it off again.
"""
_AGREEMENT_ROWS = {
    "agreement": "One row a subject and two readings.",
    "agreement_lesions": "One row a lesion or PET-only region of a subject in two readings, matched or not.",
    "adjudication": "Of each subject in dispute one row a lesion or region that decides.",
}
_WORDS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def files() -> dict[str, str]:
    """Return the text of every file by its path in the checkout."""
    return {
        "volstrat/schemas/case-record.json": json.dumps(record_schema(), indent=2) + "\n",
        "volstrat/schemas/agreement.json": json.dumps(agreement_schema(), indent=2) + "\n",
        "docs/columns.md": columns_doc(),
        "docs/record.md": record_doc(),
        "volstrat/api/lesion.py": lesion_module(),
    }


def stale() -> list[str]:
    """Name the files that are not what they would be."""
    return [name for name, text in files().items() if (ROOT / name).read_text(encoding="utf-8") != text]


def columns_doc() -> str:
    """Return the dictionary of the cohort's columns."""
    parts = [
        _COLUMNS,
        "## cohort.csv, cohort.parquet\n\nOne row a subject, failed ones too, by subject.\n",
        _columns(cohort_columns()),
        "## lesions.csv, lesions.parquet\n\nOne row a lesion or PET-only region, by subject.\n",
        _columns(lesion_columns()),
        "# The columns of a comparison's tables\n\nWhat `volstrat compare` writes, in CSV and Parquet.\n",
    ]
    for name, rows in _AGREEMENT_ROWS.items():
        parts += [f"## {name}.csv, {name}.parquet\n\n{rows}\n", _columns(TABLES[name])]
    return "\n".join(parts)


def _columns(columns: Iterable[Column | TableColumn]) -> str:
    lines = ["| Column | Type | Unit | Meaning |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.kind} | {c.unit} | {c.description} |" for c in columns]
    return "\n".join(lines) + "\n"


def record_doc() -> str:
    """Return docs/record.md with its list of keys made anew."""
    text = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    lines = ["| Key | Values | Meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {_values(form)} | {form.description} |" for key, form in _keys(CaseRecord)]
    table = "\n".join(lines)
    return f"{head}{BEGIN}\n{table}\n\n{END}{tail}"


def lesion_module() -> str:
    """Return volstrat/api/lesion.py with the fields of `Lesion` made anew."""
    text = (ROOT / "volstrat" / "api" / "lesion.py").read_text(encoding="utf-8")
    head, rest = text.split(FIELDS)
    _, tail = rest.split(FIELDS_END)
    lines = []
    for one in fields_of(LesionRecord):
        hint = ast.parse(LesionRecord.__annotations__[one.key], mode="eval").body
        if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Annotated":
            hint = hint.slice.elts[0]  # type: ignore[attr-defined]  # of a tuple: type, limits, description
        kind = ast.unparse(_Tuples().visit(hint))
        said = textwrap.wrap(f'"""{one.form.description}"""', 106)
        lines += [f"{one.key}: {kind}", *said]
    return head + FIELDS + textwrap.indent("\n".join(lines) + "\n", "    ") + FIELDS_END + tail


class _Tuples(ast.NodeTransformer):
    """Turns a record's lists into tuples: what the library returns cannot be changed."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        if ast.unparse(node.value) == "list":
            node.value, node.slice = ast.Name("tuple"), ast.Tuple([node.slice, ast.Constant(...)])
        return node


def _keys(kind: type, prefix: str = "") -> Iterator[tuple[str, Form]]:
    """Yield every key, as ``predicates.stratum_1.holds`` or ``lesions[].voxels``."""
    for one in fields_of(kind):
        yield prefix + one.key, one.form
        if is_object(one.form.only):
            yield from _keys(one.form.only, f"{prefix}{one.key}.")
        elif one.form.items is not None and is_object(one.form.items.only):
            yield from _keys(one.form.items.only, f"{prefix}{one.key}[].")


def _values(form: Form) -> str:
    """Say what a key can hold: its words, or the kinds of JSON value."""
    words = [word for choice in form.choices for word in _choice(choice)]
    return ", ".join([*words, *(["null"] if form.nullable else [])])


def _choice(hint: Any) -> list[str]:  # noqa: ANN401 - any type
    if get_origin(hint) is Literal:
        return [f"`{word}`" for word in get_args(hint)]
    if get_origin(hint) is list:
        return ["array"]
    return ["any" if hint is Any else _WORDS.get(hint, "object")]


def main() -> None:
    """Run the script."""
    if sys.argv[1:] == ["--check"]:
        if names := stale():
            sys.exit(f"Not up to date: {', '.join(names)}. Run scripts/make_record_files.py.")
        return
    for name, text in files().items():
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
