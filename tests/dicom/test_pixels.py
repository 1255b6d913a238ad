"""Stored values come back bit for bit, in every encoding, scaled slice by slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom.image_files import add_pixels, image_dataset, save, write_stack
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.pixels import read_series, series_slices
from volstrat.dicom.series import series_geometry
from volstrat.errors import CorruptDataError, FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

SHAPE = (6, 4)  # rows, columns


def values_of(folder: Path) -> NDArray[np.generic]:
    """Return the values of the only series of a folder as (k, row, column): whole and by slices the same."""
    (series,) = scan_dicom(folder).series
    geometry = series_geometry(series)
    values = read_series(series, geometry).values.T
    slices = [one.copy() for one in series_slices(series, geometry)]
    np.testing.assert_array_equal(np.stack(slices), values)
    return values


def stack(stored: NDArray[np.integer], *, modality: str = "CT") -> list[Dataset]:
    """Return one slice data set for each (row, column) plane, 2 mm apart."""
    return [
        image_dataset(pixels=plane, position_mm=(0.0, 0.0, 2.0 * k), modality=modality)
        for k, plane in enumerate(stored)
    ]


@pytest.mark.parametrize(
    "dtype", [np.int16, np.uint16, np.uint8, np.int32, np.uint32], ids=["i2", "u2", "u1", "i4", "u4"]
)
@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(ImplicitVRLittleEndian, id="implicit"),
        pytest.param(ExplicitVRLittleEndian, id="explicit"),
        pytest.param(DeflatedExplicitVRLittleEndian, id="deflated"),
    ],
)
def test_stored_values_come_back_from_every_type(
    tmp_path: Path, dtype: type[np.integer], syntax: UID
) -> None:
    """Extremes of the type, ends included; slope 1, intercept 0."""
    limits = np.iinfo(dtype)
    stored = np.linspace(limits.min, limits.max, 3 * 24).astype(dtype).reshape(3, *SHAPE)
    stored[0, 0, 0], stored[2, 5, 3] = limits.min, limits.max
    for k, dataset in enumerate(stack(stored)):
        save(dataset, tmp_path / f"{k}", syntax=syntax)
    np.testing.assert_array_equal(values_of(tmp_path), stored.astype(np.float32))


def test_big_endian_values_come_back(tmp_path: Path) -> None:
    """The retired explicit big endian syntax."""
    stored = np.arange(-36, 36, dtype=np.int16).reshape(3, *SHAPE) * 300
    for k, dataset in enumerate(stack(stored)):
        dataset.PixelData = stored[k].astype(">i2").tobytes()
        save(dataset, tmp_path / f"{k}", syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(values_of(tmp_path), stored)


def test_each_slice_is_scaled_with_its_own_slope_and_intercept(tmp_path: Path) -> None:
    """PET slopes differ from slice to slice."""
    stored = np.arange(72, dtype=np.int16).reshape(3, *SHAPE)
    slopes, intercepts = (0.25, 1.5, 3.0), (0.0, -1.0, 2.0)
    for k, dataset in enumerate(stack(stored, modality="PT")):
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slopes[k]}", f"{intercepts[k]}"
        save(dataset, tmp_path / f"{k}")
    expected = np.stack([stored[k] * slopes[k] + intercepts[k] for k in range(3)])
    np.testing.assert_array_equal(values_of(tmp_path), expected)


def test_whole_hounsfield_units_stay_whole_in_half_the_memory(tmp_path: Path) -> None:
    """Slope 1 and a whole intercept give int16; values that would not fit give float32."""
    stored = np.arange(72, dtype=np.uint16).reshape(3, *SHAPE)
    for name, top in (("fits", 33791), ("does not", 33792)):  # 33791 - 1024 = 32767
        stored[1, 2, 3] = top
        for k, dataset in enumerate(stack(stored)):
            dataset.RescaleIntercept = "-1024"
            save(dataset, tmp_path / name / f"{k}")
        values = values_of(tmp_path / name)
        assert values.dtype == (np.int16 if name == "fits" else np.float32)
        np.testing.assert_array_equal(values, stored.astype(np.float64) - 1024)


@pytest.mark.parametrize(("is_signed", "stored", "expected"), [
    # 12 bits stored of 16: the four high bits are an overlay, or lack the sign's extension.
    pytest.param(False, [0xF123, 0x0FFF], [0x123, 0xFFF], id="unsigned"),
    pytest.param(True, [0x0FFF, 0xF7FF, 0x0800], [-1, 2047, -2048], id="signed"),
])  # fmt: skip
def test_bits_beyond_those_stored_are_no_part_of_the_value(
    tmp_path: Path, is_signed: bool, stored: list[int], expected: list[int]
) -> None:
    """PS3.5 8.1.1: bits outside BitsStored may hold anything."""
    plane = np.zeros(SHAPE, dtype=np.uint16)
    plane.flat[: len(stored)] = stored
    for k, dataset in enumerate(stack(np.stack([plane, plane]))):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(is_signed)
        save(dataset, tmp_path / f"{k}")
    assert values_of(tmp_path)[1].ravel()[: len(expected)].tolist() == expected


def _compress_by_simpleitk(dataset: Dataset, plane: NDArray[np.integer], path: Path, kind: str) -> None:
    """Replace a data set's pixels by a code stream that GDCM wrote."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(plane[None])
    sitk.WriteImage(image, str(path), useCompression=True, compressor=kind)
    written = pydicom.dcmread(path)
    path.unlink()
    dataset.PixelData = written.PixelData
    dataset["PixelData"].is_undefined_length = True
    for keyword in ("BitsStored", "HighBit"):
        setattr(dataset, keyword, getattr(written, keyword))
    save(dataset, path, syntax=written.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        pytest.param("RLE", RLELossless, id="RLE"),
        pytest.param("JPEG-LS", JPEGLSLossless, id="JPEG-LS"),
        pytest.param("JPEG2000", "1.2.840.10008.1.2.4.90", id="JPEG 2000"),
        pytest.param("JPEG", "1.2.840.10008.1.2.4.70", id="JPEG lossless"),
    ],
)
def test_compressed_pixels_are_exact(tmp_path: Path, kind: str, syntax: str, dtype: type[np.integer]) -> None:
    """Noise of 16 bits, the hardest thing to compress, with a slope and intercept on top."""
    low, high = (-20000, 20000) if dtype is np.int16 else (0, 60000)
    stored = np.random.default_rng(5).integers(low, high, size=(3, 32, 24), dtype=dtype)
    for k, dataset in enumerate(stack(stored)):
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-10"
        path = tmp_path / "series" / f"{k}.dcm"
        path.parent.mkdir(exist_ok=True)
        if kind in ("RLE", "JPEG-LS"):
            save(dataset, path)
            compressed = pydicom.dcmread(path)
            compressed.compress(pydicom.uid.UID(syntax), generate_instance_uid=False)
            compressed.save_as(path)
        else:
            _compress_by_simpleitk(dataset, stored[k], path, kind)
        assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(values_of(tmp_path / "series"), stored * 0.5 - 10)


