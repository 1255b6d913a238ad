"""Build the wheel, install it as a stranger would, and run the samples there.

Twice, each time in a new environment: with the lowest releases that ``pyproject.toml`` allows for what it
names itself, and with the newest there are. The strata must be the expected ones, and the records the same
in both, but for the versions that they name.

In the second, `scripts/try_library.py` uses the library as a notebook does, and mypy checks that script
strictly against the types of the installed package.

Skips, and says so, where no package index can be reached.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
_NO_INDEX = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|Max retries|ConnectionError|ProxyError"
)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def _index_answers(folder: Path, package: str) -> bool:
    """Ask the index that pip is set up to use for one package, past pip's own cache."""
    done = subprocess.run(
        [sys.executable, *_PIP, "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
         "--retries", "1", "--timeout", "20", "--dest", folder, package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and not _NO_INDEX.search(done.stderr):
        sys.exit(done.stderr)
    return done.returncode == 0


def _lowest(dependencies: list[str]) -> list[str]:
    """Turn each ``name>=version`` into the requirement of just that version."""
    pins = []
    for dependency in dependencies:
        found = re.fullmatch(r"([\w.-]+(?:\[[\w,.-]+\])?)>=([\w.]+)(?:,<[\w.]+)?(\s*;.*)?", dependency)
        if found is None:
            sys.exit(f"pyproject.toml: {dependency!r} has no lowest version (expected name>=version)")
        pins.append(f"{found[1]}=={found[2]}{found[3] or ''}")
    return pins


def _try_library(python: Path, cache: Path) -> None:
    """Run a stranger's script, and check its types by those of the installed package."""
    script = ROOT / "scripts" / "try_library.py"
    done = subprocess.run(
        [python, script, ROOT / "sample_data"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    if done.returncode or done.stdout:  # a library prints nothing
        sys.exit(f"{script.name}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
    # From elsewhere, or mypy would find the package beside it before the installed one.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", cache,
         "--python-executable", python, script],
        capture_output=True, text=True, check=False, cwd=cache.parent, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{script.name}: types\n{done.stdout}{done.stderr}")


def _records(folder: Path, wheel: str, pins: list[str]) -> dict[str, Any]:
    """Install the wheel in a new environment, run the samples there, and return their records."""
    _run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    _run(python, *_PIP, "install", "--only-binary", ":all:", wheel, *pins)
    _run(python, "-m", "pip", "--disable-pip-version-check", "check")
    out = folder / "out"
    done = subprocess.run(
        [folder / "bin" / "volstrat", "batch", ROOT / "sample_data", "-o", out],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    if done.returncode != 1:  # one of the samples is broken on purpose
        sys.exit(f"{folder.name}: batch ended with {done.returncode}\n{done.stdout}{done.stderr}")
    _run(sys.executable, ROOT / "scripts" / "show_sample_results.py", out)
    records = {path.parent.name: json.loads(path.read_bytes()) for path in out.glob("*/case.json")}
    for record in records.values():
        del record["environment"]
    return records


def main() -> None:
    """Build, install twice, run, compare."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dependencies: list[str] = declared["project"]["dependencies"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not _index_answers(folder / "asked", _lowest(dependencies)[0]):
            print("SKIPPED: no package index can be reached from here; the wheel is not tried.")
            return
        _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
        (wheel,) = folder.glob("*.whl")
        with ThreadPoolExecutor(2) as both:
            lowest = both.submit(_records, folder / "lowest", str(wheel), _lowest(dependencies))
            newest = both.submit(_records, folder / "newest", f"{wheel}[pandas]", [])
            records = {"lowest": lowest.result(), "newest": newest.result()}
        _try_library(folder / "newest" / "bin" / "python", folder / "mypy")
    if records["lowest"] != records["newest"]:
        differing = [
            name for name in records["newest"] if records["lowest"].get(name) != records["newest"][name]
        ]
        sys.exit(f"lowest and newest dependencies give other records: {', '.join(differing)}")
    print(f"{wheel.name}: {len(records['newest'])} samples the same with lowest and newest dependencies.")


if __name__ == "__main__":
    main()
