"""Opening, hashing and decompressing."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import time
import tracemalloc
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from volstrat.errors import CorruptDataError, InputFileError
from volstrat.formats.stream import SourceFile, decoder_for, sniffed

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.formats.stream import Encoding

PAYLOAD = bytes(3000) + np.random.default_rng(1).integers(0, 9, 5000).astype(np.uint8).tobytes() + bytes(777)
U1 = np.dtype(np.uint8)
COMPRESSED: dict[Encoding, bytes] = {
    "gzip": gzip.compress(PAYLOAD, mtime=0),
    "zlib": zlib.compress(PAYLOAD),
    "bzip2": bz2.compress(PAYLOAD),
}


def decoded(path: Path, data: bytes, encoding: Encoding, size: int = len(PAYLOAD)) -> bytes:
    """Return ``size`` decoded bytes of a file with these bytes."""
    path.write_bytes(data)
    with SourceFile(path) as source:
        return b"".join(decoder_for(source, encoding, U1).pieces(size))


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_compressed_data_come_out_whole(tmp_path: Path, encoding: Encoding) -> None:
    """Each compression gives back what went in."""
    assert decoded(tmp_path / "f", COMPRESSED[encoding], encoding) == PAYLOAD


def test_gzip_members_and_zero_padding_join(tmp_path: Path) -> None:
    """Several members, one of them empty, with zeros between and after them, are one stream."""
    cuts = (0, 1, 352, 4096, 4096, len(PAYLOAD))
    members = [gzip.compress(PAYLOAD[a:b]) for a, b in pairwise(cuts)]
    assert decoded(tmp_path / "f", b"".join(members), "gzip") == PAYLOAD
    assert decoded(tmp_path / "f", b"".join(m + bytes(513) for m in members), "gzip") == PAYLOAD
    assert decoded(tmp_path / "f", b"".join(members) + bytes(200_000), "gzip") == PAYLOAD


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_every_truncation_is_refused(tmp_path: Path, encoding: Encoding) -> None:
    """Wherever compressed data break off, within the checksum too, nothing is returned."""
    whole = COMPRESSED[encoding]
    cuts = {*range(1, 30), *range(30, len(whole), 97), *range(len(whole) - 12, len(whole))}
    for cut in sorted(cuts):
        with pytest.raises(CorruptDataError, match="f: "):
            decoded(tmp_path / "f", whole[:cut], encoding)


@pytest.mark.parametrize(
    ("encoding", "from_end"),
    [
        pytest.param("gzip", 8, id="gzip CRC-32"),
        pytest.param("gzip", 4, id="gzip ISIZE"),
        pytest.param("zlib", 1, id="Adler-32"),
        pytest.param("bzip2", 900, id="bzip2 block"),
    ],
)
def test_a_flipped_byte_is_refused(tmp_path: Path, encoding: Encoding, from_end: int) -> None:
    """Checksums and stored sizes are compared."""
    data = bytearray(COMPRESSED[encoding])
    data[-from_end] ^= 1
    with pytest.raises(CorruptDataError, match=r"damaged|break off"):
        decoded(tmp_path / "f", bytes(data), encoding)


@pytest.mark.parametrize("member", [0, 1], ids=["first", "second"])
def test_the_checksum_of_every_member_counts(tmp_path: Path, member: int) -> None:
    """A bad CRC in one of two members refuses the file."""
    members = [bytearray(gzip.compress(part)) for part in (PAYLOAD[:4000], PAYLOAD[4000:])]
    members[member][-7] ^= 16
    with pytest.raises(CorruptDataError, match="damaged"):
        decoded(tmp_path / "f", b"".join(members), "gzip")


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_other_bytes_after_compressed_data_are_refused(tmp_path: Path, encoding: Encoding) -> None:
    """What follows the stream and is not a stream of its own is damage, and not called a truncated file."""
    with pytest.raises(CorruptDataError) as caught:
        decoded(tmp_path / "f", COMPRESSED[encoding] + b"tail of another file", encoding)
    assert encoding == "bzip2" or "goes on after its compressed data" in str(caught.value)


def test_data_that_are_not_gzip_are_refused(tmp_path: Path) -> None:
    """A header that promises gzip over raw data is named."""
    with pytest.raises(CorruptDataError, match="not gzip"):
        decoded(tmp_path / "f", PAYLOAD, "gzip")


@pytest.mark.parametrize("encoding", ["raw", *COMPRESSED])
@pytest.mark.parametrize("off", [-1, 1])
def test_another_size_than_promised_is_refused(tmp_path: Path, encoding: Encoding, off: int) -> None:
    """One byte too many or too few refuses the file."""
    data = COMPRESSED.get(encoding, PAYLOAD)
    with pytest.raises(CorruptDataError, match=r"too short|ends after|holds more"):
        decoded(tmp_path / "f", data, encoding, size=len(PAYLOAD) + off)


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_data_that_expand_without_end_cost_no_memory(tmp_path: Path, encoding: Encoding) -> None:
    """30 MB behind a header that promises 1 kB: refused after the first piece."""
    pack = gzip.compress if encoding == "gzip" else bz2.compress
    data = pack(bytes(30_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptDataError, match="holds more"):
            decoded(tmp_path / "f", data, encoding, size=1000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["raw", "gzip", "zlib", "text"])
def test_a_size_the_file_cannot_hold_fails_at_once(tmp_path: Path, encoding: Encoding) -> None:
    """10^18 bytes promised by a file of a few kB: no piece is read."""
    began = time.perf_counter()
    with pytest.raises(CorruptDataError, match="too short"):
        decoded(tmp_path / "f", COMPRESSED.get(encoding, b"1 " * 2000), encoding, size=10**18)
    assert time.perf_counter() - began < 1


def test_reading_digests_every_byte_once(tmp_path: Path) -> None:
    """The digest is of the file's own bytes, compressed, also where some were handed back."""
    data = COMPRESSED["gzip"]
    (tmp_path / "f").write_bytes(data)
    digest = hashlib.sha256()
    with SourceFile(tmp_path / "f", digest) as source:
        assert source.starts_with(b"\x1f\x8b")
        assert source.remaining_bytes == len(data)
        assert b"".join(sniffed(source).pieces(len(PAYLOAD))) == PAYLOAD
        assert source.remaining_bytes == 0
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_lines_are_skipped(tmp_path: Path, lines: int) -> None:
    """Line ends count, however long the lines; the third here spans two blocks."""
    parts = [b"one\n", b"\n", b"x" * 100_000 + b"\n", b"rest"]
    (tmp_path / "f").write_bytes(b"".join(parts))
    with SourceFile(tmp_path / "f") as source:
        source.skip_lines(lines)
        assert source.remaining_bytes == sum(map(len, parts[lines:]))
    with SourceFile(tmp_path / "f") as source, pytest.raises(CorruptDataError, match="4 lines"):
        source.skip_lines(4)


