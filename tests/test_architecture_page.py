"""What `docs/architecture.md` says stands where it says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_architecture import LAYERS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = re.findall(r"^\| [^|]+\? \| `([\w.]+)` \|$", ARCHITECTURE, re.MULTILINE)


def test_the_page_answers_at_least_twelve_questions() -> None:
    """The page is no use with two or three rows."""
    assert len(PLACES) >= 12


@pytest.mark.parametrize("place", PLACES)
def test_each_place_on_the_architecture_page_exists(place: str) -> None:
    """Package, module and the name defined in it: a function, class or value of its own."""
    parts = place.split(".")
    length = next(n for n in range(len(parts), 0, -1) if _module(parts[:n]) is not None)
    module = _module(parts[:length])
    assert module is not None
    assert length < len(parts), "the question is answered by a name in a module"
    found = module
    for name in parts[length:]:
        found = getattr(found, name)
    assert getattr(found, "__module__", module.__name__) == module.__name__, "defined there, not passed along"


def _module(parts: list[str]) -> ModuleType | None:
    name = ".".join(["volstrat", *parts])
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return None
        raise


def test_every_package_stands_in_the_drawn_house() -> None:
    """Each folder of the package, at the place that the order of imports gives it."""
    drawn = re.findall(r"^(\w+)/ ", ARCHITECTURE, re.MULTILINE)
    packages = {p.parent.name for p in (ROOT / "volstrat").glob("*/__init__.py")}
    assert set(drawn) == packages
    assert drawn == [one for one in LAYERS if one in packages]
