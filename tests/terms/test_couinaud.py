"""Names of liver segments."""

from __future__ import annotations

import pytest

from volstrat.terms.couinaud import SEGMENT_CODES, notation, parts_of, segment_named


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        *((f"liver_segment_{n}", str(n)) for n in range(1, 9)),  # TotalSegmentator
        *zip(("I", "II", "III", "IV", "V", "VI", "VII", "VIII"), "12345678", strict=True),
        ("Segment V", "5"),
        ("Segment 4a", "4a"),
        ("segment IVb", "4b"),
        ("Segment IV-A", "4a"),
        ("Couinaud hepatic segment VIII", "8"),
        ("Liver Segment 3", "3"),
        ("Leversegment 6", "6"),
        ("leversegment_VII", "7"),
        ("S8", "8"),
        ("Seg. 2", "2"),
        ("5", "5"),
        ("Caudate lobe", "1"),
        ("Lobus caudatus", "1"),
    ],
)
def test_names_of_segments_are_known(name: str, segment: str) -> None:
    """Arabic and Roman, English and Swedish, with and without halves of 4."""
    assert segment_named(name) == segment


@pytest.mark.parametrize(
    "name", ["liver", "lever", "Segment 9", "Segment 5a", "Segment_12", "spleen", "portal vein", "met 4", ""]
)
def test_other_names_are_no_segment(name: str) -> None:
    """Organs, vessels, lesions and numbers beyond 8 are none; only 4 has halves."""
    assert segment_named(name) is None


def test_codes_are_those_of_cid_7170() -> None:
    """One code a segment, none for the halves of 4."""
    assert sorted(SEGMENT_CODES.values()) == list("12345678")


def test_four_answers_for_its_halves() -> None:
    """A map with 4a and 4b holds 4; one with 4 alone does not hold 4a."""
    assert parts_of("4", ["4a", "4b", "5"]) == ("4a", "4b")
    assert parts_of("4", ["4", "5"]) == ("4",)
    assert parts_of("4a", ["4", "5"]) == ()


def test_notation_is_the_new_worlds() -> None:
    """H and the whole segments, rising; both halves of 4 are 4."""
    assert notation(["8", "5", "7", "6"]) == "H5678"
    assert notation(["4a", "4b", "3", "2"]) == "H234"
    assert notation(["4b", "5"]) == "H4b5"
    assert notation([]) is None
