"""The JSON Schema of the case record, from its types."""

from __future__ import annotations

from typing import Any

from volstrat.case.record_types import CaseRecord
from volstrat.case.typed_json import fields_of, is_object, schema_of

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
