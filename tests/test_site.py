"""What checks the site of the docs, and what asks for wheels, see what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from check_site import problems
from check_wheels import PYTHONS, SYSTEMS, needed, pins

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("html", "said"),
    [
        pytest.param('<a href="other.html#there">', [], id="sound"),
        pytest.param('<a href="https://example.org/x">', [], id="a-person-may-follow"),
        pytest.param('<a href="gone.html">', ["page.html: gone.html leads nowhere"], id="no-page"),
        pytest.param(
            '<a href="other.html#gone">',
            ["page.html: other.html#gone names no place of that page"],
            id="no-place",
        ),
        pytest.param(
            '<script src="https://cdn.example.org/a.js"></script>',
            ["page.html: loads https://cdn.example.org/a.js"],
            id="outside",
        ),
    ],
)
def test_a_site_leads_somewhere_and_fetches_nothing(tmp_path: Path, html: str, said: list[str]) -> None:
    """A link to nothing, to a missing place, and what a browser would fetch from outside are named."""
    (tmp_path / "other.html").write_text('<h1 id="there">There</h1>')
    (tmp_path / "page.html").write_text(html)
    assert problems(tmp_path) == said


def test_a_style_sheet_fetches_nothing(tmp_path: Path) -> None:
    """Fonts and imports from outside are named."""
    (tmp_path / "site.css").write_text(
        '@import url("https://fonts.example.org/f.css"); a { b: url(own.png) }'
    )
    assert problems(tmp_path) == ["site.css: loads https://fonts.example.org/f.css"]


def test_pins_hold_where_their_markers_do() -> None:
    """Of two pins of one name each Python has its own; Windows has what it alone needs."""
    lock = (
        "a==1 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n"
        "a==2 ; python_full_version >= '3.12'\n"
        "win==3 ; sys_platform == 'win32'\n"
    )
    assert pins(lock, "macOS", "3.11") == {"a": "a==1"}
    assert pins(lock, "Windows", "3.13") == {"a": "a==2", "win": "win==3"}


def test_the_lock_pins_what_each_system_needs() -> None:
    """Every dependency, and what it needs as far as that is installed here, on each system and Python."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for system in SYSTEMS:
        for python in PYTHONS:
            names = needed(system, python)
            assert {"numpy", "filelock", "pydicom"} <= names
            unpinned = names - set(pins(lock, system, python))
            assert unpinned <= {"colorama", "greenlet"}, (system, python, unpinned)
