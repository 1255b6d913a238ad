"""NIfTI headers, held to nibabel and SimpleITK."""

from __future__ import annotations

import gzip
import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.volume_files import RAS_LPS, dense_counts, nifti, oblique_lps, random_labels
from volstrat.errors import CorruptDataError, FormatError, GeometryError, InputFileError, MaskValueError
from volstrat.formats.volumes import read_grid, read_image, read_mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

sitk: Any = import_module("SimpleITK")  # without types
nib: Any = import_module("nibabel")  # without types
LABELS = random_labels(0)
AFFINE = oblique_lps(0)
# Offsets of NIfTI-1 fields (nifti1.h).
DIM, DATATYPE, PIXDIM, VOX_OFFSET, XYZT, QFORM, SROW, MAGIC = 40, 70, 76, 108, 123, 252, 280, 344


def shorts(*values: int) -> bytes:
    """Return little-endian 16-bit numbers."""
    return struct.pack(f"<{len(values)}h", *values)


def floats(*values: float) -> bytes:
    """Return little-endian 32-bit floats."""
    return struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("forms", ["s", "q", "qs"])
@pytest.mark.parametrize(("version", "order"), [(1, "<"), (1, ">"), (2, "<"), (2, ">")])
def test_the_affine_is_that_of_nibabel(
    tmp_path: Path, seed: int, forms: str, version: int, order: str
) -> None:
    """Random oblique, anisotropic and left-handed affines: equal to nibabel's, turned to LPS."""
    affine = oblique_lps(seed, mirrored=seed % 2 == 1)
    path = nifti(tmp_path / "m.nii", LABELS, affine, forms=forms, version=version, order=order)
    grid = read_grid(path)
    # nibabel's qform is in float32 fields: its own reading of them is the expectation.
    np.testing.assert_allclose(grid.affine, RAS_LPS @ nib.load(path).affine, atol=1e-6)
    # 1e-3 mm: float32 fields at 300 mm and 13 voxels.
    np.testing.assert_allclose(grid.affine, affine, atol=1e-3)
    assert grid.shape == LABELS.shape
    assert not grid.is_window


