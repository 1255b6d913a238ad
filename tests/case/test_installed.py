"""Versions of installed packages, against `importlib.metadata`."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from volstrat.case.installed import installed_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name", ["numpy", "scipy", "zlib-ng", "SimpleITK", "pydicom", "openpyxl", "nibabel", "pyarrow"]
)
def test_versions_are_those_of_importlib_metadata(name: str) -> None:
    """The library's own way reads the same files."""
    assert installed_version(name) == metadata.version(name)


@pytest.mark.parametrize("name", ["Zlib_Ng", "zlib.ng", "ZLIB-NG"])
def test_spelling_of_a_name_makes_no_difference(name: str) -> None:
    """PEP 503: case and the separators ``-``, ``_``, ``.`` are one."""
    assert installed_version(name) == metadata.version("zlib-ng")


def test_a_package_that_is_not_installed_has_no_version() -> None:
    """None, and no error."""
    assert installed_version("no-such-package-anywhere") is None


def test_the_first_folder_of_the_import_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the import itself; the version is the header's, not the folder's name nor the description's."""
    for place, version in (("first", "1.2+local.1"), ("second", "9.9")):
        info = tmp_path / place / "some_thing-0.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: some-thing\nVersion: {version}\n\nVersion: 7\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path / place))
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    assert installed_version("some-thing") == "1.2+local.1"


def test_metadata_without_a_version_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged package folder does not stop a case."""
    (tmp_path / "odd_one-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_version("odd-one") is None
