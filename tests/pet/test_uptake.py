"""SUV statistics against hand-worked arrays, direct sums and third parties' numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.third_party import third_party
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.pet.uptake import PEAK_RADIUS_MM, LesionUptake, peak_values, suv_statistics, values_at


def _image(values: np.ndarray, spacing: tuple[float, float, float], angle: float = 0.0) -> Image:
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-37.0, 12.0, 230.0)
    return Image(grid=VoxelGrid(shape=values.shape, affine=affine), values=np.asfortranarray(values))


def _one(image: Image, voxels: np.ndarray, *, factor: float = 1.0) -> LesionUptake:
    (found,) = suv_statistics(image, [voxels], factor=factor)
    assert found is not None
    return found


def test_the_peak_sphere_holds_one_cubic_centimetre() -> None:
    """4/3 pi r^3 = 1000 mm3 at r = 6.2035 mm."""
    assert pytest.approx(6.2035, abs=5e-5) == PEAK_RADIUS_MM
    assert pytest.approx(1000.0) == 4 / 3 * np.pi * PEAK_RADIUS_MM**3


def test_statistics_of_a_hand_worked_row() -> None:
    """Voxels of 10 x 2 x 3 mm, values 1, 4, 7: each sphere of 6.2 mm holds its own centre only."""
    image = _image(np.array([1.0, 4.0, 7.0, 0.5], np.float32).reshape(4, 1, 1), (10.0, 2.0, 3.0))
    got = _one(image, np.array([0, 1, 2]))
    # 3 voxels of 60 mm3 = 0.18 ml; mean 12 / 3 = 4; TLG 4 x 0.18 = 0.72 g
    assert (got.suv_max, got.suv_mean, got.suv_peak) == (7.0, 4.0, 7.0)
    assert got.tlg_g == pytest.approx(0.72)
    assert got.voxels == 3


def test_the_peak_reaches_outside_the_lesion_and_is_cut_at_the_edge() -> None:
    """Spacing 6 mm in a row: the sphere takes one voxel to either side, whether tumour or not."""
    image = _image(np.array([9.0, 3.0, 6.0, 0.0, 0.0], np.float32).reshape(5, 1, 1), (6.0, 7.0, 7.0))
    # 0: (9 + 3) / 2 = 6 at the edge; 1: (9 + 3 + 6) / 3 = 6; 2: (3 + 6 + 0) / 3 = 3; 3: 6 / 3 = 2; 4: 0
    np.testing.assert_allclose(peak_values(image, np.array([0, 1, 2, 3, 4])), [6.0, 6.0, 3.0, 2.0, 0.0])
    assert _one(image, np.array([2])).suv_peak == pytest.approx(3.0)
    assert _one(image, np.array([2])).suv_max == pytest.approx(6.0)


def test_the_peak_is_searched_over_every_voxel_and_not_at_the_maximum_alone() -> None:
    """A single hot voxel beside a broad warm stretch: the warm stretch has the higher mean."""
    row = np.array([8.0, 0.0, 0.0, 5.0, 5.0, 5.0, 0.0], np.float32).reshape(7, 1, 1)
    image = _image(row, (6.0, 7.0, 7.0))
    # at the maximum (8 + 0) / 2 = 4; at voxel 4 (5 + 5 + 5) / 3 = 5
    assert _one(image, np.arange(7)).suv_peak == pytest.approx(5.0)


def test_a_uniform_hot_sphere_has_its_own_value_as_peak() -> None:
    """Sphere of 15 mm radius on an oblique anisotropic grid: 6.2 mm round its centre is all inside."""
    shape, spacing = (22, 20, 18), (2.2, 2.6, 3.3)
    image = _image(np.zeros(shape, np.float32), spacing, angle=0.4)
    points = image.grid.to_mm(image.grid.unravel(np.arange(image.grid.size)))
    centre = image.grid.to_mm(np.array([10.3, 9.6, 8.4]))
    inside = ((points - centre) ** 2).sum(axis=1) <= 15.0**2
    hot = np.where(inside, 8.0, 1.0).astype(np.float32).reshape(shape, order="F")
    got = _one(Image(grid=image.grid, values=hot), np.flatnonzero(inside))
    assert got.suv_peak == pytest.approx(8.0)
    assert got.suv_mean == pytest.approx(8.0)
    # 14.137 ml; a boundary voxel either way: voxels of 0.0189 ml, sampled to within 3 %
    assert got.tlg_g == pytest.approx(8.0 * 4 / 3 * np.pi * 15.0**3 / 1000, rel=0.03)


@pytest.mark.parametrize("spacing", [(2.2, 2.6, 3.3), (4.07, 4.07, 2.0)])
def test_peaks_equal_direct_sums(spacing: tuple[float, float, float]) -> None:
    """Random values, NaN and infinity among them: every voxel's mean equals a sum over all distances."""
    rng = np.random.default_rng(8)
    values = rng.gamma(2.0, 2.0, (9, 8, 7)).astype(np.float32)
    values[2, 3, 3], values[6, 5, 1], values[6, 5, 2] = np.nan, np.inf, -np.inf
    image = _image(values, spacing, angle=-0.7)
    flat = values.ravel(order="F").astype(np.float64)
    points = image.grid.to_mm(image.grid.unravel(np.arange(flat.size)))
    finite = np.isfinite(flat)
    near = [((points - p) ** 2).sum(axis=1) <= PEAK_RADIUS_MM**2 for p in points]
    expected = [flat[inside & finite].mean() for inside in near]
    np.testing.assert_allclose(peak_values(image, np.arange(flat.size)), expected, rtol=1e-12)


