"""The columns of the cohort's tables, as the record's types give them.

Every required scalar of the record is a column, named by its dotted key. Fixed lists of numbers become one
column a number (``.lo``, ``.hi``; ``.x``, ``.y``, ``.z``), lists of texts one cell, other lists their count
and the strata they name.
Units follow from the names, as everywhere in volstrat.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, get_origin

from volstrat.case.record_types import CaseRecord, LesionRecord
from volstrat.case.typed_json import Form, fields_of, is_object
from volstrat.frozen import frozen
from volstrat.store.tables import TableColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Cell = str | bool | int | float | None
    Node = Mapping[str, Any]
    Path = tuple[str | int, ...]
    """The keys and positions that lead to a value of a record."""

Kind = Literal["text", "boolean", "integer", "number"]

_KINDS: dict[Any, Kind] = {str: "text", bool: "boolean", int: "integer", float: "number"}
_UNITS = {
    "_ml": "ml", "_mm": "mm", "_percent": "%", "_voxels": "voxels", "_voxels_upper": "voxels",
    "_fraction": "1", "_g": "g", "_fraction_95": "1",
}  # fmt: skip
_UNIT_OF = {"percent": "%", "voxels": "voxels", "suv_max": "SUVbw, g/ml", "suv_mean": "SUVbw, g/ml"}
_UNIT_OF["suv_peak"] = _UNIT_OF["suv_max"]
_COMPONENTS = {2: ("lo", "hi"), 3: ("x", "y", "z")}
_SEVERITIES = ("blocking", "review", "warning", "info")
_LEFT_OUT = ("schema", "findings", "inputs", "environment")


@frozen(eq=False)
class Column(TableColumn):
    """One column, and how to take a cell of it out of a record."""

    value: Callable[[Node], Cell]


@cache
def cohort_columns() -> tuple[Column, ...]:
    """Return the columns of ``cohort.csv``: one row a subject."""
    said = "Codes of the findings of severity {}, closed reviews left out, in order of the alphabet."
    codes = [
        _column(f"findings.{one}", ("findings",), "text", said.format(one), turn=partial(_codes, one))
        for one in _SEVERITIES
    ]
    said = "Version of volstrat that made the record."
    version = _column("environment.volstrat", ("environment", "volstrat"), "text", said)
    return (*_columns(CaseRecord, skip=_LEFT_OUT), *codes, version)


@cache
def lesion_columns() -> tuple[Column, ...]:
    """Return the columns of ``lesions.csv``, one row a lesion or PET-only region: subject and visit first."""
    names = (column for column in cohort_columns() if column.name in {"subject", "visit"})
    return (*names, *_columns(LesionRecord))


def cohort_row(record: Node) -> list[Cell]:
    """Return a record's row of the cohort table."""
    return [column.value(record) for column in cohort_columns()]


def lesion_rows(record: Node) -> Iterator[list[Cell]]:
    """Yield a record's rows of the lesion table: lesions, then PET-only regions, in the record's order."""
    for lesion in (*record["lesions"], *record["pet_only_regions"]):
        columns = lesion_columns()[2:]
        yield [record["subject"], record["visit"], *(column.value(lesion) for column in columns)]


def _columns(
    kind: type, path: Path = (), *, within: str = "", skip: tuple[str, ...] = ()
) -> Iterator[Column]:
    """Yield the columns of an object: its required keys, in its order."""
    for one in fields_of(kind):
        if one.required and one.key not in skip:
            yield from _of(one.form, (*path, one.key), f"{within}{one.key}", one.form.description)


def _of(form: Form, path: Path, name: str, description: str) -> Iterator[Column]:
    """Yield the columns of what stands in a record at a path."""
    items = form.items
    if is_object(form.only):
        yield from _columns(form.only, path, within=f"{name}.")
    elif items is None:
        kind: Kind = "text" if get_origin(form.only) is Literal else _KINDS[form.only]  # literals are words
        key = next(step for step in reversed(path) if isinstance(step, str))
        yield _column(name, path, kind, description, unit=unit_of(key))
    elif form.limits.length in _COMPONENTS:
        for n, part in enumerate(_COMPONENTS[form.limits.length]):
            yield from _of(items, (*path, n), f"{name}.{part}", description)
    elif is_object(items.only):
        key = name.rpartition(".")[2]
        meaning = f"Number of entries in the record's {key}."
        yield _column(f"{name}.count", path, "integer", meaning, turn=len)
        if any(one.key == "stratum" for one in fields_of(items.only)):
            meaning = f"Strata named in {key}, once each; the word none where one has no stratum."
            yield _column(f"{name}.stratum", path, "text", meaning, turn=_strata)
    else:
        yield _column(name, path, "text", description, turn=_joined)


def _column(
    name: str,
    path: Path,
    kind: Kind,
    description: str,
    *,
    unit: str = "",
    turn: Callable[[Any], Cell] | None = None,
) -> Column:
    """Return the column of a value at a path; null where anything on the way is null or absent."""

    def get(record: Node) -> Cell:
        value: Any = record
        for step in path:
            if value is None:
                return None
            value = value.get(step) if isinstance(step, str) else value[step]
        return value if turn is None or value is None else turn(value)

    return Column(name=name, kind=kind, unit=unit, description=description, value=get)


def _joined(values: Iterable[Any]) -> str:
    return " ".join(str(value) for value in values)


def _strata(values: list[Any]) -> str:
    return _joined(sorted({value["stratum"] or "none" for value in values}))


def _codes(severity: str, findings: list[Any]) -> str:
    return _joined(sorted({f["code"] for f in findings if f["severity"] == severity and not f.get("closed")}))


def unit_of(key: str) -> str:
    """Return the unit that a key's name says; "" where it has none."""
    if key in _UNIT_OF:
        return _UNIT_OF[key]
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
