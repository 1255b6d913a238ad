"""MetaImage headers, held to SimpleITK."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.volume_files import counts, dense_counts, metaimage_header, oblique_lps, random_labels
from volstrat.errors import CorruptDataError, FormatError, GeometryError, InputFileError
from volstrat.formats.volumes import read_grid, read_image, read_mask

if TYPE_CHECKING:
    from pathlib import Path

sitk: Any = import_module("SimpleITK")  # without types
SHAPE = (13, 9, 7)
LABELS = random_labels(0, SHAPE)
RAW = LABELS.tobytes(order="F")
AFFINE = oblique_lps(0)


def write(path: Path, data: bytes = RAW, /, **keys: str) -> Path:
    """Write a MetaImage file with some header keys replaced."""
    path.write_bytes(metaimage_header(SHAPE, AFFINE, **keys) + data)
    return path


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", ["mha", "mhd"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_what_simpleitk_writes_is_read_alike(
    tmp_path: Path, seed: int, compressed: bool, ending: str, dtype: str
) -> None:
    """Affine and voxels of random oblique volumes, left-handed ones too."""
    affine = oblique_lps(seed, mirrored=seed % 2 == 1)
    labels = random_labels(seed, SHAPE)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image = sitk.GetImageFromArray(labels.astype(dtype).T)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    path = tmp_path / f"m.{ending}"
    sitk.WriteImage(image, str(path), compressed)
    read = read_mask(path)
    np.testing.assert_allclose(read.mask.grid.affine, affine, atol=1e-6)
    assert counts(read) == dense_counts(labels)
    assert read.format == "metaimage"
    assert read.findings == ()
    np.testing.assert_array_equal(read_image(path).image.values, labels)


@pytest.mark.parametrize("matrix", ["TransformMatrix", "Rotation", "Orientation"])
@pytest.mark.parametrize("offset", ["Offset", "Position", "Origin"])
@pytest.mark.parametrize("spacing", ["ElementSpacing", "ElementSize"])
def test_synonyms_mean_the_same(tmp_path: Path, matrix: str, offset: str, spacing: str) -> None:
    """MetaIO's older key names; what ITK ignores changes nothing."""
    path = write(tmp_path / "m.mha", AnatomicalOrientation="LAI", CenterOfRotation="5 6 7")
    raw = path.read_bytes()
    for key, other in (("TransformMatrix", matrix), ("Offset", offset), ("ElementSpacing", spacing)):
        raw = raw.replace(key.encode(), other.encode())
    path.write_bytes(raw)
    image = sitk.ReadImage(str(path))
    grid = read_grid(path)
    np.testing.assert_allclose(grid.affine, AFFINE, atol=1e-9)
    np.testing.assert_allclose(image.GetDirection(), grid.directions.ravel(), atol=1e-9)
    np.testing.assert_allclose(image.GetOrigin(), grid.affine[:3, 3], atol=1e-9)
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_mm, atol=1e-9)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"Position = 0 0 1", "Position is '0 0 1', and was '"),
        (b"offset = 1e9 0 0", "offset is '1e9 0 0', and was '"),
        (b"Orientation = 0 1 0 1 0 0 0 0 1", "Orientation is '0 1 0 1 0 0 0 0 1', and was '"),
        (b"DimSize = 13 9 8", "DimSize is '13 9 8', and was '13 9 7'"),
        (b"ElementType = MET_USHORT", "ElementType is 'MET_USHORT', and was 'MET_UCHAR'"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, line: bytes, said: str) -> None:
    """By one name or by two: programs differ on whether the first or the last counts."""
    path = write(tmp_path / "m.mha")
    path.write_bytes(path.read_bytes().replace(b"ElementDataFile", line + b"\nElementDataFile", 1))
    with pytest.raises(FormatError, match=re.escape(f"m.mha: contradicts itself; {said}")):
        read_grid(path)


def test_a_key_said_twice_alike_is_read(tmp_path: Path) -> None:
    """Numbers written otherwise are the same numbers."""
    path = write(tmp_path / "m.mha")
    again = b"DimSize = 13.0  9 7\nElementType = met_uchar\nElementDataFile"
    path.write_bytes(path.read_bytes().replace(b"ElementDataFile", again, 1))
    assert read_grid(path).shape == SHAPE


def test_spacing_goes_before_size(tmp_path: Path) -> None:
    """ElementSize is the extent of a sample, ElementSpacing the distance of centres."""
    grid = read_grid(write(tmp_path / "m.mha", ElementSize="9 9 9"))
    np.testing.assert_allclose(grid.affine, AFFINE, atol=1e-9)


