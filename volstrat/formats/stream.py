"""Reading volume files once, front to back: opening, hashing and decompressing in small pieces.

No volume is ever held whole. A `SourceFile` hands out a file's bytes and digests them on the way; a
`Decoder` turns them into voxel bytes, at most as many as it is asked for, so that a file that
expands without end costs no memory. Checksums (CRC-32 of each gzip member, Adler-32 of a zlib
stream, CRC of bzip2 blocks) and stored sizes are verified by the decompressors.

Why extra bytes are refused: a header that promises fewer bytes than the file holds is wrong about
the volume (a missing slice, a second volume, another dtype), and no reader can tell which.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from zlib_ng import zlib_ng

from volstrat.errors import CorruptDataError, InputFileError
from volstrat.formats.walk import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


Encoding = Literal["raw", "gzip", "raw or gzip", "zlib", "bzip2", "text"]

PIECE_BYTES = 1 << 19
_BLOCK_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST_DEFLATE_RATIO = 1040  # deflate cannot expand by more than 1032
_LONGEST_NUMBER = 1000  # characters
_WBITS = {"gzip": 31, "zlib": 47}  # 47: zlib, or gzip by its magic, as ITK writes either
RESAVE = "Export the file again from the program that wrote it."
"""The next step where a file itself is at fault."""


class Digest(Protocol):
    """What a `SourceFile` feeds with every byte it reads, as `hashlib.sha256()` is."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""


class SourceFile:
    """A regular file, read once from front to back.

    ``digest`` is updated with every byte that is read; ``named_by`` is the header that names this file, shown
    where it cannot be opened. A file that is missing, empty, no regular one, or cannot be read is an
    InputFileError.
    """

    def __init__(self, path: Path, digest: Digest | None = None, *, named_by: str = "") -> None:
        self.name = path.name
        self._digest = digest
        self._unread = b""
        self._handle = open_regular(path, f" (named by {named_by})" if named_by else "")
        size = os.fstat(self._handle.fileno()).st_size
        if size == 0:
            self._handle.close()
            msg = f"{self.name}: the file is empty."
            raise InputFileError(msg, hint=RESAVE)
        self._left = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    @property
    def remaining_bytes(self) -> int:
        """How many bytes have not been read yet, going by the size the file had when opened."""
        return self._left + len(self._unread)

    def read(self, limit: int) -> bytes:
        """Return the next bytes, at most ``limit``; empty at the end of the file."""
        if self._unread:
            piece, self._unread = self._unread[:limit], self._unread[limit:]
            return piece
        try:
            piece = self._handle.read(limit) or b""
        except OSError as error:
            msg = f"{self.name}: reading failed ({error.strerror})."
            raise InputFileError(msg) from error
        self._left -= len(piece)
        if self._digest is not None:
            self._digest.update(piece)
        return piece

    def unread(self, piece: bytes) -> None:
        """Hand bytes back, to be read again; they are not digested twice."""
        self._unread = piece + self._unread

    def starts_with(self, magic: bytes) -> bool:
        """Tell whether the next bytes are these, without taking them."""
        head = self.read(len(magic))
        self.unread(head)
        return head == magic

    def skip_lines(self, lines: int) -> None:
        """Pass over as many lines; a file with fewer is corrupt."""
        left = lines
        while left:
            block = self.read(_BLOCK_BYTES)
            if not block:
                msg = f"{self.name}: ends within the {lines} lines that its header says to skip."
                raise CorruptDataError(msg, hint=RESAVE)
            ends = block.count(b"\n")
            if ends < left:
                left -= ends
                continue
            at = 0
            while left:
                at = block.index(b"\n", at) + 1
                left -= 1
            self.unread(block[at:])


class Decoder:
    """Voxel bytes of a source that stands where they begin, as stored; subclasses decompress them."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    def read(self, limit: int) -> bytes:
        """Return the next decoded bytes, at most ``limit``; empty at the end of the data."""
        return self._source.read(limit)

    def could_hold(self, size: int) -> bool:
        """Tell whether so many bytes may follow, going by the size of the file."""
        return size <= self._source.remaining_bytes

    def read_exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or fewer where the data end before."""
        parts = []
        while size:
            part = self.read(min(size, PIECE_BYTES))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over as many decoded bytes; data that end before are corrupt."""
        while size > 0:
            part = self.read(min(size, PIECE_BYTES))
            if not part:
                msg = f"{self.name}: ends {size} bytes before its voxels would begin."
                raise CorruptDataError(msg, hint=RESAVE)
            size -= len(part)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield exactly ``size`` bytes in pieces, and make sure that nothing follows them.

        Data that end before, go on after, or fail their checksum are a CorruptDataError.
        """
        if not self.could_hold(size):
            promised = f"{size} bytes of voxels"
            msg = f"{self.name}: is too short for its header, which promises {promised} (truncated file)."
            raise CorruptDataError(msg, hint=RESAVE)
        done = 0
        while done < size:
            # Back to whole words after a short piece: aligned pieces are scanned without a copy.
            piece = self.read(min(PIECE_BYTES - done % 8, size - done))
            if not piece:
                msg = f"{self.name}: ends after {done} of the {size} voxel bytes its header promises."
                raise CorruptDataError(msg, hint=RESAVE)
            done += len(piece)
            yield piece
        if self.read(1):
            msg = f"{self.name}: holds more than the {size} voxel bytes its header promises."
            raise CorruptDataError(msg, hint="Check its dimensions and type; it may hold a second volume.")


def _broken_off(name: str) -> CorruptDataError:
    msg = f"{name}: the compressed data break off before their end (truncated file)."
    return CorruptDataError(msg, hint=RESAVE)


