"""The columns of the cohort's tables, as the record's types give them.

Every required scalar of the record is a column, named by its dotted key. Fixed lists of numbers become one
column a number (``.lo``, ``.hi``; ``.x``, ``.y``, ``.z``), lists of texts one cell, other lists their count
and the strata they name.
Units follow from the names, as everywhere in volstrat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_origin

from volstrat.case.record_types import CaseRecord, LesionRecord
from volstrat.case.typed_json import fields_of, is_object
from volstrat.cohort.tasks import one_line
from volstrat.store.tables import TableColumn, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from volstrat.case.typed_json import Form

    Cell = str | bool | int | float | None
    Node = Mapping[str, Any]

Kind = Literal["text", "boolean", "integer", "number"]

_KINDS: dict[Any, Kind] = {str: "text", bool: "boolean", int: "integer", float: "number"}
_UNITS = {
    "_ml": "ml",
    "_mm": "mm",
    "_percent": "%",
    "_voxels": "voxels",
    "_voxels_upper": "voxels",
    "_fraction": "1",
    "_g": "g",
    "_fraction_95": "1",
}
_UNIT_OF = {"percent": "%", "voxels": "voxels", "suv_max": "SUVbw, g/ml", "suv_mean": "SUVbw, g/ml"}
_UNIT_OF["suv_peak"] = _UNIT_OF["suv_max"]
_COMPONENTS = {2: ("lo", "hi"), 3: ("x", "y", "z")}
_SEVERITIES = ("blocking", "review", "warning", "info")
_LEFT_OUT = ("schema", "findings", "inputs", "environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, what its cells are, and how to take one out of a record."""

    name: str
    kind: Kind
    unit: str
    description: str
    value: Callable[[Node], Cell]


@cache
def cohort_columns() -> tuple[Column, ...]:
    """Return the columns of ``cohort.csv``: one row a subject."""
    plain = list(_columns(CaseRecord, _Place(), skip=_LEFT_OUT))
    findings = [
        Column(
            name=f"findings.{severity}",
            kind="text",
            unit="",
            description=f"Codes of the findings of severity {severity}, closed reviews left out, in order of "
            "the alphabet.",
            value=_finding_codes(severity),
        )
        for severity in _SEVERITIES
    ]
    version = Column(
        name="environment.volstrat",
        kind="text",
        unit="",
        description="Version of volstrat that made the record.",
        value=_getter(("environment", "volstrat")),
    )
    return (*plain, *findings, version)


@cache
def lesion_columns() -> tuple[Column, ...]:
    """Return the columns of ``lesions.csv``, one row a lesion or PET-only region: subject and visit first."""
    names = (column for column in cohort_columns() if column.name in {"subject", "visit"})
    return (*names, *_columns(LesionRecord, _Place()))


def cohort_row(record: Node) -> list[Cell]:
    """Return a record's row of the cohort table."""
    return [column.value(record) for column in cohort_columns()]


def lesion_rows(record: Node) -> Iterator[list[Cell]]:
    """Yield a record's rows of the lesion table: lesions, then PET-only regions, in the record's order."""
    for lesion in (*record["lesions"], *record["pet_only_regions"]):
        columns = lesion_columns()[2:]
        yield [record["subject"], record["visit"], *(column.value(lesion) for column in columns)]


def table_columns(columns: Iterable[Column]) -> list[TableColumn]:
    """Return columns as a table of the store has them."""
    return [TableColumn(name=c.name, kind=c.kind, unit=c.unit, description=c.description) for c in columns]


def csv_cell(value: Cell) -> str:
    """Return a cell as text: empty for null, true and false, floats so that they read back the same.

    A text that a spreadsheet would take for a formula is guarded (`volstrat.store.tables.guarded`).
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(one_line(value)) if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a record a value stands, and what its column is called."""

    path: tuple[str | int, ...] = ()
    names: tuple[str, ...] = ()

    def at(self, step: str | int, name: str) -> _Place:
        return _Place((*self.path, step), (*self.names, name))


def _columns(kind: type, place: _Place, *, skip: tuple[str, ...] = ()) -> Iterator[Column]:
    """Yield the columns of an object: its required keys, in its order."""
    for one in fields_of(kind):
        if one.required and one.key not in skip:
            yield from _of(one.form, place.at(one.key, one.key), one.form.description)


def _of(form: Form, place: _Place, description: str) -> Iterator[Column]:
    items = form.items
    if is_object(form.only):
        yield from _columns(form.only, place)
    elif items is None:
        key = next(step for step in reversed(place.path) if isinstance(step, str))
        yield _column(place, _kind(form), unit_of(key), description, _getter(place.path))
    elif form.limits.length in _COMPONENTS:
        for n, name in enumerate(_COMPONENTS[form.limits.length]):
            yield from _of(items, place.at(n, name), description)
    elif is_object(items.only):
        meaning = f"Number of entries in the record's {place.names[-1]}."
        get = _getter(place.path, _counted)
        yield _column(_Place(names=(*place.names, "count")), "integer", "", meaning, get)
        if any(one.key == "stratum" for one in fields_of(items.only)):
            meaning = f"Strata named in {place.names[-1]}, once each; the word none where one has no stratum."
            get = _getter(place.path, _strata)
            yield _column(_Place(names=(*place.names, "stratum")), "text", "", meaning, get)
    else:
        yield _column(place, "text", "", description, _getter(place.path, _joined))


def _kind(form: Form) -> Kind:
    """Return the kind of a value that is no list and no object; literals are words."""
    return "text" if get_origin(form.only) is Literal else _KINDS[form.only]


def _column(place: _Place, kind: Kind, unit: str, description: str, value: Callable[[Node], Cell]) -> Column:
    return Column(name=".".join(place.names), kind=kind, unit=unit, description=description, value=value)


def _getter(path: tuple[str | int, ...], turn: Callable[[Any], Cell] | None = None) -> Callable[[Node], Cell]:
    """Return what takes a value out of a record; null where anything on the way is null or absent."""

    def get(record: Node) -> Cell:
        value: Any = record
        for step in path:
            if value is None:
                return None
            value = value.get(step) if isinstance(step, str) else value[step]
        return value if turn is None or value is None else turn(value)

    return get


def _joined(values: list[Any]) -> str:
    return " ".join(str(value) for value in values)


def _counted(values: list[Any]) -> int:
    return len(values)


def _strata(values: list[Any]) -> str:
    return _joined(sorted({value["stratum"] or "none" for value in values}))


def _finding_codes(severity: str) -> Callable[[Node], Cell]:
    def get(record: Node) -> Cell:
        return _joined(
            sorted(
                {f["code"] for f in record["findings"] if f["severity"] == severity and not f.get("closed")}
            )
        )

    return get


def unit_of(key: str) -> str:
    """Return the unit that a key's name says; "" where it has none."""
    if key in _UNIT_OF:
        return _UNIT_OF[key]
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
