"""The grid of a series is right, or the series is refused by what is wrong with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.image_files import (
    AXIAL_COLUMN,
    AXIAL_ROW,
    ENHANCED_CT,
    OBLIQUE_COLUMN,
    OBLIQUE_ROW,
    add_pixels,
    image_dataset,
    numbers,
    save,
    write_stack,
)
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.pixels import read_series
from volstrat.dicom.series import series_geometry
from volstrat.errors import CorruptDataError, FormatError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.dicom.series import SeriesGeometry

ORIGIN = np.array([-31.0, 17.5, -412.25])


def geometry_of(folder: Path) -> SeriesGeometry:
    """Return the geometry of the only series of a folder."""
    (series,) = scan_dicom(folder).series
    return series_geometry(series)


def edit(path: Path, change: Callable[[Dataset], object]) -> None:
    """Change a file in place."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def _put_at(z_mm: float, dataset: Dataset) -> None:
    dataset.ImagePositionPatient = numbers([0.0, 0.0, z_mm])


def test_axes_spacing_and_origin_follow_the_headers(tmp_path: Path) -> None:
    """PixelSpacing gives the distance between rows first; i runs along a row."""
    normal = np.cross(OBLIQUE_ROW, OBLIQUE_COLUMN)
    write_stack(tmp_path, row=OBLIQUE_ROW, column=OBLIQUE_COLUMN, step_mm=2.5 * normal)
    grid = geometry_of(tmp_path).grid
    assert grid.shape == (4, 6, 5)  # 4 columns, 6 rows, 5 slices
    # Neighbouring columns are 0.7 mm apart along a row, neighbouring rows 0.8 mm down a column.
    expected = np.column_stack([0.7 * OBLIQUE_ROW, 0.8 * OBLIQUE_COLUMN, 2.5 * normal, ORIGIN])
    np.testing.assert_allclose(grid.affine[:3], expected, atol=1e-9)
    assert grid.frame_of_reference_uid == "1.2.3.9"


def test_slices_are_ordered_by_position_whatever_files_and_numbers_say(tmp_path: Path) -> None:
    """Files written against the normal, named at random: k still rises along the normal."""
    paths = write_stack(tmp_path, step_mm=(0.0, 0.0, -2.5))
    geometry = geometry_of(tmp_path)
    assert [frame.file.path for frame in geometry.frames] == paths[::-1]
    assert geometry.grid.affine[2, 3] == pytest.approx(-412.25 - 4 * 2.5)
    assert geometry.grid.affine[2, 2] == pytest.approx(2.5)


