"""One subject in all readings: its records, every two compared, what is at stake, what is to be decided."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, cast

from volstrat.agreement.discordance import LEVELS, joined
from volstrat.case.assess import assess_case
from volstrat.case.record import failure_record, finding_record
from volstrat.case.record_types import PREDICATES, CaseRecord, given
from volstrat.comparison.agreement_types import (
    AdjudicationItem,
    Lesion,
    LesionOfReading,
    Pair,
    Stake,
    StakeKind,
    Subject,
    SubjectOutcome,
    SubjectReading,
    value_in,
)
from volstrat.comparison.pair import ReadCase, Settings, compare_pair, not_compared
from volstrat.errors import VolstratError
from volstrat.terms.findings import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.comparison.readings import ReadingSet

    Asked = Literal["lesion", "pet_only_region", ""]

STAKES: Mapping[str, str] = {
    "trial_entry": "One reading finds the subject ineligible, the other does not",
    "which_stratum": "One reading gives stratum 1, the other stratum 2",
    "no_stratum_in_one": "One reading gives no stratum",
    "not_comparable": "The readings could not be compared",
    "predicates": "Same stratum, but a predicate differs",
    "review": "Same stratum, but one reading calls for a review",
    "voxels": "Same verdict; some voxels are not counted alike",
    "none": "No difference",
}
"""What is at stake between readings, gravest first, in words."""

NEEDS_ADJUDICATION = ("trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable", "predicates")
"""What makes a subject one that is in dispute."""


def compare_subject(subject: str, readings: Sequence[ReadingSet], settings: Settings) -> Subject:
    """Compare what readings have of one subject, as in ``agreement.json``.

    Nothing that one subject has wrong stops the others.
    """
    names = [reading.subjects[subject].names for reading in readings if subject in reading.subjects]
    called, visit = next((found for found in names if found[1] is not None), names[0])
    read = [_read(subject, reading) for reading in readings]
    entries = [entry for _, entry, _ in read]
    findings = [one for _, _, found in read for one in found] + _names(subject, readings)
    pairs = [
        _pair((a, b), (one, other), settings, subject) for (one, a, _), (other, b, _) in combinations(read, 2)
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
    keys: tuple[Literal["status", "stratum", "predicates", "volumes", "inputs"], ...]
    keys = ("status", "stratum", "predicates", "volumes", "inputs")
    if before is None or all(before.get(key) == now[key] for key in keys):
        return []
    return [finding("record_outdated", where=reading.name, reading=reading.name)]


def _names(subject: str, readings: Sequence[ReadingSet]) -> list[Finding]:
    own = {r.name: r.subjects[subject].called for r in readings if subject in r.subjects}
    called = {name: other for name, other in own.items() if other is not None}
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
    keys = ("status", "stratum", "predicates", "volumes", "error", "protocol")
    found = {
        "reading": reading.name,
        "source": source,
        **{key: value_in(record, key) for key in keys},
        "lesions": None if record is None or record["error"] else len(record["lesions"]),
        "sha256": sha256,
    }
    return cast("SubjectReading", found)


def _pair(
    entries: tuple[SubjectReading, SubjectReading],
    cases: tuple[ReadCase | None, ReadCase | None],
    settings: Settings,
    subject: str,
) -> Pair:
    a, b = (entry["reading"] for entry in entries)
    absent = [entry["reading"] for entry in entries if entry["source"] == "absent"]
    if absent:
        return not_compared(a, b, "only_in_one", f"{subject!r} is not in reading {' and '.join(absent)}.")
    for entry in entries:
        if entry["error"] is not None:
            reason = f"Reading {entry['reading']} failed: {entry['error']['message']}"
            return not_compared(a, b, "failed", reason)
    if cases[0] is None or cases[1] is None:
        name = next(entry["reading"] for entry in entries if entry["source"] == "record")
        reason = f"The files behind reading {name} are not there; its record alone is compared."
        return not_compared(a, b, "records_only", reason)
    try:
        return compare_pair(cases[0], cases[1], settings)
    except VolstratError as error:
        return not_compared(a, b, "failed", str(error))


def _outcome(pairs: Sequence[Pair]) -> SubjectOutcome:
    """Return the one outcome of all pairs, or "partly_compared"."""
    outcomes = {pair["outcome"] for pair in pairs}
    if len(outcomes) == 1:
        return outcomes.pop()
    return "partly_compared" if "compared" in outcomes else sorted(outcomes)[0]


def _attributed_to(pairs: Sequence[Pair]) -> str | None:
    """Join the ingredients that carry the gravest level of difference between any two readings."""
    known = [pair["discordance"] for pair in pairs if pair["discordance"] is not None]
    carried = (joined(g for d in known if d["level"] == level for g in d["carried_by"]) for level in LEVELS)
    return next((found for found in carried if found), None)


def stake_of(readings: Sequence[SubjectReading], pairs: Sequence[Pair]) -> Stake:
    """Say what hangs on who is right.

    The gravest that holds of `STAKES`; ``rank`` 0 is gravest, ``ml`` the largest volume that two readings do
    not count alike.
    """
    strata = {r["stratum"] for r in readings if r["source"] != "absent" and r["error"] is None}
    stated = strata - {None}
    ml = max((p["not_alike_ml"] for p in pairs if p["not_alike_ml"] is not None), default=None)
    predicates = {
        tuple(r["predicates"][name]["holds"] for name in PREDICATES)
        for r in readings
        if r["predicates"] is not None
    }
    statuses = {r["status"] for r in readings if r["status"] is not None}
    kind: StakeKind
    if "ineligible" in stated and len(stated) > 1:
        kind = "trial_entry"
    elif len(stated) > 1:
        kind = "which_stratum"
    elif None in strata and stated:
        kind = "no_stratum_in_one"
    elif any(p["outcome"] not in {"compared", "records_only"} for p in pairs):
        kind = "not_comparable"
    elif len(predicates) > 1:
        kind = "predicates"
    elif len(statuses) > 1:
        kind = "review"
    else:
        kind = "voxels" if ml else "none"
    return {"kind": kind, "rank": list(STAKES).index(kind), "ml": ml}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an adjudicator is asked of a subject, in words: one lesion or region, as each reading has it.

    ``kind`` is "" where the two readings could not be compared; then the text says why.
    """

    a: str
    b: str
    kind: Asked = ""
    in_a: LesionOfReading | None = None
    in_b: LesionOfReading | None = None
    text: str

    @property
    def volume_ml(self) -> float:
        """The larger of its volumes; infinite where nothing could be compared."""
        volumes = [given(one["volume_ml"]) for one in (self.in_a, self.in_b) if one is not None]
        return max(volumes, default=float("inf"))


