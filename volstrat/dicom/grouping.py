"""Which folder of DICOM is one subject: the topmost whose files all belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.formats.walk import files_below, is_system_name

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC_AT, _MAGIC = 128, b"DICM"
_TRIED = 4


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file carries DICOM's magic bytes."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as stream:
            return stream.read(_MAGIC_AT + 4)[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def is_one_subject(folder: Path) -> bool:
    """Tell whether all DICOM below a folder is tied together by study or frame of reference.

    One file stands for each folder that holds files. False where there is no DICOM at all.
    """
    ties = [uids for uids in (_uids_of(parent, names) for parent, names in files_below(folder)) if uids]
    if not ties:
        return False
    joined, rest = set(ties[0]), ties[1:]
    while near := [uids for uids in rest if uids & joined]:
        joined.update(*near)
        rest = [uids for uids in rest if uids not in near]
    return not rest


def _uids_of(parent: Path, names: list[str]) -> frozenset[str]:
    """Study, series, referenced series and frame of reference UIDs of a folder's first DICOM file."""
    from volstrat.dicom.folder_scan import scan_files

    shown = [name for name in names if not is_system_name(name) and name.upper() != "DICOMDIR"]
    found = next((parent / name for name in shown[:_TRIED] if looks_like_dicom(parent / name)), None)
    if found is None:
        return frozenset()
    scan = scan_files([found], root=parent)
    if scan.own:  # what volstrat wrote there ties nothing and splits nothing
        return frozenset()
    uids: set[str | None] = set()
    for series in scan.series:
        uids |= {series.series_instance_uid, series.study_instance_uid, series.frame_of_reference_uid}
    for file in (*scan.segmentations, *scan.structure_sets):
        uids |= {*file.referenced_series_uids, file.frame_of_reference_uid, file.series_instance_uid}
    return frozenset(uid for uid in uids if uid) or frozenset({str(found)})
