"""Ask the package index whether all that volstrat needs comes as wheels for Windows and macOS.

    python scripts/check_wheels.py [--all]

For each system and Python the pins of ``requirements.lock`` that hold there are resolved by pip from wheels
alone; nothing is installed. Without ``--all`` those that volstrat itself and its extras for users need are
asked for, with it those of tests and docs too. Exit code 1, with every package named, where one has no wheel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Windows": ("win_amd64", {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}),
    "macOS": (
        "macosx_14_0_arm64",
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    ),
}
FOR_US = ("test", "docs")
"""Extras of those who work on volstrat."""


def environment(system: str, python: str) -> dict[str, str]:
    """Return what markers of requirements ask of a system."""
    return {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "AMD64" if system == "Windows" else "arm64",
        "python_version": python,
        "python_full_version": f"{python}.0",
        **SYSTEMS[system][1],
    }


def pins(lock: str, system: str, python: str) -> dict[str, str]:
    r"""Return the pins of a lock file that hold on a system, by canonical name.

    >>> pins("a==1 ; sys_platform == 'win32'\nb==2\n", "macOS", "3.11")
    {'b': 'b==2'}
    """
    found: dict[str, str] = {}
    for line in re.findall(r"^[A-Za-z0-9].*==.*$", lock, re.MULTILINE):
        one = Requirement(line.rstrip(" \\"))
        if one.marker is None or one.marker.evaluate(environment(system, python)):
            found[canonicalize_name(one.name)] = f"{one.name}{one.specifier}"
    return found


def needed(system: str, python: str) -> set[str]:
    """Return what volstrat and its extras for users need there, and what that needs, by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    of_users = [one for name in extras if name not in FOR_US for one in extras[name]]
    left = [*project["dependencies"], *of_users]
    where = environment(system, python)
    found: set[str] = set()
    while left:
        one = Requirement(left.pop())
        name = canonicalize_name(one.name)
        if name in found or (one.marker is not None and not one.marker.evaluate({**where, "extra": ""})):
            continue
        found.add(name)
        try:
            left += requires(name) or []
        except PackageNotFoundError:  # of another system: what it needs is in the lock all the same
            continue
    return found


def without_wheel(wanted: list[str], system: str, python: str) -> list[str]:
    """Return the pins for which the index has no wheel; those that are left when the rest is taken away."""
    if not wanted or _resolves(wanted, system, python):
        return []
    if len(wanted) == 1:
        return wanted
    half = len(wanted) // 2
    return [one for part in (wanted[:half], wanted[half:]) for one in without_wheel(part, system, python)]


def _resolves(wanted: list[str], system: str, python: str) -> bool:
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps",
             "--ignore-installed", "--ignore-requires-python",
             "--only-binary", ":all:", "--platform", SYSTEMS[system][0], "--python-version", python,
             "--target", nowhere, *wanted],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.returncode == 0


def main() -> None:
    """Ask for each system and Python, and name what is missing."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    missing = False
    for system in SYSTEMS:
        for python in PYTHONS:
            held = pins(lock, system, python)
            names = set(held) if "--all" in sys.argv[1:] else needed(system, python) & set(held)
            bare = without_wheel([held[name] for name in sorted(names)], system, python)
            missing |= bool(bare)
            said = f"no wheel of {', '.join(bare)}" if bare else "wheels of all"
            print(f"{system}, Python {python}: {len(names)} packages, {said}", flush=True)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