class _InflateDecoder(Decoder):
    """gzip (any number of members, zero padding or white space after them) or zlib."""

    def __init__(self, source: SourceFile, wbits: int) -> None:
        super().__init__(source)
        self._wbits = wbits
        self._engine = zlib_ng.decompressobj(wbits=wbits)
        self._pending = b""
        self._begins = (b"\x1f",) if wbits == _WBITS["gzip"] else (b"\x1f", b"\x78")  # gzip, zlib
        self._between_members = False
        self._ended = False

    def could_hold(self, size: int) -> bool:
        return (
            size <= (self._source.remaining_bytes + len(self._pending)) * _LARGEST_DEFLATE_RATIO + PIECE_BYTES
        )

    def read(self, limit: int) -> bytes:
        while not self._ended:
            block = self._pending or self._source.read(_BLOCK_BYTES)
            if self._between_members:
                if not block:
                    self._ended = True
                    break
                # Padding and a line feed are harmless: all that was compressed is whole, and checked.
                self._pending = block = block.lstrip(b"\0\r\n\t \x1a")
                if not block:
                    continue
                if not block.startswith(self._begins):
                    msg = f"{self.name}: goes on after its compressed data, which are whole."
                    raise CorruptDataError(msg, hint="Cut off what follows them, or export the file again.")
                self._engine, self._between_members = zlib_ng.decompressobj(wbits=self._wbits), False
            try:
                piece: bytes = self._engine.decompress(block, limit)
            except zlib_ng.error as error:  # type: ignore[misc]  # its stub declares an instance
                reason = str(error).rpartition(": ")[2]
                msg = f"{self.name}: the compressed data are damaged ({reason})."
                raise CorruptDataError(msg, hint=RESAVE) from error
            if self._engine.eof:
                self._pending, self._between_members = self._engine.unused_data, True
            else:
                self._pending = self._engine.unconsumed_tail
                if not block and not piece:
                    raise _broken_off(self.name)
            if piece:
                return piece
        return b""


class _Bzip2Decoder(Decoder):
    """bzip2, any number of streams."""

    def __init__(self, source: SourceFile) -> None:
        super().__init__(source)
        from bz2 import BZ2Decompressor

        self._new = BZ2Decompressor
        self._engine = BZ2Decompressor()

    def could_hold(self, size: int) -> bool:
        return size >= 0  # bzip2 has no bound worth testing: 45 MB of zeros take 50 bytes

    def read(self, limit: int) -> bytes:
        while True:
            block = b""
            if self._engine.eof:
                block = self._engine.unused_data or self._source.read(_BLOCK_BYTES)
                if not block:
                    return b""
                self._engine = self._new()
            elif self._engine.needs_input:
                block = self._source.read(_BLOCK_BYTES)
                if not block:
                    raise _broken_off(self.name)
            try:
                piece = self._engine.decompress(block, limit)
            except (OSError, ValueError) as error:
                msg = f"{self.name}: the compressed data are damaged ({error})."
                raise CorruptDataError(msg, hint=RESAVE) from error
            if piece:
                return piece


class _TextDecoder(Decoder):
    """Numbers written as text, one a voxel, apart by white space or commas."""

    def __init__(self, source: SourceFile, dtype: np.dtype[np.generic]) -> None:
        super().__init__(source)
        self._dtype = dtype
        self._word = b""
        self._bytes = b""

    def could_hold(self, size: int) -> bool:
        values = size // self._dtype.itemsize  # of one character each, and one between two of them
        return values * 2 - 1 <= self._source.remaining_bytes

    def read(self, limit: int) -> bytes:
        while not self._bytes:
            block = self._source.read(_BLOCK_BYTES)
            words = (self._word + block).replace(b",", b" ").split()
            if not block and not words:
                return b""
            unfinished = block and not block[-1:].isspace()
            self._word = words.pop() if unfinished and words else b""
            if len(self._word) > _LONGEST_NUMBER:
                msg = f"{self.name}: holds text where a number was expected."
                raise CorruptDataError(msg, hint=RESAVE)
            self._bytes = self._encoded(words)
        piece, self._bytes = self._bytes[:limit], self._bytes[limit:]
        return piece

    def _encoded(self, words: list[bytes]) -> bytes:
        try:
            values = np.array(words, dtype="S").astype(np.float64)
        except ValueError as error:
            msg = f"{self.name}: holds text where a number was expected."
            raise CorruptDataError(msg, hint=RESAVE) from error
        if self._dtype.kind != "f":
            limits = np.iinfo(self._dtype)  # type: ignore[type-var]
            if not ((values >= limits.min) & (values <= limits.max) & (values == np.rint(values))).all():
                msg = f"{self.name}: holds a number that is no {self._dtype.name}."
                raise CorruptDataError(msg, hint=RESAVE)
        return values.astype(self._dtype).tobytes()


def sniffed(source: SourceFile) -> Decoder:
    """Return a decoder for gzip where the file begins as gzip, whatever its name, else for raw bytes."""
    return _InflateDecoder(source, _WBITS["gzip"]) if source.starts_with(_GZIP_MAGIC) else Decoder(source)


def decoder_for(source: SourceFile, encoding: Encoding, dtype: np.dtype[np.generic]) -> Decoder:
    """Return the decoder for an encoding that a header names; gzip must begin as gzip."""
    if encoding == "raw":
        return Decoder(source)
    if encoding == "raw or gzip":
        return sniffed(source)
    if encoding == "bzip2":
        return _Bzip2Decoder(source)
    if encoding == "text":
        return _TextDecoder(source, dtype)
    if encoding == "gzip" and not source.starts_with(_GZIP_MAGIC):
        msg = f"{source.name}: the voxels are not gzip, as the header says."
        raise CorruptDataError(msg, hint=RESAVE)
    return _InflateDecoder(source, _WBITS[encoding])
