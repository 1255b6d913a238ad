"""Figures of a comparison as SVG text: drawn by hand, so that the same numbers give the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


def bland_altman_svg(points: Sequence[Point], stats: Mapping[str, Any], *, labels: tuple[str, str]) -> str:
    """Draw differences against means with bias, limits of agreement and their 95 % intervals.

    Parameters
    ----------
    points : sequence of Point
        ``difference`` as in ``stats``; for a log ratio ``mean`` is a volume in ml, above zero.
    stats : Mapping
        A Bland-Altman entry of ``agreement.json``.
    labels : tuple of str
        Of the horizontal and the vertical axis.
    """
    ratio = stats["scale"] == "log_ratio"
    lines = [(key, stats[key]) for key in ("upper_limit", "bias", "lower_limit")]
    ends = [p.difference for p in points] + [0.0]
    ends += [v for _, e in lines for v in (e["value"], e["low"], e["high"]) if v is not None]
    y = _Axis(*_widened(min(ends), max(ends), least=0.05 if ratio else 0.02), _HEIGHT - _BOTTOM, _TOP)
    x, x_ticks = _x_axis([p.mean for p in points], log=ratio)
    parts = [_frame(x_ticks, _y_ticks(y, ratio), x, y, labels)]
    for key, estimate in lines:
        if estimate["value"] is not None:
            parts.append(_line(key, estimate, y, ratio))
    parts += [_mark(p, x(math.log10(p.mean) if ratio else p.mean), y(p.difference)) for p in points]
    title = f"{labels[1]} against {labels[0]}, {len(points)} subjects"
    return (
        f'<svg class="figure" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


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
    step = next(
        s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (y.high - y.low) / s <= _MOST_TICKS
    )
    first = math.ceil(y.low / step)
    return [(n * step, f"{100 * n * step:+g}") for n in range(first, math.floor(y.high / step) + 1)]


def _frame(
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x: _Axis,
    y: _Axis,
    labels: tuple[str, str],
) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>']
    for value, text in x_ticks:
        at = _px(x(value))
        parts.append(f'<path class="axis" d="M{at} {bottom}v5"/>')
        parts.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>')
    for value, text in y_ticks:
        at = _px(y(value))
        parts.append(f'<path class="grid" d="M{_LEFT} {at}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{at}" dy="0.35em" text-anchor="end">{escape(text)}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text class="label" x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(labels[0])}</text>"
        f'<text class="label" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(labels[1])}</text>"
    )
    return "".join(parts)


def _line(key: str, estimate: Mapping[str, Any], y: _Axis, ratio: bool) -> str:
    """Draw bias or a limit, its interval as a band, and its value at the right."""
    right = _WIDTH - _RIGHT
    at = _px(y(estimate["value"]))
    kind = "bias" if key == "bias" else "limit"
    band = ""
    if estimate["low"] is not None:
        top, bottom = y(estimate["high"]), y(estimate["low"])
        band = f'<rect class="band {kind}" x="{_LEFT}" y="{_px(top)}" width="{right - _LEFT}" height="{_px(bottom - top)}"/>'  # noqa: E501
    value = math.exp(estimate["value"]) if ratio else 100 * estimate["value"]
    shown = f"{value:.2f}" if ratio else f"{value:+.1f}"
    name = {"bias": "bias", "upper_limit": "upper limit", "lower_limit": "lower limit"}[key]
    return (
        f'{band}<path class="line {kind}" d="M{_LEFT} {at}H{right}"/>'
        f'<text x="{right + 6}" y="{at}" dy="0.35em">{name} {shown}</text>'
    )


def _mark(point: Point, x: float, y: float) -> str:
    """Draw a subject: a dot, or a diamond where the strata differ."""
    told = escape(f"{point.subject}{'' if point.same_stratum else ': strata differ'}")
    if point.same_stratum:
        return f'<circle class="same" cx="{_px(x)}" cy="{_px(y)}" r="3.6"><title>{told}</title></circle>'
    path = f"M{_px(x)} {_px(y - 6)}l6 6l-6 6l-6 -6z"
    return f'<path class="apart" d="{path}"><title>{told}</title></path>'


def bars_svg(counts: Mapping[str, int], name: Callable[[str], str]) -> str:
    """Draw counts as horizontal bars, the largest first."""
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = max(counts.values())
    height = 26 * len(rows) + 8
    parts = []
    for n, (key, count) in enumerate(rows):
        top = 26 * n + 6
        width = 300 * count / most
        parts.append(
            f'<text x="200" y="{top + 9}" dy="0.35em" text-anchor="end">{escape(name(key))}</text>'
            f'<rect class="bar" x="208" y="{top}" width="{_px(width)}" height="18"/>'
            f'<text x="{_px(214 + width)}" y="{top + 9}" dy="0.35em">{count}</text>'
        )
    return f'<svg class="figure" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="What carries the differences">{"".join(parts)}</svg>'  # noqa: E501


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
