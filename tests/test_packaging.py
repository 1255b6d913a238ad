"""What is shipped: the wheel, the lock file, the version, the scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import volstrat

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def plain(name: str) -> str:
    """Return a package name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, offline, from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Data files too: the protocol, the schemas and ``py.typed`` ship with the code."""
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "volstrat").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    samples = {
        f"volstrat/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "sample_data").rglob("*")
        if path.is_file()
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    # The one for `volstrat verify`, the others for `volstrat selftest`.
    assert packed == there | {"volstrat/CHANGELOG.md"} | samples
    assert {"volstrat/py.typed", "volstrat/protocols/pantodon.toml"} <= packed


def test_the_wheel_says_the_version_and_licence_of_the_source(wheel: Path) -> None:
    """One version, stated once, in ``volstrat/__init__.py``; the licence text is inside."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(metadata_name))
    assert metadata["Version"] == volstrat.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_an_installed_wheel_runs_a_case_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """The unpacked wheel, alone on the path, assigns a stratum with its packaged protocol."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys, volstrat; sys.stderr.write(volstrat.__file__);"
        "sys.argv = ['volstrat', *sys.argv[1:]];"
        "from volstrat.cli import main; sys.exit(main())"
    )
    case: list[str | Path] = ["case", ROOT / "sample_data" / "S02_stratum_2", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *case],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert str(site) in done.stderr
    record = json.loads(done.stdout)
    assert (done.returncode, record["stratum"]) == (0, "stratum_2")
    assert record["environment"]["volstrat"] == volstrat.__version__


def test_the_changelog_leads_with_what_can_alter_a_verdict() -> None:
    """The newest section is this version or "Unreleased", and its first heading is our own."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, first = re.findall(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)[:2]
    assert newest.strip("[]").split("]")[0] in {"Unreleased", volstrat.__version__}
    assert first == "Changes that can alter a verdict"


def test_the_lock_pins_and_hashes_every_dependency() -> None:
    """Every requirement of the project and of its tests is pinned, with hashes."""
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==\S+(?: ; [^\\]+)? \\\n    --hash=sha256:", LOCK, re.MULTILINE)
    lines = [line for line in LOCK.splitlines() if line and line[0] not in " #"]
    assert len(pinned) == len(lines)
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {plain(re.split(r"[<>=!~ ;\[]", requirement)[0]) for requirement in wanted}
    assert names <= {plain(name) for name in pinned}


def test_the_lock_names_no_place() -> None:
    """No index address, no local path: it installs from whatever index pip is set up to use."""
    assert re.findall(r"://|--(?!hash=)|file:|@ ", LOCK) == []


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/test", ".ci/run"])
def test_scripts_are_programs_that_parse(script: str) -> None:
    """They can be run as they are."""
    path = ROOT / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


def test_the_result_table_tells_a_wrong_and_a_missing_record(tmp_path: Path) -> None:
    """The demo cannot end well where a subject has another stratum, or no record at all."""
    expected = json.loads((ROOT / "sample_data" / "expected.json").read_text(encoding="utf-8"))
    script, count = ROOT / "scripts" / "show_sample_results.py", len(expected)

    def show() -> tuple[int, str]:
        done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()[-1]

    for subject, wanted in expected.items():
        (tmp_path / subject).mkdir()
        record = {"status": wanted["status"], "stratum": wanted["stratum"], "volumes": None}
        (tmp_path / subject / "case.json").write_text(json.dumps(record))
    assert show() == (0, f"{count} of {count} sample subjects are as expected.")
    (tmp_path / "S14_broken_file" / "case.json").unlink()
    assert show() == (1, f"{count - 1} of {count} sample subjects are as expected.")
    other = {"status": "assigned", "stratum": "stratum_1", "volumes": None}
    (tmp_path / "S02_stratum_2" / "case.json").write_text(json.dumps(other))
    assert show() == (1, f"{count - 2} of {count} sample subjects are as expected.")
