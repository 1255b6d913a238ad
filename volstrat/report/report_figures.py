"""Figures as inline SVG: predicates against their thresholds, lesion volumes by marking, a plan's remnant.

Drawn from numbers alone, so that the same record gives the same bytes; colours come from the page's
style sheet, so that they follow light, dark and print.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from volstrat.case.record_types import given
from volstrat.show.pages import markup
from volstrat.show.plan_words import remnant_of
from volstrat.show.styles import STYLES
from volstrat.show.verdict_words import bounds_percent, counted_text, criterion_text, share_text
from volstrat.show.words import MET, ml_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.record_types import CaseRecord, LesionRecord, PlanRecord, PredicateName

_BAR_WIDTH, _BAR_TOP, _BAR_HEIGHT = 640.0, 30.0, 34.0
_LEFT = 12.0
_XMLNS = 'xmlns="http://www.w3.org/2000/svg"'
_MOST_BARS = 48
_SOFT, _INK, _LINE, _BAND = "#57606a", "#1b1f24", "#d0d7de", "#f3f5f7"
_FONT = "DejaVu Sans, Segoe UI, Arial, sans-serif"
# Paint for light ground; the page's style sheet, which a PDF's SVG does not see, changes it on dark.
_PAINT = {
    "track": f'fill="{_BAND}" stroke="{_LINE}"',
    "certain": f'fill="{_SOFT}"',  # neutral: whether that is enough, the words say
    "open": f'fill="{_LINE}" stroke="{_SOFT}" stroke-dasharray="5 3"',
    "threshold": f'stroke="{_INK}" stroke-width="3"',
    "interval": f'stroke="{_INK}" stroke-width="2" fill="none"',
    "grid": f'stroke="{_LINE}"',
    "tick": f'fill="{_SOFT}" font-size="13" font-family="{_FONT}"',
    "needs": f'fill="{_INK}" font-size="13" font-weight="700" font-family="{_FONT}"',
    **{word: f'fill="{style.ink}"' for word, style in STYLES.items()},
    "unresectable stroke": f'stroke="{STYLES["unresectable"].ink}" stroke-width="2.2" fill="none"',
    "dismissed ring": f'stroke="{STYLES["dismissed"].ink}" stroke-width="1.5" fill="none"',
    "partial ring": f'stroke="{STYLES["partial"].ink}" stroke-width="1.5" fill="none"',
}


def criterion_bar(record: CaseRecord, key: PredicateName, *, width: float = _BAR_WIDTH) -> dict[str, Any]:
    """Return what stands at a criterion: its share, whether it is met, what that rests on, and its bar."""
    predicate = given(record["predicates"])[key]
    return {
        "share": share_text(predicate),
        "met": MET[predicate["holds"]],
        "svg": markup(predicate_bar(record, key, width=width)),
        "told": criterion_text(record, key),
        "counted": counted_text(predicate),
    }


def predicate_bar(record: CaseRecord, key: PredicateName, *, width: float = _BAR_WIDTH) -> str:
    """Draw a predicate from 0 to 100 %: certain, open, threshold, interval; letters keep their size."""
    p = given(record["predicates"])[key]
    bounds = bounds_percent(p)
    threshold = p["threshold_percent"]
    parts = [
        f'<rect class="track" x="{_LEFT}" y="{_BAR_TOP}" width="{width:g}" height="{_BAR_HEIGHT}"/>',
    ]
    shown = bounds is not None and bounds != (0, 100)  # a bar of nothing marked would read as a result
    if bounds is not None and shown:
        parts += _span("certain", 0, bounds[0], width) + _span("open", *bounds, width)
    interval = given(record["robustness"])["resectable_fraction_95"]
    if key == "stratum_1" and interval is not None and shown:
        a, b = (_at(100 * x, width) for x in interval)
        y = _BAR_TOP + _BAR_HEIGHT / 2
        parts.append(
            f'<path class="interval" d="M{a:.2f} {y - 7:.2f}v14M{a:.2f} {y:.2f}H{b:.2f}'
            f'M{b:.2f} {y - 7:.2f}v14"/>'
        )
    x = _at(threshold, width)
    parts.append(
        f'<path class="threshold" d="M{x:.2f} {_BAR_TOP - 7:.2f}V{_BAR_TOP + _BAR_HEIGHT + 7:.2f}"/>'
    )
    parts.append(_text("needs", x, _BAR_TOP - 12, _anchor(threshold), f"needs {threshold:g} %"))
    for tick in (0, 50, 100):
        below = _BAR_TOP + _BAR_HEIGHT + 20
        parts.append(_text("tick", _at(tick, width), below, _anchor(tick), f"{tick} %"))
    name = "Resectable share of the tumour" if key == "stratum_1" else "Resectable share of avid disease"
    label = f"{name}: {share_text(p)}; stratum {key[-1]} {MET[p['holds']]}"
    return _svg(width + 2 * _LEFT, _BAR_TOP + _BAR_HEIGHT + 26, label, parts)


def _text(kind: str, x: float, y: float, anchor: str, words: str) -> str:
    return f'<text class="{kind}" x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(words)}</text>'


def _at(percent: float, width: float) -> float:
    return _LEFT + width * percent / 100


def _anchor(percent: float) -> str:
    return "start" if percent < 8 else "end" if percent > 92 else "middle"


def _span(kind: str, low: float, high: float, width: float) -> list[str]:
    if high <= low:
        return []
    return [
        f'<rect class="{kind}" x="{_at(low, width):.2f}" y="{_BAR_TOP}" '
        f'width="{_at(high, width) - _at(low, width):.2f}" height="{_BAR_HEIGHT}"/>'
    ]


def waterfall(lesions: Sequence[LesionRecord]) -> str:
    """Draw lesion volumes by marking, largest first; beyond the largest 48 the rest is said in words."""
    ranked = sorted(lesions, key=lambda x: -x["volume_ml"])
    shown = ranked[:_MOST_BARS]
    if not shown:
        return ""
    width, height, top, left = 640.0, 190.0, 14.0, 46.0
    base = height - 34
    step = (width - left - 8) / max(len(shown), 8)
    ceiling = _round_up(shown[0]["volume_ml"])
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = base - (base - top) * share
        parts.append(f'<path class="grid" d="M{left} {y:.2f}H{width - 4:.2f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + 4:.2f}" text-anchor="end">{ceiling * share:g}</text>'
        )
    parts.append(f'<text class="tick" x="2" y="{top + 18:.2f}">ml</text>')
    names = len(shown) <= 24
    for n, lesion in enumerate(shown):
        x = left + step * (n + 0.5)
        tall = max(1.0, (base - top) * lesion["volume_ml"] / ceiling)
        word = lesion["resectability"]
        bar = min(step * 0.7, 46.0)
        parts.append(
            f'<rect class="{word}" x="{x - bar / 2:.2f}" y="{base - tall:.2f}" width="{bar:.2f}" '
            f'height="{tall:.2f}"/>'
        )
        parts.append(sign_path(word, x, base + 9, min(4.5, step * 0.35)))
        if names:
            parts.append(_text("tick", x, base + 28, "middle", lesion["lesion_id"]))
    rest = ranked[_MOST_BARS:]
    if rest:
        rest_text = f"and {len(rest)} smaller ones, together {ml_text(sum(x['volume_ml'] for x in rest))}"
        parts.append(_text("tick", width - 6, top + 14, "end", rest_text))
    return _svg(width, height, "Lesion volumes in ml, largest first, by marking", parts)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten.

    >>> _round_up(21.6), _round_up(0.04), _round_up(100.0)
    (50.0, 0.05, 100.0)
    """
    power = 1e-6
    while True:
        for step in (1, 2, 5):
            if step * power >= value * (1 - 1e-12):
                return float(f"{step * power:.6g}")
        power *= 10


