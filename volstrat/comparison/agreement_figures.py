"""Where the figures of a comparison put what, in pixels; the template draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 112, 14, 48
_RATIOS = (
    0.1,
    0.2,
    0.25,
    0.33,
    0.5,
    0.67,
    0.8,
    0.9,
    0.95,
    1.0,
    1.05,
    1.1,
    1.25,
    1.5,
    2.0,
    3.0,
    4.0,
    5.0,
    10.0,
)
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One subject in a figure: mean of its two readings, their difference, and whether strata agree."""

    subject: str
    mean: float
    difference: float
    same_stratum: bool


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def bland_altman_plot(
    points: Sequence[Point], stats: Mapping[str, Any], *, labels: tuple[str, str]
) -> dict[str, Any]:
    """Lay out differences against means with bias, limits of agreement and their 95 % intervals.

    Parameters
    ----------
    points : sequence of Point
        ``difference`` as in ``stats``; for a log ratio ``mean`` is a volume in ml, above zero.
    stats : Mapping
        A Bland-Altman entry of ``agreement.json``.
    labels : tuple of str
        Of the horizontal and the vertical axis.

    Returns
    -------
    dict
        What the template ``figures.html`` draws, in pixels.
    """
    ratio = stats["scale"] == "log_ratio"
    lines = [(key, stats[key]) for key in ("upper_limit", "bias", "lower_limit")]
    ends = [p.difference for p in points] + [0.0]
    ends += [v for _, e in lines for v in (e["value"], e["low"], e["high"]) if v is not None]
    y = _Axis(*_widened(min(ends), max(ends), least=0.05 if ratio else 0.02), _HEIGHT - _BOTTOM, _TOP)
    x, x_ticks = _x_axis([p.mean for p in points], log=ratio)
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - _RIGHT,
        "top": _TOP,
        "bottom": _HEIGHT - _BOTTOM,
        "labels": labels,
        "title": f"{labels[1]} against {labels[0]}, {len(points)} subjects",
        "x_ticks": [(_px(x(value)), text) for value, text in x_ticks],
        "y_ticks": [(_px(y(value)), text) for value, text in _y_ticks(y, ratio)],
        "lines": [_line(key, estimate, y, ratio) for key, estimate in lines if estimate["value"] is not None],
        "marks": [
            {
                "subject": p.subject,
                "same_stratum": p.same_stratum,
                "x": _px(x(math.log10(p.mean) if ratio else p.mean)),
                "y": _px(y(p.difference)),
            }
            for p in points
        ],
    }


def _widened(low: float, high: float, *, least: float) -> tuple[float, float]:
    margin = max(0.06 * (high - low), least)
    return low - margin, high + margin


def _x_axis(means: Sequence[float], *, log: bool) -> tuple[_Axis, list[tuple[float, str]]]:
    values = [math.log10(m) for m in means] if log else list(means)
    low, high = _widened(min(values), max(values), least=0.15 if log else 0.05)
    if not log:
        low, high = max(low, -0.02), min(high, 1.02)
    axis = _Axis(low, high, _LEFT, _WIDTH - _RIGHT)
    if log:
        decades = range(math.floor(low), math.ceil(high) + 1)
        many = high - low > 3
        steps = (1,) if many else (1, 2, 5)
        ticks = [(math.log10(s * 10.0**d), f"{s * 10.0**d:g}") for d in decades for s in steps]
    else:
        ticks = [(n / 10, f"{10 * n} %") for n in range(11)]
    return axis, [(v, text) for v, text in ticks if low <= v <= high]


def _y_ticks(y: _Axis, ratio: bool) -> list[tuple[float, str]]:
    if ratio:
        found = [(math.log(r), f"{r:g}") for r in _RATIOS if y.low <= math.log(r) <= y.high]
        while len(found) > _MOST_TICKS:
            found = [tick for n, tick in enumerate(found) if n % 2 == 0 or tick[1] == "1"]
        return found
    steps = (m * 10.0**d for d in count(-3) for m in (5, 10, 20))  # limits of two subjects reach far beyond 1
    step = next(s for s in steps if (y.high - y.low) / s <= _MOST_TICKS)
    first = math.ceil(y.low / step)
    return [(n * step, f"{100 * n * step:+g}") for n in range(first, math.floor(y.high / step) + 1)]


def _line(key: str, estimate: Mapping[str, Any], y: _Axis, ratio: bool) -> dict[str, Any]:
    """Lay out bias or a limit: where its line runs, its interval as a band, and its value in words."""
    band = None
    if estimate["low"] is not None:
        top, bottom = y(estimate["high"]), y(estimate["low"])
        band = (_px(top), _px(bottom - top))
    value = math.exp(estimate["value"]) if ratio else 100 * estimate["value"]
    shown = f"{value:.2f}" if ratio else f"{value:+.1f}"
    kind = "bias" if key == "bias" else "limit"
    return {
        "kind": kind,
        "at": _px(y(estimate["value"])),
        "band": band,
        "text": f"{key.replace('_', ' ')} {shown}",
    }


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