@pytest.mark.parametrize("forms", ["s", "q"])
@pytest.mark.parametrize("seed", range(4))
def test_the_grid_is_that_of_simpleitk(tmp_path: Path, seed: int, forms: str) -> None:
    """Origin, spacing and directions agree with ITK, which is LPS too."""
    path = nifti(tmp_path / "m.nii", LABELS, oblique_lps(seed), forms=forms)
    image = sitk.ReadImage(str(path))
    grid = read_grid(path)
    np.testing.assert_allclose(image.GetOrigin(), grid.affine[:3, 3], atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), grid.spacing_mm, atol=1e-5)
    np.testing.assert_allclose(image.GetDirection(), grid.directions.ravel(), atol=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_in_the_qform_are_exact(tmp_path: Path, axis: int) -> None:
    """Half a turn has a = 0; float32 rounding of b, c, d must not turn the volume by arc minutes."""
    signs = np.full(3, -1.0)
    signs[axis] = 1
    affine = np.diag([*(RAS_LPS[:3, :3] @ np.diag(signs * [0.7, 0.8, 2.5])).diagonal(), 1.0])
    grid = read_grid(nifti(tmp_path / "m.nii", LABELS, affine, forms="q"))
    np.testing.assert_allclose(grid.affine, affine, atol=1e-6)


def test_rounding_in_a_half_turn_is_not_taken_for_an_angle(tmp_path: Path) -> None:
    """Half a turn about (cos 1, sin 1, 0): float32 leaves a^2 = 8e-8, which as an angle is 0.03 degrees."""
    axis = np.array([np.cos(1), np.sin(1), 0])
    path = nifti(tmp_path / "m.nii", LABELS, AFFINE, forms="q", poke={QFORM + 4: floats(*axis)})
    expected = RAS_LPS[:3, :3] @ (2 * np.outer(axis, axis) - np.eye(3))
    turned = read_grid(path).directions
    turned[:, 2] *= np.sign(np.linalg.det(turned))
    np.testing.assert_allclose(turned, expected, atol=1e-6)


@pytest.mark.parametrize(("share", "accepted"), [(0.49, True), (0.51, False)])
def test_qform_and_sform_may_differ_by_half_an_edge(tmp_path: Path, share: float, accepted: bool) -> None:
    """Below half the smallest voxel edge at a corner the sform is used; above it the file is refused."""
    affine = np.diag([-0.8, -0.7, 2.5, 1.0])
    path = nifti(tmp_path / "m.nii", LABELS, affine, forms="qs")
    raw = bytearray(path.read_bytes())
    # Stretch the sform's x column so that the last of 13 voxels moves by share x 0.7 mm.
    struct.pack_into("<f", raw, SROW, 0.8 + share * 0.7 / 12)
    path.write_bytes(raw)
    if accepted:
        assert read_grid(path).spacing_mm[0] == pytest.approx(0.8 + share * 0.7 / 12, abs=1e-6)
        return
    with pytest.raises(GeometryError, match=r"m\.nii: its qform and sform disagree.*0\.357 mm.*0\.35 mm"):
        read_grid(path)


@pytest.mark.parametrize(("share", "accepted"), [(0.49, True), (0.51, False)])
@pytest.mark.parametrize("axis", range(3))
def test_half_an_edge_is_that_of_an_oblique_voxel(
    tmp_path: Path, axis: int, share: float, accepted: bool
) -> None:
    """Whichever axis is stretched, the limit is half the smallest of 2.5, 0.8 and 0.7 mm at the last voxel.

    Along no axis of the patient is the turned voxel 0.7 mm wide: lengths are those of the sform's columns.
    """
    turned, _ = np.linalg.qr(np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]))
    edges = np.array([2.5, 0.8, 0.7])
    affine = np.eye(4)
    affine[:3, :3] = turned * edges
    path = nifti(tmp_path / "m.nii", LABELS, affine, forms="qs")
    steps = LABELS.shape[axis] - 1
    moved_mm = share * 0.7
    if axis == 2:  # the smallest edge grows itself: moved = share x (0.7 + moved / steps)
        moved_mm /= 1 - share / steps
    raw = bytearray(path.read_bytes())
    for row in range(3):
        (stored,) = struct.unpack_from("<f", raw, SROW + 16 * row + 4 * axis)
        stretched = stored * (1 + moved_mm / steps / edges[axis])
        struct.pack_into("<f", raw, SROW + 16 * row + 4 * axis, stretched)
    path.write_bytes(raw)
    if accepted:
        assert read_grid(path).spacing_mm[axis] == pytest.approx(edges[axis] + moved_mm / steps, abs=1e-5)
        return
    with pytest.raises(GeometryError, match="its qform and sform disagree"):
        read_grid(path)


def test_qform_and_sform_compare_far_from_the_origin(tmp_path: Path) -> None:
    """A small turn that only the far corner shows: 1 degree over 200 voxels of 0.8 mm is 2.8 mm."""
    path = nifti(tmp_path / "m.nii", np.zeros((200, 4, 4), np.uint8), np.diag([0.8, 0.7, 2.5, 1]), forms="qs")
    raw = bytearray(path.read_bytes())
    half = np.deg2rad(1) / 2
    quaternion = np.array(struct.unpack_from("<3f", raw, QFORM + 4))
    assert np.abs(quaternion).max() == 1  # nibabel stored half a turn about z: turn it one degree further
    struct.pack_into("<3f", raw, QFORM + 4, *(quaternion * np.cos(half)))
    path.write_bytes(raw)
    with pytest.raises(GeometryError, match="disagree"):
        read_grid(path)


