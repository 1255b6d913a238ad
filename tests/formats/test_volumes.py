"""One mask in every format, and the real files."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dense import label_runs
from tests.third_party import third_party
from tests.volume_files import RAS_LPS, metaimage_header, nifti, nrrd_header, oblique_lps
from volstrat.errors import FormatError, InputFileError, MaskValueError, VolstratError
from volstrat.formats.volumes import read_grid, read_image, read_mask, volume_format

if TYPE_CHECKING:
    from numpy.typing import NDArray

sitk: Any = import_module("SimpleITK")  # without types
ROOT = Path(__file__).resolve().parents[2]
NRRD_TYPES = {"u1": "uchar", "i2": "short", "u4": "uint", "i8": "int64", "f4": "float", "f8": "double"}
MET_TYPES = {"u1": "UCHAR", "i2": "SHORT", "u4": "UINT", "i8": "LONG_LONG", "f4": "FLOAT", "f8": "DOUBLE"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii", "nifti"),
        ("A.NII.GZ", "nifti"),
        ("a.hdr", "nifti"),
        ("a.img", None),
        ("a.nrrd", "nrrd"),
        ("a.b.NHDR", "nrrd"),
        ("a.seg.nrrd", "seg.nrrd"),
        ("a.Seg.Nrrd", "seg.nrrd"),
        ("aseg.nrrd", "nrrd"),
        ("a.mha", "metaimage"),
        ("a.MHD", "metaimage"),
        ("a.raw", None),
        ("a.gz", None),
        (".nii.gz", None),
        ("nii", None),
    ],
)
def test_names_say_the_format(name: str, expected: str | None) -> None:
    """In any case; data files of detached headers are no volumes."""
    assert volume_format(Path("some.nii") / name) == expected


@pytest.mark.parametrize("read", [read_mask, read_image, read_grid])
def test_other_names_are_refused(tmp_path: Path, read: object) -> None:
    """A name that says no format is not guessed at."""
    (tmp_path / "m.img").write_bytes(b"x")
    assert callable(read)
    with pytest.raises(FormatError, match=r"m\.img: is not a volume by its name"):
        read(tmp_path / "m.img")


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "m.mha"])
def test_files_that_are_not_there_are_named(tmp_path: Path, name: str) -> None:
    """Missing, empty, a directory: in every format."""
    with pytest.raises(InputFileError, match=f"{name}: there is no such file"):
        read_mask(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(InputFileError, match=f"{name}: the file is empty"):
        read_mask(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(InputFileError, match=f"{name}: is a directory"):
        read_grid(tmp_path / name)


def write_any(
    folder: Path,
    labels: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    kind: str,
    dtype: str,
    order: str,
    pack: str,
) -> Path:
    """Write a label map in one of the formats, types, byte orders and compressions."""
    stored = labels.astype(order + dtype)
    raw = stored.tobytes(order="F")
    if kind.startswith("nifti"):
        path = nifti(folder / "m.nii", labels.astype(dtype), affine, version=int(kind[-1]), order=order)
        if pack != "raw":
            whole, cut = path.read_bytes(), len(raw) // 2
            path.write_bytes(gzip.compress(whole[:cut]) + gzip.compress(whole[cut:]))
        return path
    if kind == "nrrd":
        packed = {"raw": raw, "gzip": gzip.compress(raw), "other": bz2.compress(raw)}[pack]
        fields = {
            "type": NRRD_TYPES[dtype],
            "endian": "little" if order == "<" else "big",
            "encoding": pack.replace("other", "bzip2"),
        }
        path = folder / "m.nrrd"
        path.write_bytes(nrrd_header(labels.shape, affine, **fields) + b"\n" + packed)
        return path
    keys = {
        "ElementType": f"MET_{MET_TYPES[dtype]}",
        "BinaryDataByteOrderMSB": str(order == ">"),
        "CompressedData": str(pack != "raw"),
    }
    path = folder / "m.mha"
    path.write_bytes(
        metaimage_header(labels.shape, affine, **keys) + (raw if pack == "raw" else zlib.compress(raw))
    )
    return path


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(1, 9)),
    kind=st.sampled_from(["nifti1", "nifti2", "nrrd", "metaimage"]),
    dtype=st.sampled_from(sorted(NRRD_TYPES)),
    order=st.sampled_from("<>"),
    pack=st.sampled_from(["raw", "gzip", "other"]),
)
def test_format_type_order_and_compression_change_nothing(
    tmp_path: Path, *, seed: int, shape: tuple[int, int, int], kind: str, dtype: str, order: str, pack: str
) -> None:
    """The same runs on the same grid, from any file of one mask; and the same values as an image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    affine = oblique_lps(seed, mirrored=bool(seed % 2))
    path = write_any(tmp_path, labels, affine, kind=kind, dtype=dtype, order=order, pack=pack)
    read = read_mask(path)
    expected = label_runs(labels)
    assert read.mask.runs.starts.tolist() == expected.starts.tolist()
    assert read.mask.runs.stops.tolist() == expected.stops.tolist()
    assert read.mask.runs.labels.tolist() == expected.labels.tolist()
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    # NIfTI-1 keeps float32: 300 mm to 2e-5, times 20 voxels.
    np.testing.assert_allclose(read.mask.grid.affine, affine, atol=1e-3)
    image = read_image(path)
    np.testing.assert_array_equal(image.image.values, labels)
    assert image.image.values.dtype == np.float32
    assert image.sha256 == read.sha256


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(["m.nii", "m2.nii", "m.nrrd", "m.seg.nrrd", "m.mha"]),
    zipped=st.booleans(),
    changes=st.lists(
        st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
    ),
    length=st.integers(0, 10**4),
)
def test_damaged_files_are_read_or_refused_by_name(
    tmp_path: Path, name: str, zipped: bool, changes: list[tuple[int, bytes]], length: int
) -> None:
    """Whatever bytes are changed, and wherever the file ends: no other error than volstrat's own."""
    labels = np.ones((7, 5, 3), np.uint8)
    path = tmp_path / name
    if name.endswith("nii"):
        nifti(path, labels, oblique_lps(1), version=2 if "2" in name else 1)
    elif name.endswith("nrrd"):
        keys = b"Segment0_Name:=a\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n" if "seg" in name else b""
        path.write_bytes(nrrd_header(labels.shape, oblique_lps(1)) + keys + b"\n" + labels.tobytes())
    else:
        path.write_bytes(metaimage_header(labels.shape, oblique_lps(1)) + labels.tobytes())
    raw = bytearray(path.read_bytes())
    for at, data in changes:
        raw[at : at + len(data)] = data
    path.write_bytes(gzip.compress(bytes(raw[: length + 1]), 1) if zipped else raw[: length + 1])
    said = []
    for read in (read_grid, read_mask, read_image):
        try:
            read(path)
        except VolstratError as error:
            said.append(str(error))
    assert all(name in message for message in said)  # of a data file: "x (named by m.mha)"


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("mirrored", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_mirrored_storage_is_the_same_place(
    tmp_path: Path, ending: str, mirrored: tuple[int, int, int]
) -> None:
    """An L-shaped phantom, stored along any direction of its axes: the same points in mm.

    SimpleITK writes the file, so that the place does not depend on volstrat's own convention.
    """
    affine = oblique_lps(11)
    dense = np.zeros((17, 11, 8), np.uint8)
    dense[3:9, 2:4, 1:3] = 1
    dense[3:5, 2:9, 1:7] = 1
    where = np.argwhere(dense) @ affine[:3, :3].T + affine[:3, 3]
    ends = np.array(dense.shape) - 1
    first = np.where(np.array(mirrored) < 0, ends, 0)
    origin = affine[:3, :3] @ first + affine[:3, 3]
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    stored = dense[:: mirrored[0], :: mirrored[1], :: mirrored[2]]
    image = sitk.GetImageFromArray(stored.T)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing * mirrored).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / f"m.{ending}"))
    mask = read_mask(tmp_path / f"m.{ending}").mask
    found = mask.grid.to_mm(mask.grid.unravel(mask.voxels().indices()))
    # 6 x 2 x 2 + 2 x 7 x 6 - 2 x 2 x 2 = 100 voxels.
    assert len(found) == 100
    nearest = np.abs(found[:, None] - where[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-3
    assert len(np.unique(found.round(3), axis=0)) == 100


def test_large_sparse_files_are_counted_like_dense_ones(tmp_path: Path) -> None:
    """Larger than any piece: 300 x 256 x 128 voxels, first and last voxel included, against SimpleITK."""
    rng = np.random.default_rng(5)
    dense = np.zeros((300, 256, 128), np.uint8)
    for i, j, k in rng.integers(0, [270, 230, 110], (12, 3)):
        dense[i : i + 30, j : j + 20, k : k + 10] = rng.integers(1, 200)
    dense[0, 0, 0] = dense[-1, -1, -1] = 255
    path = tmp_path / "m.nii.gz"
    path.write_bytes(gzip.compress(nifti(tmp_path / "m.nii", dense, oblique_lps(3)).read_bytes()))
    mask = read_mask(path).mask
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(sitk.ReadImage(str(path)))
    assert mask.labels == tuple(statistics.GetLabels())
    for label in mask.labels:
        assert mask.runs.of(label).count == statistics.GetNumberOfPixels(label)
    starts = mask.runs.starts
    assert starts[0] == 0
    assert mask.runs.stops[-1] == dense.size


def test_reading_a_mask_takes_little_memory_and_few_imports(tmp_path: Path) -> None:
    """64 MB of voxels in less than 20 MB above the imports, among which no heavy library is."""
    dense = np.zeros((512, 512, 256), np.uint8, order="F")
    dense[100:200, 100:200, 50:60] = 1
    path = tmp_path / "m.nii.gz"
    path.write_bytes(gzip.compress(nifti(tmp_path / "m.nii", dense, RAS_LPS).read_bytes(), 1))
    script = (
        "import sys, resource, pathlib\n"
        "from volstrat.formats.volumes import read_mask\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "count = read_mask(pathlib.Path(sys.argv[1])).mask.voxels().count\n"
        "heavy = {'scipy', 'nibabel', 'SimpleITK', 'pydicom', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "print(count, peak() - before, sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    count, kilobytes, heavy = done.stdout.split(maxsplit=2)
    assert int(count) == 100 * 100 * 10
    assert int(kilobytes) < 20_000
    assert heavy.strip() == "[]"


def test_a_small_file_that_holds_a_huge_image_takes_the_memory_of_what_is_in_it(tmp_path: Path) -> None:
    """216 MB of SUV 0 in a file of 0.2 MB: read in less than 40 MB above the imports."""
    header = nifti(tmp_path / "m.nii", np.zeros((2, 2, 2), np.float32), RAS_LPS).read_bytes()[:352]
    sizes = np.array([3, 300, 300, 600, 1, 1, 1, 1], "<i2").tobytes()
    data = header[:40] + sizes + header[56:] + bytes(4 * 300 * 300 * 600)
    (tmp_path / "suv.nii.gz").write_bytes(gzip.compress(data))
    assert (tmp_path / "suv.nii.gz").stat().st_size < 300_000
    script = (
        "import sys, resource, pathlib\n"
        "from volstrat.formats.volumes import read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "shape = read_image(pathlib.Path(sys.argv[1])).image.grid.shape\n"
        "print(*shape, peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "suv.nii.gz")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    *shape, kilobytes = map(int, done.stdout.split())
    assert shape == [300, 300, 600]
    assert kilobytes < 40_000


@pytest.mark.parametrize(
    ("file", "voxels", "ml"),
    [
        ("sts_001/nifti/CT_mask.nii.gz", {1: 117145}, 365.318),
        ("sts_001/nifti/PET_mask.nii.gz", {1: 5095}, 366.079),
        ("ibsi_small/STS_019/CT_mask.nii.gz", {1: 5564}, 17.3514),
        ("ibsi_small/STS_019/PET_mask.nii.gz", {1: 239}, 17.1723),
        ("ibsi_small/STS_025/CT_mask.nii.gz", {1: 9655}, 30.1092),
        ("ibsi_small/STS_025/PET_mask.nii.gz", {1: 606}, 30.2371),
        ("ibsi_1_digital_phantom/nifti/mask/mask.nii.gz", {1: 74}, 0.592),
        ("dcmqi/segmentations/liver_seg.nrrd", {1: 107098}, 70.3619),
        ("dcmqi/segmentations/spine_seg.nrrd", {2: 12439}, None),
        ("dcmqi/segmentations/heart_seg.nrrd", {3: 41449}, None),
        ("dcmqi/segmentations/partial_overlaps-1.nrrd", {1: 9602, 4: 6693, 5: 4713}, None),
        ("dcmqi/segmentations/partial_overlaps-2.nrrd", {2: 11888}, None),
        ("dcmqi/segmentations/partial_overlaps-3.nrrd", {3: 10743}, None),
        ("dcmqi/segmentations/23x38x3/nrrd/label.nrrd", {1: 322}, None),
        ("dcmqi/segmentations/24x38x3/nrrd/label.nrrd", {1: 315}, None),
        ("dcmqi/segmentations/sparse_labelmap_noppv_seg.nrrd", {1: 630}, None),
    ],
)
def test_real_masks_give_the_published_counts(file: str, voxels: dict[int, int], ml: float | None) -> None:
    """Third-party files and numbers: sarcoma CT and PET, the IBSI phantom, dcmqi's segmentations."""
    mask = read_mask(third_party(file)).mask
    assert {label: mask.runs.of(label).count for label in mask.labels} == voxels
    if ml is not None:
        # As many digits as are published.
        assert mask.voxels().count * mask.grid.voxel_volume_mm3 / 1000 == pytest.approx(ml, abs=6e-4)


def test_a_real_pet_is_read_as_its_values() -> None:
    """STS_019's PET, already SUV: the published maximum inside its mask's image."""
    folder = third_party("ibsi_small/STS_019")
    read = read_image(folder / "PET_image.nii.gz")
    mask = read_mask(folder / "PET_mask.nii.gz").mask
    assert mask.grid.corner_displacement_mm(read.image.grid) < 1e-3
    inside = read.image.values.ravel(order="F")[mask.voxels().indices()]
    assert float(inside.max()) == pytest.approx(16.32769, abs=1e-5)


def test_sixty_thousand_labels_are_no_label_map(tmp_path: Path) -> None:
    """Refused at once: every label would be asked for one by one."""
    labels = np.zeros((80, 80, 80), dtype=np.uint16)
    labels[::2, ::2, ::2] = np.arange(64_000).reshape(40, 40, 40)
    path = nifti(tmp_path / "many.nii", labels, np.eye(4))
    with pytest.raises(MaskValueError, match=r"many\.nii: holds 63,999 different values; .* at most 10,000"):
        read_mask(path)


def test_an_image_larger_than_any_is_refused_before_it_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros pack a thousandfold: a file of 1 MB can hold a thousand million voxels."""
    path = nifti(tmp_path / "suv.nii.gz", np.zeros((8, 8, 8), dtype=np.uint8), np.eye(4))
    monkeypatch.setattr("volstrat.formats.volumes.MOST_VOXELS", 511)
    with pytest.raises(FormatError, match=r"suv\.nii\.gz: has 512 voxels; an image has at most 511"):
        read_image(path)
