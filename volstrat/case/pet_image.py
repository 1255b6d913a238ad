"""A case's PET image: its field, its SUV where that can be known, and its tracer."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from volstrat.case.input_files import file_sha256
from volstrat.errors import AmbiguousRoleError, SuvError, VolstratError
from volstrat.formats.volumes import read_grid, read_image, stem_of, volume_format
from volstrat.frozen import frozen
from volstrat.terms.findings import finding
from volstrat.terms.tracers import TracerSaid, tracer_described, tracer_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from volstrat.case.case_file import Patient, RoleEntry
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.terms.findings import Finding


@frozen(eq=False)
class PetRead:
    """A PET image as read.

    Parameters
    ----------
    grid : VoxelGrid
        The field that PET covers.
    suv : Image or None
        SUVbw; None where the values cannot be had as SUV.
    sul_factor : float or None
        SUL (Janmahasatian) over SUVbw.
    problem : SuvError or None
        Why there is no SUV.
    conversion : dict or None
        What ``volstrat suv`` prints; None where the image is no DICOM.
    body_size : tuple of float or None
        Weight (kg) and height (cm) from the header.
    tracer : TracerSaid
        What the header says of the tracer; where it says nothing, what the entry says.
    format, sha256 : str
    voxels_sha256 : str or None
        Of the stored values alone, whatever the header; None where they are not read.
    findings : tuple of Finding
    """

    grid: VoxelGrid
    suv: Image | None
    sul_factor: float | None
    problem: SuvError | None
    conversion: dict[str, object] | None
    body_size: tuple[float | None, float | None]
    tracer: TracerSaid
    format: str
    sha256: str
    voxels_sha256: str | None = None
    findings: tuple[Finding, ...]


def read_dicom_pet(
    series: SeriesFiles, geometry: SeriesGeometry, entry: RoleEntry, patient: Patient
) -> PetRead:
    """Read a PET series, as SUV where its headers allow it.

    Raises
    ------
    VolstratError
        If the image cannot be read; that it cannot become SUV is ``problem``, no error.
    """
    from volstrat.dicom.pixels import read_suv
    from volstrat.dicom.suv.body import PatientFacts
    from volstrat.dicom.suv.suv_factors import suv_factors
    from volstrat.formats.hashing import joint_sha256

    facts = PatientFacts(weight_kg=patient.weight_kg, height_cm=patient.height_cm, sex=patient.sex)
    factors = suv_factors(series, patient=facts)
    digest = hashlib.sha256()
    suv = None if factors.problem is not None else read_suv(series, geometry, factors, digest=digest)
    sul = factors.sul_janmahasatian_factor
    known = sul is not None and factors.suvbw_factor
    conversion = factors.as_json()
    return PetRead(
        grid=geometry.grid,
        suv=suv,
        sul_factor=sul / factors.suvbw_factor if known and sul and factors.suvbw_factor else None,
        problem=factors.problem,
        conversion={key: conversion[key] for key in conversion if key not in ("findings", "tracer")},
        body_size=_body_size({s.attribute: s.value for s in factors.sources}),
        tracer=_tracer(factors.tracer, entry),
        format=f"dicom-{series.modality.lower()}",
        sha256=joint_sha256(series.paths),
        voxels_sha256=_stored_sha256(geometry) if suv is None else digest.hexdigest(),
        findings=(*geometry.findings, *factors.findings),
    )


def _stored_sha256(geometry: SeriesGeometry) -> str | None:
    """Hash the stored values of a PET that cannot become SUV; None where they cannot be read either."""
    from volstrat.dicom.pixels import stored_sha256

    try:
        return stored_sha256(geometry)
    except VolstratError:
        return None


def read_plain_pet(entry: RoleEntry, patient: Patient) -> PetRead:
    """Read a PET image that is no DICOM: SUV only where the entry or the file's stem says so.

    Raises
    ------
    VolstratError
        If the image cannot be read.
    """
    path = entry.path
    named = volume_format(path)
    assert named is not None
    if entry.units == "SUVbw" or path.name.lower().split(".")[0] == "suv":
        read = read_image(path, hash_voxels=True)
        return PetRead(
            grid=read.image.grid,
            suv=read.image,
            sul_factor=_sul_factor(patient),
            problem=None,
            conversion=None,
            body_size=(None, None),
            tracer=_tracer(_tracer_of_name(path), entry),
            format=named,
            sha256=read.sha256,
            voxels_sha256=read.voxels_sha256,
            findings=read.findings,
        )
    problem = SuvError(
        f"{path.name}: does not say that its values are SUV.",
        hint='Name the file suv, or write units = "SUVbw" in its case.toml entry.',
    )
    return PetRead(
        grid=read_grid(path),
        suv=None,
        sul_factor=None,
        problem=problem,
        conversion=None,
        body_size=(None, None),
        tracer=_tracer(_tracer_of_name(path), entry),
        format=named,
        sha256=file_sha256(path),
        findings=(),
    )


def _sul_factor(patient: Patient) -> float | None:
    """SUL over SUVbw is lean over total body mass; the case must state weight, height and sex."""
    from volstrat.dicom.suv.body import lean_mass_janmahasatian_kg

    if patient.weight_kg is None or patient.height_cm is None or patient.sex is None:
        return None
    lean = lean_mass_janmahasatian_kg(
        weight_kg=patient.weight_kg, height_cm=patient.height_cm, sex=patient.sex
    )
    return lean / patient.weight_kg


def _tracer(header: TracerSaid, entry: RoleEntry) -> TracerSaid:
    """Return what the header says; a person's word stands only where it does not contradict that."""
    if entry.tracer == "FDG" and header.tracer in ("fdg", "not_stated"):
        return TracerSaid(tracer="fdg", names=("FDG",))
    return header


