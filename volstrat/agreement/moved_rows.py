"""Rows that both readings' tables have alike, on different lesions: what looks like another marking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.agreement.matching import LesionMatching
    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRow:
    """A row of both tables, alike in number and words, on lesions that do not match.

    Parameters
    ----------
    number : str
        The id that both tables give it.
    row : LesionRow
        As reading A has it.
    in_a, in_b : int
        Position of the lesion that it lies on.
    matched : tuple of int
        The lesions of B that match the one in A; none where B does not have it.
    """

    number: str
    row: LesionRow
    in_a: int
    in_b: int
    matched: tuple[int, ...]


def moved_rows(a: Measurements, b: Measurements, matching: LesionMatching) -> tuple[MovedRow, ...]:
    """Return the rows of both tables, alike in number and words, that lie on lesions that do not match.

    Their numbers go by size, so that drawing one lesion otherwise moved the row: nobody marked differently.
    A row that both tables place by point or segment is where its reader put it. One whose lesions
    are each in one reading alone tells nothing.
    """
    partners: dict[int, set[int]] = {}
    for pair in matching.pairs:
        partners.setdefault(pair.a - 1, set()).add(pair.b - 1)
    for group in matching.groups:
        for part in group.parts:
            whole, other = (group.whole, part) if group.kind == "split" else (part, group.whole)
            partners.setdefault(whole - 1, set()).add(other - 1)
    matched_in_b = set().union(*partners.values())
    here, there = _by_number(a), _by_number(b)
    moved = []
    for number in sorted(here.keys() & there.keys()):
        (at, row), (to, same) = here[number], there[number]
        alike = (row.word, row.fdg_avidity) == (same.word, same.fdg_avidity)
        loose = _goes_by_number(row, a, at) or _goes_by_number(same, b, to)
        theirs = partners.get(at, set())
        if alike and loose and row.says_something and to not in theirs and (theirs or to in matched_in_b):
            moved.append(MovedRow(number=number, row=row, in_a=at, in_b=to, matched=tuple(sorted(theirs))))
    return tuple(moved)


def moved_row_findings(moved: tuple[MovedRow, ...], a: Measurements, b: Measurements) -> tuple[Finding, ...]:
    """Say which rows moved, from which lesion to which."""
    return tuple(
        finding(
            "row_moved",
            where=one.number,
            row=one.number,
            word=one.row.word or one.row.fdg_avidity,
            lesion_a=a.lesions.ids[one.in_a],
            lesion_b=b.lesions.ids[one.in_b],
            matched=(
                f"which is {' and '.join(b.lesions.ids[n] for n in one.matched)} in B"
                if one.matched
                else "which B does not have"
            ),
        )
        for one in moved
    )


def _by_number(measured: Measurements) -> Mapping[str, tuple[int, LesionRow]]:
    """Return where each row of the table lies, by the number that the table itself gives it."""
    places = {lesion_id: n for n, lesion_id in enumerate(measured.lesions.ids)}
    return {row.lesion_id: (places[i], row) for i, row in measured.rows.items() if i in places}


def _goes_by_number(row: LesionRow, measured: Measurements, lesion: int) -> bool:
    return row.point_mm is None and (not row.segment or measured.lesions.by_size[lesion])