def test_damaged_compressed_pixels_are_refused_by_file(tmp_path: Path) -> None:
    """An RLE code stream whose middle was overwritten."""
    for k, dataset in enumerate(stack(np.ones((2, *SHAPE), dtype=np.int16))):
        path = save(dataset, tmp_path / f"{k}.dcm")
        compressed = pydicom.dcmread(path)
        compressed.compress(RLELossless, generate_instance_uid=False)
        compressed.save_as(path)
    content = path.read_bytes()
    at = content.rindex(b"\xfe\xff\x00\xe0") + 8
    path.write_bytes(content[:at] + b"\xff" * 64 + content[at + 64 :])
    with pytest.raises(CorruptDataError, match=r"1\.dcm"):
        values_of(tmp_path)


@pytest.mark.parametrize("slope", ["0", "0.0"])
def test_a_zero_slope_is_refused(tmp_path: Path, slope: str) -> None:
    """Every value would be the intercept."""
    paths = write_stack(tmp_path, modality="PT")
    dataset = pydicom.dcmread(paths[2])
    dataset.RescaleSlope = slope
    dataset.save_as(paths[2])
    with pytest.raises(CorruptDataError, match=r"RescaleSlope \(0028,1053\) is 0") as caught:
        values_of(tmp_path)
    assert paths[2].name in str(caught.value)