@pytest.mark.parametrize(
    ("poke", "error", "said"),
    [
        pytest.param({QFORM: shorts(0, 0)}, GeometryError, "neither qform nor sform", id="no orientation"),
        pytest.param({SROW: floats(0.8, 0.1)}, GeometryError, r"m\.nii: the grid is sheared", id="shear"),
        pytest.param({SROW: floats(*[0] * 12)}, GeometryError, r"m\.nii: the voxel spacing", id="singular"),
        pytest.param({SROW: floats(np.nan)}, GeometryError, r"m\.nii: its affine holds nan", id="NaN affine"),
        pytest.param({XYZT: b"\x05"}, FormatError, "unit of length has the code 5", id="unit"),
        pytest.param({DATATYPE: shorts(32)}, FormatError, "complex", id="complex"),
        pytest.param({DATATYPE: shorts(128)}, FormatError, "RGB", id="RGB"),
        pytest.param({DATATYPE: shorts(2304)}, FormatError, "RGBA", id="RGBA"),
        pytest.param({DATATYPE: shorts(1)}, FormatError, "single bits", id="bits"),
        pytest.param({DATATYPE: shorts(7)}, FormatError, "unknown type", id="unknown type"),
        pytest.param({DIM: shorts(2)}, FormatError, "2 axes", id="2D"),
        pytest.param({DIM: shorts(0)}, FormatError, "0 dimensions", id="no dimensions"),
        pytest.param({DIM: shorts(9)}, FormatError, "9 dimensions", id="9 dimensions"),
        pytest.param({DIM: shorts(4, 13, 9, 7, 2)}, FormatError, "2 volumes", id="two volumes"),
        pytest.param({DIM: shorts(5, 13, 9, 7, 1, 3)}, FormatError, "3 volumes", id="vectors"),
        pytest.param({DIM: shorts(3, 13, 0, 7)}, FormatError, "at least one voxel", id="empty axis"),
        pytest.param({DIM: shorts(3, -13, 9, 7)}, FormatError, "at least one voxel", id="negative axis"),
        pytest.param({DIM: shorts(3, 13, 9, 8)}, CorruptDataError, "too short", id="more slices"),
        pytest.param({DIM: shorts(3, 13, 9, 6)}, CorruptDataError, "holds more", id="fewer slices"),
        pytest.param({DIM: shorts(3, *[32767] * 3)}, CorruptDataError, "too short", id="a huge claim"),
        pytest.param({DATATYPE: shorts(4)}, CorruptDataError, "too short", id="wider type"),
        pytest.param({VOX_OFFSET: floats(300)}, FormatError, "begin at byte 300", id="early voxels"),
        pytest.param({VOX_OFFSET: floats(np.nan)}, FormatError, "begin at byte nan", id="NaN offset"),
        pytest.param({VOX_OFFSET: floats(1e30)}, FormatError, "begin at byte 1e.30", id="late voxels"),
        pytest.param(
            {VOX_OFFSET: floats(99_999)}, CorruptDataError, "before its voxels", id="beyond the end"
        ),
        pytest.param({0: shorts(7)}, FormatError, "not NIfTI", id="header size"),
        pytest.param({MAGIC: b"\0\0\0\0"}, FormatError, "ANALYZE", id="ANALYZE"),
        pytest.param({MAGIC: b"abcd"}, FormatError, "not NIfTI", id="magic"),
        pytest.param({MAGIC: b"ni1\0"}, FormatError, r"\.hdr/\.img pair", id="half of a pair"),
    ],
)
def test_headers_that_cannot_be_trusted_are_refused(
    tmp_path: Path, poke: dict[int, bytes], error: type[Exception], said: str
) -> None:
    """Each field turned alone; the message begins with the file."""
    path = nifti(tmp_path / "m.nii", LABELS, np.diag([-0.8, -0.7, 2.5, 1]), poke=poke)
    with pytest.raises(error, match=said) as caught:
        read_mask(path)
    assert str(caught.value).startswith("m.nii: ")


@pytest.mark.parametrize(
    ("poke", "said"),
    [
        pytest.param({PIXDIM + 4: floats(0, 1, 1)}, "qform is unusable", id="pixdim 0"),
        pytest.param({PIXDIM + 4: floats(1, -1, 1)}, "qform is unusable", id="pixdim negative"),
        pytest.param({QFORM + 4: floats(0.9, 0.9, 0)}, "qform is unusable", id="quaternion"),
        pytest.param({QFORM + 4: floats(np.nan)}, "qform is unusable", id="NaN quaternion"),
    ],
)
def test_an_unusable_qform_is_refused(tmp_path: Path, poke: dict[int, bytes], said: str) -> None:
    """Voxel sizes must be positive and the quaternion a rotation."""
    with pytest.raises(GeometryError, match=said):
        read_grid(nifti(tmp_path / "m.nii", LABELS, AFFINE, forms="q", poke=poke))


