"""`volstrat verify` as an installed program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.verify.test_verify import FIRST, add_voxel, another_environment, edit_nifti

if TYPE_CHECKING:
    from tests.verify.conftest import Cohort

PROGRAM = Path(sys.executable).parent / "volstrat"


def verify(cohort: Cohort, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the copied inputs."""
    done = subprocess.run(
        [PROGRAM, "verify", cohort.out, "--inputs", cohort.inputs, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_clean_is_0(cohort: Cohort) -> None:
    """And the last line says so."""
    done = verify(cohort)
    assert done.returncode == 0
    assert done.stdout.endswith("Clean: everything comes out again.\n")


def test_a_difference_is_1_and_shows_old_and_new(cohort: Cohort) -> None:
    """The subject, the step, the role and file, and both values."""
    edit_nifti(cohort.inputs / FIRST / "tumour.nii.gz", add_voxel)
    (entry,) = [e for e in cohort.record(FIRST)["inputs"] if e["role"] == "tumour"]
    voxels = sum(segment["voxels"] for segment in entry["segments"])
    done = verify(cohort)
    assert done.returncode == 1
    assert f"{FIRST}: first differs at input bytes." in done.stdout
    assert f"tumour tumour.nii.gz: voxels: {voxels} -> {voxels + 1}" in done.stdout
    assert done.stdout.endswith("DIFFERS.\n")


def test_an_older_version_is_told_with_the_changelog(cohort: Cohort) -> None:
    """What can alter a verdict since, from the changelog's first section."""
    another_environment(cohort, lambda environment: environment.update(volstrat="0.0.9"))
    done = verify(cohort, "--only-hashes")
    assert done.returncode == 1
    assert "first differs at version." in done.stdout
    assert "Records were made by volstrat 0.0.9. What can alter a verdict since:" in done.stdout


def test_json_is_json(cohort: Cohort) -> None:
    """One object on stdout."""
    done = verify(cohort, "--only-hashes", "--json")
    found = json.loads(done.stdout)
    assert (found["schema"], found["clean"], found["subjects"]) == ("volstrat.verification/1", True, 3)


def test_a_folder_that_is_no_output_is_2(cohort: Cohort) -> None:
    """Usage, in one sentence."""
    done = subprocess.run(
        [PROGRAM, "verify", cohort.inputs], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "holds no record" in done.stderr
