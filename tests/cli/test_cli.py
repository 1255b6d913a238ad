"""The installed program: exit codes, what goes where, and what it does not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from tests.lattices import oblique
from tests.phantom_case import PLAIN, Form, case_volumes, labels, write, write_case, write_segmentation
from volstrat.case.protocol_files import load_protocol
from volstrat.case.typed_json import record_schema
from volstrat.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_DATA = ROOT / "sample_data"
SUBJECTS = sorted(path.name for path in SAMPLE_DATA.iterdir() if path.is_dir())
PROGRAM = Path(sys.executable).parent / "volstrat"


def run(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the console script; it must never show a traceback."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
    )
    assert b"Traceback" not in done.stderr + done.stdout, done.stderr.decode()
    return done


def lines_beyond_80(text: bytes) -> list[str]:
    """Return the lines that a terminal of 80 columns would break."""
    return [line for line in text.decode().splitlines() if len(line) > 80]


@pytest.fixture(autouse=True, scope="module")
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the program keep its bytecode, as an installed one does, but not in the source tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return a case that gives stratum 2 with nothing to review."""
    folder = write_case(tmp_path / "case")
    (folder / "lesions.csv").write_text("lesion_id,resectability\nP1,resectable\n")
    return folder


def without_tumour(folder: Path) -> Path:
    """Take the tumour mask out of a case."""
    (folder / "tumour.nrrd").unlink()
    return folder


def unmarked(folder: Path) -> Path:
    """Take the table out of a case: its PET-only region is then not marked."""
    (folder / "lesions.csv").unlink()
    return folder


def unmarked_in_stratum_1(folder: Path) -> Path:
    """Make all but L3 resectable, 282 of 309 (stratum 1), with an unmarked PET-only region: a review."""
    (folder / "lesions.csv").unlink()
    write(folder, "resectable", ((labels() != 3).astype(np.uint8), case_volumes()["tumour"][1]), PLAIN)
    return folder


def all_resectable(folder: Path) -> Path:
    """Make all tumour resectable: stratum 1, whatever PET shows."""
    write(folder, "resectable", ((labels() > 0).astype(np.uint8), case_volumes()["tumour"][1]), PLAIN)
    return folder


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (all_resectable, "assigned", 0),
        (without_tumour, "failed", 1),
        (unmarked_in_stratum_1, "review", 3),
        (unmarked, "not_assessable", 3),
    ],
    ids=["assigned", "failed", "review", "not assessable"],
)
def test_case_says_how_it_went_by_its_exit_code(
    case: Path, tmp_path: Path, change: Callable[[Path], Path], status: str, code: int
) -> None:
    """0 a stratum, 1 failed, 3 needs a person; the record is printed, written and meets the schema."""
    done = run("case", change(case), "--json", "-o", tmp_path / "out")
    record = json.loads(done.stdout)
    assert (record["status"], done.returncode) == (status, code)
    jsonschema.validate(record, record_schema())
    assert (tmp_path / "out" / "case" / "case.json").read_bytes() == done.stdout
    assert (done.stderr != b"") == (status == "failed")
    table = run("case", case)
    assert table.returncode == code
    with pytest.raises(json.JSONDecodeError):
        json.loads(table.stdout)


