"""Read what a case's entries name, whatever the format."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.input_files import existing, require_mask_file
from volstrat.case.parts import Choice, choose_parts, describe_parts
from volstrat.errors import CaseError, InputFileError, VolstratError
from volstrat.formats.label_names import is_of_dataset, names_beside
from volstrat.formats.selection import only_labels
from volstrat.formats.volumes import (
    MaskRead,
    open_image,
    read_grid,
    read_image,
    read_mask,
    stem_of,
    volume_format,
)
from volstrat.frozen import frozen
from volstrat.geometry.grid import refuse_implausible
from volstrat.terms.findings import Finding, finding
from volstrat.terms.naming import said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.parts import Part
    from volstrat.case.pet_inputs import PetRead
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.library import DicomLibrary
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.geometry.mask import Mask
    from volstrat.terms.findings import Finding
    from volstrat.terms.naming import Code


@frozen(eq=False)
class RoleMask:
    """A mask file as a role takes it: of its parts those that play the role."""

    role: str
    entry: RoleEntry
    path: str  # as the record has it: relative to the case folder
    mask: Mask  # of the parts that were taken
    read: MaskRead  # the file, with all parts that were read
    choice: Choice  # all parts of the file, and which of them were taken
    drawn_on_pet: bool = False  # the file was drawn on PET alone, as the folder shows

    @property
    def name(self) -> str:
        """What messages call the file."""
        return self.entry.path.name

    def named_as(self, n: int) -> str:
        """Return what messages call the n-th of several masks: another may have its file's name."""
        return self.name if n == 0 else f"{self.name} ({self.role})"

    @property
    def taken(self) -> list[Part]:
        """The parts that play the role."""
        return [part for part in self.choice.parts if part.number in self.choice.taken]


