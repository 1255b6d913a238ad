"""A case's DICOM: each folder scanned once, series chosen, masks read on the images they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.dicom.folder import DicomFolder, SeriesFiles, StructureFile
from volstrat.dicom.folder_scan import scan_dicom, scan_files
from volstrat.dicom.tracer import series_tracer
from volstrat.errors import AmbiguousRoleError, FormatError, GridMismatchError, MissingRoleError
from volstrat.formats.hashing import sha256_of
from volstrat.formats.volumes import MaskRead
from volstrat.terms.findings import finding
from volstrat.terms.tracers import TracerSaid, tracer_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from volstrat.dicom.series import SeriesGeometry
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding

_MODALITY_OF = {"ct": "CT", "pet": "PT", "other_pet": "PT"}


class DicomLibrary:
    """What a case's folders of DICOM hold; every folder is scanned once and every grid worked out once."""

    def __init__(self) -> None:
        self._folders: dict[Path, DicomFolder] = {}
        self._files: dict[Path, DicomFolder] = {}
        self._geometries: dict[tuple[str, tuple[Path, ...]], SeriesGeometry] = {}

    def folder(self, path: Path) -> DicomFolder:
        """Scan a folder, or one DICOM file; what an earlier scan has met is not read again."""
        key = path.resolve()
        if not path.is_dir():
            if key not in self._files:
                self._files[key] = scan_files([path], root=path.parent)
            return self._files[key]
        if key in self._folders:
            return self._folders[key]
        for scanned in self._folders.values():
            if path.is_relative_to(scanned.root):
                part = scanned.below(path)
                if part.series or part.segmentations or part.structure_sets:
                    return part
        self._folders[key] = scan_dicom(path)
        return self._folders[key]

    def scanned(self) -> tuple[DicomFolder, ...]:
        """Return every folder and file that was scanned."""
        return (*self._folders.values(), *self._files.values())

    def findings(self, *, known: Collection[Path], reported: Collection[str]) -> tuple[Finding, ...]:
        """Return what scanning folders passed over, and what the series' grids brought up.

        ``known`` are files that the case uses though they are no DICOM, not counted as passed over;
        ``reported`` the UIDs of series whose findings the caller has already.
        """
        found: list[Finding] = []
        folders = list(self._folders.values())
        passed_over = tuple(path for folder in folders for path in folder.skipped if path not in known)
        for n, folder in enumerate(folders):  # one count for all of them
            found += replace(folder, skipped=() if n else passed_over).findings()
        for (uid, _), geometry in self._geometries.items():
            found += geometry.findings if uid not in reported else ()
        return tuple(found)

    def geometry(self, series: SeriesFiles) -> SeriesGeometry:
        """Return a series' grid; an unreadable file beside it, or a grid that is none, is an error."""
        from volstrat.dicom.series import series_geometry

        key = (series.series_instance_uid, series.paths)
        if key not in self._geometries:
            for folder in (*self._folders.values(), *self._files.values()):
                for broken in folder.broken_files_of(series):
                    raise broken.error()
            self._geometries[key] = series_geometry(series)
        return self._geometries[key]

    def series(self, path: Path, *, role: str, uid: str | None) -> SeriesFiles:
        """Choose the series of a folder that plays the role ``ct``, ``pet`` or ``other_pet``.

        Of several PETs that of FDG is taken, as their headers say. None is a MissingRoleError and several an
        AmbiguousRoleError, with what is there and the line to write.
        """
        folder = self.folder(path)
        wanted = _MODALITY_OF[role]
        there = [s for s in folder.series if s.modality == wanted and s.is_volume]
        if uid is not None:
            there = [s for s in folder.series if s.is_called(uid) and s.modality == wanted]
        elif role == "pet":
            there = likeliest_fdg(there)
        if not there:
            for broken in folder.broken:
                raise broken.error()
            what = f"series {uid}" if uid else f"{wanted} series"
            msg = f"{path.name}: no {what} for {role}; there is {listed(folder.series) or 'no image series'}."
            raise MissingRoleError(msg, hint=f"Name the folder of the {wanted} series as {role}.")
        if len(there) > 1:
            raise ambiguous_series(there, role=role, path=path.name)
        return there[0]

    def structure_file(self, path: Path) -> StructureFile:
        """Return what scanning a SEG or RTSTRUCT file found.

        One that cannot be read is a CorruptDataError, one that is neither, or volstrat's own, a FormatError.
        """
        found = self.folder(path)
        if found.own:
            msg = f"{path.name}: was written by volstrat itself; it is no reader's mask."
            raise FormatError(msg, hint="Name the mask that the reader drew.")
        for broken in found.broken:
            raise broken.error()
        for file in (*found.segmentations, *found.structure_sets):
            return file
        msg = f"{path.name}: is neither a DICOM SEG nor an RTSTRUCT."
        raise FormatError(msg, hint="Masks are SEG, RTSTRUCT, NIfTI, NRRD or MetaImage files.")

    def read_segmentation(
        self, file: StructureFile, *, threshold: float | None, images: Sequence[SeriesFiles]
    ) -> MaskRead:
        """Read a SEG file.

        ``images`` are the series on which it may be drawn; the one it references is used, else the only one
        in its frame of reference.
        """
        from volstrat.dicom.seg.segmentation import read_seg

        referenced = _first_of(file.referenced_series_uids, images)
        drawn_on = referenced or _only_in_frame(file, images)
        grid = None if drawn_on is None else self.geometry(drawn_on).grid
        mask, findings = read_seg(file.path, threshold=threshold, image_grid=grid)
        if images and referenced is None and file.referenced_series_uids:
            frame = file.frame_of_reference_uid
            if frame is None or all(s.frame_of_reference_uid != frame for s in images):
                elsewhere = "the case's images are not in its frame of reference"
                msg = f"{file.path.name}: the image series it references is not there, and {elsewhere}."
                raise GridMismatchError(msg, hint="Give that series as ct (or pet).")
            findings = (*findings, _reference_absent(file))
        return MaskRead(
            mask=mask,
            format="dicom-seg",
            sha256=sha256_of(file.path),
            findings=findings,
            drawn_on=None if referenced is None else grid,
            drawn_on_tracer=_tracer_of(referenced),
        )

    def read_contours(
        self,
        file: StructureFile,
        *,
        rois: Sequence[int] | None,
        images: Sequence[SeriesFiles],
        other_grid: VoxelGrid | None,
    ) -> MaskRead:
        """Read the ROIs of an RTSTRUCT file; of these numbers, or all in the image's frame of reference.

        ``images`` are the series on which it may be drawn; the one it references is used. Where that is not
        there, ``other_grid`` stands in: the grid of the case's own image.
        """
        from volstrat.dicom.rtstruct.structure_set import StructureSet

        drawn = StructureSet(file.path)
        named = drawn.image_uids()
        uids = set(file.referenced_series_uids)
        if sum(s.series_instance_uid in uids for s in images) > 1:  # each ROI is drawn on its own
            wanted = [roi for roi in drawn.rois if rois is None or roi.number in rois]
            uids = {uid for roi in wanted for uid in drawn.series_of(roi)}
        holding = (s for s in images if any(one.sop_instance_uid in named for one in s.files))
        series = _first_of(uids, images) or next(holding, None)
        findings: tuple[Finding, ...] = ()
        if series is None:
            findings = (_reference_absent(file),)
            series = _only_in_frame(file, images)
        grid = other_grid if series is None else self.geometry(series).grid
        if grid is None:
            named_none = "" if file.referenced_series_uids else " (it references none)"
            msg = f"{file.path.name}: the image series it was drawn on is not there{named_none}."
            raise MissingRoleError(msg, hint="Give that series as ct (or pet).")
        instances = set() if series is None else {f.sop_instance_uid for f in series.files}
        # A rewritten image has new UIDs throughout; contours on some unknown images are on another one.
        known = instances if instances & named else None
        if named and known is None and not findings:
            findings = (finding("referenced_images_renamed", where=file.path.name, name=file.path.name),)
        mask, said = drawn.mask(grid=grid, rois=rois, image_instance_uids=known)
        return MaskRead(
            mask=mask,
            format="dicom-rtstruct",
            sha256=sha256_of(file.path),
            findings=(*findings, *said),
            drawn_on_tracer=_tracer_of(series),
        )