@pytest.mark.parametrize("is_oblique", [pytest.param(False, id="axial"), pytest.param(True, id="oblique")])
def test_grid_and_pixels_agree_with_simpleitk(tmp_path: Path, is_oblique: bool) -> None:
    """GDCM sorts and places the same series the same way."""
    import SimpleITK as sitk

    row, column = (OBLIQUE_ROW, OBLIQUE_COLUMN) if is_oblique else (AXIAL_ROW, AXIAL_COLUMN)
    write_stack(tmp_path, count=7, row=row, column=column, step_mm=1.7 * np.cross(row, column), intercept=-24)
    (series,) = scan_dicom(tmp_path).series
    geometry = series_geometry(series)
    names = sitk.ImageSeriesReader_GetGDCMSeriesFileNames(str(tmp_path))
    theirs = sitk.ReadImage(names)
    grid = geometry.grid
    np.testing.assert_allclose(grid.spacing_mm, theirs.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(grid.affine[:3, 3], theirs.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(grid.directions.ravel(), theirs.GetDirection(), atol=1e-6)
    values = read_series(series, geometry).values
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(theirs).T)


def test_thickness_is_not_spacing(tmp_path: Path) -> None:
    """SliceThickness says 9 mm; the positions are 2.5 mm apart."""
    write_stack(tmp_path)
    assert geometry_of(tmp_path).grid.spacing_mm[2] == pytest.approx(2.5)


def test_a_missing_slice_is_named_with_its_place_and_width(tmp_path: Path) -> None:
    """Without the middle one of five slices of 2.5 mm a gap of 5 mm is left."""
    paths = write_stack(tmp_path)
    paths[2].unlink()
    with pytest.raises(GeometryError, match=r"1 slice is missing: 5\.00 mm between") as caught:
        geometry_of(tmp_path)
    assert paths[1].name in str(caught.value)
    assert paths[3].name in str(caught.value)
    assert "-409.75" in str(caught.value)  # -412.25 + 2.5, the slice before the gap
    assert "2.50 mm elsewhere" in str(caught.value)


def test_two_slice_distances_are_called_so(tmp_path: Path) -> None:
    """Eight slices 4 mm apart, then five 7 mm apart: none is missing, and nothing to export again."""
    heights = [*(4.0 * k for k in range(8)), *(28.0 + 7.0 * k for k in range(1, 6))]
    for path, z in zip(write_stack(tmp_path, count=13), heights, strict=True):
        edit(path, partial(_put_at, z))
    with pytest.raises(GeometryError) as caught:
        geometry_of(tmp_path)
    assert "has two slice distances, 4.00 mm and" in caught.value.message
    assert "7.00 mm" in caught.value.message
    assert "missing" not in caught.value.message
    assert "resample" in caught.value.hint


def test_three_slices_of_which_one_was_lost_do_not_pass_as_thick(tmp_path: Path) -> None:
    """Positions 0, 1 and 3 steps: the smaller distance is the spacing."""
    paths = write_stack(tmp_path, count=4)
    paths[2].unlink()
    with pytest.raises(GeometryError, match="1 slice is missing"):
        geometry_of(tmp_path)


@pytest.mark.parametrize(
    ("shift_mm", "is_taken"),
    [
        # 2 % of 2.5 mm is 0.05 mm. One of nine slices shifted: the lattice through the ends stays put.
        pytest.param(0.048, True, id="inside"),
        pytest.param(0.070, False, id="outside"),
        pytest.param(-0.070, False, id="outside, backwards"),
    ],
)
def test_a_slice_may_lie_two_percent_of_the_spacing_off(
    tmp_path: Path, shift_mm: float, is_taken: bool
) -> None:
    """Real series are not exact; what is taken is said in a finding."""
    paths = write_stack(tmp_path, count=9)
    position = [*ORIGIN[:2], ORIGIN[2] + 4 * 2.5 + shift_mm]
    edit(paths[4], lambda ds: setattr(ds, "ImagePositionPatient", numbers(position)))
    if is_taken:
        geometry = geometry_of(tmp_path)
        assert [finding.code for finding in geometry.findings] == ["slices_irregular"]
        assert geometry.grid.spacing_mm[2] == pytest.approx(2.5)
    else:
        with pytest.raises(GeometryError, match="not regular") as caught:
            geometry_of(tmp_path)
        assert paths[4].name in str(caught.value)


def test_one_irregular_end_does_not_bend_the_lattice(tmp_path: Path) -> None:
    """An end slice 0.045 mm off: the lattice through the ends would be worse than least squares."""
    paths = write_stack(tmp_path, count=3)
    position = [*ORIGIN[:2], ORIGIN[2] + 2 * 2.5 + 0.09]
    edit(paths[2], lambda ds: setattr(ds, "ImagePositionPatient", numbers(position)))
    # Through the ends the middle is 0.045 off (1.8 %); by least squares the worst is 0.03.
    geometry = geometry_of(tmp_path)
    assert geometry.grid.spacing_mm[2] == pytest.approx(2.545)
    assert geometry.grid.affine[2, 3] == pytest.approx(-412.25 - 0.09 / 6)


def test_two_images_at_one_position_are_refused(tmp_path: Path) -> None:
    """Two phases in one series."""
    write_stack(tmp_path / "a")
    write_stack(tmp_path / "b", seed=4)
    with pytest.raises(GeometryError, match="two images lie at one position"):
        geometry_of(tmp_path)


def test_gantry_tilt_is_refused(tmp_path: Path) -> None:
    """Slices that move 0.5 mm in plane for 2.5 mm along the normal: atan(0.2) = 11.31 degrees."""
    write_stack(tmp_path, step_mm=(0.0, 0.5, 2.5))
    with pytest.raises(GeometryError, match=r"gantry was tilted by 11\.31 degrees"):
        geometry_of(tmp_path)


def test_a_slice_moved_within_its_plane_is_refused(tmp_path: Path) -> None:
    """A second reconstruction with another centre."""
    paths = write_stack(tmp_path)
    position = [ORIGIN[0] + 1.5, ORIGIN[1], ORIGIN[2] + 2.5]
    edit(paths[1], lambda ds: setattr(ds, "ImagePositionPatient", numbers(position)))
    with pytest.raises(GeometryError, match="shifted by") as caught:
        geometry_of(tmp_path)
    assert paths[1].name in str(caught.value)


def _scout(dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def _turned(dataset: Dataset) -> None:
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]


def _other_matrix(dataset: Dataset) -> None:
    add_pixels(dataset, np.zeros((6, 5), dtype=np.int16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_scout, "1 of 5 images are scouts", id="scout"),
        pytest.param(_turned, "mixes orientations", id="orientation"),
        pytest.param(_other_matrix, "mixes matrices: ", id="matrix"),
        pytest.param(
            lambda ds: setattr(ds, "PixelSpacing", ["0.8", "0.71"]), "mixes pixel spacings", id="spacing"
        ),
        pytest.param(
            lambda ds: setattr(ds, "FrameOfReferenceUID", "1.9"), "mixes frames of reference", id="frame"
        ),
        pytest.param(
            lambda ds: delattr(ds, "ImagePositionPatient"), "no usable ImagePositionPatient", id="position"
        ),
        pytest.param(
            lambda ds: delattr(ds, "ImageOrientationPatient"),
            "no usable ImageOrientationPatient",
            id="no orientation",
        ),
        pytest.param(lambda ds: delattr(ds, "PixelSpacing"), "no usable PixelSpacing", id="no spacing"),
        pytest.param(
            lambda ds: setattr(ds, "PixelSpacing", ["0", "0.7"]), "PixelSpacing is", id="zero spacing"
        ),
    ],
)
def test_one_image_that_differs_is_refused_by_what_differs(
    tmp_path: Path, change: Callable[[Dataset], object], message: str
) -> None:
    """Only one field of one of five slices is changed."""
    paths = write_stack(tmp_path)
    edit(paths[3], change)
    with pytest.raises(GeometryError, match=message):
        geometry_of(tmp_path)


