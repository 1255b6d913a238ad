"""A PET whose header changed is told from one whose voxels did, measured again or by hashes alone."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.cohort.cohorts import InlineRunner
from tests.comparison.readers import AFFINE, SHAPE, stratum_1
from tests.dicom.dicom_case import write_dicom_case
from volstrat.case.discovery import CasePlace
from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort
from volstrat.verify import verify_output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

    from volstrat.verify.steps import Difference


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no workers."""
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cohort of one DICOM case, which was run; no test may touch it."""
    root = tmp_path_factory.mktemp("pet")
    write_dicom_case(root / "cases" / "S1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
        run_cohort(root / "cases", root / "out", load_protocol(None), workers=1)
    return root


def edited(made: Path, root: Path, edit: Callable[[Dataset], object]) -> None:
    """Copy the cohort and edit every file of its PET."""
    shutil.copytree(made, root, dirs_exist_ok=True)
    for path in (root / "cases" / "S1" / "series 2").iterdir():
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path)


def differences(root: Path, *, only_hashes: bool) -> list[Difference]:
    """Return what verifying says of the one subject's PET; nothing where nothing differs at all."""
    result = verify_output(root / "out", inputs=root / "cases", only_hashes=only_hashes, workers=1)
    if not result.differing:
        return []
    (found,) = result.differing
    return [one for one in found.differences if one.role == "pet"]


@pytest.mark.parametrize("only_hashes", [True, False])
@pytest.mark.parametrize(
    ("edit", "what"),
    [
        pytest.param(
            lambda dataset: setattr(dataset, "PatientID", "ANOTHER"),
            "sha256 (voxels and grid are the same)", id="identity",
        ),
        pytest.param(
            lambda dataset: setattr(dataset, "StudyDescription", "PET follow-up"),
            "sha256 (voxels and grid are the same)", id="text",
        ),
        pytest.param(lambda dataset: setattr(dataset, "PatientWeight", "80"), "PatientWeight", id="weight"),
    ],
)  # fmt: skip
def test_a_changed_attribute_of_a_pet_is_a_header(
    made: Path, tmp_path: Path, only_hashes: bool, edit: Callable[[Dataset], object], what: str
) -> None:
    """The stored values are what they were; an attribute that SUV rests on is named."""
    edited(made, tmp_path, edit)
    found = differences(tmp_path, only_hashes=only_hashes)
    assert [(one.step, one.what) for one in found] == [("header", what)]


@pytest.mark.parametrize("only_hashes", [True, False])
def test_one_changed_voxel_of_a_pet_is_input_bytes(made: Path, tmp_path: Path, only_hashes: bool) -> None:
    """One stored value of one slice, one higher."""

    def brighter(dataset: Dataset) -> None:
        if dataset.InstanceNumber == 3:
            values = dataset.pixel_array.copy()
            values[0, 0] += 1
            dataset.PixelData = values.tobytes()

    edited(made, tmp_path, brighter)
    found = differences(tmp_path, only_hashes=only_hashes)
    assert [(one.step, one.what) for one in found] == [("input_bytes", "sha256")]


@pytest.mark.parametrize("only_hashes", [True, False])
def test_two_slices_that_changed_places_are_input_bytes(
    made: Path, tmp_path: Path, only_hashes: bool
) -> None:
    """The values of two slices swapped: the hash goes by the grid's order, so it is another."""
    edited(made, tmp_path, lambda dataset: None)
    folder = tmp_path / "cases" / "S1" / "series 2"
    slices = {one.InstanceNumber: (path, one) for path in folder.iterdir() if (one := pydicom.dcmread(path))}
    busy = max(slices, key=lambda n: int(slices[n][1].pixel_array.std()))
    (path_a, a), (path_b, b) = slices[busy], slices[1]
    assert a.PixelData != b.PixelData
    a.PixelData, b.PixelData = b.PixelData, a.PixelData
    a.save_as(path_a)
    b.save_as(path_b)
    assert {one.step for one in differences(tmp_path, only_hashes=only_hashes)} == {"input_bytes"}


def test_another_transfer_syntax_is_a_header(made: Path, tmp_path: Path) -> None:
    """An archive that compresses the same values changes no voxel."""
    edited(made, tmp_path, lambda dataset: dataset.compress(pydicom.uid.RLELossless))
    found = differences(tmp_path, only_hashes=True)
    assert {one.step for one in found} == {"header"}


def test_a_receipt_made_to_fit_hides_no_changed_pet(made: Path, tmp_path: Path) -> None:
    """The record itself has the hash of the series: what the receipt says is not asked."""
    edited(made, tmp_path, lambda dataset: setattr(dataset, "PatientID", "ANOTHER"))
    record = (tmp_path / "out" / "S1" / "case.json").read_text()
    assert '"voxels_sha256"' in record.split('"role": "pet"')[1].split('"role"')[0]
    receipt = tmp_path / "out" / "S1" / ".receipt.json"
    case = CasePlace(folder=tmp_path / "cases" / "S1", subject="S1").open()
    told = {**json.loads(receipt.read_bytes()), "inputs_sha256": take_fingerprint(case.sources).sha256}
    receipt.write_text(json.dumps(told))
    assert [one.step for one in differences(tmp_path, only_hashes=True)] == ["header"]


def suv_case(folder: Path, *, name: str = "suv.nii.gz", **header: Any) -> None:  # noqa: ANN401 - header fields
    """Write a case whose PET is no DICOM."""
    stratum_1(folder)
    image = nib.Nifti1Image(np.full(SHAPE, 2.0, np.float32), AFFINE)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, folder / name)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        pytest.param("suv.nii.gz", "sha256 (voxels and grid are the same)", id="values-were-read"),
        pytest.param(
            "pet.nii.gz", "sha256 (no hash of the voxels alone: voxels or header cannot be told)",
            id="values-were-never-read",
        ),
    ],
)  # fmt: skip
def test_a_pet_that_is_no_dicom_is_told_where_its_values_were_read(
    tmp_path: Path, name: str, what: str
) -> None:
    """What nobody read has no hash of its voxels, and that is said."""
    suv_case(tmp_path / "cases" / "S1", name=name)
    run_cohort(tmp_path / "cases", tmp_path / "out", load_protocol(None), workers=1)
    suv_case(tmp_path / "cases" / "S1", name=name, descrip=b"another text")
    (found,) = differences(tmp_path, only_hashes=True)
    assert found.what == what
    assert found.step == ("header" if name.startswith("suv") else "input_bytes")


def test_a_header_with_its_voxels_in_another_file_is_what_it_was(tmp_path: Path) -> None:
    """The hash is that of both files, with --only-hashes too."""
    stratum_1(tmp_path / "cases" / "S1")
    for path in list((tmp_path / "cases" / "S1").glob("*.nii.gz")):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).replace(".nii.gz", ".mhd"))
        path.unlink()
    run_cohort(tmp_path / "cases", tmp_path / "out", load_protocol(None), workers=1)
    assert verify_output(tmp_path / "out", only_hashes=True).clean
    raw = tmp_path / "cases" / "S1" / "resectable.raw"
    data = bytearray(raw.read_bytes())
    data[-1] ^= 1
    raw.write_bytes(data)
    result = verify_output(tmp_path / "out", only_hashes=True)
    assert [(one.first.step, one.first.role) for one in result.differing] == [("input_bytes", "resectable")]
