"""What a scan of DICOM files gives: series, segmentations, structure sets, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from volstrat.dicom.header import Header, PixelLayout
from volstrat.dicom.identity import PatientMarks, short_uid
from volstrat.errors import CorruptDataError
from volstrat.terms.findings import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

OWN_MODEL: Final = "volstrat export"
"""ManufacturerModelName of what volstrat writes; by it the program knows its own objects again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Where one frame lies in the patient, and how its stored values scale."""

    # ImageOrientationPatient: direction along a row, then down a column (LPS).
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, ...] | None  # ImagePositionPatient: centre of the first pixel (LPS)
    pixel_spacing_mm: tuple[float, ...] | None  # PixelSpacing: between rows, then between columns
    # slope, intercept: RescaleSlope and RescaleIntercept; None where absent.
    slope: float | None
    intercept: float | None
    # thickness_mm, slice_gap_mm: SliceThickness and SpacingBetweenSlices.
    thickness_mm: float | None
    slice_gap_mm: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFile:
    """One file of a CT or PT series."""

    path: Path
    sop_instance_uid: str
    sop_class_uid: str
    # rows, columns, number_of_frames: 0 where the header does not say.
    rows: int
    columns: int
    number_of_frames: int
    image_type: tuple[str, ...]
    frame_of_reference_uid: str | None
    plane: Plane | None  # None for Enhanced files: each frame has its own (see `series.series_geometry`)
    pixels: PixelLayout | None  # None where the file holds no pixel data; not known yet for Enhanced files
    header: Header = field(repr=False)  # the other attributes read, for pixels and SUV
    patient: PatientMarks = field(default=PatientMarks(), repr=False)
    # the tracer other than FDG that its descriptions name, in words of `volstrat.terms.tracers`.
    described_tracer: str = ""

    @property
    def is_localizer(self) -> bool:
        """True for a scout (topogram)."""
        return "LOCALIZER" in self.image_type


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesFiles:
    """The files of one CT or PT series, in the order of their SOP instance UIDs."""

    series_instance_uid: str
    study_instance_uid: str
    modality: str  # ``"CT"`` or ``"PT"``
    number: int | None  # SeriesNumber
    # ``YYYYMMDD`` of the series, else of the study; may be empty. To sort by, never to show.
    series_date: str
    acquired_on: date | None  # to tell how far apart two series are, never to show
    frame_of_reference_uid: str | None  # None where the files name none, or several
    files: tuple[ImageFile, ...]
    units: str = ""  # PT: Units (0054,1001); may be empty
    # PT: False where the header lists corrections and attenuation is not among them; None where it does not
    # say, and for CT.
    attenuation_corrected: bool | None = None

    @property
    def number_of_slices(self) -> int:
        """How many frames the files hold."""
        return sum(file.number_of_frames for file in self.files)

    @property
    def is_localizer(self) -> bool:
        """True where every image is a scout."""
        return all(file.is_localizer for file in self.files)

    @property
    def is_volume(self) -> bool:
        """False for scouts, and for pictures filed as slices: several at one place, or a secondary one."""
        places = {None if file.plane is None else file.plane.position_mm for file in self.files}
        is_picture = any("SECONDARY" in file.image_type for file in self.files) or len(self.files) > 1
        return not self.is_localizer and (None in places or len(places) > 1 or not is_picture)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files' paths, sorted."""
        return tuple(sorted(file.path for file in self.files))

    @property
    def short_uid(self) -> str:
        """What stands for its UID in messages and in ``case.toml``."""
        return short_uid(self.study_instance_uid, self.series_instance_uid)

    @property
    def scanner(self) -> str:
        """Manufacturer and model of the scanner, as the header says; may be empty."""
        if not self.files:
            return ""
        header = self.files[0].header
        maker, model = (header.text(word) for word in ("Manufacturer", "ManufacturerModelName"))
        return model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip()

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.modality} series {self.short_uid}"

    def is_called(self, uid: str) -> bool:
        """Tell whether a person means this series: by its UID, or by what stands for it."""
        return uid in (self.series_instance_uid, self.short_uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A segment of a SEG or an ROI of an RTSTRUCT."""

    number: int  # SegmentNumber or ROINumber
    name: str  # SegmentLabel or ROIName; may be empty
    # Value, scheme, meaning: segmented property category and type of a segment, as far as it has
    # them.
    codes: tuple[tuple[str, str, str], ...] = ()
    algorithm: str = ""  # SegmentAlgorithmType: MANUAL, SEMIAUTOMATIC, AUTOMATIC; may be empty


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureFile:
    """A SEG or RTSTRUCT file, as far as it takes to choose it."""

    path: Path
    sop_instance_uid: str
    series_instance_uid: str
    series_date: str  # ``YYYYMMDD``; may be empty
    referenced_series_uids: tuple[str, ...]
    frame_of_reference_uid: str | None
    structures: tuple[Structure, ...]
    patient: PatientMarks = field(default=PatientMarks(), repr=False)
    is_segmentation: bool = False  # a SEG; else an RTSTRUCT

    def names(self) -> dict[int, str]:
        """Return the names by number; where several ROIs carry one number, all of their names."""
        found: dict[int, str] = {}
        for one in self.structures:
            found[one.number] = f"{found[one.number]} / {one.name}" if one.number in found else one.name
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """A DICOM file that cannot be read."""

    path: Path
    reason: str  # goes behind the file's name: "ends within its pixel data ..."
    series_instance_uid: str | None  # None where the header does not get that far

    def error(self) -> CorruptDataError:
        """Return the error for a case that needs this file."""
        msg = f"{self.path.name}: {self.reason}."
        return CorruptDataError(msg, hint="Copy the file again from its source.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomFolder:
    """What a folder of DICOM holds."""

    root: Path
    series: tuple[SeriesFiles, ...]  # by date, then UID
    # segmentations, structure_sets: by date, then UID.
    segmentations: tuple[StructureFile, ...]
    structure_sets: tuple[StructureFile, ...]
    # Other DICOM objects by modality (or SOP class), and how many of each.
    other: tuple[tuple[str, int], ...]
    skipped: tuple[Path, ...]  # DICOMDIR and files that are not DICOM
    broken: tuple[BrokenFile, ...]  # an error where a needed series is concerned: see `broken_files_of`
    own: tuple[Path, ...] = ()  # what volstrat itself wrote; never taken as a reader's

    def broken_files_of(self, series: SeriesFiles) -> tuple[BrokenFile, ...]:
        """Return unreadable files of a series: by UID, or, where that is lost too, by lying beside it."""
        folders = {file.path.parent for file in series.files}
        return tuple(
            broken
            for broken in self.broken
            if broken.series_instance_uid == series.series_instance_uid
            or (broken.series_instance_uid is None and broken.path.parent in folders)
        )

    def below(self, path: Path) -> DicomFolder:
        """Return what of it lies below a folder, as the scan met it; a series may be there in part."""

        def inside(one: Path | ImageFile | StructureFile | BrokenFile) -> bool:
            return (one if isinstance(one, Path) else one.path).is_relative_to(path)

        parts = [(series, tuple(filter(inside, series.files))) for series in self.series]
        return replace(
            self,
            root=path,
            series=tuple(replace(series, files=files) for series, files in parts if files),
            segmentations=tuple(filter(inside, self.segmentations)),
            structure_sets=tuple(filter(inside, self.structure_sets)),
            skipped=tuple(filter(inside, self.skipped)),
            own=tuple(filter(inside, self.own)),
            broken=tuple(filter(inside, self.broken)),
        )

    def findings(self) -> Iterator[Finding]:
        """Yield what was passed over, in one sentence each."""
        if self.skipped:
            count = len(self.skipped)
            yield finding("files_skipped", "one" if count == 1 else "several", count=count)
        for path in self.own:
            yield finding("own_object_ignored", where=self._below_root(path), name=path.name)
        for broken in self.broken:
            where, name = self._below_root(broken.path), broken.path.name
            yield finding("dicom_file_unreadable", where=where, name=name, reason=broken.reason)

    def _below_root(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name
