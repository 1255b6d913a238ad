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
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat import __version__
from volstrat.case.installed import installed_version
from volstrat.certainty.counting_error import counting_error_percent, equivalent_diameter_mm
from volstrat.errors import VolstratError
from volstrat.rule.lesion_uptake import measure_uptake
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.certainty.robustness import Robustness
    from volstrat.certainty.verdict import Verdict
    from volstrat.pet.uptake import LesionUptake
    from volstrat.rule.lesions import LesionMeasures
    from volstrat.rule.measure import Measurements
    from volstrat.rule.remnant import LiverBurden, LiverRemnant
    from volstrat.rule.stratify import Predicate
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol

CaseRecord = dict[str, Any]
"""A record as plain JSON values; `record_schema` says which."""

SCHEMA_ID = "volstrat.case-record/1"
_LIBRARIES = ("numpy", "scipy", "zlib-ng", "SimpleITK", "pydicom", "highdicom", "nibabel", "scikit-image")


def success_record(
    *,
    subject: str,
    measured: Measurements,
    verdict: Verdict,
    protocol: LoadedProtocol,
    inputs: Sequence[Mapping[str, Any]],
    remnant: LiverRemnant | None = None,
    liver: LiverBurden | None = None,
) -> CaseRecord:
    """Build the record of a case that was read and measured, assessable or not."""
    lesion_uptake, region_uptake = measure_uptake(measured, verdict.assessment)
    return {
        "schema": SCHEMA_ID,
        "subject": subject,
        "status": verdict.status,
        "stratum": verdict.stratum,
        "predicates": {
            "stratum_1": _predicate(verdict.assessment.stratum_1),
            "stratum_2": _predicate(verdict.assessment.stratum_2),
        },
        "volumes": {
            name: getattr(verdict.volumes, name)
            for name in (
                "total_tumour_ml",
                "resectable_tumour_ml",
                "residual_tumour_ml",
                "resectable_fraction",
                "fdg_avid_ml",
                "fdg_avid_resectable_ml",
                "fdg_avid_resectable_fraction",
                "fdg_avid_fraction",
                "pet_only_ml",
            )
        },
        "lesions": _lesions(measured, verdict, protocol.protocol, lesion_uptake),
        "pet_only_regions": _regions(measured, verdict, protocol.protocol, region_uptake),
        "robustness": _robustness(verdict.robustness),
        "remnant": _remnant(remnant),
        "liver_burden": _liver_burden(liver),
        "findings": [_finding(f) for f in verdict.findings],
        "error": None,
        "protocol": _protocol(protocol),
        "inputs": list(inputs),
        "environment": environment(),
    }


def failure_record(
    *,
    subject: str,
    error: Exception,
    protocol: LoadedProtocol,
    inputs: Sequence[Mapping[str, Any]] = (),
) -> CaseRecord:
    """Build the record of a case whose inputs could not be read or do not fit together."""
    if isinstance(error, VolstratError):
        told = {"code": error.code, "message": error.message, "hint": error.hint}
    else:
        told = {
            "code": "internal_error",
            "message": f"volstrat itself failed: {_described(error)}",
            "hint": "Please report this, with the case if it can be shared.",
        }
    return {
        "schema": SCHEMA_ID,
        "subject": subject,
        "status": "failed",
        "stratum": None,
        "predicates": None,
        "volumes": None,
        "lesions": [],
        "pet_only_regions": [],
        "robustness": None,
        "remnant": None,
        "liver_burden": None,
        "findings": [],
        "error": told,
        "protocol": _protocol(protocol),
        "inputs": list(inputs),
        "environment": environment(),
    }


def _described(error: Exception) -> str:
    """Say what an unforeseen error was, without the path that the system's own message carries."""
    if isinstance(error, OSError) and error.strerror:
        name = f": {Path(os.fsdecode(error.filename)).name[:80]}" if error.filename else ""
        return f"{error.strerror}{name}"
    return f"{type(error).__name__}: {error}"


def record_bytes(record: CaseRecord) -> bytes:
    """Return the record as JSON text in UTF-8, keys in the contract's order, line feed at the end.

    Bytes of a folder's name that are no UTF-8 are written as JSON escapes.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every record meets."""
    schema: dict[str, Any] = json.loads(files("volstrat").joinpath("schemas/case-record.json").read_bytes())
    return schema


@cache
def _environment() -> tuple[tuple[str, str], ...]:
    versions = ((name, installed_version(name)) for name in _LIBRARIES)
    return tuple((name, version) for name, version in versions if version is not None)


def environment() -> dict[str, Any]:
    """Return the versions a record rests on; nothing of the host but its kind."""
    return {
        "volstrat": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "libraries": dict(_environment()),
    }


def _protocol(loaded: LoadedProtocol) -> dict[str, str]:
    return {"id": loaded.protocol.id, "version": loaded.protocol.version, "sha256": loaded.sha256}


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "where": finding.where,
    }