def _tracer_of_name(path: Path) -> TracerSaid:
    """Return what a file without a header for it says of its tracer: nothing, but by its name."""
    return TracerSaid(tracer="not_stated", described_as=tracer_described((stem_of(path),)))


def _body_size(header: Mapping[str, object]) -> tuple[float | None, float | None]:
    """Weight (kg) and height (cm) among the attributes that SUV was worked out from."""

    def number(keyword: str) -> float | None:
        try:
            return float(str(header[keyword]))
        except (KeyError, ValueError):
            return None

    height_m = number("PatientSize")
    return number("PatientWeight"), None if height_m is None else 100 * height_m


def pet_findings(read: PetRead, *, required: bool) -> tuple[Finding, ...]:
    """Return what reading the PET brought up; a rule cannot do without SUV, a description can.

    Where SUV is description, doubts about it call for no review.

    Raises
    ------
    SuvError
        If SUV is required and cannot be had.
    """
    if required and read.problem is not None:
        raise read.problem
    doubts = read.findings
    if not required:
        doubts = tuple(replace(f, severity="warning") if f.severity == "review" else f for f in doubts)
    if read.problem is None:
        return doubts
    return (*doubts, finding("suv_unavailable", where="pet", reason=read.problem))


def tracer_findings(said: TracerSaid, *, name: str) -> list[Finding]:
    """Return what a PET's tracer brings up; nothing where it is FDG, unless it is described as another.

    That it is another tracer is blocking here: `volstrat.certainty.verdict` takes it back where FDG does not
    decide.
    """
    tracer = tracer_text(said)
    if said.tracer == "other":
        return [finding("pet_not_fdg", "pet", where="pet", name=name, tracer=tracer)]
    if said.tracer == "contradictory":
        return [finding("pet_tracer_contradictory", where="pet", name=name, tracer=tracer)]
    if said.described_as and not said.has_unknown_name:
        other = said.described_as
        if said.tracer == "fdg":
            return [finding("pet_tracer_described", "stated", where="pet", name=name, tracer=other)]
        return [finding("pet_tracer_described", "silent", where="pet", name=name, tracer=other)]
    if said.tracer == "not_stated":
        code = "pet_tracer_unknown" if said.has_unknown_name else "pet_tracer_not_stated"
        return [finding(code, where="pet", name=name)]
    return []


def suv_report(folder: Path, *, series: str | None = None) -> dict[str, Any]:
    """Return what turns the PT series of a folder into SUV (the keys of ``volstrat suv --json``).

    Parameters
    ----------
    folder : Path
    series : str or None
        Series Instance UID, where the folder holds several PT series.

    Raises
    ------
    VolstratError
        If there is no PT series, or several and none is named, or a file of it cannot be read.
    """
    from volstrat.dicom.library import DicomLibrary
    from volstrat.dicom.suv.suv_factors import suv_factors

    library = DicomLibrary()
    try:
        chosen = library.series(folder, role="pet", uid=series)
    except AmbiguousRoleError as error:
        raise AmbiguousRoleError(error.message, hint="Choose one: --series UID.") from error
    for broken in library.folder(folder).broken_files_of(chosen):  # a case is refused for it as well
        raise broken.error()
    factors = suv_factors(chosen)
    problem = factors.problem
    why = (
        None if problem is None else {"code": problem.code, "message": problem.message, "hint": problem.hint}
    )
    report = factors.as_json()
    findings = [
        {"code": f.code, "severity": f.severity, "message": f.message, "where": f.where}
        for f in (*factors.findings, *tracer_findings(factors.tracer, name=chosen.name))
    ]
    return {**report, "findings": findings, "error": why}
