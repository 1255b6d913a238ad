"""``agreement.json`` as it is written, subject by subject, and where what is made of readings may go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from volstrat.case.discovery import is_case_folder
from volstrat.cohort.run_file import RUN_FILE, read_run_file
from volstrat.comparison.agreement_types import Agreement
from volstrat.comparison.reading_types import COMPARISON
from volstrat.errors import UsageError
from volstrat.store.seal import refuse_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
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


def check_place(out: Path, paths: Sequence[Path], *, of: str = COMPARISON) -> None:
    """Refuse an output folder that holds what is read, or what nobody may change.

    ``of`` is the event of the runs whose results may be written over.

    Raises
    ------
    UsageError
    """
    refuse_sealed(out)
    run = read_run_file(out)
    of_another_kind = (out / RUN_FILE).exists() and (run is None or run.get("event") != of)
    if out.resolve() in {path.resolve() for path in paths} or of_another_kind:
        msg = f"{out}: holds a reading; what is made of readings needs a folder of its own."
        raise UsageError(msg, hint="Name another folder with -o.")
    if run is None and out.is_dir() and is_case_folder(out):
        msg = f"{out}: is a case folder; as an output it would never be read as a case again."
        raise UsageError(msg, hint="Name another folder with -o.")