def test_the_module_is_the_program(case: Path) -> None:
    """`python -m volstrat` and the console script give the same bytes and code."""
    script = run("case", case, "--json")
    module = subprocess.run(
        [sys.executable, "-m", "volstrat", "case", case, "--json"],
        capture_output=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (module.returncode, module.stdout) == (script.returncode, script.stdout)


def test_two_runs_and_another_working_directory_give_the_same_bytes(case: Path, tmp_path: Path) -> None:
    """Nothing in the record depends on the clock, the place or the way the folder is named."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(case)
    runs = [
        run("case", case, "--json", TZ="Asia/Tokyo", PYTHONHASHSEED="1"),
        run("case", "../case/.", "--json", cwd=tmp_path / "elsewhere", TZ="America/Lima", LC_ALL="C"),
        run("case", ".", "--json", cwd=case, PYTHONHASHSEED="2"),
        run("case", tmp_path / "link", "--json"),
    ]
    assert [done.stdout for done in runs[1:]] == [runs[0].stdout] * 3
    assert str(tmp_path).encode() not in runs[0].stdout


def test_a_copy_of_the_folder_gives_the_same_record(case: Path, tmp_path: Path) -> None:
    """Files created in another order, elsewhere."""
    there = tmp_path / "other" / "case"
    there.mkdir(parents=True)
    for path in sorted(case.iterdir(), reverse=True):
        (there / path.name).write_bytes(path.read_bytes())
    assert run("case", there, "--json").stdout == run("case", case, "--json").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["case", "nowhere"],
        ["case", "case/tumour.nrrd"],
        ["case"],
        ["case", "case", "--frob"],
        ["case", "case", "--protocol", "nowhere.toml"],
        ["case", "case", "--protocol", "case"],
        ["case", "case", "--protocol", "bad.toml"],
        ["case", "case", "-o", "case/tumour.nrrd"],
        ["inspect", "nowhere"],
        ["batch", "nowhere", "-o", "out"],
        ["batch", "case"],
        ["protocol", "check", "nowhere.toml"],
        ["protocol", "show", "--protocol", "bad.toml"],
        ["frob"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(case: Path, arguments: list[str]) -> None:
    """What is not there and what is not understood: one message on stderr, nothing on stdout."""
    (case.parent / "bad.toml").write_text('id = "x"\nversion = "1"\n[thresholds]\nstratum_3_percent = 70\n')
    done = run(*arguments, cwd=case.parent)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Usage: volstrat")
    if "bad.toml" in arguments:
        assert b"bad.toml: unknown key 'thresholds.stratum_3_percent'" in done.stderr


def test_an_output_that_cannot_be_written_is_a_failure(case: Path, tmp_path: Path) -> None:
    """A file stands where the folder should be: exit 1, the path and the reason, no half-written record."""
    (tmp_path / "taken").write_text("")
    done = run("case", case, "--json", "-o", tmp_path / "taken" / "out")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"cannot be written" in done.stderr
    assert (tmp_path / "taken").read_text() == ""


def test_a_folder_without_tumour_lists_what_is_there(case: Path) -> None:
    """And says how to name the mask; the same sentence in the record and on stderr."""
    done = run("case", without_tumour(case), "--json")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "role_missing"
    assert "no tumour mask" in error["message"]
    assert "fdg_avid.nrrd" in error["message"]
    assert "tumour.nii.gz" in error["hint"]
    assert f"{error['message']} {error['hint']}" in done.stderr.decode()


def test_another_lesion_table_can_be_named(case: Path) -> None:
    """`--lesions second` takes lesions.second.csv, a file name takes that file; a missing one fails."""
    (case / "lesions.second.csv").write_text("lesion_id,resectability\nL1,resectable\nP1,unresectable\n")
    by_reader = json.loads(run("case", case, "--json", "--lesions", "second").stdout)
    by_name = json.loads(run("case", case, "--json", "--lesions", "lesions.second.csv").stdout)
    # L1 and L2 whole and 9 of 27 voxels of L3: 192 + 90 + 9 of 309.
    assert by_reader["predicates"]["stratum_1"]["part_voxels"] == 291
    assert by_reader["stratum"] == "stratum_1"
    assert by_name == by_reader
    missing = run("case", case, "--json", "--lesions", "third")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["error"]["message"].startswith("lesions.third.csv: no such file")


def test_another_protocol_can_be_named(case: Path, tmp_path: Path) -> None:
    """With a limit of 32 % the 99 of 309 voxels (32.04 %) are enough; the record names the protocol."""
    text = load_protocol().text
    changed = text.replace("stratum_1_percent = 70", "stratum_1_percent = 32")
    changed = changed.replace('id = "pantodon"', 'id = "own"')
    (tmp_path / "own.toml").write_text(changed)
    record = json.loads(run("case", case, "--json", "--protocol", tmp_path / "own.toml").stdout)
    assert (record["stratum"], record["protocol"]["id"]) == ("stratum_1", "own")
    assert record["predicates"]["stratum_1"]["threshold_percent"] == 32


def test_inspect_lists_what_would_be_read(case: Path) -> None:
    """Per role the file, its format and grid, and each label with its voxels."""
    write(case, "tumour", (labels(), case_volumes()["tumour"][1]), PLAIN)
    done = run("inspect", case, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    inputs = {entry["role"]: entry for entry in found["inputs"]}
    assert set(inputs) == {"tumour", "resectable", "lesions", "fdg_avid"}
    assert inputs["tumour"]["path"] == "tumour.nrrd"
    assert inputs["tumour"]["format"] == "nrrd"
    assert inputs["tumour"]["grid"]["shape"] == [26, 22, 12]
    assert inputs["tumour"]["grid"]["spacing_mm"] == pytest.approx([0.8, 0.7, 2.5])
    assert inputs["tumour"]["segments"] == [
        {"number": n, "name": None, "voxels": v} for n, v in ((1, 192), (2, 90), (3, 27))
    ]
    table = run("inspect", case)
    assert table.returncode == 0
    assert b"26 x 22 x 12 voxels of 0.8 x 0.7 x 2.5 mm" in table.stdout
    assert lines_beyond_80(table.stdout) == []


def test_inspect_goes_on_after_a_file_that_cannot_be_read(case: Path) -> None:
    """Its error stands in its entry, the other files are listed, the exit code is 1."""
    (case / "resectable.nrrd").write_bytes(b"NRRD0004\n")
    done = run("inspect", case, "--json")
    assert done.returncode == 1
    errors = {entry["role"]: entry["error"] for entry in json.loads(done.stdout)["inputs"]}
    assert errors["resectable"].startswith("resectable.nrrd: ")
    assert errors["tumour"] is None
    assert errors["fdg_avid"] is None


def test_the_packaged_protocol_meets_its_schema_and_its_own_check(tmp_path: Path) -> None:
    """`show` prints a file that `check` takes and `schema` validates."""
    import tomllib

    shown = run("protocol", "show")
    schema = run("protocol", "schema")
    assert (shown.returncode, schema.returncode) == (0, 0)
    document = tomllib.loads(shown.stdout.decode())
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.stdout))
    jsonschema.validate(document, json.loads(schema.stdout))
    (tmp_path / "own.toml").write_bytes(shown.stdout)
    checked = run("protocol", "check", tmp_path / "own.toml")
    assert checked.returncode == 0
    assert b"pantodon" in checked.stdout
    (tmp_path / "own.toml").write_text("minimum_voxels = 2\n")
    altered = run("protocol", "check", tmp_path / "own.toml")
    assert (altered.returncode, checked.stdout.count(b"\n")) == (0, 1)
    assert b"minimum_voxels = 2 (1 there)" in altered.stdout
    with pytest.raises(jsonschema.ValidationError, match="stratum_3_percent"):
        jsonschema.validate({**document, "thresholds": {"stratum_3_percent": 1}}, json.loads(schema.stdout))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            ("stratum_1_percent", "stratum_1_percnt"), "'thresholds.stratum_1_percnt'", id="nested key"
        ),
        pytest.param(("connectivity =", "conectivity ="), "'conectivity'", id="key"),
        pytest.param(("connectivity = 26", "connectivity = 8"), "connectivity", id="impossible value"),
        pytest.param(("stratum_1_percent = 70", "stratum_1_percent = 170"), "stratum_1_percent", id="170 %"),
        pytest.param(("stratum_1_percent = 70", 'stratum_1_percent = "70"'), "stratum_1_percent", id="text"),
        pytest.param(("[thresholds]", "[thresholds"), "not valid TOML", id="no TOML"),
    ],
)
def test_a_protocol_that_does_not_hold_is_named_with_the_key(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    """`check` exits 1 with one sentence: the file and the path to the key."""
    text = load_protocol().text
    assert change[0] in text
    (tmp_path / "own.toml").write_text(text.replace(*change))
    done = run("protocol", "check", tmp_path / "own.toml")
    assert (done.returncode, done.stdout) == (1, b"")
    message = done.stderr.decode()
    assert message.startswith("volstrat: own.toml: ")
    assert said in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("subject", SUBJECTS)
def test_tables_of_sample_subjects_fit_80_columns(subject: str) -> None:
    """`case` and `inspect`, in the sample that is broken, too (in this process, which is quicker)."""
    for command in ("case", "inspect"):
        done = CliRunner().invoke(cli, [command, str(SAMPLE_DATA / subject)])
        assert done.stdout
        assert lines_beyond_80(done.stdout_bytes) == []


def test_tables_of_a_crowded_case_fit_80_columns(tmp_path: Path) -> None:
    """300 lesions with numbers up to 2^31, long and hostile names, far from the origin."""
    folder = tmp_path / ("S" + "x" * 100)
    dense = np.zeros((60, 40, 30), dtype=np.int32)
    numbers = [*range(1, 299), 999_999_999, 2**31 - 1]
    dense[::6, ::4, ::10].flat[:300] = numbers
    far = oblique(3, tilt=0.2)
    far[:3, 3] = (-12345, 23456, -34567)
    write_case(folder, {"tumour": (dense, far)}, Form(ending=".nrrd", dtype="i4"))
    done = run("case", folder)
    assert lines_beyond_80(done.stdout) == []
    assert b"L298" not in done.stdout  # --json lists all
    assert b"240 more" in done.stdout
    record = json.loads(run("case", folder, "--json").stdout)
    assert [x["lesion_id"] for x in record["lesions"]] == [f"L{n}" for n in numbers]
    assert lines_beyond_80(run("inspect", folder).stdout) == []


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Segment and folder names with escape sequences are shown without them, and do not break lines."""
    folder = tmp_path / "red\x1b[31m"
    folder.mkdir()
    name = "met \x1b]0;owned\x07 " + "y" * 90
    write_segmentation(folder / "tumour.seg.nrrd", [labels()], case_volumes()["tumour"][1], [(name, 1, 0)])
    for command in ("case", "inspect"):
        done = CliRunner().invoke(cli, [command, str(folder)])
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
        assert lines_beyond_80(done.stdout_bytes) == []


@pytest.mark.parametrize("name", ["Ünïcode 患者", "with space", "-dash", "a'b\"c", "new\nline", "50%"])
def test_odd_folder_names_work(tmp_path: Path, name: str) -> None:
    """The subject is the folder's name; its output folder is safe, also in an ASCII locale."""
    write_case(tmp_path / "in" / name)
    done = run(
        "case", "--json", "-o", "out", "--", f"in/{name}", cwd=tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii"
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["subject"] == name
    written = list((tmp_path / "out").glob("*/case.json"))
    assert [path.read_bytes() for path in written] == [done.stdout]


def test_a_reader_that_stops_early_is_no_crash(case: Path) -> None:
    """As `volstrat case ... | head` closes the pipe."""
    for extra in ([], ["--json"]):
        with subprocess.Popen(
            [PROGRAM, "case", case, *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
        assert b"Traceback" not in said


def imported(*arguments: str | Path) -> set[str]:
    """Return the modules that a command imports, by the interpreter's own account."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert lines
    return {line.rsplit("|", 1)[1].strip() for line in lines}


def test_the_version_imports_next_to_nothing() -> None:
    """`volstrat --version` answers before click or numpy."""
    assert run("--version").stdout.startswith(b"volstrat ")
    modules = imported("--version")
    assert "volstrat.cli" in modules
    assert modules & {"click", "numpy", "volstrat.cli.app", "json"} == set()


HEAVY = {
    "scipy",
    "nibabel",
    "pydantic",
    "pydicom",
    "SimpleITK",
    "matplotlib",
    "highdicom",
    "skimage",
    "pandas",
    "cc3d",
}


def test_a_case_of_masks_imports_no_heavy_library(tmp_path: Path) -> None:
    """Tumour, resectable, avid and a table, in three formats: numpy, and scipy for PET's neighbours."""
    folder = tmp_path / "case"
    folder.mkdir()
    for (role, volume), ending in zip(case_volumes().items(), (".nii.gz", ".nrrd", ".mha"), strict=True):
        write(folder, role, volume, Form(ending=ending))
    (folder / "lesions.csv").write_text("lesion_id,resectability\nP1,resectable\n")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from volstrat.case.assess import run_case\n"
        "from volstrat.case.protocol_files import load_protocol\n"
        "record = run_case(Path(sys.argv[1]), load_protocol())\n"
        "print(record['stratum'], *{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    stratum, *modules = done.stdout.split()
    assert stratum == "stratum_2"
    assert "numpy" in modules
    assert HEAVY & set(modules) <= {"scipy"}


def test_help_is_short_and_names_the_exit_codes() -> None:
    """It lists the commands, and does not import numpy."""
    first = run("-h")
    assert first.returncode == 0
    assert b"Exit codes" in first.stdout
    for command in ("case", "inspect", "batch", "protocol"):
        assert command.encode() in first.stdout
    assert "numpy" not in imported("case", "--help")


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record that the program prints."""
    record: dict[str, Any] = json.loads(run("case", folder, "--json").stdout)
    return record


def test_files_nobody_names_are_not_read(case: Path) -> None:
    """Notes, hidden files and folders beside the masks change nothing but the list of what was not read."""
    before = record_of(case)
    (case / "notes.txt").write_text("seen by the board")
    (case / ".DS_Store").write_bytes(b"\x00")
    (case / "old").mkdir()
    after = record_of(case)
    (unread,) = [f for f in after["findings"] if f["code"] == "files_unread"]
    assert (unread["severity"], unread["message"]) == (
        "info",
        "Not read, because nothing says what they are for: notes.txt, old/.",
    )
    after["findings"].remove(unread)
    assert after == before
