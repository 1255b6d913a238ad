"""A case goes out as DICOM: measured, written under temporary names, read back, then named."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from volstrat.case.assess import CaseResult, assess_case
from volstrat.case.entries import EntryReader
from volstrat.dicom.folder import OWN_MODEL
from volstrat.errors import ExportError, OutputError, UsageError
from volstrat.export.outgoing import Outgoing, find_region_images, find_source_images, tracking_uids
from volstrat.formats.walk import open_regular
from volstrat.store.seal import refuse_sealed
from volstrat.study.subjects import one_case
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydicom import Dataset

    from volstrat.case.discovery import CasePlace
    from volstrat.case.protocol_files import LoadedProtocol

_LONGEST_SH: Final = 16
_HEADER_BYTES: Final = 1 << 22

KINDS: Final = ("seg", "sr", "pdf", "sc")
"""What a case can go out as; all of them where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An export that was written; ``notes`` are what a person should know of its files."""

    subject: str
    status: str
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def export_case(
    case: Path | CasePlace,
    out: Path,
    protocol: LoadedProtocol,
    *,
    kinds: Collection[str] = (),
    slicer: bool = False,
    at: datetime | None = None,
    lesions: str | None = None,
) -> Exported:
    """Measure a case and write it as DICOM objects of its patient's study.

    ``kinds`` are those of `KINDS`, all without any; ``slicer`` writes a ``.seg.nrrd`` too. ``at``
    is when the content was made, a part of the content (None: now); ``lesions`` a table in place of the
    case's own. ``out`` is made where it is not there; it may hold earlier exports of the same study.

    What is not installed is a `UsageError`; no DICOM image on the masks' lattice, a lesion beyond it, other
    files in the folder, or what does not read back as it was written, an `ExportError`.
    """
    _require_highdicom()
    place = one_case(case) if isinstance(case, Path) else case
    opened = place.open(lesions=lesions, naming=protocol.protocol.naming)
    result = assess_case(opened, protocol)
    return export_result(result, out, protocol, case=opened, kinds=kinds, slicer=slicer, at=at)


def export_result(
    result: CaseResult,
    out: Path,
    protocol: LoadedProtocol,
    *,
    case: EntryReader | None = None,
    kinds: Collection[str] = (),
    slicer: bool = False,
    at: datetime | None = None,
) -> Exported:
    """Write a measured case as DICOM objects of its patient's study; as `export_case`.

    ``case`` is what it was read with, which keeps what it scanned.
    """
    _require_highdicom()
    _refuse_two_patients(result)
    reader = case or EntryReader(result.sources)
    source = find_source_images(result, reader)
    outgoing = Outgoing(
        result=result,
        source=source,
        tracking=tuple(tracking_uids(result.measured, source.space)),
        at=at or datetime.now().replace(microsecond=0),  # noqa: DTZ005 - DICOM content times are local
        region_source=find_region_images(result, reader, source.series.study_instance_uid),
    )
    refuse_sealed(out)
    _refuse_other_objects(out, outgoing)
    wanted = [kind for kind in KINDS if not kinds or kind in kinds]
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".volstrat-export-", dir=out))
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror})."
        raise OutputError(msg, hint="Check the folder's permissions.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values of the images, which are copied as they are
            names = _write(outgoing, protocol, wanted, scratch, slicer=slicer)
        for name in names:
            (scratch / name).replace(out / name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"{out}: cannot be written ({error.strerror or error})."
        raise OutputError(msg, hint="Check the disk's space and the folder's permissions.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record = result.record
    return Exported(
        subject=record["subject"],
        status=record["status"],
        files=tuple(out / name for name in names),
        notes=_notes(outgoing),
    )


def _refuse_two_patients(result: CaseResult) -> None:
    """Refuse a case whose files name different patients: in the archive it would be one of them's."""
    for one in result.verdict.findings:
        if one.code == "patients_differ" and one.severity == "blocking":
            raise ExportError(one.message, hint="Nothing is written into a patient's study until then.")


