"""DICOM headers: only the attributes asked for, straight from the bytes (PS3.5, PS3.10).

Whole folders are sorted from headers, so this is read for thousands of files. Elements that nobody
asked for, patient identity among them, are stepped over and never decoded.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import TAGS, tag_text
from volstrat.errors import CorruptDataError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE_SYNTAXES: Final = frozenset(
    {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN}
)

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
PIXEL_DATA: Final = 0x7FE00010
_FIRST_PIXEL_TAG: Final = 0x7FE00001  # offset tables and float pixel data also live in this group
_PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})
_MEDIA_CLASS: Final = 0x00020002
_TRANSFER_SYNTAX: Final = 0x00020010
_CHARACTER_SET: Final = TAGS["SpecificCharacterSet"]
# Writers that leave the attribute out while using more than ASCII mostly mean UTF-8.
_CHARACTER_SETS: Final = {"": "utf-8", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8", "ISO_IR 6": "utf-8"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS: Final = frozenset(
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"]
)
# Contours and functional groups: megabytes, and seconds to walk where their length is undefined.
_BULKY_TAGS: Final = frozenset({0x30060039, 0x52009229, 0x52009230})
_PREAMBLE: Final = 128
_FIRST_READ: Final = 1 << 14
_DEEPEST: Final = 32


class NotDicomError(FormatError):
    """A file does not start like DICOM."""

    code = "not_dicom"


class _BeyondBufferError(Exception):
    """The header goes on past the bytes read so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """Where the pixel data of a file lies."""

    tag: int  # (7FE0,0010), or the tag of float pixel data
    offset: int  # first byte of the value: in the file, or in the inflated data set of a deflated file
    length: int | None  # None where the pixel data is encapsulated (compressed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Header:
    """The attributes that were asked for, as stored bytes."""

    transfer_syntax: str
    # tag as ``0xGGGGEEEE``; padding is not removed. Absent and empty attributes read alike.
    elements: dict[int, bytes] = field(repr=False)
    media_class_uid: str = ""  # MediaStorageSOPClassUID of the file meta information; may be empty
    # None where the file ends, or reading stopped, before pixel data: it stops at contours and at functional
    # groups that are long, unless those are asked for.
    pixels: PixelLayout | None = None
    size: int = 0  # bytes of the file

    def __contains__(self, keyword: str) -> bool:
        return TAGS[keyword] in self.elements

    def stored(self, keyword: str) -> bytes:
        """Return the value's bytes; empty where absent."""
        return self.elements.get(TAGS[keyword], b"")

    def text(self, keyword: str) -> str:
        """Return the value as text without padding; empty where absent."""
        return plain_text(self.elements.get(TAGS[keyword], b""))

    def label(self, keyword: str) -> str:
        """Return free text (LO, SH, ST) in its character set; empty where absent."""
        return self.decoded(self.stored(keyword))

    def decoded(self, stored: bytes) -> str:
        """Return the bytes of a free text of this data set in its character set."""
        stored = stored.strip(b" \0")
        if stored.isascii() and b"\x1b" not in stored:
            return stored.decode("ascii")
        return _decoded(stored, self.text("SpecificCharacterSet"))

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the backslash-separated values; empty where absent."""
        value = self.text(keyword)
        return tuple(part.strip(" \0") for part in value.split("\\")) if value else ()

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of a DS or IS attribute, empty where absent; else CorruptDataError."""
        try:
            return tuple([float(part.strip(b" \0")) for part in self.elements[TAGS[keyword]].split(b"\\")])
        except KeyError:
            return ()
        except ValueError as error:
            value = self.text(keyword)
            if not value:
                return ()
            msg = f"Attribute {tag_text(TAGS[keyword])} holds {value!r}, which is no number."
            raise CorruptDataError(msg) from error

    def number(self, keyword: str) -> float | None:
        """Return the only (or first) number of a DS or IS attribute."""
        return next(iter(self.numbers(keyword)), None)

    def unsigned(self, keyword: str) -> int | None:
        """Return a US or UL value."""
        value = self.stored(keyword)
        if len(value) not in (2, 4):
            return None
        return int.from_bytes(value, "big" if self.is_big_endian else "little")

    def doubles(self, keyword: str) -> tuple[float, ...]:
        """Return the values of an FD attribute."""
        value = self.stored(keyword)
        count = len(value) // 8
        return struct.unpack(f"{'>' if self.is_big_endian else '<'}{count}d", value[: 8 * count])

    def items(self, keyword: str) -> list[Header]:
        """Return the items of a sequence, all their attributes kept; one that does not parse is corrupt.

        An item that names no character set of its own has that of the data set it lies in (PS3.5 6.1.2.3).
        """
        value = self.stored(keyword)
        if not value:
            return []
        reader = _Reader(value, transfer_syntax=self.transfer_syntax)
        inherited = {tag: self.elements[tag] for tag in (_CHARACTER_SET,) if tag in self.elements}
        try:
            return [
                Header(transfer_syntax=self.transfer_syntax, elements=inherited | reader.item_elements(*ends))
                for ends in reader.items(0, len(value))
            ]
        except (_BeyondBufferError, struct.error, RecursionError) as error:
            msg = f"Sequence {tag_text(TAGS[keyword])} is damaged."
            raise CorruptDataError(msg) from error

    @property
    def is_big_endian(self) -> bool:
        """True for the retired explicit VR big endian syntax."""
        return self.transfer_syntax == EXPLICIT_BIG_ENDIAN


