"""``agreement.html``: the comparison for people, in one file that asks nothing of any network."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.case.record_types import given
from volstrat.comparison.agreement_figures import Point, bland_altman_plot
from volstrat.comparison.agreement_types import value_in
from volstrat.comparison.cohort_agreement import NO_STRATUM, definitions
from volstrat.comparison.cohort_agreement import STRATA as STRATUM_KEYS
from volstrat.comparison.disputes import STAKES
from volstrat.show.pages import NO_NUMBER, decimals, markup, render, styled
from volstrat.show.words import STRATA, percent_text
from volstrat.terms.wording import NAMED, more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from volstrat.comparison.agreement_types import (
        AdjudicationItem,
        Estimate,
        LeftOut,
        Pair,
        Subject,
        SubjectReading,
    )
    from volstrat.comparison.agreement_types import CohortAgreement as CohortRecord
    from volstrat.comparison.pair import Settings
    from volstrat.comparison.reading_types import ReadingSet
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


class AgreementPage:
    """Takes subjects one by one and renders the page at the end."""

    def __init__(self, readings: Sequence[ReadingSet], settings: Settings) -> None:
        self._readings = readings
        self._settings = settings
        self._pairs = [(a.name, b.name) for a, b in combinations(readings, 2)]
        self._points: dict[tuple[str, str, str], list[Point]] = {}
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
        point = Point(
            subject=subject, mean=mean, difference=difference, same_stratum=a["stratum"] == b["stratum"]
        )
        self._points.setdefault((quantity, a["reading"], b["reading"]), []).append(point)

    def render(
        self, cohort: CohortRecord, items: Sequence[AdjudicationItem], findings: Sequence[Finding]
    ) -> bytes:
        """Return the page."""
        settings = self._settings
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
            tolerance=f"{settings.surface_tolerance_mm:g} mm",
            rows=self._rows,
            more_subjects=more_than(self._subjects, _MOST_ROWS),
            details=sorted(self._details, key=lambda subject: subject["stake"]["rank"]),
            definitions=definitions(
                surface_tolerance_mm=settings.surface_tolerance_mm,
                match_distance_mm=settings.match_distance_mm,
            ),
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
                yield {"plot": bland_altman_plot(points, stats, labels=labels), "caption": caption}


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
