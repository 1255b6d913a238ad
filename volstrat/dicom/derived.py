"""What SEG and RTSTRUCT files share: opening them, naming their parts, saying what they were drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import TAGS
from volstrat.dicom.header import PIXEL_DATA, Header, HeaderReader, NotDicomError
from volstrat.errors import CorruptDataError, FormatError, InputFileError

if TYPE_CHECKING:
    from pathlib import Path

SEG_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
RTSTRUCT_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})


def read_derived(path: Path, *, classes: frozenset[str], kind: str, stop_at: int = PIXEL_DATA) -> Header:
    """Read the header of a SEG or RTSTRUCT, up to the tag ``stop_at``.

    It must have one of the SOP ``classes``, and messages call what it should be ``kind``: another file is a
    FormatError, one that is truncated or malformed a CorruptDataError, one that cannot be opened an
    InputFileError.
    """
    try:
        header = HeaderReader(frozenset(TAGS.values()), stop_at=stop_at).read(path)
    except NotDicomError as error:
        msg = f"{path.name}: is not a DICOM file; expected {kind}."
        raise FormatError(msg) from error
    except CorruptDataError as error:
        msg = f"{path.name}: {error.message.rstrip('.')}."
        raise CorruptDataError(msg, hint="Copy or export the file again.") from error
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror or 'unknown reason'})."
        raise InputFileError(msg) from error
    found = header.text("SOPClassUID")
    if found not in classes:
        msg = f"{path.name}: has the SOP class {found or 'none'}, which is not {kind}."
        raise FormatError(msg)
    return header


def items_of(header: Header, keyword: str, where: str) -> list[Header]:
    """Return the items of a sequence (none where absent); damage is told with the file's name."""
    try:
        return header.items(keyword)
    except CorruptDataError as error:
        msg = f"{where}: {error.message}"
        raise CorruptDataError(msg, hint="Copy or export the file again.") from error


def unique(values: list[str]) -> tuple[str, ...]:
    """Return the values that are not empty, each once, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))
