"""One subject in all readings: its record in each, every two compared, and what is at stake."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, get_args

from volstrat.agreement.discordance import INGREDIENTS, LEVELS
from volstrat.case.assess import assess_case
from volstrat.case.record import failure_record, finding_record
from volstrat.case.record_types import given
from volstrat.comparison.agreement_types import StakeKind
from volstrat.comparison.pair import ReadCase, compare_pair, not_compared
from volstrat.errors import VolstratError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.record_types import CaseRecord
    from volstrat.comparison.agreement_types import Pair, Stake, Subject, SubjectOutcome, SubjectReading
    from volstrat.comparison.pair import Settings
    from volstrat.comparison.reading_types import ReadingSet
    from volstrat.terms.findings import Finding

_Told = Literal["status", "stratum", "predicates", "volumes", "inputs"]
_STAKES: tuple[StakeKind, ...] = get_args(StakeKind)

RANK = {stake: rank for rank, stake in enumerate(_STAKES)}


def compare_subject(subject: str, readings: Sequence[ReadingSet], settings: Settings) -> Subject:
    """Compare what readings have of one subject.

    Returns
    -------
    Subject
        A subject of ``agreement.json``. Nothing that one subject has wrong stops the others.
    """
    names = [reading.subjects[subject].names for reading in readings if subject in reading.subjects]
    called, visit = next((found for found in names if found[1] is not None), names[0])
    cases: dict[str, ReadCase] = {}
    entries, findings = [], []
    for reading in readings:
        case, entry, found = _read(subject, reading)
        entries.append(entry)
        findings += found
        if case is not None:
            cases[reading.name] = case
    by_name = {entry["reading"]: entry for entry in entries}
    findings += _names(subject, readings)
    pairs = [
        _pair(by_name[a.name], by_name[b.name], cases, settings, subject)
        for a, b in combinations(readings, 2)
    ]
    return {
        "subject": called,
        "visit": visit,
        "outcome": _outcome(pairs),
        "reason": next((pair["reason"] for pair in pairs if pair["outcome"] != "compared"), ""),
        "stake": stake_of(entries, pairs),
        "attributed_to": _attributed_to(pairs),
        "readings": entries,
        "pairs": pairs,
        "findings": [finding_record(finding) for finding in findings],
    }


def _read(subject: str, reading: ReadingSet) -> tuple[ReadCase | None, SubjectReading, list[Finding]]:
    """Measure a subject anew; where its files are not there its record speaks."""
    found = reading.subjects.get(subject)
    if found is None:
        return None, _entry(reading, None, "absent"), []
    if found.record is not None and found.case is None:
        return None, _entry(reading, found.record, "record", found.sha256(reading.protocol)), []
    opened = None
    try:
        opened = found.open(reading.protocol)
        sha256 = found.sha256(reading.protocol, opened)
        result = assess_case(opened, reading.protocol)
    except Exception as error:
        record = failure_record(subject=subject, error=error, protocol=reading.protocol)
        sha256 = found.sha256(reading.protocol, opened)
        return None, _entry(reading, record, "measured", sha256), _changed(reading, found.record, record)
    case = ReadCase(name=reading.name, result=result, protocol=reading.protocol)
    entry = _entry(reading, result.record, "measured", sha256)
    return case, entry, _changed(reading, found.record, result.record)


def _changed(reading: ReadingSet, before: CaseRecord | None, now: CaseRecord) -> list[Finding]:
    """Say where an output's record is not what its files give now."""
    keys: tuple[_Told, ...] = ("status", "stratum", "predicates", "volumes", "inputs")
    if before is None or all(before.get(key) == now[key] for key in keys):
        return []
    return [finding("record_outdated", where=reading.name, reading=reading.name)]


def _names(subject: str, readings: Sequence[ReadingSet]) -> list[Finding]:
    called = {
        r.name: r.subjects[subject].called or subject
        for r in readings
        if subject in r.subjects and r.subjects[subject].called is not None
    }
    if not called:
        return []
    names = " and ".join(f"{name} calls it {other!r}" for name, other in called.items())
    return [finding("subject_names_differ", subject=subject, names=names)]


