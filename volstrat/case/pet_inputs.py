"""What a case's PET says, and whether it is FDG: the image, the masks drawn on it, the field they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.case.input_files import file_sha256
from volstrat.errors import GridMismatchError, VolstratError
from volstrat.frozen import frozen
from volstrat.geometry.alignment import align_masks, check_frame_of_reference
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.measure import Avid
from volstrat.terms.findings import Finding, Severity, finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.aligned_masks import ReadEntry
    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.entries import EntryReader
    from volstrat.case.pet_image import PetRead
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.protocol import Protocol
    from volstrat.terms.tracers import TracerSaid


@frozen(eq=False)
class PetInputs:
    """The PET side of a case.

    Parameters
    ----------
    image : PetRead or None
        As read, whatever its tracer.
    fdg : PetRead or None
        The same where it may be FDG: only then is it measured.
    avid : Avid or None
        The avid masks of FDG, united; None where there is none, or where no segmentation holds a segment.
    avid_field : VoxelGrid or None
        The field that a dense avid mask covers; None where it is a window.
    findings : tuple of Finding
    """

    image: PetRead | None
    fdg: PetRead | None
    avid: Avid | None
    avid_field: VoxelGrid | None
    findings: tuple[Finding, ...]

    @property
    def left_out(self) -> bool:
        """True where a PET or an avid mask is of another tracer."""
        return any(one.code == "pet_not_fdg" for one in self.findings)

    @property
    def field(self) -> VoxelGrid | None:
        """The field that PET covers: of the PET image, else of a dense avid mask."""
        return self.avid_field if self.fdg is None else self.fdg.grid


def read_pet_inputs(
    sources: CaseSources,
    reader: EntryReader,
    masks: Sequence[ReadEntry],
    *,
    grid: VoxelGrid,
    base: str,
    protocol: Protocol,
) -> PetInputs:
    """Read the PET, and take from it and from the avid masks what is of FDG.

    Parameters
    ----------
    masks : sequence of ReadEntry
        The avid masks as read.
    grid : VoxelGrid
        The tumour's; its mask is ``base``.

    Raises
    ------
    VolstratError
        If the PET cannot be read, is needed as SUV and cannot become it, or lies in another frame of
        reference.
    """
    entry = sources.only("pet")
    image = None if entry is None else reader.pet(entry)
    findings: list[Finding] = []
    fdg = image
    if image is not None and entry is not None:
        from volstrat.case.pet_image import pet_findings, tracer_findings

        findings += tracer_findings(image.tracer, name=entry.path.name)
        if image.tracer.tracer == "other":
            fdg = None
        else:
            findings += pet_findings(image, required=protocol.avidity.needs_suv)
            findings += _check_registered(
                image.grid, grid, name=entry.path.name, base=base, assumed=entry.assume_registered
            )
    kept = [r for r in masks if not _is_of_another_tracer(r, image, protocol, findings)]
    kept = [r for r in kept if not _holds_no_segment(r, findings)]
    avid, found = _united(kept, grid, base, protocol)
    dense = (r.read.mask.grid for r in kept)
    return PetInputs(
        image=image,
        fdg=fdg,
        avid=avid,
        avid_field=next((one for one in dense if not one.is_window), None),
        findings=(*findings, *found),
    )


def _is_of_another_tracer(
    read: ReadEntry, image: PetRead | None, protocol: Protocol, findings: list[Finding]
) -> bool:
    """Tell whether an avid mask was drawn on another tracer: as its own series says, else the case's PET."""
    own = read.read.drawn_on_tracer
    if own is None:
        return image is not None and image.tracer.tracer == "other"
    from volstrat.case.pet_image import tracer_findings
    from volstrat.terms.tracers import tracer_text

    if image is not None and own == image.tracer:  # told of the PET itself
        return own.tracer == "other"
    if own.tracer == "other":
        severity: Severity | None = "warning" if protocol.avidity.needs_suv else None
        message = finding(
            "pet_not_fdg",
            "mask",
            severity=severity,
            where="fdg_avid",
            name=read.name,
            tracer=tracer_text(own),
        )
        findings.append(message)
        return True
    if image is None or own.tracer == "contradictory":
        findings += tracer_findings(own, name=f"The PET that {read.name} was drawn on")
    return False


def _holds_no_segment(read: ReadEntry, findings: list[Finding]) -> bool:
    """Tell whether a segmentation names no segment at all: that is no reading, and nothing is not avid."""
    is_segmentation = read.read.format in ("dicom-seg", "dicom-rtstruct", "seg.nrrd")
    if not is_segmentation or read.read.mask.labels:
        return False
    findings.append(finding("segmentation_without_segments", "avid", where="fdg_avid", name=read.name))
    return True


def _united(
    entries: Sequence[ReadEntry], grid: VoxelGrid, base: str, protocol: Protocol
) -> tuple[Avid | None, list[Finding]]:
    """Unite the avid masks on their own grid, which must be in the tumour's frame of reference."""
    if not entries:
        return None, []
    masks = {r.name if n == 0 else f"{r.name} ({r.role})": r.read.mask for n, r in enumerate(entries)}
    first = next(iter(masks))
    avid_grid, aligned = align_masks(masks, tolerance_mm=protocol.geometry_tolerance_mm, base=first)
    assumed = any(r.entry.assume_registered for r in entries)
    findings = _check_registered(avid_grid, grid, name=first, base=base, assumed=assumed)
    voxels = VoxelRuns.empty()
    for mask in aligned.values():
        voxels = voxels.union(mask.voxels())
    return Avid(voxels=voxels, grid=avid_grid), findings


def _check_registered(
    grid: VoxelGrid, own: VoxelGrid, *, name: str, base: str, assumed: bool
) -> list[Finding]:
    """Refuse another frame of reference than the tumour's, unless the entry vouches for it.

    Raises
    ------
    GridMismatchError
    """
    try:
        check_frame_of_reference(grid, own, name=name, other=base)
    except GridMismatchError as error:
        if not assumed:
            hint = "Register PET and CT first, or write assume_registered = true in its case.toml entry."
            raise GridMismatchError(error.message, hint=hint) from error
        return [finding("assumed_registered", where=name, difference=error.message)]
    return []


@frozen(eq=False)
class OtherPet:
    """A PET of any tracer that is shown beside; nothing of it counts."""

    format: str
    sha256: str
    grid: VoxelGrid
    tracer: TracerSaid


def read_other_pet(reader: EntryReader, entry: RoleEntry) -> tuple[OtherPet | None, list[Finding]]:
    """Read the grid and the tracer of a PET that is shown beside; its faults are findings."""
    from volstrat.terms.tracers import TracerSaid

    try:
        image_format, grid = reader.grid("other_pet", entry)
        if reader.reads_from_dicom(entry):
            from volstrat.dicom.tracer import series_tracer
            from volstrat.formats.hashing import joint_sha256

            series = reader.library.series(entry.path, role="other_pet", uid=entry.series)
            sha256, tracer = joint_sha256(series.paths), series_tracer(series)
        else:
            sha256, tracer = file_sha256(entry.path), TracerSaid(tracer="not_stated")
    except VolstratError as error:
        return None, [finding("other_pet_unreadable", where="other_pet", reason=error.message)]
    return OtherPet(format=image_format, sha256=sha256, grid=grid, tracer=tracer), []