def _predicate(predicate: Predicate) -> dict[str, Any]:
    record: dict[str, Any] = {
        "holds": predicate.holds,
        "part_voxels": predicate.part_voxels,
        "part_voxels_upper": predicate.part_voxels_upper,
        "whole_voxels": predicate.whole_voxels,
        "unit": predicate.unit,
        "percent": predicate.percent,
        "threshold_percent": _number(predicate.threshold_percent),
    }
    if predicate.avid_disease is not None:
        record["avid_disease"] = predicate.avid_disease
    return record


def _number(value: Any) -> int | float:  # noqa: ANN401 - Decimal in, the JSON number out
    return int(value) if value == int(value) else float(value)


def _robustness(robustness: Robustness) -> dict[str, Any]:
    interval = robustness.interval
    way = robustness.shortest_way
    return {
        "resectable_fraction_95": None if interval is None else [interval.lo, interval.hi],
        "probability_stratum_1_holds": None if interval is None else interval.probability,
        "boundary_shift": [
            {"shift_mm": s.shift_mm, "resectable_fraction": s.resectable_fraction, "stratum": s.stratum}
            for s in robustness.boundary_shift
        ],
        "flips": [{"lesion_id": f.lesion_id, "to": f.to, "stratum": f.stratum} for f in robustness.flips],
        "margin_ml": robustness.margin_ml,
        "shortest_way": None if way is None else list(way),
        "stratum_2_obstacles": list(robustness.stratum_2_obstacles),
    }


def _remnant(remnant: LiverRemnant | None) -> dict[str, Any] | None:
    if remnant is None:
        return None
    keys = ("flr_ml", "flr_percent", "sflr_percent", "limit_percent", "below_limit")
    return {key: getattr(remnant, key) for key in keys}


def _liver_burden(liver: LiverBurden | None) -> dict[str, Any] | None:
    if liver is None:
        return None
    return {
        "liver_ml": liver.liver_ml,
        "tumour_ml": liver.tumour_ml,
        "resectable_tumour_ml": liver.resectable_ml,
        "resectable_fraction": liver.resectable_fraction,
        "burden_percent": liver.burden_percent,
    }


def _shape_of(measures: LesionMeasures, n: int) -> dict[str, Any]:
    return {
        "voxels": int(measures.voxels[n]),
        "volume_ml": float(measures.volume_ml[n]),
        "centroid_mm": [float(x) for x in measures.centroid_mm[n]],
        "bounding_box_mm": [[float(x) for x in corner] for corner in measures.box_mm[n]],
        "max_diameter_mm": float(measures.max_diameter_mm[n]),
        "max_axial_diameter_mm": float(measures.max_axial_diameter_mm[n]),
    }


def _uptake_of(uptake: LesionUptake | None) -> dict[str, Any]:
    keys = ("suv_max", "suv_mean", "suv_peak", "tlg_g")
    return {key: None if uptake is None else getattr(uptake, key) for key in keys}


def _lesions(
    measured: Measurements, verdict: Verdict, protocol: Protocol, uptake: Sequence[LesionUptake | None]
) -> list[dict[str, Any]]:
    assessment = verdict.assessment
    attribution, resolved = measured.attribution, assessment.resolved
    records = []
    for n, lesion_id in enumerate(measured.lesions.ids):
        voxels = measured.marked.worst_voxels[n]
        sure = sum(int(voxels[m]) for m in protocol.counted)
        marked = int(voxels.sum()) > int(voxels[Marking.UNKNOWN])
        avid_ml = None
        if attribution is not None and resolved is not None:
            avid_ml = int(resolved.counts.lesion_voxels[n]) * attribution.grid.voxel_volume_mm3 / 1000
        records.append(
            {
                "lesion_id": lesion_id,
                **_shape_of(measured.measures, n),
                "resectability": measured.marked.word(n),
                "resectable_fraction": sure / int(voxels.sum()) if marked else None,
                "fdg_avidity": assessment.avidity[n],
                "fdg_avid_ml": avid_ml,
                **_uptake_of(uptake[n]),
                "counting_error_percent": verdict.robustness.counting_error_percent[n],
            }
        )
    return records


def _regions(
    measured: Measurements, verdict: Verdict, protocol: Protocol, uptake: Sequence[LesionUptake | None]
) -> list[dict[str, Any]]:
    if measured.attribution is None:
        return []
    measures = measured.attribution.pet_only_measures
    records = []
    for n, marking in enumerate(verdict.assessment.region_marking):
        dismissed = n in verdict.assessment.dismissed
        known = marking is not Marking.UNKNOWN
        records.append(
            {
                "lesion_id": f"P{n + 1}",
                **_shape_of(measures, n),
                "resectability": marking.word,
                "resectable_fraction": float(marking in protocol.counted) if known else None,
                "fdg_avidity": "not_avid" if dismissed else "avid",
                "fdg_avid_ml": 0.0 if dismissed else float(measures.volume_ml[n]),
                **_uptake_of(uptake[n]),
                "counting_error_percent": counting_error_percent(
                    equivalent_diameter_mm(1000 * float(measures.volume_ml[n])),
                    measured.attribution.grid.spacing_mm,
                ),
            }
        )
    return records
