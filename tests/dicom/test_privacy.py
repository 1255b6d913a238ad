"""What of DICOM leaves the reader: names of segments and ROIs, and no other free text, date or UID."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner

from tests.dicom.dicom_case import FRAME, STUDY, write_dicom_case
from volstrat.cli.app import cli

TEXTS = (
    *("SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments", "PatientComments"),
    *("InstitutionName", "StationName", "OperatorsName", "PerformedProcedureStepDescription"),
)
DATES = {
    "StudyDate": "20210314",
    "SeriesDate": "20210315",
    "AcquisitionDate": "20210316",
    "ContentDate": "20210317",
}
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Return a root with one case full of planted text, dates and UIDs, and what must not come out."""
    root = tmp_path_factory.mktemp("root")
    case = write_dicom_case(root / "S1", tumour="seg", avid="rtstruct")
    secret = {"Planted", *DATES.values(), STUDY, FRAME}
    for path in (path for path in case.rglob("*") if path.is_file() and path.suffix != ".csv"):
        dataset = pydicom.dcmread(path)
        for keyword in TEXTS:
            setattr(dataset, keyword, "Planted text")
        for keyword, day in DATES.items():
            setattr(dataset, keyword, day)
        if dataset.Modality == "PT":
            item = dataset.RadiopharmaceuticalInformationSequence[0]
            item.Radiopharmaceutical = "FDG Planted"
            item.RadiopharmaceuticalStartDateTime = "20210316090000"
        secret |= {str(dataset[keyword].value) for keyword in UIDS if keyword in dataset}
        dataset.save_as(path)
    return root, secret


def told(text: str, secret: set[str]) -> set[str]:
    """Return which of what must not come out a text holds, as a whole word."""
    return {one for one in secret if re.search(rf"(?<![\d.]){re.escape(one)}(?![\d.])", text)}


@pytest.mark.parametrize(
    "arguments",
    [["case", "S1", "--json"], ["case", "S1"], ["inspect", "S1", "--json"], ["inspect", "S1"]],
    ids=" ".join,
)
def test_records_and_tables_hold_no_text_date_or_uid(
    planted: tuple[Path, set[str]], arguments: list[str]
) -> None:
    """Of the image headers; segment and ROI names are there."""
    root, secret = planted
    command, subject, *rest = arguments
    done = CliRunner().invoke(cli, [command, str(root / subject), *rest])
    assert "metastasis" in done.output or command == "case"
    assert told(done.output, secret) == set()


def test_the_way_to_suv_holds_no_text_date_or_uid(planted: tuple[Path, set[str]]) -> None:
    """Times of day are there, dates are not."""
    root, secret = planted
    done = CliRunner().invoke(cli, ["suv", str(root / "S1" / "series 2"), "--json"])
    assert "090000" in done.output
    assert told(done.output, secret) == set()


def test_outputs_of_a_batch_hold_no_text_date_or_uid(planted: tuple[Path, set[str]], tmp_path: Path) -> None:
    """Every file of it, reports too."""
    root, secret = planted
    done = CliRunner().invoke(
        cli, ["batch", str(root), "-o", str(tmp_path / "out"), "--workers", "1", "--report"]
    )
    assert done.exit_code in (0, 3), done.output
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        assert told(path.read_bytes().decode("latin-1"), secret) == set(), path.name


def test_messages_hold_no_text_date_or_uid(planted: tuple[Path, set[str]], tmp_path: Path) -> None:
    """No segment of a name; two PET series; a PET whose date differs between slices."""
    root, secret = planted
    shutil.copytree(root / "S1", tmp_path / "S1")
    (tmp_path / "S1" / "case.toml").write_text(
        '[inputs]\ntumour = { path = "objects/a", segments = ["x"] }\n'
    )
    shutil.copytree(root / "S1" / "series 2", tmp_path / "two" / "again")
    for n, path in enumerate(sorted((tmp_path / "two" / "again").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.777", f"2.25.777.{n + 1}"
        dataset.save_as(path)
    shutil.copytree(root / "S1" / "series 2", tmp_path / "two" / "first")
    shutil.copytree(root / "S1" / "series 2", tmp_path / "mixed")
    path = next((tmp_path / "mixed").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.SeriesDate = "20210330"
    dataset.save_as(path)
    for arguments in (["case", "S1"], ["suv", "two"], ["suv", "mixed"]):
        done = CliRunner().invoke(cli, [arguments[0], str(tmp_path / arguments[1])])
        assert done.exit_code in (1, 2)
        assert told(done.output, {*secret, "20210330", "2.25.777"}) == set()
