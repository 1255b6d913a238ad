"""The case record: what other programs and people rely on (docs/record.md).

Nothing in a record depends on the clock, the host or the order of files: the same inputs, protocol
and version give the same bytes.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from volstrat import __version__
from volstrat.case.case_file import case_name
from volstrat.case.installed import installed_version
from volstrat.case.json_types import taken
from volstrat.case.record_types import (
    SCHEMA_ID,
    AvidPredicateRecord,
    BoundaryShiftRecord,
    CaseRecord,
    ClosedRecord,
    ErrorRecord,
    FindingRecord,
    FlipRecord,
    LeftRecord,
    LiverBurdenRecord,
    MapShiftRecord,
    PetShiftRecord,
    PlanRecord,
    PredicateRecord,
    RemnantRecord,
    VolumesRecord,
)
from volstrat.certainty.counting_error import counting_error_percent, equivalent_diameter_mm
from volstrat.errors import UsageError, as_volstrat_error
from volstrat.frozen import FrozenDict
from volstrat.rule.lesion_places import lesion_sites, voxels_by_site
from volstrat.rule.table_words import NO_LESION
from volstrat.terms.couinaud import notation
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from volstrat.case.input_types import InputRecord
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import (
        EnvironmentRecord,
        LesionRecord,
        PlannedZoneRecord,
        PredicatesRecord,
        ProtocolRecord,
        RobustnessRecord,
        SearchRecord,
        SiteVolumesRecord,
        VolumesBySiteRecord,
    )
    from volstrat.certainty.robustness import Robustness
    from volstrat.certainty.verdict import Verdict
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.pet.uptake import LesionUptake
    from volstrat.plans.anatomy import PlannedZone
    from volstrat.plans.carry_out import PlanBook, PlanOutcome
    from volstrat.plans.union_search import Candidate
    from volstrat.rule.lesion_measures import LesionMeasures
    from volstrat.rule.lesion_places import LesionSite
    from volstrat.rule.measure import Measurements
    from volstrat.rule.remnant import LiverBurden, LiverRemnant
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import FdgAvidity, LesionRow, Resectability
    from volstrat.terms.protocol import Protocol

_LIBRARIES = ("numpy", "scipy", "zlib-ng")
_READERS = {"dicom": ("pydicom", "SimpleITK"), "xlsx": ("openpyxl",)}
"""What else takes part where an input's format begins so."""


def success_record(
    *,
    subject: str,
    visit: str | None = None,
    measured: Measurements,
    verdict: Verdict,
    protocol: LoadedProtocol,
    inputs: Sequence[InputRecord],
    remnant: LiverRemnant | None = None,
    liver: LiverBurden | None = None,
    plans: Sequence[PlanRecord] = (),
    chosen_plan: str | None = None,
    planned_by: Mapping[str, str] = FrozenDict(),
    liver_mask: VoxelRuns | None = None,
) -> CaseRecord:
    """Build the record of a case that was read and measured, assessable or not.

    ``planned_by`` says of the lesions and regions that a plan marks who made it.
    """
    sites = lesion_sites(measured, liver_mask)
    return {
        "schema": SCHEMA_ID,
        "subject": subject,
        "visit": visit,
        "status": verdict.status,
        "stratum": verdict.stratum,
        "predicates": _predicates(verdict),
        "volumes": taken(VolumesRecord, verdict.volumes),
        "lesions": _by_plan(_lesions(measured, verdict, protocol.protocol, sites), planned_by),
        "pet_only_regions": _by_plan(_regions(measured, verdict, protocol.protocol), planned_by),
        "volumes_by_site": _volumes_by_site(measured, sites, protocol.protocol),
        "robustness": _robustness(verdict.robustness),
        "remnant": None if remnant is None else taken(RemnantRecord, remnant),
        "liver_burden": None if liver is None else taken(LiverBurdenRecord, liver),
        "plans": list(plans),
        "chosen_plan": chosen_plan,
        "adjudication": None,
        "findings": [finding_record(f) for f in verdict.findings],
        "error": None,
        "protocol": protocol_record(protocol),
        "inputs": list(inputs),
        "environment": environment(inputs),
    }


