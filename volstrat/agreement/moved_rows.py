"""Rows that both readings' tables have alike, on different lesions: what looks like another marking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.agreement.matching import LesionMatching
    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow


def moved_rows(a: Measurements, b: Measurements, matching: LesionMatching) -> tuple[Finding, ...]:
    """Say which rows of both tables, alike in number and words, lie on lesions that do not match.

    Their numbers go by size, so that drawing one lesion otherwise moved the row: nobody marked differently.
    """
    partners: dict[int, set[int]] = {}
    for pair in matching.pairs:
        partners.setdefault(pair.a - 1, set()).add(pair.b - 1)
    for group in matching.groups:
        for part in group.parts:
            whole, other = (group.whole, part) if group.kind == "split" else (part, group.whole)
            partners.setdefault(whole - 1, set()).add(other - 1)
    here, there = _by_number(a), _by_number(b)
    findings = []
    for number in sorted(here.keys() & there.keys()):
        (at, row), (to, same) = here[number], there[number]
        alike = (row.word, row.fdg_avidity) == (same.word, same.fdg_avidity)
        if alike and row.says_something and partners.get(at) and to not in partners[at]:
            findings.append(
                finding(
                    "row_moved",
                    where=number,
                    row=number,
                    word=row.word or row.fdg_avidity,
                    lesion_a=a.lesions.ids[at],
                    lesion_b=b.lesions.ids[to],
                    matched=" and ".join(b.lesions.ids[n] for n in sorted(partners[at])),
                )
            )
    return tuple(findings)


def _by_number(measured: Measurements) -> Mapping[str, tuple[int, LesionRow]]:
    """Return where each row of the table lies, by the number that the table itself gives it."""
    places = {lesion_id: n for n, lesion_id in enumerate(measured.lesions.ids)}
    return {row.lesion_id: (places[i], row) for i, row in measured.rows.items() if i in places}
