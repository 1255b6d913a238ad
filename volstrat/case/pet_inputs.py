"""A case's PET: its image, its SUV where that can be known, its tracer, and the masks drawn on it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from volstrat.case.aligned_masks import union_of
from volstrat.case.input_files import file_sha256
from volstrat.errors import AmbiguousRoleError, GridMismatchError, SuvError, VolstratError
from volstrat.formats.hashing import joint_sha256
from volstrat.formats.volumes import read_grid, read_image, stem_of, volume_format
from volstrat.frozen import frozen
from volstrat.geometry.alignment import align_masks, check_frame_of_reference
from volstrat.rule.measure import Avid
from volstrat.terms.findings import finding
from volstrat.terms.tracers import TracerSaid, tracer_described, tracer_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from volstrat.case.aligned_masks import AlignedMasks
    from volstrat.case.case_file import Patient, RoleEntry
    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.dicom.suv.suv_factors import SuvFactors
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.terms.findings import Finding, Severity
    from volstrat.terms.protocol import Protocol


@frozen(eq=False)
class PetRead:
    """A PET image as read."""

    grid: VoxelGrid  # the field that PET covers
    format: str
    sha256: str
    tracer: TracerSaid  # what the header says of the tracer; where it says nothing, what the entry says
    suv: Image | None = None  # SUVbw; None where the values cannot be had as SUV, or nobody asked
    sul_factor: float | None = None  # SUL (Janmahasatian) over SUVbw
    problem: SuvError | None = None  # why there is no SUV
    # what ``volstrat suv`` prints; None where the image is no DICOM
    conversion: dict[str, object] | None = None
    body_size: tuple[float | None, float | None] = (None, None)  # weight (kg) and height (cm) from the header
    # of the stored values alone, whatever the header; None where they are not read
    voxels_sha256: str | None = None
    findings: tuple[Finding, ...] = ()


@frozen(eq=False)
class PetInputs:
    """The PET side of a case."""

    image: PetRead | None  # as read, whatever its tracer
    fdg: PetRead | None  # the same where it may be FDG: only then is it measured
    # the avid masks of FDG, united; None where there is none, or where no segmentation holds a segment
    avid: Avid | None
    avid_field: VoxelGrid | None  # the field that a dense avid mask covers; None where it is a window
    findings: tuple[Finding, ...]

    @property
    def left_out(self) -> bool:
        """True where a PET or an avid mask is of another tracer."""
        return any(one.code == "pet_not_fdg" for one in self.findings)

    @property
    def field(self) -> VoxelGrid | None:
        """The field that PET covers: of the PET image, else of a dense avid mask."""
        return self.avid_field if self.fdg is None else self.fdg.grid


def read_pet_inputs(reader: EntryReader, masks: AlignedMasks, protocol: Protocol) -> PetInputs:
    """Read the PET, and take from it and from the avid masks what is of FDG.

    Raises VolstratError if the PET cannot be read, is needed as SUV and cannot become it, or lies in another
    frame of reference.
    """
    entry = reader.sources.only("pet")
    image = None if entry is None else reader.pet(entry)
    findings: list[Finding] = []
    fdg = image
    if image is not None and entry is not None:
        findings += tracer_findings(image.tracer, name=entry.path.name)
        if image.tracer.tracer == "other":
            fdg = None
        else:
            findings += _image_findings(image, required=protocol.avidity.needs_suv)
            findings += _check_registered(image.grid, masks, entry.path.name, assumed=entry.assume_registered)
    kept = [r for r in masks.of_role("fdg_avid") if not _is_of_another_tracer(r, image, protocol, findings)]
    kept = [r for r in kept if not _holds_no_segment(r, findings)]
    avid, found = _united(kept, masks, protocol)
    dense = (r.mask.grid for r in kept)
    return PetInputs(
        image=image,
        fdg=fdg,
        avid=avid,
        avid_field=next((one for one in dense if not one.is_window), None),
        findings=(*findings, *found),
    )


def _is_of_another_tracer(
    mask: RoleMask, image: PetRead | None, protocol: Protocol, findings: list[Finding]
) -> bool:
    """Tell whether an avid mask was drawn on another tracer: as its own series says, else the case's PET."""
    own = mask.read.drawn_on_tracer
    if own is None or (image is not None and own == image.tracer):  # told of the PET itself
        return image is not None and image.tracer.tracer == "other"
    if own.tracer == "other":
        severity: Severity | None = "warning" if protocol.avidity.needs_suv else None
        tracer = tracer_text(own)
        findings.append(
            finding("pet_not_fdg", "mask", severity=severity, where="fdg_avid", name=mask.name, tracer=tracer)
        )
        return True
    if image is None or own.tracer == "contradictory":
        findings += tracer_findings(own, name=f"The PET that {mask.name} was drawn on")
    return False


def _holds_no_segment(mask: RoleMask, findings: list[Finding]) -> bool:
    """Tell whether a segmentation names no segment at all: that is no reading, and nothing is not avid."""
    if mask.read.format not in ("dicom-seg", "dicom-rtstruct", "seg.nrrd") or mask.mask.labels:
        return False
    findings.append(finding("segmentation_without_segments", "avid", where="fdg_avid", name=mask.name))
    return True


