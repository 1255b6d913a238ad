"""The columns of the cohort's tables, as the record's JSON Schema gives them.

Every required scalar of the record is a column, named by its dotted key. Fixed lists of numbers become one
column a number (``.lo``, ``.hi``; ``.x``, ``.y``, ``.z``), lists of texts one cell, other lists their count
and the strata they name.
Units follow from the names, as everywhere in volstrat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.record import record_schema
from volstrat.cohort.tasks import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Cell = str | bool | int | float | None
    Node = Mapping[str, Any]

Kind = Literal["text", "boolean", "integer", "number"]

_KINDS: dict[str, Kind] = {"string": "text", "boolean": "boolean", "integer": "integer", "number": "number"}
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
    schema = record_schema()
    plain = list(_columns(schema, schema, _Place(), skip=_LEFT_OUT))
    findings = [
        Column(
            name=f"findings.{severity}",
            kind="text",
            unit="",
            description=f"Codes of the findings of severity {severity}, once each, in order of the alphabet.",
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
    """Return the columns of ``lesions.csv``: one row a lesion or PET-only region; ``subject`` comes first."""
    schema = record_schema()
    subject = next(column for column in cohort_columns() if column.name == "subject")
    return (subject, *_columns(schema["$defs"]["lesion"], schema, _Place()))


def cohort_row(record: Node) -> list[Cell]:
    """Return a record's row of the cohort table."""
    return [column.value(record) for column in cohort_columns()]


def lesion_rows(record: Node) -> Iterator[list[Cell]]:
    """Yield a record's rows of the lesion table: lesions, then PET-only regions, in the record's order."""
    for lesion in (*record["lesions"], *record["pet_only_regions"]):
        yield [record["subject"], *(column.value(lesion) for column in lesion_columns()[1:])]


def csv_cell(value: Cell) -> str:
    """Return a cell as text: empty for null, true and false, floats so that they read back the same."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return one_line(value) if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a record a value stands, and what its column is called."""

    path: tuple[str | int, ...] = ()
    names: tuple[str, ...] = ()

    def at(self, step: str | int, name: str) -> _Place:
        return _Place((*self.path, step), (*self.names, name))


def _columns(node: Node, schema: Node, place: _Place, *, skip: tuple[str, ...] = ()) -> Iterator[Column]:
    """Yield the columns of an object: its required keys, in the schema's order."""
    for key, child in node.get("properties", {}).items():
        if key in node.get("required", ()) and key not in skip:
            yield from _of(_resolved(child, schema), schema, place.at(key, key))


def _of(node: Node, schema: Node, place: _Place) -> Iterator[Column]:
    kind, description = _type(node), node.get("description", "")
    if kind == "object":
        yield from _columns(node, schema, place)
    elif kind in _KINDS:
        key = next(step for step in reversed(place.path) if isinstance(step, str))
        yield _column(place, _KINDS[kind], _unit(key), description, _getter(place.path))
    elif kind == "array":
        items = _resolved(node.get("items", {}), schema)
        size = node.get("minItems")
        if size in _COMPONENTS and size == node.get("maxItems"):
            for n, name in enumerate(_COMPONENTS[size]):
                yield from _of({**items, "description": description}, schema, place.at(n, name))
        elif _type(items) == "string":
            yield _column(place, "text", "", description, _getter(place.path, _joined))
        else:
            told = f"Number of entries in the record's {place.names[-1]}."
            get = _getter(place.path, _counted)
            yield _column(_Place(names=(*place.names, "count")), "integer", "", told, get)
            if "stratum" in items.get("properties", {}):
                told = (
                    f"Strata named in {place.names[-1]}, once each; the word none where one has no stratum."
                )
                get = _getter(place.path, _strata)
                yield _column(_Place(names=(*place.names, "stratum")), "text", "", told, get)


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


def _joined(values: list[str]) -> str:
    return " ".join(values)


def _counted(values: list[Any]) -> int:
    return len(values)


def _strata(values: list[Any]) -> str:
    return _joined(sorted({value["stratum"] or "none" for value in values}))


def _finding_codes(severity: str) -> Callable[[Node], Cell]:
    def get(record: Node) -> Cell:
        return _joined(sorted({f["code"] for f in record["findings"] if f["severity"] == severity}))

    return get


def _resolved(node: Node, schema: Node) -> Node:
    """Return a schema node with its reference, its parts and its one alternative to null merged in."""
    merged: dict[str, Any] = dict(node)
    reference = merged.pop("$ref", None)
    parts = merged.pop("allOf", [])
    choices = [choice for choice in merged.pop("oneOf", []) if choice.get("type") != "null"]
    inner = [*parts, *choices[:1], *([_referred(reference, schema)] if reference else [])]
    for part in inner:
        resolved = _resolved(part, schema)
        required = [*resolved.get("required", []), *merged.get("required", [])]
        merged = {**resolved, **merged, **({"required": required} if required else {})}
    return merged


def _referred(reference: str, schema: Node) -> Node:
    node: Any = schema
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    found: Node = node
    return found


def _type(node: Node) -> str:
    """Return the one type of a node that is not null; an enumeration is of its values' type."""
    told = node.get("type")
    types = [t for t in ([told] if isinstance(told, str) else told or []) if t != "null"]
    if types:
        return str(types[0])
    values = [value for value in node.get("enum", [node.get("const")]) if value is not None]
    return "string" if values and all(isinstance(value, str) for value in values) else "object"


def _unit(key: str) -> str:
    if key in _UNIT_OF:
        return _UNIT_OF[key]
    return next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
