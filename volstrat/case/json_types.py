"""What types of JSON objects are written with, and their bytes; so light that start-up does not feel it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypedDict as JsonObject
else:

    class JsonObject:
        """A TypedDict to type checkers; at run time a class whose annotations stay unread until asked for.

        A real TypedDict evaluates each annotation as it is made: milliseconds of every start of the program.
        """

        def __new__(cls, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON values
            """Return the dict that it is."""
            return values


__all__ = ["JsonObject", "Limits", "record_bytes", "taken"]

Kind = TypeVar("Kind")


class Limits:
    """What a value must keep to beyond its type; ``length`` is a list's, the rest are JSON Schema's words."""

    def __init__(
        self,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
        pattern: str | None = None,
        min_length: int | None = None,
        min_items: int | None = None,
        length: int | None = None,
    ) -> None:
        found = {
            "minimum": minimum,
            "maximum": maximum,
            "exclusiveMinimum": above,
            "pattern": pattern,
            "minLength": min_length,
            "minItems": min_items if length is None else length,
            "maxItems": length,
        }
        self.length = length
        self.keywords = {word: value for word, value in found.items() if value is not None}


def taken(kind: type[Kind], source: object) -> Kind:
    """Return an object of a value's attributes of the same names; tuples become lists, decimals numbers."""
    kinds = [one for one in reversed(kind.__mro__) if "__annotations__" in one.__dict__]
    keys = [key for one in kinds for key in one.__annotations__]
    return cast("Kind", {key: _plain(getattr(source, key)) for key in keys})


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return list(value) if isinstance(value, tuple) else value


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """Return the record as JSON text in UTF-8, keys in the contract's order, line feed at the end.

    Bytes of a folder's name that are no UTF-8 are written as JSON escapes.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
