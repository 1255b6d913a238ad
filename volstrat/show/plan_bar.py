"""A plan's remnant as a small bar: its share, the limit, and where the map's own error could put it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.show.plan_words import remnant_of

if TYPE_CHECKING:
    from volstrat.case.record_types import PlanRecord

_WIDTH, _HEIGHT = 150.0, 18.0
_SOFT, _INK, _LINE = "#57606a", "#1b1f24", "#d0d7de"


def remnant_bar(plan: PlanRecord) -> str:
    """Draw a plan's remnant from 0 to 100 % of the liver; "" where it has no share."""
    share = plan["remnant"]["flr_percent"]
    if share is None:
        return ""
    shown = [shift["flr_percent"] for shift in plan["map_shift"] if shift["flr_percent"] is not None]
    parts = [
        f'<rect class="track" x="0" y="4" width="{_WIDTH:g}" height="10" fill="none" stroke="{_LINE}"/>',
        f'<rect class="certain" x="0" y="4" width="{_at(share):.2f}" height="10" fill="{_SOFT}"/>',
    ]
    if shown:
        low, high = _at(min(shown)), _at(max(shown))
        parts.append(
            f'<path class="interval" d="M{low:.2f} 5v8M{low:.2f} 9H{high:.2f}M{high:.2f} 5v8" fill="none" '
            f'stroke="{_INK}" stroke-width="1.5"/>'
        )
    limit = plan["remnant"]["limit_percent"]
    if limit is not None:
        parts.append(
            f'<path class="threshold" d="M{_at(limit):.2f} 0v18" stroke="{_INK}" stroke-width="2.5"/>'
        )
    said = remnant_of(plan)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="remnant" width="{_WIDTH:g}" height="{_HEIGHT:g}" '
        f'viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{said}">{"".join(parts)}</svg>'
    )


def _at(percent: float) -> float:
    return _WIDTH * min(max(percent, 0), 100) / 100