def sign_path(word: str, x: float, y: float, r: float) -> str:
    """Draw the sign of a marking as SVG."""
    place = f'cx="{x:.2f}" cy="{y:.2f}" r="{r:.2f}"'
    match STYLES[word].sign:
        case "ring":
            return f'<circle class="dismissed ring" {place}/>'  # taken out: a lesion looks as a region does
        case "disc":
            return f'<circle class="{word}" {place}/>'
        case "diamond":
            d = f"M{x:.2f} {y - r:.2f}l{r:.2f} {r:.2f}l{-r:.2f} {r:.2f}l{-r:.2f} {-r:.2f}z"
            return f'<path class="{word}" d="{d}"/>'
        case "cross":
            d = f"M{x - r:.2f} {y - r:.2f}l{2 * r:.2f} {2 * r:.2f}m0 {-2 * r:.2f}l{-2 * r:.2f} {2 * r:.2f}"
            return f'<path class="{word} stroke" d="{d}"/>'
        case "half":
            d = f"M{x:.2f} {y - r:.2f}a{r:.2f} {r:.2f} 0 0 0 0 {2 * r:.2f}z"
            return f'<circle class="{word} ring" {place}/><path class="{word}" d="{d}"/>'
        case "question":
            return (
                f'<text class="{word}" x="{x:.2f}" y="{y + r:.2f}" text-anchor="middle" '
                f'font-size="{3 * r:.2f}" font-weight="700">?</text>'
            )


def sign(word: str) -> str:
    """Draw the sign of a marking as a small picture of its own."""
    drawn = _painted(sign_path(word, 6, 6, 4.5))
    return f'<svg {_XMLNS} class="sign" viewBox="0 0 12 12" aria-hidden="true">{drawn}</svg>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg {_XMLNS} viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}">'
        f"{_painted(''.join(parts))}</svg>"
    )


def _painted(drawn: str) -> str:
    """Give every element the paint of its class."""
    return re.sub(r'class="([a-z_ ]+)"', lambda found: f"{found[0]} {_PAINT[found[1]]}", drawn)


def remnant_bar(plan: PlanRecord) -> str:
    """Draw a plan's remnant from 0 to 100 % of the liver; "" where it has no share."""
    share, limit = plan["remnant"]["flr_percent"], plan["remnant"]["limit_percent"]
    if share is None:
        return ""
    shown = [shift["flr_percent"] for shift in plan["map_shift"] if shift["flr_percent"] is not None]
    parts = [
        f'<rect class="track" x="0" y="4" width="150" height="10" fill="none" stroke="{_LINE}"/>',
        f'<rect class="certain" x="0" y="4" width="{_of_remnant(share):.2f}" height="10" fill="{_SOFT}"/>',
    ]
    if shown:
        low, high = _of_remnant(min(shown)), _of_remnant(max(shown))
        path = f"M{low:.2f} 5v8M{low:.2f} 9H{high:.2f}M{high:.2f} 5v8"
        parts.append(f'<path class="interval" d="{path}" fill="none" stroke="{_INK}" stroke-width="1.5"/>')
    if limit is not None:
        path = f"M{_of_remnant(limit):.2f} 0v18"
        parts.append(f'<path class="threshold" d="{path}" stroke="{_INK}" stroke-width="2.5"/>')
    return (
        f'<svg {_XMLNS} class="remnant" width="150" height="18" viewBox="0 0 150 18" role="img" '
        f'aria-label="{remnant_of(plan)}">{"".join(parts)}</svg>'
    )


def _of_remnant(percent: float) -> float:
    return 150 * min(max(percent, 0), 100) / 100
