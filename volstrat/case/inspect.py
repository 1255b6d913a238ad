"""What would be read from a case folder, and as what; nothing is measured or decided."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.case.input_entries import grid_entry, segment_list
from volstrat.case.lesion_table import read_bytes, read_lesion_table
from volstrat.case.parts import parts_entry
from volstrat.case.reviews import read_reviews
from volstrat.case.table_file import table_format
from volstrat.case.unread import unread_findings
from volstrat.errors import VolstratError
from volstrat.terms.roles import MASK_ROLES, ROLES, TABLE_ROLES
from volstrat.terms.tracers import tracer_text

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.discovery import CasePlace
    from volstrat.case.entries import RoleMask
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.terms.findings import Finding


def inspect_case(place: CasePlace, protocol: LoadedProtocol, *, lesions: str | None = None) -> dict[str, Any]:
    """List, per role, the file, its format and grid, and its segments, ROIs or labels.

    A file that cannot be read is listed with its error, so that one fault does not hide the rest. Where
    roles were found in DICOM, ``unused`` lists the series, segments and ROIs that play none.

    Raises VolstratError if the roles themselves cannot be settled.
    """
    naming = protocol.protocol.naming
    reader = place.open(lesions=lesions, naming=naming).with_naming(naming)
    sources = reader.sources
    findings = dict.fromkeys(unread_findings(sources))  # a file in two roles says the same twice
    read = [
        _entry(reader, role, entry, findings)
        for role in (*ROLES, "cut")
        for entry in sources.entries.get(role, ())
    ]
    masks = [mask for _, mask in read if mask is not None]
    for found, mask in read:
        found["parts"] = [] if mask is None else parts_entry(mask, masks)
    inputs = [found for found, _ in read]
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
    reader: EntryReader, role: str, entry: RoleEntry, findings: dict[Finding, None]
) -> tuple[dict[str, Any], RoleMask | None]:
    """Return what is said of one file, and the mask that it is read as."""
    sources, mask = reader.sources, None
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
        if role in TABLE_ROLES:
            read_rows = read_lesion_table if role == "lesions" else read_reviews
            rows = read_rows(read_bytes(entry.path), name=entry.path.name)
            found.update(format=table_format(entry.path.name), rows=len(rows))
        elif role in MASK_ROLES:
            mask = reader.mask(role, entry)
            findings |= dict.fromkeys(mask.read.findings)
            found.update(
                format=mask.read.format,
                grid=grid_entry(mask.mask.grid, sources),
                segments=segment_list(mask.mask),
            )
        else:
            image_format, grid = reader.grid(role, entry)
            found.update(format=image_format, grid=grid_entry(grid, sources))
            if reader.reads_from_dicom(entry):
                series = reader.series(role, entry)
                found["series"] = _series(series)
                found["suv"] = _suv(series, sources) if role == "pet" else None
    except VolstratError as error:
        found["error"] = str(error)
    return found, mask


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
    from volstrat.case.pet_inputs import factors_of

    factors = factors_of(series, sources.patient)
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
            path = sources.relative(Path(os.path.commonpath([path.parent for path in series.paths])))
            listed.append(_unused_one(kind, path, series=_series(series)))
    for kind, files in (("dicom-seg", scan.segmentations), ("dicom-rtstruct", scan.structure_sets)):
        for file in files:
            left = [
                {"number": s.number, "name": s.name or None}
                for s in without_role(file, sources.entries, reader.naming)
            ]
            if left:
                listed.append(_unused_one(kind, sources.relative(file.path), segments=left))
    for kind, count in scan.other:
        listed.append({**_unused_one(f"DICOM {kind}", None), "count": count})
    return listed


def _unused_one(kind: str, path: str | None, **details: object) -> dict[str, Any]:
    return {"kind": kind, "path": path, "count": 1, "series": None, "segments": [], **details}