def _united(
    avid: Sequence[RoleMask], masks: AlignedMasks, protocol: Protocol
) -> tuple[Avid | None, list[Finding]]:
    """Unite the avid masks on their own grid, which must be in the tumour's frame of reference."""
    if not avid:
        return None, []
    named = {r.named_as(n): r.mask for n, r in enumerate(avid)}
    grid, aligned = align_masks(named, tolerance_mm=protocol.geometry_tolerance_mm, base=avid[0].name)
    assumed = any(r.entry.assume_registered for r in avid)
    findings = _check_registered(grid, masks, avid[0].name, assumed=assumed)
    return Avid(voxels=union_of(aligned.values()), grid=grid), findings


def _check_registered(grid: VoxelGrid, masks: AlignedMasks, name: str, *, assumed: bool) -> list[Finding]:
    """Refuse another frame of reference than the tumour's, unless the entry vouches for it."""
    try:
        check_frame_of_reference(grid, masks.grid, name=name, other=masks.base)
    except GridMismatchError as error:
        if not assumed:
            hint = "Register PET and CT first, or write assume_registered = true in its case.toml entry."
            raise GridMismatchError(error.message, hint=hint) from error
        return [finding("assumed_registered", where=name, difference=error.message)]
    return []


def read_other_pet(reader: EntryReader, entry: RoleEntry) -> tuple[PetRead | None, list[Finding]]:
    """Read the grid and the tracer of a PET that is shown beside; its faults are findings."""
    try:
        image_format, grid = reader.grid("other_pet", entry)
        if reader.reads_from_dicom(entry):
            from volstrat.dicom.tracer import series_tracer

            series = reader.series("other_pet", entry)
            sha256, tracer = joint_sha256(series.paths), series_tracer(series)
        else:
            sha256, tracer = file_sha256(entry.path), TracerSaid(tracer="not_stated")
    except VolstratError as error:
        return None, [finding("other_pet_unreadable", where="other_pet", reason=error.message)]
    return PetRead(grid=grid, format=image_format, sha256=sha256, tracer=tracer), []


def read_dicom_pet(
    series: SeriesFiles, geometry: SeriesGeometry, entry: RoleEntry, patient: Patient
) -> PetRead:
    """Read a PET series, as SUV where its headers allow it; that it cannot become SUV is ``problem``."""
    from volstrat.dicom.pixels import read_suv, stored_sha256

    factors = factors_of(series, patient)
    digest = hashlib.sha256()
    suv = None if factors.problem is not None else read_suv(series, geometry, factors, digest=digest)
    hashed = digest.hexdigest() if suv is not None else None
    if suv is None:
        with suppress(VolstratError):  # where the stored values cannot be read either
            hashed = stored_sha256(geometry)
    sul, bw = factors.sul_janmahasatian_factor, factors.suvbw_factor
    conversion = factors.as_json()
    return PetRead(
        grid=geometry.grid,
        format=f"dicom-{series.modality.lower()}",
        sha256=joint_sha256(series.paths),
        tracer=_tracer(factors.tracer, entry),
        suv=suv,
        sul_factor=sul / bw if sul and bw else None,
        problem=factors.problem,
        conversion={key: conversion[key] for key in conversion if key not in ("findings", "tracer")},
        body_size=_body_size({s.attribute: s.value for s in factors.sources}),
        voxels_sha256=hashed,
        findings=(*geometry.findings, *factors.findings),
    )


def factors_of(series: SeriesFiles, patient: Patient) -> SuvFactors:
    """Return what turns a PET series into SUV: by its headers, and by what the case states of the patient."""
    from volstrat.dicom.suv.body import PatientFacts
    from volstrat.dicom.suv.suv_factors import suv_factors

    facts = PatientFacts(weight_kg=patient.weight_kg, height_cm=patient.height_cm, sex=patient.sex)
    return suv_factors(series, patient=facts)


def read_plain_pet(entry: RoleEntry, patient: Patient) -> PetRead:
    """Read a PET image that is no DICOM: SUV only where the entry or the file's stem says so.

    A file without a header for it says nothing of its tracer, but by its name.
    """
    path, form = entry.path, volume_format(entry.path)
    assert form is not None
    said = TracerSaid(tracer="not_stated", described_as=tracer_described((stem_of(path),)))
    tracer = _tracer(said, entry)
    if entry.units == "SUVbw" or path.name.lower().split(".")[0] == "suv":
        read = read_image(path, hash_voxels=True)
        return PetRead(
            grid=read.image.grid,
            format=form,
            sha256=read.sha256,
            tracer=tracer,
            suv=read.image,
            sul_factor=_sul_factor(patient),
            voxels_sha256=read.voxels_sha256,
            findings=read.findings,
        )
    problem = SuvError(
        f"{path.name}: does not say that its values are SUV.",
        hint='Name the file suv, or write units = "SUVbw" in its case.toml entry.',
    )
    return PetRead(
        grid=read_grid(path), format=form, sha256=file_sha256(path), tracer=tracer, problem=problem
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


def _body_size(header: Mapping[str, object]) -> tuple[float | None, float | None]:
    """Weight (kg) and height (cm) among the attributes that SUV was worked out from."""

    def number(keyword: str) -> float | None:
        try:
            return float(str(header[keyword]))
        except (KeyError, ValueError):
            return None

    height_m = number("PatientSize")
    return number("PatientWeight"), None if height_m is None else 100 * height_m


def _image_findings(read: PetRead, *, required: bool) -> tuple[Finding, ...]:
    """Return what reading the PET brought up; a rule cannot do without SUV, a description can.

    Where SUV is description, doubts about it call for no review.
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

    ``series`` is a Series Instance UID, where the folder holds several. Raises VolstratError if there is no
    PT series, or several and none is named, or a file of it cannot be read.
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
