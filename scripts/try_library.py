"""A notebook user's lines for each public function of the library, held to what the commands print.

    python try_library.py SAMPLE_DATA

Runs in the environment that the wheel was installed into (`scripts/try_wheel.py`), and is checked there by
mypy as a stranger's script is: strictly, by what the installed package says of its types.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np

import volstrat as vs


def printed(*arguments: str | Path) -> dict[str, Any]:
    """Return the JSON that a command prints."""
    command = [sys.executable, "-m", "volstrat", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def done_by_command(*arguments: str | Path) -> None:
    """Run a command that writes into a folder; samples that fail or need a person are among its cases."""
    command = [sys.executable, "-m", "volstrat", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1, 3), done.stderr


def one_case(samples: Path, out: Path) -> None:
    """Read a case, look at a lesion, mark it otherwise, write it down."""
    case = vs.read_case(samples / "S02_stratum_2")
    total: float = case.volumes.total_tumour_ml
    lesion: vs.Lesion = case.lesions["L1"]
    inside, affine = case.mask("L1")
    other = case.with_marks({"L1": "resectable"})
    written: Path = case.to_json(out / "case.json")
    assert case.record == printed("case", samples / "S02_stratum_2") == json.loads(written.read_bytes())
    assert abs(total - sum(one.volume_ml for one in case.lesions.values())) < 1e-9
    assert int(inside.sum()) == lesion.voxels
    assert affine.shape == (4, 4)
    assert (case.stratum, other.stratum) == ("stratum_2", "stratum_1")
    assert pickle.loads(pickle.dumps(other)) == other
    assert case.lesions.to_pandas()["lesion_id"].tolist() == ["L1", "L2"]
    done_by_command("case", samples / "S02_stratum_2", "-o", out / "theirs")
    assert written.read_bytes() == (out / "theirs" / "S02_stratum_2" / "case.json").read_bytes()
    done_by_command("report", samples / "S02_stratum_2", "-o", out / "theirs")
    report = case.report(out).files[0]
    assert report.read_bytes() == (out / "theirs" / "S02_stratum_2" / "report.html").read_bytes()
    planned = vs.read_case(samples / "S16_three_plans").with_plan("A")
    assert planned.record["chosen_plan"] == "A"


def arrays(samples: Path) -> None:
    """Give the arrays of two masks, as nibabel reads them; the verdict is that of the files."""
    import nibabel

    folder = samples / "S06_no_pet_not_needed"
    names = ("Tumor.nii.gz", "Resectable.nii.gz")
    tumour, resectable = [cast("Any", nibabel.load(folder / name)) for name in names]
    case = vs.assess(
        tumour=np.asarray(tumour.dataobj),
        affine=tumour.affine,
        resectable=np.asarray(resectable.dataobj),
        convention="RAS",
    )
    record = printed("case", folder)
    for key in ("stratum", "predicates", "volumes", "lesions"):
        assert case.record[key] == record[key], key


def many_cases(samples: Path, out: Path) -> None:
    """Run a cohort, read it again, and compare it with itself."""
    cohort: vs.Cohort = vs.run_cohort(samples, out / "results", workers=2)
    again = vs.read_cohort(out / "results")
    frame = again.to_pandas()
    assert len(frame) == len(cohort) == len(again.subjects)
    assert again.record("S02_stratum_2")["stratum"] == "stratum_2"
    done_by_command("batch", samples, "-o", out / "batch", "--workers", "2")
    for name in ("cohort.csv", "lesions.csv"):
        assert (out / "results" / name).read_bytes() == (out / "batch" / name).read_bytes(), name
    for record in (out / "batch").glob("*/case.json"):
        assert record.read_bytes() == (out / "results" / record.parent.name / record.name).read_bytes()
    readings = (samples / "S01_stratum_1", samples / "S02_stratum_2")
    compared = vs.compare(*readings, out=out / "mine", tolerance_mm=3.0)
    done_by_command("compare", *readings, "-o", out / "theirs", "--tolerance-mm", "3")
    theirs = json.loads((out / "theirs" / "agreement.json").read_bytes())
    assert compared.record == theirs
    agreement: vs.Comparison = vs.compare(out / "results", out / "results")
    assert agreement.record["cohort"]["subjects"] == len(cohort)
    assert set(agreement.stakes) <= {"none", "not_comparable"}


def looking(samples: Path) -> None:
    """See what would be read, how PET becomes SUV, and by which rule."""
    folder = samples / "S15_dicom"
    assert vs.inspect(folder).record == printed("inspect", folder)
    factors: vs.SuvFactors = vs.suv(folder / "DICOM")
    assert factors.record == printed("suv", folder / "DICOM")
    protocol: vs.LoadedProtocol = vs.load_protocol()
    case = vs.read_case(samples / "S02_stratum_2", protocol=protocol)
    assert case.record["protocol"]["sha256"] == protocol.sha256


def failing(samples: Path) -> None:
    """Meet a case that fails, and a lesion that is not there."""
    told = None
    try:
        vs.read_case(samples / "S14_broken_file")
    except vs.VolstratError as error:
        told = error
    problem = printed("case", samples / "S14_broken_file")["error"]
    assert str(told) == f"{problem['message']} {problem['hint']}"
    missing = None
    try:
        vs.read_case(samples / "S02_stratum_2").lesions["L99"]
    except KeyError as error:
        missing = error
    assert "L99" in str(missing)


def main() -> None:
    """Go through all of it."""
    samples = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        one_case(samples, Path(name))
        arrays(samples)
        looking(samples)
        failing(samples)
        many_cases(samples, Path(name))


if __name__ == "__main__":
    main()
