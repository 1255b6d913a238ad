"""Types of JSON objects: what follows from them, worked out by hand on a small one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired

import jsonschema
import pytest

from volstrat.case.json_types import JsonObject, Limits, taken
from volstrat.case.record_types import CaseRecord
from volstrat.case.typed_json import blank, fields_of, form_of, schema_of

Share = Annotated[float, Limits(minimum=0, maximum=1)]


class PartRecord(JsonObject):
    """A part."""

    number: Annotated[int, Limits(minimum=1)]
    near: Annotated[list[str | float], Limits(length=2)]


class _Named(JsonObject):
    name: Annotated[str, "What it is called."]


class WholeRecord(_Named):
    """A whole."""

    share: Annotated[Share | None, "Of all."]
    word: Literal["a", "b"] | None
    parts: list[PartRecord]
    best: PartRecord | None
    more: NotRequired[dict[str, int]]
    value: Any


WHOLE = {"name": "x", "share": 0.5, "word": None, "parts": [], "best": None, "value": [1]}


def test_the_schema_of_a_type() -> None:
    """Keys in order, null where a union says so, limits as JSON Schema words, objects under ``$defs``."""
    schema = schema_of(WholeRecord, title="T", description="D")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["name", "share", "word", "parts", "best", "value"]
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "name": {"type": "string", "description": "What it is called."},
        "share": {"type": ["number", "null"], "minimum": 0, "maximum": 1, "description": "Of all."},
        "word": {"enum": ["a", "b", None]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
        "best": {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/part"}]},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
        "value": {},
    }
    part = schema["$defs"]["part"]["properties"]
    assert part["number"] == {"type": "integer", "minimum": 1}
    either = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    assert part["near"] == {"type": "array", "items": either, "minItems": 2, "maxItems": 2}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        pytest.param({}, True, id="as-it-is"),
        pytest.param({"best": {"number": 1, "near": ["L1", 2.5]}}, True, id="an-object"),
        pytest.param({"more": {"x": 1}}, True, id="what-may-be-absent"),
        pytest.param({"share": 1.5}, False, id="beyond-a-limit"),
        pytest.param({"word": "c"}, False, id="no-such-word"),
        pytest.param({"name": None}, False, id="null-where-it-is-not-said"),
        pytest.param({"best": {"number": 0, "near": ["L1", 2.5]}}, False, id="a-limit-within"),
        pytest.param({"best": {"number": 1, "near": ["L1"]}}, False, id="a-list-too-short"),
        pytest.param({"other": 1}, False, id="a-key-that-is-not-told"),
    ],
)
def test_the_schema_tells_right_from_wrong(change: dict[str, Any], valid: bool) -> None:
    """One change to a valid object at a time."""
    validator = jsonschema.Draft202012Validator(schema_of(WholeRecord, title="T", description="D"))
    assert validator.is_valid({**WHOLE, **change}) is valid


def test_attributes_become_an_object() -> None:
    """The type's keys alone, those of its base first; tuples as lists, decimals as JSON numbers."""

    @dataclass(frozen=True)
    class Measured:
        unit: str = "pet"
        parts: tuple[str, ...] = ("L1", "L2")
        percent: Decimal = Decimal("66.66")
        whole: Decimal = Decimal("70.0")
        name: str = "x"

    class Kept(_Named):
        parts: list[str]
        percent: float
        whole: float

    kept = taken(Kept, Measured())
    assert list(kept.items()) == [
        ("name", "x"), ("parts", ["L1", "L2"]), ("percent", 66.66), ("whole", 70),
    ]  # fmt: skip
    assert type(kept["whole"]) is int


def test_a_blank_object_has_every_key() -> None:
    """Lists are empty, all else is null, but for what is given."""
    assert blank(PartRecord, number=3) == {"number": 3, "near": []}
    failed = blank(CaseRecord, subject="S1")
    assert list(failed) == [one.key for one in fields_of(CaseRecord)]
    assert (failed["subject"], failed["volumes"], failed["lesions"]) == ("S1", None, [])


def test_a_type_is_an_object_to_python_too() -> None:
    """What a type checker takes for a call that makes a dict makes one."""
    assert PartRecord(number=1, near=["L1", 2.0]) == {"number": 1, "near": ["L1", 2.0]}


def test_a_meaning_beside_a_named_type_keeps_its_limits() -> None:
    """``Annotated[Share | None, "..."]``: limits of the inner, words of the outer."""
    form = form_of(Annotated[Share | None, "Of all."])
    assert (form.nullable, form.description) == (True, "Of all.")
    assert form.limits.keywords == {"minimum": 0, "maximum": 1}