def record_name(record: Mapping[str, Any]) -> str:
    """Return what a cohort calls the case of a record: the subject, and the visit where there is one."""
    return case_name(record["subject"], record.get("visit"))


def failure_record(
    *,
    subject: str,
    visit: str | None = None,
    error: Exception,
    protocol: LoadedProtocol,
    inputs: Sequence[InputRecord] = (),
) -> CaseRecord:
    """Build the record of a case whose inputs could not be read or do not fit together."""
    from volstrat.case.typed_json import blank
    from volstrat.terms.catalogue import ERRORS

    said = taken(ErrorRecord, as_volstrat_error(error, _described(error)))
    if not said["hint"]:
        steps = {entry.code: entry.do for entry in ERRORS}
        said["hint"] = steps.get(said["code"], "").replace("`", "")
    return blank(
        CaseRecord,
        schema=SCHEMA_ID,
        subject=subject,
        visit=visit,
        status="failed",
        error=said,
        protocol=protocol_record(protocol),
        inputs=list(inputs),
        environment=environment(),
    )


def _described(error: Exception) -> str:
    """Say what an unforeseen error was, without the path that the system's own message carries."""
    if isinstance(error, OSError) and error.strerror:
        name = f": {Path(os.fsdecode(error.filename)).name[:80]}" if error.filename else ""
        return f"{error.strerror}{name}"
    return f"{type(error).__name__}: {error}"


def parse_record(data: bytes, *, name: str) -> CaseRecord:
    """Return the record that a file holds.

    Raises UsageError if it is none, or one of another form than this volstrat writes.
    """
    again = "Run volstrat batch again."
    try:
        record: Any = json.loads(data)
    except ValueError as error:
        msg = f"{name}: is no readable record."
        raise UsageError(msg, hint=again) from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA_ID:
        msg = f"{name}: is no case record."
        if str(schema).startswith(SCHEMA_ID.rpartition("/")[0]):
            msg = f"{name}: is a record of another form ({schema}; this volstrat reads {SCHEMA_ID})."
        raise UsageError(msg, hint=again)
    return cast("CaseRecord", record)


def environment(
    inputs: Sequence[InputRecord] | None = None, *, also: Sequence[str] = ()
) -> EnvironmentRecord:
    """Return the versions that a result rests on; nothing of the host but its kind.

    Of libraries those are named that took part in reading ``inputs`` (None: all that could), and those of
    ``also``.
    """
    formats = None if inputs is None else {one["format"] for one in inputs}
    names = [*_LIBRARIES]
    for beginning, readers in _READERS.items():
        if formats is None or any(one.startswith(beginning) for one in formats):
            names += readers
    versions = {name: _version(name) for name in (*names, *also)}
    return {
        "volstrat": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "libraries": {name: version for name, version in versions.items() if version is not None},
    }


_version = cache(installed_version)


def protocol_record(loaded: LoadedProtocol) -> ProtocolRecord:
    """Return which protocol it is, as records name it."""
    return {"id": loaded.protocol.id, "version": loaded.protocol.version, "sha256": loaded.sha256}


def _robustness(robustness: Robustness) -> RobustnessRecord:
    interval = robustness.interval
    return {
        "resectable_fraction_95": None if interval is None else [interval.lo, interval.hi],
        "probability_stratum_1_holds": None if interval is None else interval.probability,
        "boundary_shift": [taken(BoundaryShiftRecord, shift) for shift in robustness.boundary_shift],
        "pet_shift": [taken(PetShiftRecord, shift) for shift in robustness.pet_shift],
        "flips": [taken(FlipRecord, flip) for flip in robustness.flips],
        "margin_ml": robustness.margin_ml,
        "shortest_way": None if robustness.shortest_way is None else list(robustness.shortest_way),
        "stratum_2_obstacles": list(robustness.stratum_2_obstacles),
    }


def _predicates(verdict: Verdict) -> PredicatesRecord:
    return {
        "stratum_1": taken(PredicateRecord, verdict.assessment.stratum_1),
        "stratum_2": taken(AvidPredicateRecord, verdict.assessment.stratum_2),
    }