def adjudication_item(subject: Subject) -> AdjudicationItem:
    """Return what an adjudicator needs to know of a subject."""
    return {
        "order": 1,  # until all are sorted
        "subject": subject["subject"],
        "visit": subject["visit"],
        "stake": subject["stake"]["kind"],
        "not_alike_ml": subject["stake"]["ml"],
        "strata": {r["reading"]: r["stratum"] for r in subject["readings"] if r["source"] != "absent"},
        "attributed_to": subject["attributed_to"],
        "look_at": [question.text for question in questions(subject)],
    }


def adjudication_order(item: AdjudicationItem) -> tuple[int, float, str, str]:
    """Sort by what is at stake, then by the volume not counted alike, then by name."""
    return (
        list(STAKES).index(item["stake"]),
        -(item["not_alike_ml"] or 0.0),
        item["subject"],
        item["visit"] or "",
    )


def questions(subject: Subject) -> list[Question]:
    """Name every lesion and region on which readings differ, the largest first.

    A lesion that both mark alike is named where contours carry the difference and it is drawn apart.
    """
    found: list[Question] = []
    for pair in subject["pairs"]:
        a, b = pair["a"], pair["b"]
        if pair["outcome"] != "compared":
            found.append(Question(a=a, b=b, text=pair["reason"]))
        contours = "contour" in (value_in(pair["discordance"], "attributed_to") or "")
        of_kind: dict[Asked, list[Lesion]] = {
            "lesion": pair["lesions"],
            "pet_only_region": pair["pet_only_regions"],
        }
        for kind, rows in of_kind.items():
            for row in rows:
                text = _asked(row, a, b, contours=contours and kind == "lesion")
                if text:
                    found.append(Question(a=a, b=b, kind=kind, in_a=row["a"], in_b=row["b"], text=text))
    return sorted(found, key=lambda question: (-question.volume_ml, question.text))


def _asked(row: Lesion, a: str, b: str, *, contours: bool) -> str:
    """Return on what two readings differ of a lesion; "" where that decides nothing."""
    in_a, in_b = row["a"], row["b"]
    if row["kind"] == "part":
        return ""
    if in_a is None or in_b is None:
        one, name, other = (given(in_b), b, a) if in_a is None else (in_a, a, b)
        what = f"{_ml(one)}, {_place(one)}, {one['resectability']}"
        return f"{one['lesion_id']} in {name}, not in {other} ({what})"
    name = in_a["lesion_id"] if in_a["lesion_id"] == in_b["lesion_id"] else (
        f"{in_a['lesion_id']} in {a} = {in_b['lesion_id']} in {b}"
    )  # fmt: skip
    words = [(word(in_a), word(in_b)) for word in (_marking, _avidity)]
    apart = [f"{one} in {a}, {other} in {b}" for one, other in words if one != other]
    if apart:
        return f"{name}: {'; '.join(apart)} ({_ml(in_a)}, {_place(in_a)})"
    if contours and row["dice"] != 1:
        return f"{name}: {_ml(in_a)} in {a}, {_ml(in_b)} in {b} ({_place(in_a)})"
    return ""


def _marking(lesion: LesionOfReading) -> str:
    if lesion["resectability"] == "partial" and lesion["resectable_fraction"] is not None:
        return f"{100 * lesion['resectable_fraction']:.0f} % resectable"
    return lesion["resectability"].replace("_", " ")


def _avidity(lesion: LesionOfReading) -> str:
    return f"FDG {lesion['fdg_avidity'].replace('_', ' ')}"


def _ml(lesion: LesionOfReading) -> str:
    return f"{lesion['volume_ml']:.2f} ml"


def _place(lesion: LesionOfReading) -> str:
    x, y, z = lesion["point_mm"]
    return f"at {round(x)}, {round(y)}, {round(z)} mm LPS"
