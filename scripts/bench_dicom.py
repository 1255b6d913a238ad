"""Benchmark rows for DICOM: CT geometry, SEG, RTSTRUCT and PET as SUV."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_timing import Row, Timings, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.dicom.folder import SeriesFiles

    Numbers = NDArray[np.float64]

_ROIS = 60


def _series(folder: Path) -> SeriesFiles:
    from volstrat.dicom.folder_scan import scan_dicom

    return scan_dicom(folder).series[0]


def _place(origin: Iterable[float], spacing: Iterable[float]) -> list[float]:
    return [round(float(x), 3) for x in (*origin, *spacing)]


# --- CT: where its voxels lie -------------------------------------------------------------------------


def _ct_volstrat(ct: Path) -> list[float]:
    from volstrat.dicom.series import series_geometry

    grid = series_geometry(_series(ct)).grid
    return _place(grid.affine[:3, 3], grid.spacing_mm)


def _headers(folder: Path) -> list[Any]:
    from pydicom import dcmread

    return [dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]


def _ct_pydicom(ct: Path) -> list[float]:
    slices = sorted(_headers(ct), key=lambda s: float(s.ImagePositionPatient[2]))
    step = float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
    return _place(slices[0].ImagePositionPatient, (*slices[0].PixelSpacing, step))


def _ct_highdicom(ct: Path) -> list[float]:
    from highdicom.spatial import get_series_volume_positions

    slices = _headers(ct)
    spacing, positions = get_series_volume_positions(slices)
    assert spacing is not None
    assert positions is not None
    first = slices[positions.index(len(slices) - 1)]  # it counts from the head
    return _place(first.ImagePositionPatient, (*first.PixelSpacing, spacing))


def _sitk_series(folder: Path) -> Any:  # noqa: ANN401 - SimpleITK's image
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def _ct_simpleitk(ct: Path) -> list[float]:
    image = _sitk_series(ct)
    return _place(image.GetOrigin(), image.GetSpacing())


# --- SEG: voxels of each segment ----------------------------------------------------------------------


def _seg_volstrat(path: Path) -> list[int]:
    from volstrat.dicom.seg.segmentation import read_seg

    runs = read_seg(path)[0].runs
    return _counts(np.bincount(runs.labels, runs.stops - runs.starts, minlength=_ROIS + 1))


def _counts(by_label: NDArray[Any]) -> list[int]:
    return [int(n) for n in by_label[1:]]


def _seg_highdicom(path: Path, *, combine: bool) -> list[int]:
    import highdicom

    seg = highdicom.seg.segread(path)
    if combine:
        labels = seg.get_volume(combine_segments=True, dtype=np.uint8).array
        return _counts(np.bincount(labels.ravel(), minlength=_ROIS + 1))
    dense = seg.get_volume(combine_segments=False, dtype=np.uint8).array
    return [int(n) for n in dense.sum(axis=(0, 1, 2), dtype=np.int64)]


def _seg_pydicom(path: Path) -> list[int]:
    from pydicom import dcmread

    seg = dcmread(path)
    counts = np.zeros(_ROIS + 1, dtype=np.int64)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        counts[number] += np.count_nonzero(frame)
    return _counts(counts)


def _seg_simpleitk(path: Path) -> None:
    import SimpleITK as sitk

    sitk.ReadImage(str(path))


# --- RTSTRUCT: voxels of each ROI ---------------------------------------------------------------------


def _rtstruct_volstrat(folder: Path, *, series: bool) -> list[int]:
    """Read the ROIs on the CT's grid; with ``series``, the CT's headers are read for it too."""
    from volstrat.dicom.rtstruct.structure_set import StructureSet
    from volstrat.dicom.series import series_geometry
    from volstrat.geometry.grid import VoxelGrid

    grid = _GRID.get(folder)
    if series or grid is None:
        grid = series_geometry(_series(folder / "ct")).grid
        _GRID[folder] = grid
    assert isinstance(grid, VoxelGrid)
    runs = StructureSet(folder / "rtstruct.dcm").mask(grid=grid)[0].runs
    return _counts(np.bincount(runs.labels, runs.stops - runs.starts, minlength=_ROIS + 1))


_GRID: dict[Path, object] = {}


def _rtstruct_skimage(folder: Path) -> list[int]:
    """Pydicom's contours through scikit-image's point-in-polygon, slice by slice."""
    from pydicom import dcmread
    from skimage.draw import polygon2mask

    first = min(_headers(folder / "ct"), key=lambda s: float(s.ImagePositionPatient[2]))
    origin = np.array(first.ImagePositionPatient, dtype=float)
    spacing = np.array(first.PixelSpacing, dtype=float)
    counts = np.zeros(_ROIS + 1, dtype=np.int64)
    for roi in dcmread(folder / "rtstruct.dcm").ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)[:, :2]
            index = (points - origin[:2]) / spacing
            low = np.floor(index.min(axis=0))
            size = (np.ceil(index.max(axis=0)) - low + 1).astype(int)
            counts[roi.ReferencedROINumber] += np.count_nonzero(polygon2mask(tuple(size), index - low))
    return _counts(counts)


def _rtstruct_rt_utils(folder: Path) -> None:
    from rt_utils import RTStructBuilder

    rs = RTStructBuilder.create_from(str(folder / "ct"), str(folder / "rtstruct.dcm"))
    for name in rs.get_roi_names():
        rs.get_roi_mask_by_name(name).sum()


# --- PET: SUV -----------------------------------------------------------------------------------------


def _suv_volstrat(pet: Path) -> list[float]:
    from volstrat.dicom.pixels import read_suv
    from volstrat.dicom.series import series_geometry
    from volstrat.dicom.suv.suv_factors import suv_factors

    series = _series(pet)
    return _described(read_suv(series, series_geometry(series), suv_factors(series)).values)


def _described(suv: NDArray[Any]) -> list[float]:
    return [round(float(suv.max()), 4), round(float(suv.min()), 4)]


def _factor(header: Any) -> float:  # noqa: ANN401 - a pydicom data set
    dose = header.RadiopharmaceuticalInformationSequence[0]
    waited = (_seconds(header.SeriesTime) - _seconds(dose.RadiopharmaceuticalStartTime)) / float(
        dose.RadionuclideHalfLife
    )
    return float(header.PatientWeight) * 1000 / (float(dose.RadionuclideTotalDose) * 2**-waited)


def _seconds(time: str) -> int:
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:6])


def _suv_pydicom(pet: Path) -> list[float]:
    from pydicom import dcmread

    slices = sorted((dcmread(path) for path in pet.iterdir()), key=lambda s: float(s.ImagePositionPatient[2]))
    bq = np.stack(
        [s.pixel_array * np.float32(s.RescaleSlope) + np.float32(s.RescaleIntercept) for s in slices]
    )
    return _described(bq * np.float32(_factor(slices[0])))


def _suv_simpleitk(pet: Path) -> list[float]:
    import SimpleITK as sitk
    from pydicom import dcmread

    image = _sitk_series(pet)
    bq = sitk.GetArrayViewFromImage(image)
    header = dcmread(next(pet.iterdir()), stop_before_pixels=True)
    return _described(bq * np.float32(_factor(header)))


def _suv_highdicom(pet: Path) -> list[float]:
    from highdicom import get_volume_from_series
    from pydicom import dcmread

    slices = [dcmread(path) for path in pet.iterdir()]
    bq = get_volume_from_series(slices, dtype=np.float32).array
    return _described(bq * np.float32(_factor(slices[0])))


# ------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> list[Row]:
    """Return the rows of all four tables."""
    return [row for _, _, part in _tables(folder / "dicom") for row in part]


def _tables(folder: Path) -> list[tuple[str, str, list[Row]]]:
    """Return title, base row and rows of each table."""
    ct, pet, seg = folder / "ct", folder / "pet", folder / "seg.dcm"
    place, segments, rois, suv = (partial(Row, answer=name) for name in ("place", "seg", "roi", "suv"))
    pydicom, highdicom, sitk = ("pydicom",), ("highdicom",), ("SimpleITK",)
    return [
        (
            "CT: geometry of 300 slices of 512 x 512",
            "CT, volstrat",
            [
                place(name="CT, volstrat", work=partial(_ct_volstrat, ct)),
                place(name="CT, pydicom headers", work=partial(_ct_pydicom, ct), needs=pydicom),
                place(name="CT, highdicom positions", work=partial(_ct_highdicom, ct), needs=highdicom),
                place(name="CT, SimpleITK (pixels too)", work=partial(_ct_simpleitk, ct), needs=sitk),
            ],
        ),
        (
            "SEG: 60 segments on 512 x 512 x 300",
            "SEG, volstrat",
            [
                segments(name="SEG, volstrat", work=partial(_seg_volstrat, seg)),
                segments(
                    name="SEG, highdicom, combined",
                    work=partial(_seg_highdicom, seg, combine=True),
                    needs=highdicom,
                ),
                segments(
                    name="SEG, highdicom, each segment",
                    work=partial(_seg_highdicom, seg, combine=False),
                    needs=highdicom,
                ),
                segments(name="SEG, pydicom loop", work=partial(_seg_pydicom, seg), needs=pydicom),
                Row(name="SEG, SimpleITK (frames only)", work=partial(_seg_simpleitk, seg), needs=sitk),
            ],
        ),
        (
            "RTSTRUCT: 60 ROIs on 512 x 512 x 300",
            "RTSTRUCT, volstrat, CT headers too",
            [
                rois(name="RTSTRUCT, volstrat", work=partial(_rtstruct_volstrat, folder, series=False)),
                rois(
                    name="RTSTRUCT, volstrat, CT headers too",
                    work=partial(_rtstruct_volstrat, folder, series=True),
                ),
                rois(
                    name="RTSTRUCT, pydicom + polygon2mask",
                    work=partial(_rtstruct_skimage, folder),
                    needs=("pydicom", "skimage"),
                ),
                Row(name="RTSTRUCT, rt-utils", work=partial(_rtstruct_rt_utils, folder), needs=("rt_utils",)),
            ],
        ),
        (
            "PET: 350 slices of 200 x 200 to SUV",
            "PET, volstrat",
            [
                suv(name="PET, volstrat", work=partial(_suv_volstrat, pet)),
                suv(name="PET, pydicom loop", work=partial(_suv_pydicom, pet), needs=pydicom),
                suv(name="PET, SimpleITK + pydicom", work=partial(_suv_simpleitk, pet), needs=sitk + pydicom),
                suv(name="PET, highdicom", work=partial(_suv_highdicom, pet), needs=highdicom),
            ],
        ),
    ]


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print the tables and say which goals are met."""
    from bench_dicom_files import make_dicom

    make_dicom(folder / "dicom")
    seen: Timings = {}
    for title, base, part in _tables(folder / "dicom"):
        timings = run_rows(part, runs=runs, peak=peak)
        table(title, timings, base=base)
        seen |= timings
    print()
    _ahead(seen, "SEG, volstrat", "SEG, highdicom, combined", 3)
    _ahead(seen, "RTSTRUCT, volstrat, CT headers too", "RTSTRUCT, rt-utils", 20)
    for word in ("CT", "SEG", "RTSTRUCT", "PET"):
        own = f"{word}, volstrat" + (", CT headers too" if word == "RTSTRUCT" else "")
        others = [n for n in seen if n.startswith(word) and "volstrat" not in n and not seen[n].missing]
        if others:
            _ahead(seen, own, min(others, key=lambda n: seen[n].median), 1)


def _ahead(seen: Timings, own: str, other: str, times: float) -> None:
    """Print whether volstrat is as many times ahead as it should be."""
    if seen[other].missing:
        print(f"  not known: {own} against {other}, which is not installed")
    else:
        goal(f"{own} over {other}", seen[own].median / seen[other].median, 1 / times)
