"""``agreement.html``: the comparison for people, in one file that asks nothing of any network."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations, count
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.case.record_types import given
from volstrat.comparison.agreement_types import (
    AdjudicationItem,
    Estimate,
    LeftOut,
    Pair,
    Subject,
    SubjectReading,
    value_in,
)
from volstrat.comparison.cohort_agreement import NO_STRATUM
from volstrat.comparison.cohort_agreement import STRATA as STRATUM_KEYS
from volstrat.comparison.subject import STAKES
from volstrat.show.pages import NO_NUMBER, decimals, markup, render, styled
from volstrat.show.words import STRATA, percent_text
from volstrat.terms.wording import NAMED, more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.comparison.agreement_types import CohortAgreement as CohortRecord
    from volstrat.comparison.readings import ReadingSet
    from volstrat.terms.findings import Finding

_QUANTITY = {
    "total_tumour_ml": "Total tumour volume",
    "resectable_tumour_ml": "Resectable tumour volume",
    "resectable_fraction": "Resectable fraction",
    "fdg_avid_ml": "FDG-avid volume",
    "fdg_avid_fraction": "FDG-avid fraction of the tumour",
}
_ATTRIBUTED = {
    "stratum": "Pairs of readings with different strata",
    "predicates": "Same stratum, but another criterion",
    "counts": "Same criteria, but other counts",
}
_GRAVE = ("trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable")
_PLOTTED = ("total_tumour_ml", "resectable_fraction")
_MOST_DETAILS = 300
_MOST_ROWS = 2000

# Of the figures, in pixels.
_WIDTH, _HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 112, 14, 48
_RATIOS = (
    0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0,
)  # fmt: skip
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
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


class AgreementPage:
    """Takes subjects one by one and renders the page at the end."""

    def __init__(self, readings: Sequence[ReadingSet], tolerance_mm: float) -> None:
        self._readings = readings
        self._tolerance_mm = tolerance_mm
        self._pairs = [(a.name, b.name) for a, b in combinations(readings, 2)]
        self._points: dict[tuple[str, str, str], list[_Point]] = {}
        self._rows: list[dict[str, Any]] = []
        self._details: list[dict[str, Any]] = []
        self._subjects = 0

    def add(self, subject: Subject) -> None:
        """Take up one subject."""
        self._subjects += 1
        name = case_name(subject["subject"], subject["visit"])
        readings = {r["reading"]: r for r in subject["readings"]}
        for pair in subject["pairs"]:
            a, b = readings[pair["a"]], readings[pair["b"]]
            if pair["outcome"] != "different_images":
                for quantity in _PLOTTED:
                    self._add_point(name, quantity, a, b)
            if self._subjects <= _MOST_ROWS:
                self._rows.append(_row(name, pair, a, b))
        if subject["stake"]["kind"] != "none" and len(self._details) < _MOST_DETAILS:
            known = [r["predicates"] for r in subject["readings"] if r["predicates"] is not None]
            threshold = known[0]["stratum_1"]["threshold_percent"] if known else None
            shown = {"name": name, "by_name": readings, "threshold": threshold}
            self._details.append({**subject, **shown})

    def _add_point(self, subject: str, quantity: str, a: SubjectReading, b: SubjectReading) -> None:
        one, other = (value_in(r["volumes"], quantity) for r in (a, b))
        log = quantity.endswith("_ml")
        if one is None or other is None or (log and min(one, other) <= 0):
            return
        mean = math.sqrt(one * other) if log else (one + other) / 2
        difference = math.log(other / one) if log else other - one
        point = _Point(
            subject=subject, mean=mean, difference=difference, same_stratum=a["stratum"] == b["stratum"]
        )
        self._points.setdefault((quantity, a["reading"], b["reading"]), []).append(point)

    def render(
        self,
        cohort: CohortRecord,
        items: Sequence[AdjudicationItem],
        findings: Sequence[Finding],
        definitions: Mapping[str, str],
    ) -> bytes:
        """Return the page."""
        without = [f"{n} in {name}" for name, n in cohort["strata_given"]["without"].items() if n]
        page = render(
            "comparison/templates/agreement.html",
            policy=markup("style-src 'unsafe-inline'; img-src data:"),
            style=markup(styled("comparison/templates/agreement.css")),
            readings=self._readings,
            cohort=cohort,
            cards=_cards(cohort, items),
            findings=findings,
            items=[
                {
                    **item,
                    "name": case_name(item["subject"], item["visit"]),
                    "more": more_than(len(item["look_at"]), NAMED),
                }
                for item in items[:_MOST_ROWS]
            ],
            most_named=NAMED,
            grave=_GRAVE,
            stakes=STAKES,
            at_stake={item["stake"] for item in items},
            stratum_keys={**{key: STRATA[key] for key in STRATUM_KEYS}, NO_STRATUM: STRATA[None]},
            without=", ".join(without),
            quantities=_QUANTITY,
            ratio=_ratio,
            plots=list(self._plots(cohort)),
            attributions=list(_attributions(cohort)),
            tolerance=f"{self._tolerance_mm:g} mm",
            rows=self._rows,
            more_subjects=more_than(self._subjects, _MOST_ROWS),
            details=sorted(self._details, key=lambda subject: subject["stake"]["rank"]),
            definitions=definitions,
        )
        return page.encode()

    def _plots(self, cohort: CohortRecord) -> Iterator[dict[str, Any]]:
        """Yield a figure and its caption for each two readings and quantity."""
        by_name = {q["quantity"]: q for q in cohort["quantities"]}
        for index, (a, b) in enumerate(self._pairs):
            for quantity in _PLOTTED:
                points = self._points.get((quantity, a, b), ())
                stats = by_name[quantity]["bland_altman"][index]
                log = by_name[quantity]["scale"] == "log_ratio"
                title = f"{_QUANTITY[quantity]}, {b} against {a}"
                if not points:
                    yield {"plot": None, "caption": f"{title}: no subject has both values."}
                    continue
                labels = (
                    (f"Geometric mean of {a} and {b}, ml", f"Ratio {b} / {a}")
                    if log
                    else (f"Mean of {a} and {b}", f"{b} - {a}, percentage points")
                )
                excluded = f"; {stats['excluded']} left out" if stats["excluded"] else ""
                if stats["left_out"]:
                    excluded += f": {shown_names([_left_out(one) for one in stats['left_out']])}"
                caption = (
                    f"{title}. {stats['subjects']} subjects{excluded}. Lines: bias and limits of agreement; "
                    "bands: their 95 % intervals; diamonds: strata differ."
                )
                yield {"plot": _bland_altman_plot(points, stats, labels=labels), "caption": caption}


def _cards(cohort: CohortRecord, items: Sequence[AdjudicationItem]) -> list[tuple[str, str]]:
    pairs = cohort["strata"]["pairs"]
    same = sum(sum(row[n] for n, row in enumerate(pair["table"])) for pair in pairs)
    of = sum(pair["subjects"] for pair in pairs)
    unit = "pairs of readings" if len(pairs) > 1 else "subjects"
    entry = sum(item["stake"] == "trial_entry" for item in items)
    compared = cohort["outcomes"].get("compared", 0)
    return [
        (f"{compared} of {cohort['subjects']}", "subjects compared voxel by voxel"),
        (f"{same} of {of}", f"{unit}: the same stratum, or none in both"),
        (str(len(items)), "for the adjudicator"),
        (str(entry), "of them decide trial entry"),
    ]


def _left_out(one: LeftOut) -> str:
    """Name a subject that a figure cannot show, with both its values."""
    values = ("none" if value is None else f"{value:.2f}" for value in (one["a"], one["b"]))
    return f"{one['subject']} ({' / '.join(values)})"


def _row(subject: str, pair: Pair, a: SubjectReading, b: SubjectReading) -> dict[str, Any]:
    """Return a row of the table of subjects: two readings of one."""
    return {
        "subject": subject,
        "pair": {key: value for key, value in pair.items() if key != "lesions"},
        "strata": list(dict.fromkeys(_stratum(r) for r in (a, b))),
        "ml": [decimals(value_in(r["volumes"], "total_tumour_ml"), 2) for r in (a, b)],
        "shares": [_share(r) for r in (a, b)],
    }


def _stratum(reading: SubjectReading) -> str:
    if reading["source"] == "absent":
        return "absent"
    return "failed" if reading["error"] is not None else STRATA[reading["stratum"]]


def _share(reading: SubjectReading) -> str:
    """Return what can be resected of the tumour in one reading."""
    volumes = reading["volumes"]
    if volumes is None or volumes["resectable_fraction"] is None:
        return NO_NUMBER
    threshold = given(reading["predicates"])["stratum_1"]["threshold_percent"]
    return percent_text(100 * volumes["resectable_fraction"], threshold)


def _ratio(estimate: Estimate) -> Estimate:
    """Turn the logarithm of a ratio back into the ratio."""
    value, low, high = (
        None if x is None else math.exp(x) for x in (estimate["value"], estimate["low"], estimate["high"])
    )
    return {**estimate, "value": value, "low": low, "high": high}


def _attributions(cohort: CohortRecord) -> Iterator[tuple[str, list[tuple[str, int, float]]]]:
    """Yield a title and bars, the largest first, for each level at which readings differ."""
    for level, title in _ATTRIBUTED.items():
        counts: Counter[str] = Counter(value_in(cohort["attributed_to"], level))
        if counts:
            rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            most = rows[0][1]
            bars = [(key.replace("+", " + "), n, round(300 * n / most, 1)) for key, n in rows]
            yield f"{title}: {counts.total()}", bars


def _bland_altman_plot(
    points: Sequence[_Point], stats: Mapping[str, Any], *, labels: tuple[str, str]
) -> dict[str, Any]:
    """Lay out differences against means with bias, limits of agreement and their 95 % intervals, in pixels.

    ``stats`` is a Bland-Altman entry of ``agreement.json``; of a log ratio the means are volumes above 0 ml.
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
