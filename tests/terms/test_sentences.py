"""Sentences of findings are for a clinician."""

from __future__ import annotations

import re

import pytest

from volstrat.terms.catalogue import CATALOGUE
from volstrat.terms.catalogue.entry import entries
from volstrat.terms.findings import SEVERITIES

_WORDS_OF_THE_TRADE = ("LPS", "lattice", "predicate", "attribution", "even-odd", "affine", "null", "boolean")


def test_findings_are_said_without_marks_and_words_of_the_trade() -> None:
    """No backticks, no coordinates' system, no word that only programmers have; each is a whole sentence."""
    marked, traded, endless = [], [], []
    for code, entry in CATALOGUE.items():
        for form, sentence in entry.forms.items():
            if "`" in sentence:
                marked.append((code, form))
            if any(re.search(rf"\b{word}\b", sentence) for word in _WORDS_OF_THE_TRADE):
                traded.append((code, form))
        whole = next(iter(entry.forms.values()))
        if not whole.rstrip().endswith((".", "}", "?")):
            endless.append(code)
    assert (marked, traded, endless) == ([], [], [])


def test_entries_are_read_as_they_are_written() -> None:
    """Head, forms, what goes on in a second line; one sentence has no form's name."""
    one, several = entries("""
first_code (review, or info)
    says: A sentence of {lesion}: it
        goes on.
    means: what it says
    do: Look.
second_code (info)
    some: Some.
    none: None.
    means: what it says
""")
    assert (one.code, one.severity, one.also) == ("first_code", "review", ("info",))
    assert (one.forms, one.means, one.do) == (
        {"": "A sentence of {lesion}: it goes on."},
        "what it says",
        "Look.",
    )
    assert (several.forms, several.also, several.do) == ({"some": "Some.", "none": "None."}, (), "")


@pytest.mark.parametrize("line", ["      goes on too far left.", "    says: Twice."])
def test_a_line_that_would_be_passed_over_is_refused(line: str) -> None:
    """A sentence that lost its second line would be read by nobody."""
    with pytest.raises(ValueError, match="'a_code \\(info\\)' has a line"):
        entries(f"a_code (info)\n    says: A sentence.\n{line}\n    means: what it says")


def test_every_entry_has_severities_that_there_are() -> None:
    """A word that is none would be refused nowhere else."""
    assert {s for entry in CATALOGUE.values() for s in (entry.severity, *entry.also)} == set(SEVERITIES)
