"""``agreement.json`` as it is written: subject by subject."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from volstrat.comparison.agreement_types import Agreement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO


def agreement_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``agreement.json``."""
    from volstrat.case.typed_json import schema_of

    description = (
        "Two or more readings of the same subjects. Numbers are unrounded; what does not exist is null, with "
        "a reason. `definitions` says what each figure is."
    )
    return schema_of(Agreement, title="volstrat agreement of readings", description=description)


class AgreementFile:
    """Writes ``agreement.json`` subject by subject, so that a large cohort costs no memory.

    Parameters
    ----------
    stream : BinaryIO
        Stays open.
    head : Mapping
        What comes before the subjects.
    """

    def __init__(self, stream: BinaryIO, head: Mapping[str, Any]) -> None:
        self._stream = stream
        self._first = True
        text = _text(head)
        self._stream.write(text[: text.rindex("}")].rstrip().encode() + b',\n  "subjects": [')

    def add(self, subject: Mapping[str, Any]) -> None:
        """Write a subject."""
        lines = _text(subject).replace("\n", "\n    ")
        self._stream.write(f"{'' if self._first else ','}\n    {lines}".encode())
        self._first = False

    def close(self, rest: Mapping[str, Any]) -> None:
        """Write what comes after the subjects."""
        text = _text(rest)
        self._stream.write(f"\n  ],\n{text[text.index('{') + 2 :]}\n".encode())


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