def _only_in_frame(file: StructureFile, images: Sequence[SeriesFiles]) -> SeriesFiles | None:
    """Return the only series in the frame of reference of a SEG or RTSTRUCT, if there is just one."""
    frame = file.frame_of_reference_uid
    same = [s for s in images if frame is not None and s.frame_of_reference_uid == frame]
    return same[0] if len(same) == 1 else None


def _tracer_of(series: SeriesFiles | None) -> TracerSaid | None:
    return series_tracer(series) if series is not None and series.modality == "PT" else None


def likeliest_fdg(series: Sequence[SeriesFiles]) -> list[SeriesFiles]:
    """Return the PET series that are of FDG; where none says so, those that say nothing; else all.

    What is known not to be FDG stays out while another is there.
    """
    if len(series) < 2:
        return list(series)
    said = [series_tracer(one).tracer for one in series]
    best = next(tracer for tracer in ("fdg", "not_stated", "contradictory", "other") if tracer in said)
    return [one for one, tracer in zip(series, said, strict=True) if tracer == best]


def _first_of(uids: Collection[str], images: Sequence[SeriesFiles]) -> SeriesFiles | None:
    return next((series for series in images if series.series_instance_uid in uids), None)


def _reference_absent(file: StructureFile) -> Finding:
    return finding("referenced_series_absent", where=file.path.name, name=file.path.name)


def ambiguous_series(series: Sequence[SeriesFiles], *, role: str, path: str) -> AmbiguousRoleError:
    """Return the error for several series that could play one role."""
    where = "" if path == "." else f"{path}: "
    msg = f"{where}{len(series)} series could be {role}: {listed(series)}."
    lines = [f'{role} = {{ path = "{path}", series = "{one.short_uid}" }}' for one in series]
    hint = f"Choose one in case.toml: {' or '.join(lines)}."
    return AmbiguousRoleError(msg, hint=hint)


def listed(series: Iterable[SeriesFiles]) -> str:
    """Describe series: what, its number, how many slices, PET's tracer and correction, what to call it."""
    shown = []
    for s in series:
        parts = [s.modality if s.number is None else f"{s.modality} number {s.number}"]
        parts.append(f"{s.number_of_slices} slices")
        if s.modality == "PT":
            parts.append(tracer_text(series_tracer(s)))
        if s.attenuation_corrected is not None:
            parts.append("attenuation-corrected" if s.attenuation_corrected else "not attenuation-corrected")
        parts.append(f"in {s.paths[0].parent.name}")
        parts.append(f"series {s.short_uid}")
        shown.append(", ".join(parts))
    return "; ".join(shown)
