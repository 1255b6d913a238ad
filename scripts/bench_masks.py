"""Benchmark rows for a whole-body case of masks, and for what robustness adds to it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench_phantoms import CT_SHAPE, lesions, write_case
from bench_timing import SCRIPTS, Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from volstrat.case.inputs import CaseInputs
    from volstrat.rule.measure import Measurements

Answer = tuple[int, int, int]
"""Lesions, tumour voxels, resectable tumour voxels."""

_FILES = ("tumour.nii.gz", "resectable.nii.gz")
_VOXEL_BYTES = CT_SHAPE[0] * CT_SHAPE[1] * CT_SHAPE[2]
_BLOCK, _PIECE = 1 << 16, 1 << 19


def make(folder: Path) -> None:
    """Write the cases ``masks`` and ``pet`` into a folder."""
    bodies = lesions(seed=1)
    write_case(folder / "masks", bodies, pet=None)
    write_case(folder / "pet", bodies, pet=bodies)


# --- floors -------------------------------------------------------------------------------------------


def _discarded(folder: Path) -> int:
    from zlib_ng import zlib_ng

    size = 0
    for name in _FILES:
        engine = zlib_ng.decompressobj(wbits=31)
        with (folder / name).open("rb") as stream:
            while block := stream.read(_BLOCK):
                while block:
                    size += len(engine.decompress(block, _PIECE))
                    block = engine.unconsumed_tail
    return size


def _laid_out(folder: Path, module: str) -> int:
    """Lay both files out as bytes, the room for them known beforehand."""
    engine = _decompressor(module)
    return sum(len(engine((folder / name).read_bytes(), _VOXEL_BYTES + 352)) for name in _FILES)


def _decompressor(module: str) -> Callable[[bytes, int], bytes]:
    if module == "zlib_ng":
        from zlib_ng import zlib_ng

        return lambda data, size: zlib_ng.decompress(data, wbits=31, bufsize=size)
    if module == "isal":
        from isal import isal_zlib

        return lambda data, size: isal_zlib.decompress(data, wbits=31, bufsize=size)
    import zlib

    return lambda data, size: zlib.decompress(data, wbits=31, bufsize=size)


# --- volstrat -----------------------------------------------------------------------------------------


def _read(folder: Path) -> CaseInputs:
    from volstrat.case.discovery import open_case
    from volstrat.case.inputs import read_inputs
    from volstrat.case.protocol_files import load_protocol

    return read_inputs(open_case(folder), load_protocol(None).protocol)


def _measured(folder: Path) -> Measurements:
    from volstrat.case.protocol_files import load_protocol
    from volstrat.rule.measure import measure_case

    return measure_case(_read(folder).masks, load_protocol(None).protocol)


def _assessed(folder: Path) -> Answer:
    """Read, measure and apply the rule."""
    from volstrat.case.protocol_files import load_protocol
    from volstrat.rule.stratify import assess

    measured = _measured(folder)
    first = assess(measured, load_protocol(None).protocol).stratum_1
    assert first.part_voxels is not None
    assert first.whole_voxels is not None
    return measured.lesions.count, first.whole_voxels, first.part_voxels


def _case(folder: Path) -> Answer:
    """All that ``volstrat case`` does, robustness and the record's bytes included."""
    from volstrat.case.assess import run_case
    from volstrat.case.json_types import record_bytes
    from volstrat.case.protocol_files import load_protocol

    record = run_case(folder, load_protocol(None))
    record_bytes(record)
    assert record["predicates"] is not None
    first = record["predicates"]["stratum_1"]
    assert first["whole_voxels"] is not None
    assert first["part_voxels"] is not None
    return len(record["lesions"]), first["whole_voxels"], first["part_voxels"]


# --- what a user would otherwise write ----------------------------------------------------------------


def _simpleitk(folder: Path, *, feret: bool) -> Answer:
    from bench_simpleitk import measure

    found = measure(folder, feret=feret)
    return int(found["lesions"]), int(found["tumour_voxels"]), int(found["resectable_voxels"])


def _nibabel_cc3d(folder: Path) -> Answer:
    import cc3d
    import numpy as np
    from nibabel import Nifti1Image

    images = (Nifti1Image.from_filename(folder / name) for name in _FILES)
    tumour, resectable = (np.asanyarray(image.dataobj) for image in images)
    labels, count = cc3d.connected_components(tumour, connectivity=26, return_N=True)
    found = cc3d.statistics(labels)
    inside = np.bincount(labels[resectable > 0], minlength=count + 1)
    return count, int(found["voxel_counts"][1:].sum()), int(inside[1:].sum())


def _nibabel_skimage(folder: Path) -> Answer:
    import numpy as np
    from nibabel import Nifti1Image
    from skimage.measure import label, regionprops_table

    images = (Nifti1Image.from_filename(folder / name) for name in _FILES)
    tumour, resectable = (np.asanyarray(image.dataobj) for image in images)
    labels = label(tumour, connectivity=3)
    names = ("area", "centroid", "bbox", "mean_intensity")
    found = regionprops_table(labels, intensity_image=resectable, properties=names)
    inside = np.rint(found["mean_intensity"] * found["area"]).sum()
    return len(found["area"]), int(found["area"].sum()), int(inside)


