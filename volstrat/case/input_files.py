"""The files that a case's entries name: are they there, what is read beside them, what are their bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from volstrat.dicom.grouping import looks_like_dicom
from volstrat.errors import FormatError, InputFileError, VolstratError
from volstrat.formats.label_names import names_beside
from volstrat.formats.volumes import data_files, volume_format
from volstrat.formats.walk import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DETACHED = {"nrrd", "seg.nrrd", "metaimage"}
"""Formats whose header can name data files; of NIfTI the ending says so."""


def file_sha256(path: Path) -> str:
    """Hash a file's bytes; where it is a header that names data files, then theirs, as reading it does."""
    digest = hashlib.sha256()
    for file in (path, *_data_files(path)):
        try:
            with open_regular(file) as stream:
                hashlib.file_digest(stream, lambda: digest)
        except InputFileError:
            raise
        except OSError as error:
            msg = f"{file.name}: cannot be read ({error.strerror})."
            raise InputFileError(msg) from error
    return digest.hexdigest()


def read_with(path: Path) -> Iterator[Path]:
    """Yield what is read beside a volume: the file that names its labels, and its data files."""
    if volume_format(path) is None or path.is_dir():
        return
    described = names_beside(path)
    if described is not None:
        yield described[0]
    yield from _data_files(path)


def _data_files(path: Path) -> tuple[Path, ...]:
    if volume_format(path) not in _DETACHED and not path.name.lower().endswith((".hdr", ".hdr.gz")):
        return ()
    try:
        return data_files(path)
    except (VolstratError, OSError):  # reading it will say what is wrong
        return ()


def existing(path: Path) -> Path:
    """Return a path that is there."""
    if not path.exists():
        msg = f"{path.name}: no such file or folder."
        raise InputFileError(msg, hint="Check the path in case.toml.")
    return path


def require_mask_file(path: Path) -> None:
    """Refuse what cannot be a mask file by its name or its first bytes."""
    if existing(path).is_dir():
        msg = f"{path.name}: is a directory where a file is expected."
        raise InputFileError(msg, hint="Name the mask file itself.")
    named = volume_format(path) is not None or path.suffix.lower() in {".dcm", ".ima", ""}
    if not named and not looks_like_dicom(path):
        msg = f"{path.name}: no format that volstrat reads as a mask."
        raise FormatError(msg, hint="Masks are NIfTI, NRRD, MetaImage, DICOM SEG or RTSTRUCT files.")
