"""Every sample subject gives what `sample_data/expected.json` says, through the command line.

`scripts/make_sample_data.py` works the counts out without volstrat; the verdicts are stated by hand.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner, Result

from sample_files import content
from volstrat.cli.app import cli

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"
SCRIPT = ROOT / "scripts" / "make_sample_data.py"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SAMPLE_DATA / "expected.json").read_text(encoding="utf-8"))
EXIT_CODES = {"assigned": 0, "review": 3, "not_assessable": 3, "failed": 1}
"""docs/record.md: 0 nothing to look at, 1 failed, 3 needs a person."""


def run(*arguments: str | Path) -> Result:
    """Run a command of the program, in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def assert_holds(record: Any, wanted: Any, at: str) -> None:  # noqa: ANN401 - any JSON value
    """Hold a record to every key that is expected of it; further keys are its own affair."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert key in record, f"{at}.{key} is absent"
            assert_holds(record[key], value, f"{at}.{key}")
    elif isinstance(wanted, float):
        assert record == pytest.approx(wanted, rel=1e-6, abs=1e-9), at
    else:
        assert record == wanted, at


def by_id(rows: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """Return rows by their id; ids are unique."""
    table = {row[key]: row for row in rows}
    assert len(table) == len(rows)
    return table


def assert_findings(record: dict[str, Any], wanted: list[str]) -> None:
    """Hold the findings to the story, and their severities to the status."""
    assert set(wanted) <= {finding["code"] for finding in record["findings"]}
    severities = {finding["severity"] for finding in record["findings"]}
    assert ("blocking" in severities) == (record["status"] == "not_assessable")
    assert ("review" in severities) <= (record["status"] != "assigned")


@pytest.mark.parametrize("subject", EXPECTED)
def test_sample_subject_gives_what_its_story_says(subject: str) -> None:
    """Status, stratum, predicates with their counts, volumes, lesions and findings are as worked out."""
    wanted = EXPECTED[subject]
    done = run("case", SAMPLE_DATA / subject, "--json")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    record = json.loads(done.stdout)
    assert record["subject"] == subject
    assert (record["status"], record["stratum"]) == (wanted["status"], wanted["stratum"])
    assert done.exit_code == EXIT_CODES[wanted["status"]]
    if wanted["status"] == "failed":
        assert wanted["error_names"] in record["error"]["message"]
        assert (record["predicates"], record["volumes"], record["lesions"]) == (None, None, [])
        return
    assert record["error"] is None
    assert_findings(record, wanted["findings"])
    assert_holds(record["predicates"], wanted["predicates"], "predicates")
    assert_holds(record["volumes"], wanted["volumes"], "volumes")
    lesions = by_id(record["lesions"], "lesion_id")
    assert list(lesions) == list(wanted["lesions"])
    assert_holds(lesions, wanted["lesions"], "lesions")
    if "pet_only_regions" in wanted:
        regions = by_id(record["pet_only_regions"], "lesion_id")
        assert list(regions) == list(wanted["pet_only_regions"])
        assert_holds(regions, wanted["pet_only_regions"], "pet_only_regions")


def test_missing_pet_is_only_worth_a_note_where_stratum_1_holds() -> None:
    """docs/rule.md: missing PET with stratum 1 true is ``info``."""
    record = json.loads(run("case", SAMPLE_DATA / "S06_no_pet_not_needed", "--json").stdout)
    assert [f["severity"] for f in record["findings"] if f["code"] == "pet_missing"] == ["info"]


def test_every_folder_has_an_expectation_and_a_story() -> None:
    """A missing expectation, an orphan one, or a subject that the README does not tell, fails."""
    folders = {path.name for path in SAMPLE_DATA.iterdir() if path.is_dir()}
    assert folders == set(EXPECTED)
    readme = (SAMPLE_DATA / "README.md").read_text(encoding="utf-8")
    assert [name for name in folders if f"`{name}`" not in readme] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the script has just written."""
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_the_script_writes_the_same_bytes_every_time(made: Path, tmp_path: Path) -> None:
    """Two runs into two folders agree byte for byte, and with what is committed once unpacked."""
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, capture_output=True)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (made, tmp_path)
    )
    assert first == second
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True, capture_output=True)


def test_the_check_compares_what_dicom_says_not_who_wrote_it() -> None:
    """Another transfer syntax and writer: the same content. One pixel, or one coordinate: another one."""
    path = SAMPLE_DATA / "S15_dicom" / "DICOM" / "SE0002" / "IM0012"

    def stored(**elements: object) -> bytes:
        dataset = pydicom.dcmread(path)
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        dataset.file_meta.ImplementationVersionName = "ANOTHER"
        out = io.BytesIO()
        dataset.save_as(out, implicit_vr=True, little_endian=True)
        return out.getvalue()

    original = path.read_bytes()
    assert stored() != original
    assert content("IM0012", stored()) == content("IM0012", original)
    pixels = bytearray(pydicom.dcmread(path).PixelData)
    pixels[100] ^= 1
    assert content("IM0012", stored(PixelData=bytes(pixels))) != content("IM0012", original)
    assert content("IM0012", stored(SliceThickness="3.1")) != content("IM0012", original)


@pytest.mark.slow
def test_the_check_sees_a_changed_a_missing_and_a_left_over_file(made: Path, tmp_path: Path) -> None:
    """`--check` is worth running: it exits 1 and names each of the three."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "S01_stratum_1" / "tumour.nii.gz").unlink()
    table = tmp_path / "S11_lesion_table" / "lesions.csv"
    table.write_text(table.read_text().replace("ablatable", "resectable"))
    (tmp_path / "stray.nrrd").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "missing: S01_stratum_1/tumour.nii.gz",
        "left over: stray.nrrd",
        "differs: S11_lesion_table/lesions.csv",
    ]
