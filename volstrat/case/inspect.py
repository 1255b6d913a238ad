"""What would be read from a case folder, and as what; nothing is measured or decided."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.case.input_entries import grid_entry, segment_list
from volstrat.case.lesion_table import read_bytes, read_lesion_table
from volstrat.case.reviews import read_reviews
from volstrat.case.table_file import table_format
from volstrat.case.unread import unread_findings
from volstrat.errors import VolstratError
from volstrat.formats.walk import relative_name
from volstrat.terms.roles import MASK_ROLES, ROLES
from volstrat.terms.tracers import tracer_text

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.entries import RoleMask
    from volstrat.case.place import CasePlace
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.dicom.folder import DicomFolder, SeriesFiles
    from volstrat.terms.findings import Finding


def inspect_case(place: CasePlace, protocol: LoadedProtocol, *, lesions: str | None = None) -> dict[str, Any]:
    """List, per role, the file, its format and grid, and its segments, ROIs or labels.

    A file that cannot be read is listed with its error, so that one fault does not hide the rest. Where
    roles were found in DICOM, ``unused`` lists the series, segments and ROIs that play none.

    Raises
    ------
    VolstratError
        If the roles themselves cannot be settled.
    """
    reader = place.open(lesions=lesions, naming=protocol.protocol.naming).with_naming(
        protocol.protocol.naming
    )
    sources = reader.sources
    findings = dict.fromkeys(unread_findings(sources))  # a file in two roles says the same twice
    inputs = [
        _entry(sources, reader, role, entry, findings)
        for role in (*ROLES, "cut")
        for entry in sources.entries.get(role, ())
    ]
    _tell_roles(inputs)
    findings |= dict.fromkeys(reader.findings())
    return {
        "subject": sources.subject,
        "visit": sources.visit,
        "told_by": sources.told_by,
        "inputs": inputs,
        "unused": _unused(sources, reader) if sources.told_by == "dicom" else [],
        "findings": [
            {"code": f.code, "severity": f.severity, "message": f.message, "where": f.where}
            for f in findings
            if f.code != "structures_without_role"  # ``unused`` lists them
        ],
    }


def _entry(
    sources: CaseSources,
    reader: EntryReader,
    role: str,
    entry: RoleEntry,
    findings: dict[Finding, None],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": role,
        "path": sources.relative(entry.path),
        "format": None,
        "grid": None,
        "segments": [],
        "parts": [],
        "series": None,
        "suv": None,
        "error": None,
    }
    try:
        if role == "lesions":
            rows = read_lesion_table(read_bytes(entry.path), name=entry.path.name)
            found.update(format=table_format(entry.path.name), rows=len(rows))
        elif role == "reviews":
            rows_of_reviews = read_reviews(read_bytes(entry.path), name=entry.path.name)
            found.update(format=table_format(entry.path.name), rows=len(rows_of_reviews))
        elif role in MASK_ROLES:
            read = reader.mask(role, entry)
            findings |= dict.fromkeys(read.findings)
            found.update(
                format=read.format,
                grid=grid_entry(read.mask.grid, sources),
                segments=segment_list(read.mask),
                parts=_parts(read, role),
            )
        else:
            image_format, grid = reader.grid(role, entry)
            found.update(format=image_format, grid=grid_entry(grid, sources))
            if reader.reads_from_dicom(entry):
                series = reader.library.series(entry.path, role=role, uid=entry.series)
                found["series"] = _series(series)
                found["suv"] = _suv(series, sources) if role == "pet" else None
    except VolstratError as error:
        found["error"] = str(error)
    return found


def _parts(read: RoleMask, role: str) -> list[dict[str, Any]]:
    """List every part of a file, and whether the role takes it."""
    return [
        {
            "number": part.number,
            "name": part.name or None,
            "voxels": part.voxels,
            "role": role if part.number in read.choice.taken else None,
        }
        for part in read.choice.parts
    ]


def _tell_roles(inputs: list[dict[str, Any]]) -> None:
    """Say of parts that a role leaves out what they play elsewhere in the case."""
    every = [(one["path"], part) for one in inputs for part in one["parts"]]
    taken = {(path, part["number"]): part["role"] for path, part in every if part["role"] is not None}
    for path, part in every:
        part["role"] = part["role"] or taken.get((path, part["number"]))


def _series(series: SeriesFiles) -> dict[str, Any]:
    from volstrat.dicom.tracer import series_tracer

    return {
        "series": series.short_uid,
        "number": series.number,
        "modality": series.modality,
        "tracer": series_tracer(series).tracer if series.modality == "PT" else None,
        "tracer_says": tracer_text(series_tracer(series)) if series.modality == "PT" else None,
        "slices": series.number_of_slices,
        "attenuation_corrected": series.attenuation_corrected,
    }


def _suv(series: SeriesFiles, sources: CaseSources) -> dict[str, Any]:
    """Say how the PET becomes SUV, or why it cannot."""
    from volstrat.dicom.suv.body import PatientFacts
    from volstrat.dicom.suv.suv_factors import suv_factors

    stated = sources.patient
    facts = PatientFacts(weight_kg=stated.weight_kg, height_cm=stated.height_cm, sex=stated.sex)
    factors = suv_factors(series, patient=facts)
    return {
        "units": factors.units,
        "suvbw_factor": factors.suvbw_factor,
        "uptake_minutes": factors.uptake_minutes,
        "problem": None if factors.problem is None else str(factors.problem),
    }


def _unused(sources: CaseSources, reader: EntryReader) -> list[dict[str, Any]]:
    """List what the case's folder of DICOM holds beside what plays a role."""
    from volstrat.case.dicom_roles import without_role

    scan = reader.library.folder(sources.folder)
    entries = [entry for entries in sources.entries.values() for entry in entries]
    listed: list[dict[str, Any]] = []
    for series in scan.series:
        if all(entry.series != series.series_instance_uid for entry in entries):
            kind = "scout" if series.is_localizer else f"{series.modality} series"
            listed.append(_unused_one(kind, _common_path(series, sources), series=_series(series)))
    for kind, files in (("dicom-seg", scan.segmentations), ("dicom-rtstruct", scan.structure_sets)):
        for file in files:
            left = [
                {"number": s.number, "name": s.name or None}
                for s in without_role(file, sources.entries, reader.naming)
            ]
            if left:
                listed.append(_unused_one(kind, sources.relative(file.path), segments=left))
    return [*listed, *_others(scan)]


def _unused_one(kind: str, path: str | None, **details: object) -> dict[str, Any]:
    return {"kind": kind, "path": path, "count": 1, "series": None, "segments": [], **details}


def _others(scan: DicomFolder) -> list[dict[str, Any]]:
    return [{**_unused_one(f"DICOM {kind}", None), "count": count} for kind, count in scan.other]


def _common_path(series: SeriesFiles, sources: CaseSources) -> str:
    common = os.path.commonpath([path.parent for path in series.paths])
    return relative_name(Path(common), sources.folder)