def _notes(outgoing: Outgoing) -> tuple[str, ...]:
    """Say which errors of the images the new objects inherit, and that a case without stratum is open."""
    notes = []
    study_id = str(outgoing.source.first.get("StudyID", ""))
    if len(study_id) > _LONGEST_SH:
        notes.append(
            f"StudyID of the images has {len(study_id)} characters where {_LONGEST_SH} are allowed: it is "
            "copied all the same, and checkers will say so."
        )
    regions = [region["lesion_id"] for region in outgoing.result.record["pet_only_regions"]]
    if regions and outgoing.region_source is None:
        notes.append(
            f"{shown_names(regions)}, seen on PET alone, can be found in the report and the pictures, not as "
            "a segmentation: no PET of this study lies on their lattice as single slices."
        )
    if outgoing.result.record["stratum"] is None:
        notes.append('The case has no stratum: the report says "not assessable".')
    return tuple(notes)


def _require_highdicom() -> None:
    try:
        import highdicom  # noqa: F401 - only whether it is there
    except ImportError as error:
        msg = "DICOM out needs highdicom, which is not installed."
        raise UsageError(msg, hint='In the checkout, install the extra: pip install ".[dicom]".') from error


def _refuse_other_objects(out: Path, outgoing: Outgoing) -> None:
    """Refuse a folder with anything but earlier exports of the same study."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if not out.exists():
        return
    if not out.is_dir():
        msg = f"{out}: is a file; the export goes into a folder."
        raise OutputError(msg, hint="Name another folder.")
    study = outgoing.source.series.study_instance_uid
    for path in sorted(out.rglob("*")):
        if path.is_dir():
            continue
        if path.name.endswith(".seg.nrrd"):
            if _is_of_slicer(path):
                msg = f"{out.name}: holds {path.relative_to(out).as_posix()}, as 3D Slicer saved it."
                raise ExportError(
                    msg, hint="Move it to another place first: what was drawn there would be lost."
                )
            continue
        tags = ["ManufacturerModelName", "StudyInstanceUID"]
        try:
            with open_regular(path) as stream:
                header = dcmread(stream, stop_before_pixels=True, specific_tags=tags)
            is_own = [header.get(tag) for tag in tags] == [OWN_MODEL, study]
        except (InvalidDicomError, OSError):
            is_own = False
        if not is_own:
            msg = f"{out.name}: holds {path.relative_to(out).as_posix()}, which is no export of this study."
            raise ExportError(msg, hint="Name a folder of its own for what goes out.")


def _is_of_slicer(path: Path) -> bool:
    """Tell whether 3D Slicer wrote a segmentation: its header says how it converts, an export's does not."""
    with suppress(OSError), open_regular(path) as stream:
        return b"Segmentation_ConversionParameters" in stream.read(_HEADER_BYTES).partition(b"\n\n")[0]
    return False


def _write(
    outgoing: Outgoing, protocol: LoadedProtocol, wanted: list[str], scratch: Path, *, slicer: bool
) -> list[str]:
    """Write what is wanted into a folder, read every file back, and return their names."""
    from volstrat.export.segmentation_out import check_segmentation, segmentations, write_slicer_file
    from volstrat.export.structured_report import check_report, structured_report

    files = segmentations(outgoing)
    names: list[str] = []

    def save(dataset: Dataset, name: str, check: Callable[..., None], *held: object) -> None:
        path = scratch / f"{name}-{str(dataset.SOPInstanceUID)[-8:]}.dcm"  # other content, another name
        dataset.save_as(path, enforce_file_format=True)
        check(path, *held)
        names.append(path.name)

    if "seg" in wanted or "sr" in wanted:  # a report refers to its segments: it never goes out without them
        for n, file in enumerate(files, start=1):
            save(file.dataset, f"seg-{'pet' if file.draws_regions else n}", check_segmentation, file)
    if "sr" in wanted:
        save(structured_report(outgoing, files), "sr", check_report, files, outgoing)
    if "pdf" in wanted or "sc" in wanted:
        from volstrat.export.documents import check_bytes, encapsulated_pdf, secondary_captures
        from volstrat.pictures.scene import planned_scene
        from volstrat.report.write import render_result

        if "pdf" in wanted:
            document = encapsulated_pdf(outgoing, render_result(outgoing.result, protocol.protocol))
            save(document, "pdf", check_bytes, "EncapsulatedDocument", document.EncapsulatedDocument)
        if "sc" in wanted:
            pictures = secondary_captures(outgoing, planned_scene(outgoing.result))
            for n, picture in enumerate(pictures, start=1):
                save(picture, f"sc-{n:03d}", check_bytes, "PixelData", picture.PixelData)
    if slicer:
        names.append(write_slicer_file(outgoing, scratch).name)
    return names