def _lesions(
    measured: Measurements, verdict: Verdict, protocol: Protocol, sites: Sequence[LesionSite]
) -> list[LesionRecord]:
    attribution, resolved = measured.attribution, verdict.assessment.resolved
    records = []
    for n, lesion_id in enumerate(measured.lesions.ids):
        all_voxels, sure = _counted(measured.marked.worst_voxels[n], protocol)
        avid_ml = None
        if attribution is not None and resolved is not None:
            avid_ml = int(resolved.lesion_voxels[n]) * attribution.grid.voxel_volume_mm3 / 1000
        record = _lesion(
            lesion_id,
            measured.measures,
            n,
            verdict.uptake[0][n],
            measured.rows.get(lesion_id),
            resectability=measured.marked.word(n),
            resectable_fraction=None if sure is None else sure / all_voxels,
            fdg_avidity=verdict.assessment.avidity[n],
            fdg_avid_ml=avid_ml,
            counting_error_percent=verdict.robustness.counting_error_percent[n],
            dismissed=bool(measured.marked.not_tumour[n]),
        )
        record["segment"] = measured.lesions.names[n] or None
        record["site"], record["site_source"] = sites[n].word, sites[n].source
        records.append(record)
    return records


def _counted(voxels: NDArray[np.int64], protocol: Protocol) -> tuple[int, int | None]:
    """Return all voxels by marking, and those that count as resectable; None where nothing is marked."""
    every = int(voxels.sum())
    is_marked = every > int(voxels[Marking.UNKNOWN])
    return every, sum(int(voxels[m]) for m in protocol.counted) if is_marked else None


def _by_plan(lesions: list[LesionRecord], planned_by: Mapping[str, str]) -> list[LesionRecord]:
    """Say of what a plan marks who made the plan: a row's reader did not mark it so."""
    for lesion in lesions:
        if lesion["lesion_id"] in planned_by:
            lesion["marked_by"] = planned_by[lesion["lesion_id"]] or None
            lesion["reason"] = lesion["recorded_at"] = None
    return lesions


def finding_record(one: Finding) -> FindingRecord:
    """Return a finding as the record has it."""
    found = taken(FindingRecord, one)
    found["closed"] = None if one.closed is None else taken(ClosedRecord, one.closed)
    return found


def _volumes_by_site(
    measured: Measurements, sites: tuple[LesionSite, ...], protocol: Protocol
) -> VolumesBySiteRecord:
    ml = measured.lesions.grid.voxel_ml
    found: dict[str, SiteVolumesRecord] = {}
    for word, (lesions, voxels) in voxels_by_site(measured, sites).items():
        every, sure = _counted(voxels, protocol)
        found[word] = {
            "lesions": lesions,
            "total_tumour_ml": every * ml,
            "resectable_tumour_ml": None if sure is None else sure * ml,
        }
    return cast("VolumesBySiteRecord", found)


def _regions(measured: Measurements, verdict: Verdict, protocol: Protocol) -> list[LesionRecord]:
    if measured.attribution is None:
        return []
    regions, grid, ids = measured.attribution.pet_only, measured.attribution.grid, measured.lesions.ids
    records = []
    for n, marking in enumerate(verdict.assessment.region_marking):
        dismissed = n in verdict.assessment.dismissed
        volume_ml = float(regions.measures.volume_ml[n])
        diameter_mm = equivalent_diameter_mm(1000 * volume_ml)
        record = _lesion(
            f"P{n + 1}",
            regions.measures,
            n,
            verdict.uptake[1][n],
            measured.rows.get(f"P{n + 1}"),
            resectability=marking.word,
            resectable_fraction=None if marking is Marking.UNKNOWN else float(marking in protocol.counted),
            fdg_avidity="not_avid" if dismissed else "avid",
            fdg_avid_ml=0.0 if dismissed else volume_ml,
            counting_error_percent=counting_error_percent(diameter_mm, grid.spacing_mm),
            dismissed=dismissed,
        )
        near, owner = regions.nearest(n), int(measured.region_words.belongs_to[n])
        record["near"] = None if near is None else [ids[near[0]], near[1]]
        record["belongs_to"] = None if owner == NO_LESION else ids[owner]
        records.append(record)
    return records