def test_a_series_of_scouts_is_called_one(tmp_path: Path) -> None:
    """There is no axial image to fall back on."""
    for path in write_stack(tmp_path, count=2):
        edit(path, _scout)
    with pytest.raises(GeometryError, match="is a scout"):
        geometry_of(tmp_path)


def test_axes_that_are_not_perpendicular_are_refused(tmp_path: Path) -> None:
    """Row and column meet at cosine 0.1."""
    for path in write_stack(tmp_path, count=2):
        edit(path, lambda ds: setattr(ds, "ImageOrientationPatient", ["1", "0", "0", "0.1", "0.995", "0"]))
    with pytest.raises(GeometryError, match="not two perpendicular unit vectors"):
        geometry_of(tmp_path)


def test_one_instance_in_two_files_is_refused_by_both_names(tmp_path: Path) -> None:
    """Even where the bytes are the same, nobody copied it on purpose."""
    paths = write_stack(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(paths[1].read_bytes())
    with pytest.raises(CorruptDataError, match="same DICOM instance") as caught:
        geometry_of(tmp_path)
    assert "copy.dcm" in str(caught.value)
    assert paths[1].name in str(caught.value)


def test_a_single_slice_takes_its_thickness_with_a_finding(tmp_path: Path) -> None:
    """SliceThickness is 9 mm; with SpacingBetweenSlices 4 mm that one is taken."""
    (path,) = write_stack(tmp_path, count=1)
    geometry = geometry_of(tmp_path)
    assert geometry.grid.spacing_mm[2] == pytest.approx(9)
    assert "single_slice" in [finding.code for finding in geometry.findings]
    edit(path, lambda ds: setattr(ds, "SpacingBetweenSlices", "4"))
    assert geometry_of(tmp_path).grid.spacing_mm[2] == pytest.approx(4)


def test_a_single_slice_without_thickness_is_refused(tmp_path: Path) -> None:
    """A volume cannot be made of it."""
    (path,) = write_stack(tmp_path, count=1)
    edit(path, lambda ds: delattr(ds, "SliceThickness"))
    with pytest.raises(GeometryError, match="only slice"):
        geometry_of(tmp_path)


def test_thick_ct_slices_are_said_to_be_thick(tmp_path: Path) -> None:
    """Above 3 mm; 2.5 mm are fine."""
    write_stack(tmp_path / "thick", step_mm=(0, 0, 5.0))
    write_stack(tmp_path / "thin")
    assert [finding.code for finding in geometry_of(tmp_path / "thick").findings] == ["thick_slices"]
    assert geometry_of(tmp_path / "thin").findings == ()


def enhanced_ct(stored: NDArray[np.int16], places: list[int], *, slopes: list[float]) -> Dataset:
    """Return an Enhanced CT whose frame n lies at place ``places[n]`` of a 2 mm lattice along z."""
    dataset = image_dataset(pixels=stored, position_mm=(0, 0, 0))
    dataset.SOPClassUID = ENHANCED_CT
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = len(places)
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["0.8", "0.7"], "9"
    orientation.ImageOrientationPatient = numbers([*AXIAL_ROW, *AXIAL_COLUMN])
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for place, slope in zip(places, slopes, strict=True):
        position, scale, item = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = numbers([-31.0, 17.5, 100.0 + 2.0 * place])
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = f"{slope:g}", "-10", "HU"
        item.PlanePositionSequence = Items([position])
        item.PixelValueTransformationSequence = Items([scale])
        frames.append(item)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    return dataset


@pytest.mark.parametrize("is_undefined", [False, True], ids=["defined lengths", "undefined lengths"])
def test_enhanced_frames_are_placed_and_scaled_one_by_one(tmp_path: Path, is_undefined: bool) -> None:
    """Frames stored in the order 2, 0, 1, each with a slope of its own."""
    stored = np.arange(3 * 6 * 4, dtype=np.int16).reshape(3, 6, 4)
    dataset = enhanced_ct(stored, [2, 0, 1], slopes=[1.0, 2.0, 0.5])
    if is_undefined:
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            dataset[name].is_undefined_length = True
            for item in dataset[name].value:
                item.is_undefined_length_sequence_item = True
    save(dataset, tmp_path / "enhanced")
    (series,) = scan_dicom(tmp_path).series
    assert series.number_of_slices == 3
    geometry = series_geometry(series)
    assert geometry.grid.shape == (4, 6, 3)
    np.testing.assert_allclose(geometry.grid.affine[:3, 3], [-31.0, 17.5, 100.0])
    np.testing.assert_allclose(geometry.grid.spacing_mm, (0.7, 0.8, 2.0))
    assert [frame.index for frame in geometry.frames] == [1, 2, 0]
    values = read_series(series, geometry).values
    for k, (frame, slope) in enumerate([(1, 2.0), (2, 0.5), (0, 1.0)]):
        np.testing.assert_array_equal(values[:, :, k], (stored[frame] * slope - 10).T)


def test_enhanced_files_whose_groups_and_frames_differ_in_number_are_refused(tmp_path: Path) -> None:
    """Three frames, two described."""
    dataset = enhanced_ct(np.zeros((3, 6, 4), dtype=np.int16), [0, 1, 2], slopes=[1.0] * 3)
    del dataset.PerFrameFunctionalGroupsSequence[2]
    save(dataset, tmp_path / "enhanced")
    with pytest.raises(CorruptDataError, match="describes 2 frames"):
        geometry_of(tmp_path)


def test_classic_files_with_several_frames_have_no_positions(tmp_path: Path) -> None:
    """A classic CT object holds one slice."""
    dataset = image_dataset(pixels=np.zeros((3, 6, 4), dtype=np.int16), position_mm=ORIGIN)
    dataset.NumberOfFrames = 3
    save(dataset, tmp_path / "multi")
    with pytest.raises(FormatError, match="3 frames without a position"):
        geometry_of(tmp_path)


def test_missing_rescale_of_ct_is_said(tmp_path: Path) -> None:
    """Derived CT sometimes has no slope: 1 is used."""
    paths = write_stack(tmp_path)
    edit(paths[0], lambda ds: delattr(ds, "RescaleSlope"))
    assert [finding.code for finding in geometry_of(tmp_path).findings] == ["rescale_missing"]


def test_decimal_rounding_is_no_irregularity(tmp_path: Path) -> None:
    """Positions written with three decimals lie up to 0.0005 mm off a lattice of 2/3 mm."""
    paths = write_stack(tmp_path, count=6, step_mm=(0.0, 0.0, 2.0 / 3))
    for path in paths:
        edit(
            path,
            lambda ds: setattr(
                ds, "ImagePositionPatient", [f"{float(value):.3f}" for value in ds.ImagePositionPatient]
            ),
        )
    geometry = geometry_of(tmp_path)
    assert geometry.findings == ()
    assert geometry.grid.spacing_mm[2] == pytest.approx(2.0 / 3, abs=2e-4)
