"""Surgical plans on a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from volstrat.cli.say import printable
from volstrat.show.plan_words import ARITHMETIC, plan_rows
from volstrat.show.words import STATUS_SENTENCE, STRATA, percent_text
from volstrat.terms.wording import more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.record_types import CaseRecord, SearchRecord

WIDTH = 80
_NAMES = 16
_SIDE_BY_SIDE = 3
_MOST_UNIONS = 40


def plans_table(record: CaseRecord) -> str:
    """Render a record's plans side by side, three at a time, with what to look at below."""
    chosen = record["chosen_plan"]
    said = "no plan chosen" if chosen is None else f"plan {chosen} chosen"
    head = f"{record['subject']}: {STRATA[record['stratum']].upper()} - {said}"
    lines = [*_wrapped(f"{head}; {STATUS_SENTENCE[record['status']]}"), ""]
    plans = record["plans"]
    for first in range(0, len(plans), _SIDE_BY_SIDE):
        some = slice(first, first + _SIDE_BY_SIDE)
        lines += [*_block([(row.name, row.cells[some]) for row in plan_rows(record)]), ""]
    reviews = [
        (plan["name"], finding)
        for plan in plans
        for finding in plan["findings"]
        if finding["severity"] in {"blocking", "review"}
    ]
    for name, finding in reviews:
        lines += _wrapped(f"{name}: {finding['message']} ({finding['code']})")
    if reviews:
        lines.append("")
    return "\n".join([*lines, *_wrapped("Research use. The multidisciplinary team decides.")])


def search_table(found: SearchRecord) -> str:
    """Render the unions that would do, by falling remnant."""
    unions = found["search"]
    lines = _wrapped(
        f"{found['subject']}: {len(unions)} of {found['tried']} unions of segments. {ARITHMETIC}"
    )
    if not unions:
        return "\n".join(lines)
    lines += ["", f"{'Cut out':<20}{'ablated':<26}{'debulked':>11}{'FLR':>10}{'':>2}stratum"]
    for union in unions[:_MOST_UNIONS]:
        ablated = textwrap.shorten(shown_names(union["ablate"]) or "-", 25, placeholder=" ...")
        debulked = percent_text(100 * union["resectable_fraction"], found["threshold_percent"])
        flr = percent_text(union["flr_percent"])
        cut = union["notation"] or "nothing"
        lines.append(f"{cut:<20}{ablated:<26}{debulked:>11}{flr:>10}  {STRATA[union['stratum']].lower()}")
    if len(unions) > _MOST_UNIONS:
        lines.append(f"... {more_than(len(unions), _MOST_UNIONS)} (--json lists all)")
    return "\n".join(lines)


def _block(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    count = len(rows[0][1])
    width = (WIDTH - _NAMES) // max(count, 2) - 1
    lines = []
    for name, cells in rows:
        if not any(cells):
            continue
        folded = [textwrap.wrap(printable(cell), width, break_on_hyphens=False) or [""] for cell in cells]
        for n in range(max(map(len, folded))):
            parts = [cell[n] if n < len(cell) else "" for cell in folded]
            label = name if n == 0 else ""
            lines.append((f"{label:<{_NAMES}}" + "".join(f"{part:<{width + 1}}" for part in parts)).rstrip())
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