@pytest.mark.parametrize(
    ("tag", "stored", "told"),
    [
        (0x00281053, "-1.5", r"RescaleSlope \(0028,1053\) is -1.5, so uptake would be negative"),
        (0x00281053, "nan", r"RescaleSlope \(0028,1053\) is nan"),
        (0x00281052, "nan", r"RescaleIntercept \(0028,1052\) is nan"),
    ],
)
def test_pet_that_a_slice_turns_round_or_blots_out_is_refused(
    tmp_path: Path, tag: int, stored: str, told: str
) -> None:
    """A rule would find no uptake there, and call the lesion not avid."""
    paths = write_stack(tmp_path, modality="PT")
    dataset = pydicom.dcmread(paths[2])
    dataset.add_new(tag, "LO", stored)  # pydicom writes no such DS
    dataset.save_as(paths[2])
    with pytest.raises(CorruptDataError, match=told) as caught:
        values_of(tmp_path)
    assert paths[2].name in str(caught.value)


def test_pet_without_a_slope_is_refused(tmp_path: Path) -> None:
    """Without it PET values mean nothing."""
    paths = write_stack(tmp_path, modality="PT")
    dataset = pydicom.dcmread(paths[2])
    del dataset.RescaleSlope
    dataset.save_as(paths[2])
    with pytest.raises(CorruptDataError, match="has no RescaleSlope"):
        values_of(tmp_path)


def test_short_pixel_data_is_refused_by_file(tmp_path: Path) -> None:
    """The element is whole, but holds less than Rows x Columns."""
    datasets = stack(np.ones((3, *SHAPE), dtype=np.int16))
    datasets[1].PixelData = datasets[1].PixelData[:-2]
    for k, dataset in enumerate(datasets):
        save(dataset, tmp_path / f"slice{k}")
    with pytest.raises(CorruptDataError, match=r"slice1: pixel data is 46 bytes, 48 expected"):
        values_of(tmp_path)


def test_a_slice_without_pixel_data_is_refused_by_file(tmp_path: Path) -> None:
    """Geometry needs none, values do."""
    datasets = stack(np.ones((3, *SHAPE), dtype=np.int16))
    del datasets[2].PixelData
    for k, dataset in enumerate(datasets):
        save(dataset, tmp_path / f"slice{k}")
    (series,) = scan_dicom(tmp_path).series
    assert series_geometry(series).grid.shape == (4, 6, 3)
    with pytest.raises(CorruptDataError, match="slice2: holds no pixel data"):
        values_of(tmp_path)


def test_colour_pixels_are_refused(tmp_path: Path) -> None:
    """A screenshot among the slices."""
    dataset = image_dataset(pixels=np.zeros(SHAPE, dtype=np.uint8), position_mm=(0, 0, 0))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PixelData = bytes(72)
    save(dataset, tmp_path / "rgb")
    with pytest.raises(FormatError, match="RGB"):
        values_of(tmp_path)


def test_odd_bit_depths_are_refused(tmp_path: Path) -> None:
    """Twelve packed bits are no CT that anyone writes."""
    dataset = image_dataset(pixels=np.zeros(SHAPE, dtype=np.int16), position_mm=(0, 0, 0))
    add_pixels(dataset, np.zeros(SHAPE, dtype=np.int16))
    dataset.BitsAllocated = 12
    save(dataset, tmp_path / "odd")
    with pytest.raises(FormatError, match="BitsAllocated is 12"):
        values_of(tmp_path)
