"""Segments, ROIs and labels chosen by name or number."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from tests.dense import label_runs
from volstrat.errors import SegmentNotFoundError
from volstrat.formats.selection import matching, only_labels
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.terms.naming import said_by

NAMES = {1: "Liver metastasis 1", 2: "Liver metastasis 2", 3: "Liver", 5: "FDG [hot]", 7: "7a", 9: ""}


@pytest.mark.parametrize(
    ("patterns", "numbers"),
    [
        (["Liver metastasis*"], (1, 2)),
        (["LIVER METASTASIS ?"], (1, 2)),
        (["liver"], (3,)),
        (["*"], (1, 2, 3, 5, 7)),
        ([9], (9,)),
        (["9"], (9,)),
        (["Liver", 1], (1, 3)),
        (["Liver", "Liver*"], (1, 2, 3)),
        (["7a"], (7,)),
        (["FDG [[]hot]"], (5,)),
        (["straße"], ()),
    ],
)
def test_globs_and_numbers(patterns: list[str | int], numbers: tuple[int, ...]) -> None:
    """Case does not matter, each number comes once, rising; nothing found is an error."""
    if numbers:
        assert matching(NAMES, patterns, where="seg.dcm") == numbers
        return
    with pytest.raises(SegmentNotFoundError):
        matching(NAMES, patterns, where="seg.dcm")


def test_a_name_that_is_a_number_goes_before_the_number() -> None:
    """A segment called "2" is what the text "2" means; the number 2 is the other one."""
    names = {1: "2", 2: "other"}
    assert matching(names, ["2"], where="x") == (1,)
    assert matching(names, [2], where="x") == (2,)


def test_an_exact_name_goes_before_number_and_glob() -> None:
    """A segment called "Met [1]" is meant by that name; it is a glob only where no segment is called so."""
    names = {1: "Met [1]", 2: "Met 1", 3: "2"}
    assert matching(names, ["met [1]"], where="x") == (1,)
    assert matching({2: "Met 1"}, ["Met [1]"], where="x") == (2,)
    assert matching(names, ["2"], where="x") == (3,)


def test_case_is_folded_as_in_every_language() -> None:
    """STRASSE is straße; the dotless words of a Turkish locale play no part."""
    assert matching({4: "Straße"}, ["STRASSE"], where="x") == (4,)


def test_an_accent_is_the_same_however_it_is_written() -> None:
    """One code point in a protocol, a letter and a combining mark from a Mac; and the other way round."""
    one, two = unicodedata.normalize("NFC", "Primärtumör"), unicodedata.normalize("NFD", "PRIMÄRTUMÖR")
    assert one.casefold() != two.casefold()
    assert matching({4: two}, [one], where="x") == matching({4: one}, [two], where="x") == (4,)
    for pattern in ("*tumör*", "*primär*"):
        assert said_by(two, (), {"tumour": [pattern]}).role == "tumour"


@pytest.mark.parametrize("pattern", ["Lung", "metastasis", 4, "4", 99, -1, "", "9" * 5000])
def test_no_match_lists_what_is_there(pattern: str | int) -> None:
    """The file, what was asked for, and every number and name; one match does not excuse the other."""
    with pytest.raises(SegmentNotFoundError) as caught:
        matching(NAMES, ["Liver", pattern], where="seg.dcm")
    assert caught.value.message.startswith(f"seg.dcm: no segment, ROI or label fits {str(pattern)!r}")
    assert "1 'Liver metastasis 1', 2 'Liver metastasis 2', 3 'Liver', 5 'FDG [hot]', 7 '7a', 9" in (
        caught.value.message
    )
    assert caught.value.hint


def test_long_lists_are_cut_and_empty_ones_said() -> None:
    """All of 25, for a list that stops proposes a part of them; of none, that there is none."""
    with pytest.raises(SegmentNotFoundError, match=r"23, 24, 25\."):
        matching(dict.fromkeys(range(1, 26), ""), [99], where="x")
    with pytest.raises(SegmentNotFoundError, match=r"there is none\."):
        matching({}, ["a"], where="x")


def mask() -> Mask:
    """Return labels 1, 2 (unnamed) and 4, and 9, which is named and empty."""
    dense = np.zeros((4, 3, 2), dtype=np.uint8)
    dense[0], dense[1, :2], dense[3, 2] = 1, 2, 4
    grid = VoxelGrid(shape=(4, 3, 2), affine=np.eye(4))
    return Mask(grid=grid, runs=label_runs(dense), names={1: "one", 4: "four", 9: "nothing"})


def test_a_mask_keeps_what_is_chosen() -> None:
    """Voxels, numbers and names of the others are gone; the grid stays."""
    chosen = only_labels(mask(), [2, 4])
    assert chosen.runs.values == (2, 4)
    assert chosen.runs.of(2).count == 4
    assert chosen.runs.of(4).same_as(mask().runs.of(4))
    assert dict(chosen.names) == {4: "four"}
    assert chosen.grid.shape == (4, 3, 2)


def test_a_named_segment_without_voxels_can_be_chosen() -> None:
    """It is there and empty, which is not the same as missing."""
    chosen = only_labels(mask(), [9])
    assert (chosen.labels, chosen.voxels().count) == ((9,), 0)


def test_with_every_label_everything_stays() -> None:
    """The same object."""
    whole = mask()
    assert only_labels(whole, (1, 2, 4, 9)) is whole