def test_mirrored_storage_gives_the_same_statistics() -> None:
    """The same patient stored from the other side."""
    rng = np.random.default_rng(9)
    values = rng.gamma(2.0, 2.0, (8, 7, 6)).astype(np.float32)
    image = _image(values, (3.1, 2.9, 2.0), angle=0.2)
    chosen = np.zeros(values.shape, bool)
    chosen[1:5, 2:6, 0:3] = True
    expected = _one(image, np.flatnonzero(chosen.ravel(order="F")))
    for axis in range(3):
        affine = np.array(image.grid.affine)
        affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
        affine[:3, axis] *= -1
        mirrored = Image(
            grid=VoxelGrid(shape=values.shape, affine=affine), values=np.asfortranarray(np.flip(values, axis))
        )
        got = _one(mirrored, np.flatnonzero(np.flip(chosen, axis).ravel(order="F")))
        assert got.suv_max == expected.suv_max
        assert got.suv_peak == pytest.approx(expected.suv_peak, rel=1e-12)
        assert got.tlg_g == pytest.approx(expected.tlg_g, rel=1e-12)


def test_sul_is_a_factor_on_every_suv_and_not_on_the_volume() -> None:
    """Factor 0.75: maximum, mean, peak and TLG scale, the volume does not."""
    image = _image(np.array([2.0, 4.0], np.float32).reshape(2, 1, 1), (10.0, 10.0, 10.0))
    got = _one(image, np.array([0, 1]), factor=0.75)
    assert (got.suv_max, got.suv_mean, got.suv_peak) == (3.0, 2.25, 3.0)
    assert got.tlg_g == pytest.approx(4.5)


def test_lesions_are_measured_apart_and_an_empty_one_is_none() -> None:
    """Three lesions, the second without PET voxels, the fourth without a finite value."""
    values = np.array([1.0, 3.0, np.nan, 5.0, np.nan], np.float32).reshape(5, 1, 1)
    image = _image(values, (10.0, 10.0, 10.0))
    none = np.empty(0, np.int64)
    first, empty, partly, unknown = suv_statistics(
        image, [np.array([0, 1]), none, np.array([2, 3]), np.array([4])]
    )
    assert first is not None
    assert partly is not None
    assert empty is None
    assert unknown is None
    assert (first.suv_max, first.suv_mean, first.voxels) == (3.0, 2.0, 2)
    assert (partly.suv_max, partly.suv_mean, partly.voxels) == (5.0, 5.0, 1)
    assert partly.tlg_g == pytest.approx(5.0)  # the voxel of 1 ml without a value is not counted
    assert suv_statistics(image, []) == ()


def _read(image: Path, mask: Path) -> tuple[Image, np.ndarray]:
    from nibabel.nifti1 import Nifti1Image

    pet, drawn = Nifti1Image.from_filename(image), Nifti1Image.from_filename(mask)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ pet.affine  # RAS to LPS
    values = np.asarray(pet.dataobj, dtype=np.float32)
    grid = VoxelGrid(shape=values.shape, affine=affine)
    voxels = np.flatnonzero(np.asarray(drawn.dataobj).ravel(order="F") == 1)
    return Image(grid=grid, values=np.asfortranarray(values)), voxels


def test_a_sarcoma_measures_as_its_publishers_say() -> None:
    """sts_001, GTV_Mass in PET: 5095 voxels, 366.079 ml, SUV 0.16860 to 7.91067, mean 2.55513."""
    folder = third_party("sts_001/nifti")
    image, voxels = _read(folder / "PET_image.nii.gz", folder / "PET_mask.nii.gz")
    got = _one(image, voxels)
    assert got.voxels == 5095
    assert got.voxels * image.grid.voxel_ml == pytest.approx(366.079, abs=5e-4)
    assert float(values_at(image, voxels).min()) == pytest.approx(0.16860, abs=1e-5)
    assert got.suv_mean == pytest.approx(2.55513, abs=1e-5)
    assert got.suv_max == pytest.approx(7.91067, abs=1e-5)
    assert got.suv_mean < got.suv_peak < got.suv_max


def test_a_second_sarcoma_measures_as_its_publishers_say() -> None:
    """ibsi_small STS_019: 239 PET voxels, 17.1723 ml, maximum 16.32769."""
    folder = third_party("ibsi_small/STS_019")
    image, voxels = _read(folder / "PET_image.nii.gz", folder / "PET_mask.nii.gz")
    got = _one(image, voxels)
    assert got.voxels == 239
    assert got.voxels * image.grid.voxel_ml == pytest.approx(17.1723, abs=5e-4)
    assert got.suv_max == pytest.approx(16.32769, abs=1e-5)


def test_the_ibsi_phantom_has_the_consensus_peaks() -> None:
    """IBSI digital phantom: local intensity peak 2.6, global 3.1, mean 2.15, maximum 6."""
    folder = third_party("ibsi_1_digital_phantom/nifti")
    image, voxels = _read(folder / "image" / "phantom.nii.gz", folder / "mask" / "mask.nii.gz")
    got = _one(image, voxels)
    assert got.suv_peak == pytest.approx(3.1, abs=0.05)
    assert got.suv_mean == pytest.approx(2.15, abs=0.005)
    assert got.suv_max == 6.0
    at_maximum = voxels[values_at(image, voxels) == 6.0]
    assert peak_values(image, at_maximum).max() == pytest.approx(2.6, abs=0.05)
