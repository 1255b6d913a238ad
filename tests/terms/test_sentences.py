"""Sentences of findings are for a clinician."""

from __future__ import annotations

import re

from volstrat.terms.catalogue import CATALOGUE

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
