"""One phantom with parts called resectable and unresectable: one answer in every format and layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from tests.dicom.dicom_case import labels, runs_as_contours, write_ct, write_rtstruct, write_seg
from tests.part_cases import PROTOCOL, TABLE
from tests.phantom_case import CT_AFFINE, write_segmentation
from tests.records import run_case
from volstrat.case.assess import assess_case
from volstrat.cohort.source import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

YES, NO = labels() == 2, np.isin(labels(), (1, 3))
BOTH = (YES + 2 * NO).astype(np.uint8)
COUNTS = (int(YES.sum()), int((YES | NO).sum()))
"""What is resectable, and all tumour, in voxels."""
FORMATS = {
    "seg": ".dcm",
    "rtstruct": ".dcm",
    "seg.nrrd": ".seg.nrrd",
    "named": ".nii.gz",
    "unnamed": ".nii.gz",
}
EVERYWHERE = [
    (kind, how) for kind in FORMATS for how in ("stem", "case.toml", "manifest") if kind != "unnamed"
]
DICOM_FOLDERS = [("seg", "folder"), ("rtstruct", "folder")]


def nifti(path: Path, array: NDArray[Any], names: dict[int, str] | None = None) -> None:
    """Write a label map, with a label table where there are names."""
    image = nib.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ CT_AFFINE)
    if names:
        body = "".join(f'<Label Key="{n}"><![CDATA[{name}]]></Label>' for n, name in names.items())
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, TABLE.format(body).encode()))
    nib.save(image, path)


def write_mask(path: Path, kind: str, masks: dict[str, NDArray[Any]], images: list[Path], uid: str) -> None:
    """Write masks as the parts of one file."""
    if kind == "seg":
        write_seg(path, masks, images, uid=uid)
    elif kind == "rtstruct":
        contours = {name: runs_as_contours(mask) for name, mask in masks.items()}
        write_rtstruct(path, contours, CT_AFFINE, uid=uid)
    else:
        numbers = dict(enumerate(masks, start=1))
        array = sum(n * (masks[name] != 0) for n, name in numbers.items())
        dense = np.asarray(array, dtype=np.uint8)
        if kind == "seg.nrrd":
            segments = [(name, n, 0) for n, name in numbers.items()]
            write_segmentation(path, [dense], CT_AFFINE, segments, drawn_on=(CT_AFFINE, dense.shape))
        else:
            nifti(path, dense, numbers if kind == "named" else None)


def record_of(tmp_path: Path, kind: str, how: str) -> dict[str, Any]:
    """Write the phantom in a format and a layout, and run it."""
    case = tmp_path / "S1"
    images = write_ct(case / "ct")
    total, halves = {"Tumour": YES | NO}, {"Resectable": YES, "Unresectable": NO}
    ending = FORMATS[kind]
    stems = ("tumour", "resectable") if how == "stem" else ("a", "b")
    if how == "folder":
        (case / "objects").mkdir()
        stems, ending = ("objects/1", "objects/2"), ""
    files = [case / f"{stem}{ending}" for stem in stems]
    write_mask(files[0], kind, total, images, "2.25.801")
    write_mask(files[1], kind, halves, images, "2.25.802")
    if how == "case.toml":
        lines = [f'tumour = "a{ending}"', f'resectable = "b{ending}"', 'ct = "ct"']
        (case / "case.toml").write_text("[inputs]\n" + "\n".join(lines) + "\n")
    if how == "manifest":
        manifest = tmp_path / "manifest.csv"
        row = f"S1,S1/a{ending},S1/b{ending},S1/ct"
        manifest.write_text(f"subject,tumour,resectable,ct\n{row}\n")
        (found,) = Manifest(manifest).cases()
        assert found.sources is not None
        return dict(assess_case(found.sources, PROTOCOL).record)
    return run_case(case, PROTOCOL)


@pytest.mark.parametrize(("kind", "how"), [*EVERYWHERE, *DICOM_FOLDERS])
def test_the_same_voxels_are_resectable(tmp_path: Path, kind: str, how: str) -> None:
    """What is called unresectable is not taken, by whatever way the file was found."""
    record = record_of(tmp_path, kind, how)
    assert record["error"] is None
    predicate = record["predicates"]["stratum_1"]
    assert (predicate["part_voxels"], predicate["whole_voxels"]) == COUNTS
    assert not [f for f in record["findings"] if f["severity"] == "review" and f["code"] != "borderline"]
    parts = {
        part["name"]: part["role"]
        for one in record["inputs"]
        if one["role"] == "resectable"
        for part in one["parts"]
    }
    assert parts == {"Resectable": "resectable", "Unresectable": None}


@pytest.mark.parametrize("how", ["stem", "case.toml"])
def test_without_names_the_two_labels_are_asked_for(tmp_path: Path, how: str) -> None:
    """NIfTI that says nothing: the same refusal however it was found."""
    error = record_of(tmp_path, "unnamed", how)["error"]
    assert error["code"] == "parts_ambiguous"
    assert "label 1, label 2" in error["message"]