def _entry(
    reading: ReadingSet,
    record: CaseRecord | None,
    source: Literal["measured", "record", "absent"],
    sha256: str | None = None,
) -> SubjectReading:
    """Return what a reading's record says, as far as readings are compared by it."""
    return {
        "reading": reading.name,
        "source": source,
        "status": None if record is None else record["status"],
        "stratum": None if record is None else record["stratum"],
        "predicates": None if record is None else record["predicates"],
        "volumes": None if record is None else record["volumes"],
        "error": None if record is None else record["error"],
        "protocol": None if record is None else record["protocol"],
        "lesions": None if record is None or record["error"] else len(record["lesions"]),
        "sha256": sha256,
    }


def _pair(
    a: SubjectReading, b: SubjectReading, cases: dict[str, ReadCase], settings: Settings, subject: str
) -> Pair:
    names = (a["reading"], b["reading"])
    absent = [entry["reading"] for entry in (a, b) if entry["source"] == "absent"]
    if absent:
        return not_compared(*names, "only_in_one", f"{subject!r} is not in reading {' and '.join(absent)}.")
    for entry in (a, b):
        if entry["error"] is not None:
            reason = f"Reading {entry['reading']} failed: {entry['error']['message']}"
            return not_compared(*names, "failed", reason)
    for entry in (a, b):
        if entry["source"] == "record":
            reason = (
                f"The files behind reading {entry['reading']} are not there; its record alone is compared."
            )
            return not_compared(*names, "records_only", reason)
    try:
        return compare_pair(cases[names[0]], cases[names[1]], settings)
    except VolstratError as error:
        return not_compared(*names, "failed", str(error))


def _outcome(pairs: Sequence[Pair]) -> SubjectOutcome:
    """Return the one outcome of all pairs, or "partly_compared"."""
    outcomes = {pair["outcome"] for pair in pairs}
    if len(outcomes) == 1:
        return outcomes.pop()
    return "partly_compared" if "compared" in outcomes else sorted(outcomes)[0]


def _attributed_to(pairs: Sequence[Pair]) -> str | None:
    """Join the ingredients that carry the gravest level of difference between any two readings."""
    for level in LEVELS:
        found = [p["discordance"] for p in pairs if p["discordance"] and p["discordance"]["level"] == level]
        named = {i for d in found for group in d["carried_by"] for i in group}
        if named:
            return "+".join(i for i in INGREDIENTS if i in named)
    return None


def stake_of(readings: Sequence[SubjectReading], pairs: Sequence[Pair]) -> Stake:
    """Say what hangs on who is right.

    In falling order: whether the subject enters the trial (a stratum or ineligible); which stratum; whether
    there is a stratum at all; readings that could not be compared; the same stratum though a predicate
    differs; the same stratum where one reading calls for a review and the other does not; the same in all of
    this, but not every voxel counted alike; nothing. Within each, the more millilitres not counted alike
    come first.

    Returns
    -------
    Stake
        ``kind``, ``rank`` (0 is gravest) and ``ml``, the largest volume that two readings do not count alike.
    """
    strata = {r["stratum"] for r in readings if r["source"] != "absent" and r["error"] is None}
    given = strata - {None}
    ml = max((p["not_alike_ml"] for p in pairs if p["not_alike_ml"] is not None), default=None)
    predicates = {_holds(r) for r in readings if r["predicates"] is not None}
    statuses = {r["status"] for r in readings if r["status"] is not None}
    kind: StakeKind
    if "ineligible" in given and len(given) > 1:
        kind = "trial_entry"
    elif len(given) > 1:
        kind = "which_stratum"
    elif None in strata and given:
        kind = "no_stratum_in_one"
    elif any(p["outcome"] not in {"compared", "records_only"} for p in pairs):
        kind = "not_comparable"
    elif len(predicates) > 1:
        kind = "predicates"
    elif len(statuses) > 1:
        kind = "review"
    else:
        kind = "voxels" if ml else "none"
    return {"kind": kind, "rank": RANK[kind], "ml": ml}


def _holds(reading: SubjectReading) -> tuple[bool | None, bool | None]:
    predicates = given(reading["predicates"])
    return predicates["stratum_1"]["holds"], predicates["stratum_2"]["holds"]