def _lesion(
    lesion_id: str,
    measures: LesionMeasures,
    n: int,
    uptake: LesionUptake | None,
    row: LesionRow | None,
    *,
    resectability: Resectability,
    resectable_fraction: float | None,
    fdg_avidity: FdgAvidity,
    fdg_avid_ml: float | None,
    counting_error_percent: float,
    dismissed: bool,
) -> LesionRecord:
    """Return the record of the n-th of what was measured, without what only lesions or only regions have."""
    return {
        "lesion_id": lesion_id,
        "voxels": int(measures.voxels[n]),
        "volume_ml": float(measures.volume_ml[n]),
        "centroid_mm": [float(x) for x in measures.centroid_mm[n]],
        "point_mm": [float(x) for x in measures.point_mm[n]],
        "bounding_box_mm": [[float(x) for x in corner] for corner in measures.box_mm[n]],
        "max_diameter_mm": float(measures.max_diameter_mm[n]),
        "max_axial_diameter_mm": float(measures.max_axial_diameter_mm[n]),
        "resectability": resectability,
        "resectable_fraction": resectable_fraction,
        "fdg_avidity": fdg_avidity,
        "fdg_avid_ml": fdg_avid_ml,
        "suv_max": None if uptake is None else uptake.suv_max,
        "suv_mean": None if uptake is None else uptake.suv_mean,
        "suv_peak": None if uptake is None else uptake.suv_peak,
        "tlg_g": None if uptake is None else uptake.tlg_g,
        "counting_error_percent": counting_error_percent,
        "segment": None,
        "site": None,
        "site_source": None,
        "dismissed": dismissed,
        "near": None,
        "belongs_to": None,
        "marked_by": None if row is None else row.reader or None,
        "reason": None if row is None else row.reason or None,
        "recorded_at": None if row is None else row.recorded_at or None,
    }


def plan_record(outcome: PlanOutcome) -> PlanRecord:
    """Return the record of one plan."""
    verdict = outcome.verdict
    return {
        "name": outcome.plan.name,
        "title": outcome.plan.title,
        "by": outcome.plan.by,
        "notation": outcome.notation,
        "segments": list(outcome.regions.segments),
        "wedges": _zones(outcome.regions.wedges, outcome),
        "ablations": _zones(outcome.regions.ablations, outcome),
        "stratum": verdict.stratum,
        "status": verdict.status,
        "predicates": _predicates(verdict),
        "volumes": taken(VolumesRecord, verdict.volumes),
        "remnant": taken(RemnantRecord, outcome.remnant),
        "cuts_through": list(outcome.cuts_through),
        "left": [taken(LeftRecord, left) for left in outcome.left],
        "map_shift": [taken(MapShiftRecord, shift) for shift in outcome.map_shift],
        "findings": [finding_record(finding) for finding in outcome.findings],
    }


def search_record(subject: str, book: PlanBook, found: Sequence[Candidate]) -> SearchRecord:
    """Return what a search found; segments are written as a plan in ``case.toml`` writes them."""
    return {
        "subject": subject,
        "tried": 2 ** len(book.anatomy.map),
        "threshold_percent": float(book.protocol.thresholds.stratum_1_percent),
        "search": [
            {
                "segments": [int(s) if s.isdigit() else s for s in union.segments],
                "ablate": list(union.ablate),
                "resectable_fraction": union.resectable_fraction,
                "flr_percent": union.flr_percent,
                "stratum": union.stratum,
                "notation": notation(union.segments),
            }
            for union in found
        ],
    }


def _zones(zones: Sequence[PlannedZone], outcome: PlanOutcome) -> list[PlannedZoneRecord]:
    ids = outcome.measured.lesions.ids
    return [{"lesion_id": ids[zone.lesion], "margin_mm": zone.margin_mm} for zone in zones]
