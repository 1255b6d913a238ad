"""What SEG and RTSTRUCT files share: opening them, naming their parts, saying what they were drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from volstrat.dicom.header import PIXEL_DATA, Header, HeaderReader, NotDicomError
from volstrat.errors import CorruptDataError, FormatError, InputFileError

if TYPE_CHECKING:
    from pathlib import Path

SPECIFIC_CHARACTER_SET: Final = 0x00080005
SOP_CLASS_UID: Final = 0x00080016
FRAME_OF_REFERENCE_UID: Final = 0x00200052
SERIES_INSTANCE_UID: Final = 0x0020000E
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155


def read_derived(
    path: Path, wanted: frozenset[int], *, classes: frozenset[str], kind: str, stop_at: int = PIXEL_DATA
) -> Header:
    """Read the header of a SEG or RTSTRUCT.

    Parameters
    ----------
    path : Path
    wanted : frozenset of int
        Tags to keep.
    classes : frozenset of str
        SOP class UIDs that the file may have.
    kind : str
        What the file should be, for messages.
    stop_at : int
        Reading ends at this tag.

    Raises
    ------
    InputFileError
        If the file cannot be opened.
    FormatError
        If it is not DICOM, or of another SOP class.
    CorruptDataError
        If it is truncated or malformed.
    """
    reader = HeaderReader(wanted | {SOP_CLASS_UID, SPECIFIC_CHARACTER_SET}, stop_at=stop_at)
    try:
        header = reader.read(path)
    except NotDicomError as error:
        msg = f"{path.name}: is not a DICOM file; expected {kind}."
        raise FormatError(msg) from error
    except CorruptDataError as error:
        msg = f"{path.name}: {error.message.rstrip('.')}."
        raise CorruptDataError(msg, hint="Copy or export the file again.") from error
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror or 'unknown reason'})."
        raise InputFileError(msg) from error
    found = header.text(SOP_CLASS_UID)
    if found not in classes:
        msg = f"{path.name}: has the SOP class {found or 'none'}, which is not {kind}."
        raise FormatError(msg)
    return header


def items_of(header: Header, tag: int, where: str) -> list[Header]:
    """Return the items of a sequence (none where absent); damage is told with the file's name."""
    try:
        return header.items(tag)
    except CorruptDataError as error:
        msg = f"{where}: {error.message}"
        raise CorruptDataError(msg, hint="Copy or export the file again.") from error


def number_of(header: Header, tag: int, keyword: str, where: str) -> int:
    """Return a required whole number (IS) of an item."""
    stored = header.text(tag)
    try:
        return int(stored)
    except ValueError as error:
        msg = f"{where}: {keyword} is {stored!r}; expected a whole number."
        raise CorruptDataError(msg) from error


def label_of(header: Header, item: Header, tag: int) -> str:
    """Return free text of an item in the character set of its file."""
    elements = {tag: item.elements.get(tag, b"")}
    elements[SPECIFIC_CHARACTER_SET] = header.elements.get(SPECIFIC_CHARACTER_SET, b"")
    return Header(transfer_syntax=header.transfer_syntax, elements=elements).label(tag)


def unique(values: list[str]) -> tuple[str, ...]:
    """Return the values that are not empty, each once, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))
