"""Whether the readings that an agreement compared are still what they were, and it comes out again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.comparison import Settings, compare_readings
from volstrat.comparison.readings import readings_of_run
from volstrat.errors import VolstratError
from volstrat.verify.steps import (
    changed,
    environment_differences,
    in_order,
    input_changed,
    value_differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.verify.steps import SubjectDifferences

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
    called = {place["reading"]: f"reading {place['reading']} ({place['reader']})" for place in places}
    gone = [place for place in places if not Path(place["path"]).exists()]
    if gone:
        for place in gone:
            yield input_changed("all", called[place["reading"]], place["path"], "not there")
        return
    try:
        readings = readings_of_run(run, protocol)
    except VolstratError as error:
        yield input_changed("all", "readings", "readable", str(error))
        return
    before = {
        case_name(subject["subject"], subject["visit"]): {
            one["reading"]: one["sha256"] for one in subject["readings"]
        }
        for subject in agreement["subjects"]
    }
    for subject in sorted({*before, *(name for reading in readings for name in reading.subjects)}):
        pairs = []
        for reading in readings:
            now = reading.subjects.get(subject)
            old = before.get(subject, {}).get(reading.name)
            pairs.append((called[reading.name], old, None if now is None else now.sha256(reading.protocol)))
        found = list(changed("input_bytes", pairs))
        if found:
            yield in_order(subject, found)


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
    yield in_order(AGREEMENT, found)
