"""Headers that other programs write a little wrong are read all the same."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.dicom.image_files import write_stack
from volstrat.dicom.attributes import TAGS
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.series import series_geometry

if TYPE_CHECKING:
    from pathlib import Path

SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)


def with_bytes(folder: Path, before: str, extra: bytes) -> None:
    """Write a stack of slices with bytes put in before an attribute of each."""
    place = struct.pack("<HH", TAGS[before] >> 16, TAGS[before] & 0xFFFF)
    for path in write_stack(folder, count=3):
        data = path.read_bytes()
        at = data.rindex(place)
        path.write_bytes(data[:at] + extra + data[at:])


@pytest.mark.parametrize("extra", [SEQUENCE_END, ITEM_END, SEQUENCE_END + ITEM_END])
@pytest.mark.parametrize("before", ["SeriesInstanceUID", "Rows"])
def test_a_stray_delimiter_ends_nothing(tmp_path: Path, before: str, extra: bytes) -> None:
    """It closes no sequence: what follows it is read, pixels too."""
    with_bytes(tmp_path, before, extra)
    found = scan_dicom(tmp_path)
    assert found.broken == ()
    (series,) = found.series
    assert series_geometry(series).grid.shape[2] == 3
    assert all(file.pixels is not None for file in series.files)


def unknown(value: bytes, *, long: bool) -> bytes:
    """Return a private element with the VR that toolkits write for one they do not know."""
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH", 0x0009, 0x1001) + b"??" + length + value


@pytest.mark.parametrize("long", [False, True], ids=["two bytes", "four bytes"])
@pytest.mark.parametrize("value", [b"", b"AB", b"0123456789abcdef" * 4], ids=["empty", "short", "64 bytes"])
def test_an_unknown_vr_is_stepped_over(tmp_path: Path, value: bytes, long: bool) -> None:
    """Whether its length has two bytes or four."""
    with_bytes(tmp_path, "StudyInstanceUID", unknown(value, long=long))
    found = scan_dicom(tmp_path)
    assert found.broken == ()
    assert series_geometry(found.series[0]).grid.shape[2] == 3
