"""Whether the readings that an agreement compared are still what they were, and it comes out again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.comparison import Settings, compare_readings
from volstrat.comparison.readings import open_readings
from volstrat.errors import VolstratError
from volstrat.verify.steps import (
    STEPS,
    Difference,
    SubjectDifferences,
    environment_differences,
    value_differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.comparison.readings import ReadingSet

AGREEMENT = "agreement.json"


def read_agreement(out: Path) -> dict[str, Any] | None:
    """Return what a comparison wrote; None where it cannot be read any more."""
    try:
        found = json.loads((out / AGREEMENT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("subjects"), list) else None


def changed_readings(
    run: Mapping[str, Any], agreement: Mapping[str, Any], protocol: LoadedProtocol
) -> Iterator[SubjectDifferences]:
    """Name each subject with the readings of it that are not what was compared.

    A reading that is not there at all, or cannot be opened, stands for all its subjects.
    """
    places = run["readings"]
    gone = [place for place in places if not Path(place["path"]).exists()]
    for place in gone:
        yield _of_reading(place, "not there")
    if gone:
        return
    try:
        readings = _open_again(places, protocol)
    except VolstratError as error:
        yield SubjectDifferences(
            subject="all",
            differences=(Difference(step="input_bytes", what="readings", old="readable", new=str(error)),),
        )
        return
    before = {
        case_name(subject["subject"], subject["visit"]): {
            r["reading"]: r["sha256"] for r in subject["readings"]
        }
        for subject in agreement["subjects"]
    }
    names = {place["reading"]: place["reader"] for place in places}
    for subject in sorted({*before, *(name for reading in readings for name in reading.subjects)}):
        now = {reading.name: _sha256(reading, subject) for reading in readings}
        old = before.get(subject, {})
        found = [
            Difference(
                step="input_bytes", what=f"reading {name} ({names[name]})", old=old.get(name), new=now[name]
            )
            for name in now
            if old.get(name) != now[name]
        ]
        if found:
            yield SubjectDifferences(subject=subject, differences=tuple(found))


def _of_reading(place: Mapping[str, Any], now: str) -> SubjectDifferences:
    what = f"reading {place['reading']} ({place['reader']})"
    gone = Difference(step="input_bytes", what=what, old=place["path"], new=now)
    return SubjectDifferences(subject="all", differences=(gone,))


def _sha256(reading: ReadingSet, subject: str) -> str | None:
    found = reading.subjects.get(subject)
    return None if found is None else found.sha256(reading.protocol)


def _open_again(places: Sequence[Mapping[str, Any]], protocol: LoadedProtocol) -> Sequence[ReadingSet]:
    """Open the readings that a comparison named.

    Raises
    ------
    VolstratError
    """
    return open_readings(
        [Path(place["path"]) for place in places],
        protocol=protocol,
        lesions=[place["lesions"] for place in places],
    )


def compared_again(
    run: Mapping[str, Any], agreement: Mapping[str, Any], protocol: LoadedProtocol
) -> Iterator[SubjectDifferences]:
    """Compare the readings again into a folder that is thrown away, and say what comes out differently."""
    with tempfile.TemporaryDirectory(prefix="volstrat-verify-") as scratch:
        compare_readings(
            [Path(place["path"]) for place in run["readings"]],
            Path(scratch),
            protocol=protocol,
            lesions=[place["lesions"] for place in run["readings"]],
            settings=Settings(**run["settings"]),
        )
        again = read_agreement(Path(scratch)) or {}
    if agreement == again:
        return
    found = environment_differences(agreement["environment"], again["environment"])
    for key in again:
        if key != "environment":
            found += value_differences(agreement.get(key), again[key], key)
    found.sort(key=lambda difference: STEPS.index(difference.step))
    yield SubjectDifferences(subject=AGREEMENT, differences=tuple(found))
