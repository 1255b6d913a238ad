"""JSON that volstrat writes, described by types: what each key holds, and the schema that follows.

A `JsonObject` has keys ``name: Annotated[TYPE, Limits(...), "What it means."]``; limits and meaning may be
left out. Types are ``str``, ``bool``, ``int``, ``float``, ``Literal``, ``Any``, `JsonObject`, and lists,
dicts by string and unions (``| None``: may be null) of these. ``NotRequired[...]``: the key may be absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from volstrat.case.json_types import JsonObject, Limits
from volstrat.case.record_types import CaseRecord

_FREE = Limits()
Kind = TypeVar("Kind")

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A type taken apart."""

    choices: tuple[Any, ...]  # what the value can be besides null; one thing, but for a union
    nullable: bool = False
    limits: Limits = _FREE
    description: str = ""

    @property
    def only(self) -> Any:  # noqa: ANN401 - any type
        """The one thing that it can be; ``Any`` of a union."""
        return self.choices[0] if len(self.choices) == 1 else Any

    @property
    def items(self) -> Form | None:
        """The form of a list's items; None of anything else."""
        return form_of(get_args(self.only)[0]) if get_origin(self.only) is list else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a JSON object."""

    key: str
    form: Form
    required: bool


def is_object(hint: Any) -> bool:  # noqa: ANN401 - any type
    """Tell whether a type is one of JSON objects with known keys."""
    return isinstance(hint, type) and cast("type", JsonObject) in hint.__mro__


def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the keys of a `JsonObject` in its order, those of what it extends first."""
    return tuple(
        Field(key=key, form=form_of(hint), required=get_origin(hint) is not NotRequired)
        for key, hint in get_type_hints(kind, include_extras=True).items()
    )


def form_of(hint: Any) -> Form:  # noqa: ANN401 - any type
    """Take a type apart.

    >>> form_of(Annotated[float | None, Limits(minimum=0), "Millilitres."]).nullable
    True
    """
    origin = get_origin(hint)
    if origin is NotRequired:
        return form_of(get_args(hint)[0])
    if origin is Annotated:
        inner, *said = get_args(hint)
        form = form_of(inner)
        limits = next((one for one in said if isinstance(one, Limits)), form.limits)
        description = next((one for one in said if isinstance(one, str)), form.description)
        return replace(form, limits=limits, description=description)
    if origin in (Union, UnionType):
        forms = [form_of(one) for one in get_args(hint) if one is not NoneType]
        limits = forms[0].limits if len(forms) == 1 else Limits()
        choices = tuple(choice for form in forms for choice in form.choices)
        return Form(choices=choices, nullable=NoneType in get_args(hint), limits=limits)
    return Form(choices=(hint,))


def blank(kind: type[Kind], **values: Any) -> Kind:  # noqa: ANN401 - any JSON values
    """Return an object of some values; its other keys are empty lists, or null."""
    empty: dict[str, Any] = {one.key: None if one.form.items is None else [] for one in fields_of(kind)}
    return cast("Kind", empty | values)


def schema_of(kind: type, *, title: str, description: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a `JsonObject`; those within it stand under ``$defs``."""
    definitions: dict[str, Any] = {}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_object(kind, definitions),
        "description": description,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "additionalProperties": False,
        "required": [one.key for one in fields if one.required],
        "properties": {one.key: _node(one.form, definitions) for one in fields},
    }


def _node(form: Form, definitions: dict[str, Any]) -> dict[str, Any]:
    nodes = [_choice(choice, definitions) for choice in form.choices]
    is_plain = len(nodes) == 1 and ("enum" in nodes[0] or nodes[0].get("type") in _JSON_TYPES.values())
    if form.nullable and is_plain:
        (node,) = nodes
        more = {"enum": [*node["enum"], None]} if "enum" in node else {"type": [node["type"], "null"]}
        node = node | more | form.limits.keywords
    elif form.nullable or len(nodes) > 1:
        nodes = [{**one, **(form.limits.keywords if "$ref" not in one else {})} for one in nodes]
        node = {"oneOf": [*([{"type": "null"}] if form.nullable else []), *nodes]}
    else:
        node = nodes[0] | form.limits.keywords
    return node | ({"description": form.description} if form.description else {})


def _choice(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any type
    origin = get_origin(hint)
    if hint is Any:
        return {}
    if is_object(hint):
        # ``LesionRecord`` is ``lesion``
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", hint.__name__.removesuffix("Record")).lower()
        if name not in definitions:
            definitions[name] = {}  # its place, should it hold itself
            definitions[name] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin is Literal:
        words = list(get_args(hint))
        return {"const": words[0]} if len(words) == 1 else {"enum": words}
    if origin is list:
        return {"type": "array", "items": _node(form_of(get_args(hint)[0]), definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _node(form_of(get_args(hint)[1]), definitions)}
    return {"type": _JSON_TYPES[hint]}


_DESCRIPTION = (
    "One subject: what was read, what was measured, and the stratum. Millimetres are DICOM patient "
    "coordinates (LPS); fractions run from 0 to 1."
)


_OF_FAILED = ("error", "inputs", "adjudication")
"""Objects that a case that failed may have; the others are of what was measured."""


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every record meets."""
    schema = schema_of(CaseRecord, title="volstrat case record", description=_DESCRIPTION)
    definitions = schema.pop("$defs")
    return {**schema, "allOf": _consequences(), "$defs": definitions}


def _consequences() -> list[dict[str, Any]]:
    """Return what a status entails: a failed case has its error, and nothing that was to be measured."""
    nothing: dict[str, Any] = {"error": {"type": "object"}, "stratum": {"const": None}}
    for one in fields_of(CaseRecord):
        if one.key in _OF_FAILED:
            continue
        if one.form.nullable and is_object(one.form.only):
            nothing[one.key] = {"const": None}
        elif one.form.items is not None and is_object(one.form.items.only):
            nothing[one.key] = {"maxItems": 0}
    measured = {"error": {"const": None}, "predicates": {"type": "object"}, "volumes": {"type": "object"}}
    blocking = {"properties": {"severity": {"const": "blocking"}}, "required": ["severity"]}
    return [
        _if({"const": "failed"}, nothing, measured),
        _if(
            {"enum": ["assigned", "review"]},
            {"stratum": {"type": "string"}},
            {"stratum": {"const": None}},
        ),
        _if({"const": "not_assessable"}, {"findings": {"contains": blocking}}),
    ]


def _if(
    status: dict[str, Any], then: dict[str, Any], otherwise: dict[str, Any] | None = None
) -> dict[str, Any]:
    rule: dict[str, Any] = {"if": {"properties": {"status": status}}, "then": {"properties": then}}
    return rule if otherwise is None else {**rule, "else": {"properties": otherwise}}