@pytest.mark.parametrize(("code", "factor"), [(1, 1000.0), (3, 0.001)])
@pytest.mark.parametrize("forms", ["q", "s", "qs"])
def test_metres_and_microns_become_millimetres(tmp_path: Path, code: int, factor: float, forms: str) -> None:
    """The whole affine is scaled, offset included, and a finding says so."""
    path = nifti(tmp_path / "m.nii", LABELS, AFFINE, forms=forms, poke={XYZT: bytes([code | 8])})
    read = read_mask(path)
    np.testing.assert_allclose(read.mask.grid.affine[:3], AFFINE[:3] * factor, rtol=1e-4, atol=1e-3 * factor)
    assert [finding.code for finding in read.findings] == ["units_converted"]


@pytest.mark.parametrize("code", [0, 2, 10, 8])
def test_unknown_units_and_units_of_time_are_millimetres(tmp_path: Path, code: int) -> None:
    """Code 0 is taken as mm; the bits for time play no part."""
    read = read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, poke={XYZT: bytes([code])}))
    np.testing.assert_allclose(read.mask.grid.affine, AFFINE, atol=1e-3)
    assert read.findings == ()


def test_pixdim_beside_the_sform_is_only_a_finding(tmp_path: Path) -> None:
    """Voxel sizes that contradict the only form are named; the sform counts."""
    read = read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, poke={PIXDIM + 12: floats(9)}))
    np.testing.assert_allclose(read.mask.grid.affine, AFFINE, atol=1e-3)
    assert [finding.code for finding in read.findings] == ["pixdim_ignored"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_gives_the_same_labels(tmp_path: Path, dtype: str, order: str, version: int) -> None:
    """Counts do not depend on type, byte order or version."""
    path = nifti(tmp_path / "m.nii", LABELS.astype(dtype), AFFINE, order=order, version=version)
    read = read_mask(path)
    assert {label: read.mask.runs.of(label).count for label in read.mask.labels} == dense_counts(LABELS)
    assert read.format == "nifti"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_slope_and_intercept_are_applied(tmp_path: Path, order: str, version: int) -> None:
    """Stored 2 v + 3 with slope 0.5 and intercept -1.5 is v, as nibabel has it."""
    stored = (LABELS.astype(np.int16) * 2 + 3).astype(np.int16)
    path = nifti(tmp_path / "m.nii", stored, AFFINE, slope=(0.5, -1.5), order=order, version=version)
    read = read_mask(path)
    assert {label: read.mask.runs.of(label).count for label in read.mask.labels} == dense_counts(LABELS)
    np.testing.assert_array_equal(read_image(path).image.values, LABELS)
    np.testing.assert_array_equal(nib.load(path).get_fdata(), LABELS)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_of_zero_or_none_means_none(tmp_path: Path, slope: float) -> None:
    """The intercept then plays no part either."""
    read = read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, slope=(slope, 7.0)))
    assert read.mask.voxels().count == np.count_nonzero(LABELS)


def test_a_slope_without_an_intercept_is_refused(tmp_path: Path) -> None:
    """NaN as intercept of a valid slope would make every value NaN."""
    with pytest.raises(FormatError, match="no finite intercept"):
        read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, slope=(2.0, np.nan)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(np.array([0, 0.5], np.float32), "holds 0.5", id="fraction"),
        pytest.param(np.array([1, np.nan]), "NaN", id="NaN"),
        pytest.param(np.array([0, -1], np.int16), "value -1", id="negative"),
        pytest.param(np.array([0, 2**40], np.uint64), "beyond", id="too large"),
    ],
)
def test_values_that_are_no_labels_are_refused(tmp_path: Path, values: NDArray[Any], said: str) -> None:
    """The message names the file and the value."""
    dense = np.resize(values, (13, 9, 7))
    with pytest.raises(MaskValueError, match=rf"m\.nii: .*{said}"):
        read_mask(nifti(tmp_path / "m.nii", dense, AFFINE))


