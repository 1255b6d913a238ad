"""What changed since a version, as far as it can alter a verdict: the changelog's first sections."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

_VERSION = re.compile(r"^## \[(?P<name>[^\]]+)\]")
_SECTION = "### Changes that can alter a verdict"


def changelog_text() -> str:
    """Return the changelog, packed with the program or beside it in a checkout; else an empty text."""
    packed = files("volstrat").joinpath("CHANGELOG.md")
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    beside = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
    return beside.read_text(encoding="utf-8") if beside.is_file() else ""


def changes_since(version: str, text: str) -> list[str]:
    r"""Return what can alter a verdict in every version of a changelog later than one, the latest first.

    >>> text = "## [0.2.0]\n### Changes that can alter a verdict\n- Ties.\n## [0.1.0]\n"
    >>> changes_since("0.1.0", text), changes_since("0.2.0", text)
    (['0.2.0: Ties.'], [])
    """
    found: list[str] = []
    name, inside = "", False
    for line in text.splitlines():
        heading = _VERSION.match(line)
        if heading:
            name, inside = heading["name"], False
        elif line.startswith("#"):
            inside = line.strip() == _SECTION
        elif inside and name and _later(name, version):
            if line.startswith("- "):
                found.append(f"{name}: {line[2:].strip()}")
            elif line.strip() and found:
                found[-1] += f" {line.strip()}"
    return found


def _later(name: str, version: str) -> bool:
    """Tell whether a heading's version comes after another; what is unreleased comes after all."""
    return name.lower() == "unreleased" or version_key(name) > version_key(version)


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by.

    >>> version_key("0.10.0") > version_key("0.9.1")
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