@pytest.mark.parametrize("key", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_big_endian_data(tmp_path: Path, key: str) -> None:
    """Both names of the byte order."""
    raw = LABELS.astype(">i2").tobytes(order="F")
    keys: dict[str, str] = {"ElementType": "MET_SHORT", "BinaryDataByteOrderMSB": "", key: "True"}
    path = write(tmp_path / "m.mha", raw, **keys)
    assert counts(read_mask(path)) == dense_counts(LABELS)


def test_long_is_four_bytes(tmp_path: Path) -> None:
    """MetaIO's MET_LONG, as SimpleITK reads it."""
    path = write(tmp_path / "m.mha", LABELS.astype("<i4").tobytes(order="F"), ElementType="MET_LONG")
    assert counts(read_mask(path)) == dense_counts(LABELS)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, LABELS)


def test_gzip_inside_compressed_data(tmp_path: Path) -> None:
    """Compressed data are zlib, and gzip where its magic says so; text is text."""
    for data in (zlib.compress(RAW), gzip.compress(RAW)):
        assert counts(read_mask(write(tmp_path / "m.mha", data, CompressedData="True"))) == dense_counts(
            LABELS
        )
    text = b" ".join(b"%d" % v for v in LABELS.ravel(order="F")) + b"\n"
    assert counts(read_mask(write(tmp_path / "m.mha", text, BinaryData="False"))) == dense_counts(LABELS)


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        pytest.param({"NDims": "2", "DimSize": "13 9"}, FormatError, "2 axes", id="2D"),
        pytest.param({"DimSize": "13 9"}, FormatError, "for 3 dimensions", id="2 sizes"),
        pytest.param({"DimSize": "13 9 -7"}, FormatError, "13 9 -7", id="negative size"),
        pytest.param({"DimSize": "13 0 7"}, FormatError, "at least one voxel", id="empty axis"),
        pytest.param({"DimSize": "13 9 8"}, CorruptDataError, "too short", id="more slices"),
        pytest.param({"DimSize": "13 9 6"}, CorruptDataError, "holds more", id="fewer slices"),
        pytest.param(
            {"DimSize": "1000000 1000000 1000000"}, CorruptDataError, "too short", id="a huge claim"
        ),
        pytest.param({"ElementNumberOfChannels": "3"}, FormatError, "3 channels", id="channels"),
        pytest.param({"ElementType": "MET_STRING"}, FormatError, "MET_STRING", id="type"),
        pytest.param({"ElementType": ""}, FormatError, "lacks the field 'ElementType'", id="no type"),
        pytest.param({"ElementSpacing": ""}, FormatError, "lacks the field 'ElementSize'", id="no spacing"),
        pytest.param({"ElementSpacing": "1 2"}, FormatError, "3 numbers", id="2 spacings"),
        pytest.param(
            {"ElementSpacing": "1 2 0"}, GeometryError, "m.mha: the voxel spacing is 0 mm", id="spacing 0"
        ),
        pytest.param({"Offset": "1 2 nan"}, GeometryError, "m.mha: its affine holds nan", id="NaN offset"),
        pytest.param({"Offset": "1 2 x"}, FormatError, "3 numbers", id="words for offset"),
        pytest.param({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, GeometryError, "no rotation", id="scaling"),
        pytest.param({"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, GeometryError, "no rotation", id="NaN"),
        pytest.param({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, GeometryError, "sheared", id="shear"),
        pytest.param({"DistanceUnits": "cm"}, FormatError, "DistanceUnits are cm", id="units"),
        pytest.param(
            {"ElementToIntensityFunctionSlope": "2"}, FormatError, "IntensityFunctionSlope", id="slope"
        ),
        pytest.param(
            {"ElementToIntensityFunctionOffset": "2"}, FormatError, "FunctionOffset", id="intercept"
        ),
        pytest.param({"ObjectType": "Tube"}, FormatError, "ObjectType is Tube", id="object"),
        pytest.param({"CompressedData": "maybe"}, FormatError, "True or False", id="flag"),
        pytest.param({"CompressedData": "True"}, CorruptDataError, "damaged", id="not zlib"),
        pytest.param({"HeaderSize": "7"}, FormatError, "HeaderSize of 7", id="HeaderSize in .mha"),
        pytest.param({"HeaderSize": "-3"}, FormatError, "HeaderSize of -3", id="negative HeaderSize"),
        pytest.param({"ElementDataFile": ""}, FormatError, "ElementDataFile is empty", id="no data file"),
        pytest.param({"ElementDataFile": "../x.raw"}, FormatError, "outside the header", id="outside"),
        pytest.param({"ElementDataFile": "LIST"}, FormatError, "line|names none|no such", id="empty list"),
    ],
)
def test_headers_that_cannot_be_trusted_are_refused(
    tmp_path: Path, keys: dict[str, str], error: type[Exception], said: str
) -> None:
    """Each key turned alone; the message begins with the file."""
    data = RAW if keys.get("ElementDataFile", "LOCAL") == "LOCAL" else b""
    with pytest.raises(error, match=said) as caught:
        read_mask(write(tmp_path / "m.mha", data, **keys))
    assert str(caught.value).startswith("m.mha: ")


@pytest.mark.parametrize(
    "data", [b"x", b"NDims = 3\n", bytes(range(256)) * 9, b"\n" * 2_000_000, b"a = b\n" * 400_000]
)
def test_what_is_no_metaimage_is_refused(tmp_path: Path, data: bytes) -> None:
    """Garbage, and headers without end, at once."""
    (tmp_path / "m.mha").write_bytes(data)
    with pytest.raises(FormatError, match=r"m\.mha: "):
        read_grid(tmp_path / "m.mha")


def test_a_fourth_axis_of_one_volume_is_accepted(tmp_path: Path) -> None:
    """What SimpleITK writes for one volume of a 4D series; two volumes are refused."""
    for volumes in (1, 2):
        image = sitk.GetImageFromArray(np.stack([LABELS.T] * volumes), isVector=False)
        image.SetSpacing((0.8, 0.7, 2.5, 9))
        image.SetOrigin((1, 2, 3, 4))
        sitk.WriteImage(image, str(tmp_path / f"m{volumes}.mha"))
    read = read_mask(tmp_path / "m1.mha")
    expected = np.diag([0.8, 0.7, 2.5, 1])
    expected[:3, 3] = 1, 2, 3
    np.testing.assert_allclose(read.mask.grid.affine, expected)
    assert counts(read) == dense_counts(LABELS)
    with pytest.raises(FormatError, match="2 volumes"):
        read_mask(tmp_path / "m2.mha")


@pytest.mark.parametrize("missing", ["TransformMatrix", "Offset"])
def test_the_formats_defaults_are_a_finding(tmp_path: Path, missing: str) -> None:
    """No matrix: the identity; no offset: zero. A person should know."""
    read = read_mask(write(tmp_path / "m.mha", RAW, **{missing: ""}))
    assert [finding.code for finding in read.findings] == ["geometry_defaulted"]
    assert missing in read.findings[0].message
    spacing = np.sqrt((AFFINE[:3, :3] ** 2).sum(axis=0))
    expected = AFFINE.copy()
    if missing == "Offset":
        expected[:3, 3] = 0
    else:
        expected[:3, :3] = np.diag(spacing)
    np.testing.assert_allclose(read.mask.grid.affine, expected, atol=1e-9)


@pytest.mark.parametrize("skip", ["7", "-1"])
def test_a_header_size_skips_bytes_of_the_data_file(tmp_path: Path, skip: str) -> None:
    """-1 takes the file's last bytes, with local data too."""
    (tmp_path / "m.raw").write_bytes(b"7 bytes" + RAW)
    path = write(tmp_path / "m.mhd", b"", HeaderSize=skip, ElementDataFile="m.raw")
    assert counts(read_mask(path)) == dense_counts(LABELS)
    if skip == "-1":
        assert counts(
            read_mask(write(tmp_path / "m.mha", b"7 bytes" + RAW, HeaderSize=skip))
        ) == dense_counts(LABELS)


@pytest.mark.parametrize("form", ["one", "list", "list 2D", "pattern", "short pattern"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_separate_data_are_found_beside_the_header(tmp_path: Path, form: str, newline: bytes) -> None:
    """One file, a list, or numbered files; the hash covers header and data in their order."""
    names = ["v v.raw"] if form == "one" else [f"s{k:02d}.raw" for k in range(3, 10)]
    field = {
        "one": "v v.raw",
        "list": "LIST",
        "list 2D": "LIST 2",
        "pattern": "s%02d.raw 3 9 1",
        "short pattern": "s%02d.raw 3",
    }[form]
    parts = [RAW] if form == "one" else [LABELS[:, :, k].tobytes(order="F") for k in range(7)]
    for name, part in zip(names, parts, strict=True):
        (tmp_path / name).write_bytes(part)
    listed = "\n".join(names).encode() if form.startswith("list") else b""
    path = tmp_path / "m.mhd"
    path.write_bytes(
        (metaimage_header(SHAPE, AFFINE, ElementDataFile=field) + listed).replace(b"\n", newline)
    )
    read = read_mask(path)
    assert counts(read) == dense_counts(LABELS)
    everything = path.read_bytes() + b"".join((tmp_path / name).read_bytes() for name in names)
    assert read.sha256 == hashlib.sha256(everything).hexdigest()
    (tmp_path / names[0]).unlink()
    with pytest.raises(InputFileError, match=rf"{names[0]} \(named by m\.mhd\): there is no such file"):
        read_mask(path)