def plain_text(stored: bytes) -> str:
    """Return a value's text without padding."""
    return stored.strip(b" \0").decode("latin-1")


def _decoded(stored: bytes, character_set: str) -> str:
    """Decode text by SpecificCharacterSet (PS3.3 C.12.1.1.2); the common ones without pydicom."""
    encoding = _CHARACTER_SETS.get(character_set)
    try:
        if encoding is not None:
            return stored.decode(encoding)
        from pydicom.charset import convert_encodings, decode_bytes

        return decode_bytes(stored, convert_encodings(character_set.split("\\")), set()).strip(" \0")
    except (LookupError, UnicodeDecodeError):
        return stored.decode("latin-1")


class _Reader:
    """Walks the elements of one data set held in a buffer."""

    def __init__(self, buffer: bytes, *, transfer_syntax: str) -> None:
        self.buffer = buffer
        self.explicit = transfer_syntax != IMPLICIT_LITTLE_ENDIAN
        order = ">" if transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
        self._long = struct.Struct(order + "I").unpack_from
        self._short_element = struct.Struct(order + "HH2sH").unpack_from
        self._implicit_element = struct.Struct(order + "HHI").unpack_from

    def element(self, at: int) -> tuple[int, bytes, int, int]:
        """Return tag, VR (empty if implicit), start and length of the value of the element at a byte."""
        if len(self.buffer) < at + 8:
            raise _BeyondBufferError
        if not self.explicit:
            group, number, length = self._implicit_element(self.buffer, at)
            return group << 16 | number, b"", at + 8, length
        group, number, vr, length = self._short_element(self.buffer, at)
        if group == 0xFFFE:
            return group << 16 | number, b"", at + 8, self._long(self.buffer, at + 4)[0]
        if vr in _LONG_VRS:
            if len(self.buffer) < at + 12:
                raise _BeyondBufferError
            return group << 16 | number, vr, at + 12, self._long(self.buffer, at + 8)[0]
        if vr == b"??":  # what some toolkits write for a VR they do not know
            return group << 16 | number, b"UN", *self._unknown_value(at, group << 16 | number, length)
        if not vr.isalpha():  # some writers leave an element implicit in an explicit data set
            return group << 16 | number, b"", at + 8, self._long(self.buffer, at + 4)[0]
        return group << 16 | number, vr, at + 8, length

    def _unknown_value(self, at: int, tag: int, length: int) -> tuple[int, int]:
        """Return start and length of a value whose VR is ``??``: its length has two bytes, or four."""
        if length or self._starts_element(at + 8, tag):
            return at + 8, length
        if len(self.buffer) < at + 12:
            raise _BeyondBufferError
        return at + 12, self._long(self.buffer, at + 8)[0]

    def _starts_element(self, at: int, after: int) -> bool:
        if len(self.buffer) < at + 8:
            raise _BeyondBufferError
        group, number, vr, _ = self._short_element(self.buffer, at)
        is_vr = bool(vr == b"??" or vr.isalpha())
        return bool(group == 0xFFFE) or (is_vr and bool((group << 16 | number) > after))

    def items(self, at: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each item of a sequence's value."""
        while at + 8 <= end:
            tag, _, start, length = self.element(at)
            if tag == _SEQUENCE_END:
                return
            stop, at = self._end_of_item(tag, start, length, 0)
            yield start, stop

    def item_elements(self, at: int, end: int) -> dict[int, bytes]:
        """Return all elements between two bytes."""
        found: dict[int, bytes] = {}
        while at < end:
            tag, vr, start, length = self.element(at)
            if tag in (_ITEM_END, _SEQUENCE_END):  # a stray delimiter: where the item ends is known
                at = start
                continue
            at = self.end_of_value(start, length, vr, 0)
            if at > end:
                raise _BeyondBufferError
            found[tag] = self.buffer[start:at]
        return found

    def end_of_value(self, start: int, length: int, vr: bytes, depth: int) -> int:
        """Return the byte behind a value; behind the delimiter where its length is undefined."""
        if length != UNDEFINED_LENGTH:
            return start + length
        if depth > _DEEPEST:
            msg = f"Sequences are nested more than {_DEEPEST} deep."
            raise CorruptDataError(msg)
        # PS3.5 6.2.2: a UN of undefined length is encoded implicitly whatever the syntax.
        was_explicit, self.explicit = self.explicit, self.explicit and vr != b"UN"
        try:
            at = start
            while True:
                tag, _, item_start, item_length = self.element(at)
                if tag == _SEQUENCE_END:
                    return item_start
                _, at = self._end_of_item(tag, item_start, item_length, depth)
        finally:
            self.explicit = was_explicit

    def _end_of_item(self, tag: int, at: int, length: int, depth: int) -> tuple[int, int]:
        """Return where an item's elements end, and the byte behind the item."""
        if tag != _ITEM:
            msg = f"A sequence holds {tag_text(tag)} where an item should start."
            raise CorruptDataError(msg)
        if length != UNDEFINED_LENGTH:
            return at + length, at + length
        while True:
            tag, vr, start, length = self.element(at)
            if tag == _ITEM_END:
                return at, at + 8
            at = self.end_of_value(start, length, vr, depth + 1)


class HeaderReader:
    """Reads the headers of many files of one kind: the tags that are wanted, up to ``stop_at``, no others."""

    def __init__(self, wanted: frozenset[int], *, stop_at: int = PIXEL_DATA) -> None:
        self._wanted = wanted
        self._stop_at = stop_at
        self._first_read = _FIRST_READ
        self._interned: dict[bytes, bytes] = {}

    def read(self, path: Path | str) -> Header:
        """Read one file's header.

        What does not start like DICOM is a NotDicomError; what is malformed, or ends within header or pixel
        data, a CorruptDataError.
        """
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- called for thousands of files
            size = os.fstat(file.fileno()).st_size
            buffer = file.read(min(size, self._first_read))
            while True:
                try:
                    return self._parse(buffer, size)
                except (_BeyondBufferError, struct.error) as error:
                    if len(buffer) >= size:
                        msg = "ends within its header (truncated)"
                        raise CorruptDataError(msg) from error
                    more = max(4 * len(buffer), _FIRST_READ)
                    self._first_read = min(more, 1 << 20)
                    buffer += file.read(min(more, size) - len(buffer))

    def _parse(self, buffer: bytes, size: int) -> Header:
        syntax, media_class_uid, at = _file_meta(buffer)
        if syntax == DEFLATED_LITTLE_ENDIAN:
            if len(buffer) < size:
                raise _BeyondBufferError
            buffer, at = _inflated(buffer[at:]), 0
            size = len(buffer)
        reader = _Reader(buffer, transfer_syntax=syntax)
        elements: dict[int, bytes] = {}
        pixels: PixelLayout | None = None
        wanted, keep, element = self._wanted, self._interned.setdefault, reader.element
        last = min(self._stop_at, _FIRST_PIXEL_TAG)
        while at < size:
            tag, vr, start, length = element(at)
            if tag in (_ITEM_END, _SEQUENCE_END):  # a stray delimiter, which closes nothing
                at = start
                continue
            if tag >= last:
                if tag >= self._stop_at and tag not in _PIXEL_TAGS:
                    break
                if tag in _PIXEL_TAGS:
                    pixels = _pixel_layout(tag, start, length, size)
                    break
            if (
                tag in _BULKY_TAGS
                and tag not in wanted
                and (length == UNDEFINED_LENGTH or len(buffer) < start + length <= size)
            ):
                break
            at = start + length if length != UNDEFINED_LENGTH else reader.end_of_value(start, length, vr, 0)
            if not tag:  # zero padding behind the data set
                break
            if at > size:
                msg = f"ends within attribute {tag_text(tag)} (truncated)"
                raise CorruptDataError(msg)
            if tag in wanted:
                if at > len(buffer):
                    raise _BeyondBufferError
                value = buffer[start:at]
                elements[tag] = keep(value, value)
        return Header(
            transfer_syntax=syntax,
            elements=elements,
            media_class_uid=media_class_uid,
            pixels=pixels,
            size=size,
        )


def _pixel_layout(tag: int, start: int, length: int, size: int) -> PixelLayout:
    if length == UNDEFINED_LENGTH:
        return PixelLayout(tag=tag, offset=start, length=None)
    if start + length > size:
        msg = f"ends within its pixel data: {size - start} of {length} bytes are there (truncated)"
        raise CorruptDataError(msg)
    return PixelLayout(tag=tag, offset=start, length=length)


def _inflated(deflated: bytes) -> bytes:
    """Return the data set of a deflated file (PS3.5 A.5), which must be whole."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(deflated)
    except zlib.error as error:
        msg = "holds a damaged deflated data set"
        raise CorruptDataError(msg) from error
    if not stream.eof:
        msg = "ends within its deflated data set (truncated)"
        raise CorruptDataError(msg)
    return data


def inflated_file(path: Path) -> bytes:
    """Return the inflated data set of a deflated file, as `PixelLayout.offset` counts it."""
    stored = path.read_bytes()
    _, _, at = _file_meta(stored)
    return _inflated(stored[at:])


def _file_meta(buffer: bytes) -> tuple[str, str, int]:
    """Return the transfer syntax, the media storage SOP class, and where the data set starts."""
    is_marked = buffer[_PREAMBLE : _PREAMBLE + 4] == b"DICM"
    if is_marked:
        at = _PREAMBLE + 4
    elif buffer[:2] in (b"\x02\0", b"\x08\0") and len(buffer) >= 8 and buffer[3] == 0:
        at = 0  # written without a preamble
    else:
        msg = "does not start like DICOM"
        raise NotDicomError(msg)
    meta = _Reader(buffer, transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
    syntax = media_class_uid = ""
    while buffer[at : at + 2] == b"\x02\0":
        tag, vr, start, length = meta.element(at)
        at = meta.end_of_value(start, length, vr, 0)
        if at > len(buffer):
            raise _BeyondBufferError
        if tag == _TRANSFER_SYNTAX:
            syntax = plain_text(buffer[start:at])
        elif tag == _MEDIA_CLASS:
            media_class_uid = plain_text(buffer[start:at])
    if syntax == DEFLATED_LITTLE_ENDIAN:
        return syntax, media_class_uid, at
    if len(buffer) < at + 8:
        if not is_marked:
            msg = "does not start like DICOM"
            raise NotDicomError(msg)
        raise _BeyondBufferError
    if syntax in ("", EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN):
        # What the data set shows stands: the file meta information of some archives' exports is wrong.
        vr = buffer[at + 4 : at + 6]
        syntax = EXPLICIT_LITTLE_ENDIAN if vr.isalpha() and vr.isupper() else IMPLICIT_LITTLE_ENDIAN
    return syntax, media_class_uid, at