def test_text_becomes_numbers_across_blocks(tmp_path: Path) -> None:
    """A number that two blocks of 64 kB cut in two stays whole."""
    values = np.random.default_rng(2).integers(-30000, 30000, 40_000).astype("<i2")
    text = b"\n ".join(b"%d" % v for v in values)
    assert len(text) > 3 << 16
    (tmp_path / "f").write_bytes(text + b"\n")
    with SourceFile(tmp_path / "f") as source:
        assert b"".join(decoder_for(source, "text", values.dtype).pieces(80_000)) == values.tobytes()


@pytest.mark.parametrize(
    "text", [b"1 2 x 4", b"1 2 300 4", b"1 2 3.5 4", b"1 2 -1 4", b"1 2 nan 4", b"1" * 5000]
)
def test_text_that_is_no_number_of_the_type_is_refused(tmp_path: Path, text: bytes) -> None:
    """Words, and numbers beyond an unsigned byte, are damage."""
    with pytest.raises(CorruptDataError, match="f: "):
        decoded(tmp_path / "f", text, "text", size=4)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing, empty, a directory, a pipe, an impossible name: one sentence each."""
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "missing": "no such file",
        "empty": "is empty",
        "folder": "is a directory",
        "pipe": "not a regular file",
        "n" * 300: "cannot be opened",
        "null\0byte": "cannot be opened",
    }.items():
        with pytest.raises(InputFileError, match=said) as caught:
            SourceFile(tmp_path / name)
        assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read every file")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    """A file that may not be read is an InputFileError."""
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    with pytest.raises(InputFileError, match="cannot be opened"):
        SourceFile(tmp_path / "f")