def test_a_threshold_makes_a_mask_of_any_values(tmp_path: Path) -> None:
    """Values >= x are label 1, the threshold itself included."""
    values = np.random.default_rng(3).normal(0, 4, (13, 9, 7)).astype(np.float32)
    values[0, 0, 0] = 2.5
    read = read_mask(nifti(tmp_path / "m.nii", values, AFFINE), threshold=2.5)
    assert read.mask.voxels().indices().tolist() == np.flatnonzero(values.ravel(order="F") >= 2.5).tolist()
    assert read.mask.labels == (1,)


@pytest.mark.parametrize("tail", [(1,), (1, 1), (0,)], ids=["4D", "5D", "4D, size left at 0"])
def test_one_volume_with_further_axes_is_accepted(tmp_path: Path, tail: tuple[int, ...]) -> None:
    """Axes beyond the third of size 1, or left empty by a careless writer, say nothing."""
    poke = {DIM: shorts(3 + len(tail), 13, 9, 7, *tail)}
    read = read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, poke=poke))
    assert read.mask.grid.shape == (13, 9, 7)
    assert read.mask.voxels().count == np.count_nonzero(LABELS)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("zipped", [False, True])
def test_extensions_lie_between_header_and_voxels(tmp_path: Path, version: int, zipped: bool) -> None:
    """100 kB of header extension change nothing."""
    path = nifti(tmp_path / "m.nii", LABELS, AFFINE, version=version, extension=b"x" * 100_000)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert path.stat().st_size > 100_000 or zipped
    assert read_mask(path).mask.voxels().count == np.count_nonzero(LABELS)


def test_an_offset_of_zero_is_the_least(tmp_path: Path) -> None:
    """Some writers leave vox_offset at 0; the voxels then follow the header."""
    read = read_mask(nifti(tmp_path / "m.nii", LABELS, AFFINE, poke={VOX_OFFSET: floats(0)}))
    assert read.mask.voxels().count == np.count_nonzero(LABELS)


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz", "M.NII.GZ"])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_magic_decides_and_not_the_name(tmp_path: Path, name: str, zipped: bool) -> None:
    """A .nii that is gzip and a .nii.gz that is not both read."""
    path = nifti(tmp_path / name, LABELS, AFFINE)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_mask(path).mask.voxels().count == np.count_nonzero(LABELS)


@pytest.mark.parametrize("length", [1, 3, 4, 100, 347, 348, 351, 352, 400])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_cut_in_its_header_is_refused(tmp_path: Path, length: int, zipped: bool) -> None:
    """Wherever the file ends, within header, extender or voxels."""
    path = nifti(tmp_path / "m.nii", LABELS, AFFINE)
    raw = path.read_bytes()[:length]
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    with pytest.raises((CorruptDataError, FormatError), match=r"m\.nii: "):
        read_mask(path)


@pytest.mark.parametrize("names", [("m.hdr", "m.img"), ("M.HDR", "M.IMG"), ("m.hdr.gz", "m.img.gz")])
def test_a_pair_reads_through_its_header(tmp_path: Path, names: tuple[str, str]) -> None:
    """Written by nibabel: a .hdr with its .img; each may be gzip."""
    pair = nib.Nifti1Pair(LABELS, RAS_LPS @ AFFINE)
    nib.save(pair, tmp_path / "p.hdr")
    for written, name in zip(("p.hdr", "p.img"), names, strict=True):
        raw = (tmp_path / written).read_bytes()
        (tmp_path / written).unlink()
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    read = read_mask(tmp_path / names[0])
    assert {label: read.mask.runs.of(label).count for label in read.mask.labels} == dense_counts(LABELS)
    np.testing.assert_allclose(read.mask.grid.affine, AFFINE, atol=1e-3)
    (tmp_path / names[1]).unlink()
    with pytest.raises(InputFileError, match=f"named by {names[0]}"):
        read_mask(tmp_path / names[0])


@pytest.mark.parametrize(("step_mm", "said"), [(1.0, ["geometry_defaulted"]), (1.25, [])])
def test_the_identity_for_an_affine_is_said(tmp_path: Path, step_mm: float, said: list[str]) -> None:
    """What writes 1 x 1 x 1 mm from 0, 0, 0 has mostly lost what the image was."""
    path = nifti(tmp_path / "m.nii", LABELS, np.diag([step_mm, 1, 1, 1]) @ np.diag([-1.0, -1, 1, 1]))
    assert [one.code for one in read_mask(path).findings] == said
