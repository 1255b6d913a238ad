"""`scripts/validate`: third parties' numbers beside ours, and the table in the documentation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import validation
from validation_figure import Figure

pytestmark = pytest.mark.slow  # folders of DICOM among them

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "sts_001", "ibsi_small", "dcmqi", "highdicom", "ibsi_1_digital_phantom", "totalseg", "rt-utils",
    "crlm_ct_1004", "calculate-suv",
)  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[validation.Row]:
    """Return every figure, or skip where the images are not at hand."""
    missing = [name for name in FOLDERS if not (validation.DATA / name).is_dir()]
    if missing:
        pytest.skip(f"shared data without {', '.join(missing)}: set VOLSTRAT_TEST_DATA")
    return validation.rows_of(validation.DATA)


def test_every_third_party_number_is_reproduced(rows: list[validation.Row]) -> None:
    """None differs, none is left out."""
    assert [row for row in rows if row.state != "same"] == []
    assert {row.folder for row in rows} == set(FOLDERS)


def test_the_documentation_holds_the_table(rows: list[validation.Row]) -> None:
    """`docs/core-lab.md` ends with what `scripts/validate --markdown` prints."""
    text = (ROOT / "docs" / "core-lab.md").read_text(encoding="utf-8")
    assert text.split("<!-- scripts/validate --markdown -->\n")[1] == validation.markdown(rows)


def test_without_images_everything_is_skipped_in_plain_sight(tmp_path: Path) -> None:
    """Exit 0, and both streams say so."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "validation.py", "--data", tmp_path],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "0 the same, 0 differ" in done.stdout
    assert done.stderr.startswith("SKIPPED: no images")


@pytest.mark.parametrize(
    ("changes", "ours", "same"),
    [
        pytest.param({"theirs": 5095, "digits": 0}, 5095, True, id="count"),
        pytest.param({"theirs": 5095, "digits": 0}, 5096, False, id="one-voxel-more"),
        pytest.param({"theirs": 366.079, "digits": 3}, 366.0794, True, id="rounds-alike"),
        pytest.param({"theirs": 366.079, "digits": 3}, 366.0796, False, id="rounds-otherwise"),
        pytest.param({"theirs": 2.42902977e-4, "digits": 9}, 2.429029774e-4, True, id="small"),
        pytest.param({"theirs": 2.42902977e-4, "digits": 9}, 2.42902979e-4, False, id="small-off"),
        pytest.param({"theirs": 7.91, "digits": 2, "tolerance": 0.1}, 8.0, True, id="tolerance"),
        pytest.param({"theirs": 7.8e-4, "digits": 2, "at_most": True}, 1e-6, True, id="at-most"),
        pytest.param({"theirs": 7.8e-4, "digits": 2, "at_most": True}, 8e-4, False, id="above"),
    ],
)
def test_numbers_are_the_same_to_the_digits_that_are_given(
    changes: dict[str, float], ours: float, same: bool
) -> None:
    """Half a unit of the last digit, or the tolerance that is stated."""
    figure = Figure(folder="x", what="x", theirs=0, digits=0, ours=lambda: 0.0)
    assert replace(figure, **changes).holds(ours) is same  # type: ignore[arg-type]


def test_a_difference_is_told_and_ends_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A figure that is off, and one that cannot be worked out."""
    (tmp_path / "x").mkdir()

    def broken() -> float:
        raise OSError("gone")  # noqa: EM101 - what any reader may raise

    figures = [
        Figure(folder="x", what="off", theirs=74, digits=0, ours=lambda: 75.0),
        Figure(folder="x", what="broken", theirs=74, digits=0, ours=broken),
        Figure(folder="y", what="absent", theirs=74, digits=0, ours=lambda: 74.0),
    ]
    monkeypatch.setattr(validation.Validation, "figures", lambda self: iter(figures))
    monkeypatch.setattr(sys, "argv", ["validate", "--data", str(tmp_path)])
    assert validation.main() == 1
    assert [row.state for row in validation.rows_of(tmp_path)] == ["DIFFERS", "DIFFERS", "skipped"]