def _label_names(path: Path, read: MaskRead, naming: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Return the labels of a label map and their names, from the file itself or from what describes it.

    A file of one label whose own name says what it is ("tumour.nii.gz") is not named by what describes other
    files too; but for a data set's cases, which are called by numbers and codes ("liver_001", "fdg_0a1b").
    """
    names = {label: read.mask.names.get(label, "") for label in read.mask.labels}
    if any(names.values()) or (described := names_beside(path)) is None:
        return names
    stem, values = stem_of(path), read.mask.runs.values
    is_own = described[0].name.lower().startswith(stem.lower()) or is_of_dataset(path, described[0])
    if len(values) <= 1 and not is_own and not said_by(stem, (), naming).silent:
        return names
    return {label: described[1].get(label, "") for label in {*values, *described[1]}}


def parts_taken(read: MaskRead, choice: Choice) -> tuple[Mask, Choice]:
    """Restrict a mask to the parts that were taken, and count the voxels of all that were read."""
    held = read.mask.runs.counts()
    counted = {number: held.get(number, 0) for number in read.mask.labels}
    if read.format == "dicom-rtstruct":  # only the wanted ROIs were read; a number below 1 has become another
        by_name = {name: counted[label] for label, name in read.mask.names.items()}
        parts = tuple(
            replace(part, voxels=counted.get(part.number, by_name.get(part.name)))
            if part.number in choice.taken
            else part
            for part in choice.parts
        )
        return read.mask, replace(choice, parts=parts)
    parts = tuple(replace(part, voxels=counted.get(part.number, 0)) for part in choice.parts)
    parts = tuple(p for p in parts if p.voxels or p.number in choice.taken or p.number in read.mask.names)
    names = read.mask.names or {p.number: p.name for p in parts if p.name and p.number in choice.named}
    mask = only_labels(replace(read.mask, names=names), sorted(choice.taken))
    return mask, replace(choice, parts=parts)


class EntryReader:
    """Reads the entries of one case; its DICOM folders are scanned once.

    ``library`` holds what finding the sources scanned already; ``naming`` are the protocol's globs on names
    of segments, ROIs and labels.
    """

    def __init__(
        self,
        sources: CaseSources,
        library: DicomLibrary | None = None,
        *,
        naming: Mapping[str, Sequence[str]] = NAMING,
    ) -> None:
        self.sources = sources
        self._library = library
        self.naming = naming
        self._reported: set[str] = set()

    def of_subject(self, subject: str, visit: str | None = None) -> EntryReader:
        """Return the same case under another name, as a cohort calls it."""
        sources = replace(self.sources, subject=subject, visit=visit)
        return EntryReader(sources, self._library, naming=self.naming)

    def with_naming(self, naming: Mapping[str, Sequence[str]]) -> EntryReader:
        """Return the same case, names of parts read as a protocol says."""
        return EntryReader(self.sources, self._library, naming=naming)

    def without(self, role: str) -> EntryReader:
        """Return the same case, one role of it left out."""
        entries = {other: entries for other, entries in self.sources.entries.items() if other != role}
        return EntryReader(replace(self.sources, entries=entries), self._library, naming=self.naming)

    @property
    def library(self) -> DicomLibrary:
        """The case's DICOM; loading it is put off until a case needs it."""
        if self._library is None:
            from volstrat.dicom.library import DicomLibrary

            self._library = DicomLibrary()
            if self.sources.told_by == "dicom":  # as finding them did: what is passed over is counted once
                self._library.folder(self.sources.folder)
        return self._library

    @property
    def has_dicom(self) -> bool:
        """True where any DICOM of the case was looked into."""
        return self._library is not None

    def require_all(self) -> None:
        """Refuse a file that is not there, of roles that are not needed too: no path is ignored."""
        for role, entries in self.sources.entries.items():
            for entry in entries:
                if not entry.path.exists():
                    msg = f"{entry.path.name}: no such file or folder (named as {role})."
                    hint = "Check the name where it is given (case.toml, manifest, --lesions), or the link."
                    raise InputFileError(msg, hint=hint)

    def mask(self, role: str, entry: RoleEntry) -> RoleMask:
        """Read a mask and keep the segments, ROIs or labels that play the role (see `choose_parts`)."""
        read, choice = self._read(role, entry)
        refuse_implausible(read.mask.grid, name=entry.path.name)
        mask, choice = parts_taken(read, choice)
        return RoleMask(
            role=role,
            entry=entry,
            path=self.sources.relative(entry.path),
            mask=mask,
            read=read,
            choice=choice,
            drawn_on_pet=self._is_drawn_on_pet(entry.path),
        )

    def _read(self, role: str, entry: RoleEntry) -> tuple[MaskRead, Choice]:
        """Read a mask file, and choose its parts; of contours those that are not wanted are not looked at."""
        path = entry.path
        require_mask_file(path)
        if volume_format(path) is not None:
            read = read_mask(path, threshold=entry.threshold)
            return read, self._choice(role, entry, _label_names(path, read, self.naming), read.codes)
        file = self.library.structure_file(path)
        images, codes = self._image_series(role), {one.number: one.codes for one in file.structures}
        if file.is_segmentation:
            read = self.library.read_segmentation(file, threshold=entry.threshold, images=images)
            return read, self._choice(role, entry, read.mask.names, codes)
        if entry.threshold is not None:
            msg = f"{path.name}: is an RTSTRUCT; a threshold has no meaning for contours."
            raise CaseError(msg, hint="Leave threshold out.")
        choice = self._choice(role, entry, file.names(), codes)
        everything = not entry.select and len(choice.taken) == len(choice.parts)
        rois, grid = None if everything else sorted(choice.taken), self._image_grid(role)
        return self.library.read_contours(file, rois=rois, images=images, other_grid=grid), choice

    def parts(self, entry: RoleEntry) -> tuple[Part, ...]:
        """Return the segments, ROIs or labels of a mask file, and what name and code say of each."""
        path = entry.path
        require_mask_file(path)
        if volume_format(path) is not None:
            read = read_mask(path, threshold=entry.threshold)
            return self._described(entry, _label_names(path, read, self.naming), read.codes)
        file = self.library.structure_file(path)
        return self._described(entry, file.names(), {one.number: one.codes for one in file.structures})

    def _described(
        self, entry: RoleEntry, names: Mapping[int, str], codes: Mapping[int, Sequence[Code]]
    ) -> tuple[Part, ...]:
        return describe_parts(names, codes, stem=stem_of(entry.path), naming=self.naming)

    def _choice(
        self, role: str, entry: RoleEntry, names: Mapping[int, str], codes: Mapping[int, Sequence[Code]]
    ) -> Choice:
        entries = self.sources.entries.items()
        played = [one for one, own in entries if any(other.path == entry.path for other in own)]
        return choose_parts(role, entry, self._described(entry, names, codes), played=played)

    def _is_drawn_on_pet(self, path: Path) -> bool:
        """Tell whether a SEG or RTSTRUCT of the case's folder was drawn on PET alone."""
        if self.sources.told_by != "dicom":
            return False
        from volstrat.case.dicom_roles import drawn_on_pet

        return drawn_on_pet(path, self.library.folder(self.sources.folder))

    def reads_from_dicom(self, entry: RoleEntry) -> bool:
        """Tell whether an entry is DICOM by its name."""
        return volume_format(entry.path) is None

    def series(self, role: str, entry: RoleEntry) -> SeriesFiles:
        """Return the DICOM series that an entry names."""
        return self.library.series(existing(entry.path), role=role, uid=entry.series)

    def grid(self, role: str, entry: RoleEntry) -> tuple[str, VoxelGrid]:
        """Read an image's format and grid; no pixels."""
        named = volume_format(entry.path)
        if named is not None:
            return named, read_grid(entry.path)
        series = self.series(role, entry)
        return f"dicom-{series.modality.lower()}", self.library.geometry(series).grid

    def image(self, role: str, entry: RoleEntry) -> Image:
        """Read an image's values: HU for CT; for PET the file's own unit (see `pet` for SUV)."""
        if volume_format(entry.path) is not None:
            return read_image(entry.path).image
        from volstrat.dicom.pixels import read_series

        series = self.series(role, entry)
        return read_series(series, self.library.geometry(series))

    @contextmanager
    def open_image(
        self, role: str, entry: RoleEntry
    ) -> Iterator[tuple[VoxelGrid, Iterable[NDArray[np.generic]]]]:
        """Open an image to read its values piece by piece, as `image`: grid, and values in Fortran order."""
        if volume_format(entry.path) is not None:
            with open_image(entry.path) as opened:
                yield opened
            return
        from volstrat.dicom.pixels import series_slices

        series = self.series(role, entry)
        geometry = self.library.geometry(series)
        yield geometry.grid, series_slices(series, geometry)

    def pet(self, entry: RoleEntry, *, role: str = "pet") -> PetRead:
        """Read a PET image, as SUV where that can be known.

        Raises VolstratError if the image cannot be read; that it cannot become SUV is ``problem``, no error.
        """
        from volstrat.case.pet_inputs import read_dicom_pet, read_plain_pet

        if volume_format(entry.path) is not None:
            return read_plain_pet(entry, self.sources.patient)
        series = self.series(role, entry)
        self._reported.add(series.series_instance_uid)
        return read_dicom_pet(series, self.library.geometry(series), entry, self.sources.patient)

    def findings(self) -> tuple[Finding, ...]:
        """Return what the case's folders of DICOM passed over, and what the grids of its series brought up.

        What reading the PET brought up is `pet_findings`. That slices are thick is left to the case, which
        says so of the tumour's grid.
        """
        if self._library is None:
            return ()
        known = {entry.path for entries in self.sources.entries.values() for entry in entries}
        known |= set(self.sources.folder.glob("lesions*.csv"))  # readers' tables and their history
        found = self._library.findings(known=known, reported=self._reported)
        return (*(one for one in found if one.code != "thick_slices"), *self._without_role())

    def _without_role(self) -> tuple[Finding, ...]:
        """Name the segments and ROIs that fit no role: one of them may be a lesion under another name."""
        if self.sources.told_by != "dicom":
            return ()
        from volstrat.case.dicom_roles import without_role

        scan = self.library.folder(self.sources.folder)
        names = [
            structure.name or str(structure.number)
            for file in (*scan.segmentations, *scan.structure_sets)
            for structure in without_role(file, self.sources.entries, self.naming)
        ]
        if not names:
            return ()
        return (finding("structures_without_role", count=len(names), names=shown_names(names, named=12)),)

    def _image_series(self, role: str) -> list[SeriesFiles]:
        """Series that a SEG or RTSTRUCT of this case may be drawn on, the role's own image first.

        Those that the entries name; where ``case.toml`` does not speak, all of the case folder.
        """
        series: dict[str, SeriesFiles] = {}
        for image in ("pet", "other_pet", "ct") if role == "fdg_avid" else ("ct", "pet", "other_pet"):
            entry = self.sources.only(image)
            if entry is not None and self.reads_from_dicom(entry) and entry.path.exists():
                for s in self.library.folder(entry.path).series:
                    if entry.series is None or s.is_called(entry.series):
                        series[s.series_instance_uid] = s
        if self.sources.told_by not in ("case.toml", "manifest"):
            for s in self.library.folder(self.sources.folder).series:
                series.setdefault(s.series_instance_uid, s)
        return list(series.values())

    def _image_grid(self, role: str) -> VoxelGrid | None:
        """Return the grid of the case's own image, for an RTSTRUCT that names no series that is there."""
        image = "pet" if role == "fdg_avid" else "ct"
        entry = self.sources.only(image)
        try:
            return None if entry is None else self.grid(image, entry)[1]
        except VolstratError:
            return None  # the error about the missing series says more