def _loop(folder: Path) -> Answer:
    """Dense floats and a loop over labels, as in TotalSegmentator's volume statistics."""
    import numpy as np
    from nibabel import Nifti1Image
    from scipy import ndimage

    tumour, resectable = (Nifti1Image.from_filename(folder / name).get_fdata() for name in _FILES)
    labels, count = ndimage.label(tumour, np.ones((3, 3, 3)))
    voxels = resectable_voxels = 0
    for n in range(1, count + 1):
        lesion = labels == n
        voxels += int(lesion.sum())
        resectable_voxels += int(resectable[lesion].sum())
    return count, voxels, resectable_voxels


def _pyradiomics(folder: Path) -> Answer:
    import SimpleITK as sitk
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    tumour, resectable = (sitk.ReadImage(str(folder / name)) for name in _FILES)
    lesions = sitk.ConnectedComponent(tumour, True)
    inside = sitk.LabelStatisticsImageFilter()
    inside.Execute(resectable, lesions)
    extractor = RadiomicsFeatureExtractor()
    extractor.disableAllFeatures()
    extractor.enableFeatureClassByName("shape")
    labels = [n for n in inside.GetLabels() if n]
    for n in labels:
        extractor.execute(tumour, lesions, label=n)
    return (
        len(labels),
        sum(inside.GetCount(n) for n in labels),
        sum(round(inside.GetSum(n)) for n in labels),
    )


def rows(folder: Path) -> list[Row]:
    """Return the rows of the table of masks."""
    masks, pet = folder / "masks", folder / "pet"
    row = partial(Row, answer="counts")
    return [
        Row(name="floor: zlib-ng, discarded", work=partial(_discarded, masks)),
        Row(name="floor: zlib-ng to bytes", work=partial(_laid_out, masks, "zlib_ng")),
        Row(name="floor: isal to bytes", work=partial(_laid_out, masks, "isal"), needs=("isal",)),
        Row(name="floor: zlib to bytes", work=partial(_laid_out, masks, "zlib")),
        Row(name="volstrat, read", work=partial(_read, masks)),
        row(name="volstrat, read + measure", work=partial(_assessed, masks)),
        row(name="volstrat, + PET and attribution", work=partial(_assessed, pet)),
        row(name="volstrat, whole case", work=partial(_case, masks)),
        row(name="volstrat, whole case with PET", work=partial(_case, pet)),
        row(name="SimpleITK", work=partial(_simpleitk, masks, feret=False), needs=("SimpleITK",)),
        row(name="SimpleITK, Feret", work=partial(_simpleitk, masks, feret=True), needs=("SimpleITK",)),
        row(name="nibabel + cc3d", work=partial(_nibabel_cc3d, masks), needs=("nibabel", "cc3d")),
        row(
            name="nibabel + scikit-image",
            work=partial(_nibabel_skimage, masks),
            needs=("nibabel", "skimage"),
        ),
        row(name="get_fdata + loop over labels", work=partial(_loop, masks), needs=("nibabel", "scipy")),
        row(
            name="SimpleITK + PyRadiomics shape",
            work=partial(_pyradiomics, masks),
            needs=("SimpleITK", "radiomics"),
        ),
    ]


def programs(folder: Path) -> list[Row]:
    """Return the rows of the table of whole programs."""
    script = str(SCRIPTS / "bench_simpleitk.py")
    masks = str(folder / "masks")
    needs = ("SimpleITK",)
    return [
        Row(name="bare Python", program=(sys.executable, "-c", "pass")),
        Row(name="volstrat --version", program=volstrat("--version")),
        Row(name="volstrat case", program=volstrat("case", masks, "--json")),
        Row(
            name="volstrat case, with PET",
            program=volstrat("case", str(folder / "pet"), "--json"),
            accepts=(0, 3),
        ),
        Row(name="SimpleITK script", program=(sys.executable, script, masks), needs=needs),
        Row(name="SimpleITK script, Feret", program=(sys.executable, script, masks, "--feret"), needs=needs),
    ]


def volstrat(*arguments: str) -> tuple[str, ...]:
    """Return the command as a person would run it: the installed program, else the module."""
    installed = Path(sys.executable).with_name("volstrat")
    if installed.exists():
        return (str(installed), *arguments)
    return (sys.executable, "-m", "volstrat", *arguments)


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print the tables and say which goals are met."""
    make(folder)
    seen = run_rows(rows(folder), runs=runs, peak=peak)
    title = "Masks: tumour + resectable, 512 x 512 x 700, 60 lesions, .nii.gz; warm process"
    table(title, seen, base="floor: zlib-ng to bytes")
    floor = seen["floor: zlib-ng to bytes"].median
    measured = seen["volstrat, read + measure"].median
    with_pet = seen["volstrat, + PET and attribution"].median
    goal("read + measure, diameters included, over laying the files out as bytes", measured / floor, 0.6)
    goal("what PET and attribution add, over read + measure", with_pet / measured - 1, 0.5)
    whole = run_rows(programs(folder), runs=runs, peak=None)
    missing = bool(whole["SimpleITK script"].missing)
    base = "bare Python" if missing else "SimpleITK script"
    table("The same as whole programs", whole, base=base)
    if not missing:
        share = whole["volstrat case"].median / whole["SimpleITK script"].median
        goal("volstrat case over the SimpleITK script, without Feret on its side", share, 0.25)
    goal("peak memory of volstrat case, MB", (whole["volstrat case"].peak_bytes or 0) / 1e6, 64)
    starts = whole["volstrat --version"].median / whole["bare Python"].median
    goal("volstrat --version over bare Python", starts, 3)
