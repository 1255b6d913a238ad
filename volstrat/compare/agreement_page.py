"""``agreement.html``: the comparison for people, in one file that asks nothing of any network."""

from __future__ import annotations

import math
from collections import Counter
from html import escape
from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING, Any

from volstrat.compare.agreement_figures import Point, bars_svg, bland_altman_svg
from volstrat.compare.agreement_files import STAKES
from volstrat.compare.cohort_agreement import STRATA, definitions
from volstrat.compare.details import STRATUM, carried, number, subject_details, subject_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.compare.pair import Settings
    from volstrat.compare.readings import ReadingSet
    from volstrat.terms.findings import Finding

_QUANTITY = {
    "total_tumour_ml": "Total tumour volume",
    "resectable_tumour_ml": "Resectable tumour volume",
    "resectable_fraction": "Resectable fraction",
    "fdg_avid_ml": "FDG-avid volume",
    "fdg_avid_fraction": "FDG-avid fraction of the tumour",
}
_GRAVE = {"trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable"}
_MOST_DETAILS = 300
_MOST_ROWS = 2000


class AgreementPage:
    """Takes subjects one by one and renders the page at the end.

    Parameters
    ----------
    readings : sequence of ReadingSet
    settings : Settings
    """

    def __init__(self, readings: Sequence[ReadingSet], settings: Settings) -> None:
        self._readings = readings
        self._settings = settings
        self._pairs = [(a.name, b.name) for a, b in combinations(readings, 2)]
        self._points: dict[tuple[str, str, str], list[Point]] = {}
        self._rows: list[str] = []
        self._details: list[tuple[int, str]] = []
        self._subjects = 0

    def add(self, subject: Mapping[str, Any]) -> None:
        """Take up one subject."""
        self._subjects += 1
        readings = {r["reading"]: r for r in subject["readings"]}
        for pair in subject["pairs"]:
            if pair["outcome"] != "different_images":
                for quantity in ("total_tumour_ml", "resectable_fraction"):
                    self._add_point(subject["subject"], quantity, readings[pair["a"]], readings[pair["b"]])
        if len(self._rows) < _MOST_ROWS:
            self._rows.append(subject_rows(subject))
        if subject["stake"]["kind"] != "none" and len(self._details) < _MOST_DETAILS:
            self._details.append((subject["stake"]["rank"], subject_details(subject)))

    def _add_point(self, subject: str, quantity: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
        one, other = ((r["volumes"] or {}).get(quantity) for r in (a, b))
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
        self, cohort: Mapping[str, Any], items: Sequence[Mapping[str, Any]], findings: Sequence[Finding]
    ) -> bytes:
        """Return the page."""
        style = files("volstrat").joinpath("compare/page.css").read_text(encoding="utf-8")
        body = "\n".join(
            [
                self._head(),
                _cards(cohort, items),
                _findings(findings),
                _adjudication(items),
                _strata(cohort, self._pairs),
                self._volumes(cohort),
                _attribution(cohort),
                self._subject_table(),
                self._side_by_side(),
                self._definitions(),
            ]
        )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; img-src data:\">\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>Agreement of readings</title>\n<style>\n{style}</style></head>\n<body>\n{body}\n"
            "<footer>Research use. Who is right is for the adjudicator and the multidisciplinary team to "
            "decide. All numbers, unrounded: agreement.json.</footer>\n</body></html>\n"
        ).encode()

    def _head(self) -> str:
        rows = "".join(
            f"<tr><td>{r.name}</td><td>{escape(r.label)}</td><td>{r.kind.replace('_', ' ')}</td>"
            f'<td class="n">{len(r.subjects)}</td><td>{escape(r.protocol.protocol.id)} '
            f"{escape(r.protocol.protocol.version)} <span class=soft>{r.protocol.sha256[:12]}</span>"
            "</td></tr>"
            for r in self._readings
        )
        return (
            "<h1>Agreement of readings</h1>"
            '<div class="wide"><table><thead><tr><th>Reading</th><th>Folder</th><th>Kind</th>'
            f'<th class="n">Subjects</th><th>Protocol</th></tr></thead><tbody>{rows}</tbody></table></div>'
        )

    def _volumes(self, cohort: Mapping[str, Any]) -> str:
        by_name = {q["quantity"]: q for q in cohort["quantities"]}
        figures = [
            _figure(by_name[quantity], index, self._points.get((quantity, *pair), ()), pair)
            for index, pair in enumerate(self._pairs)
            for quantity in ("total_tumour_ml", "resectable_fraction")
        ]
        return (
            "<h2>Volumes and fractions</h2>"
            f'<div class="pairs">{"".join(figures)}</div>'
            f"{_bland_altman_table(cohort)}{_reliability_table(cohort)}"
        )

    def _subject_table(self) -> str:
        more = self._subjects - len(self._rows)
        note = f"<p>{more} more subjects are in agreement.csv.</p>" if more > 0 else ""
        tolerance = f"{self._settings.surface_tolerance_mm:g} mm"
        return (
            '<h2>Subjects</h2><div class="wide"><table class="dense"><thead><tr><th>Subject</th>'
            '<th></th><th>Strata</th><th class="n">Tumour, ml</th><th class="n">Resectable</th>'
            f'<th class="n">Dice</th><th class="n">Surface<br>Dice, {tolerance}</th>'
            '<th class="n">HD95,<br>mm</th><th class="n">Mean<br>distance, mm</th>'
            '<th class="n">Lesions: both /<br>1st / 2nd alone</th>'
            '<th class="n">Not counted<br>alike, ml</th><th>Carried by</th></tr>'
            f"</thead><tbody>{''.join(self._rows)}</tbody></table></div>{note}"
        )

    def _side_by_side(self) -> str:
        if not self._details:
            return ""
        shown = "".join(text for _, text in sorted(self._details, key=lambda item: item[0]))
        return f"<h2>Lesions side by side</h2><p class=soft>Gravest first.</p>{shown}"

    def _definitions(self) -> str:
        told = definitions(
            surface_tolerance_mm=self._settings.surface_tolerance_mm,
            match_distance_mm=self._settings.match_distance_mm,
        )
        rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in told.items())
        return f"<h2>What each figure is</h2><dl>{rows}</dl>"


def _estimate(estimate: Mapping[str, Any], digits: int = 3, factor: float = 1.0, unit: str = "") -> str:
    """Return a statistic with its interval, or why there is none."""
    value, low, high = (
        None if estimate[key] is None else factor * estimate[key] for key in ("value", "low", "high")
    )
    if value is None:
        return f"<span class=soft>{escape(estimate['reason'])}</span>"
    shown = f"{value:.{digits}f}{unit}"
    if low is None or high is None:
        return f"{shown}<br><span class=soft>{escape(estimate['reason'])}</span>"
    return f"{shown} <span class=soft>[{low:.{digits}f}, {high:.{digits}f}]</span>"


def _cards(cohort: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> str:
    pairs = cohort["strata"]["pairs"]
    same = sum(sum(row[n] for n, row in enumerate(pair["table"])) for pair in pairs)
    of = sum(pair["subjects"] for pair in pairs)
    unit = "pairs of readings" if len(pairs) > 1 else "subjects with a stratum in both"
    entry = sum(item["stake"] == "trial_entry" for item in items)
    compared = cohort["outcomes"].get("compared", 0)
    cards = [
        (f"{compared} of {cohort['subjects']}", "subjects compared voxel by voxel"),
        (f"{same} of {of}", f"{unit}: the same stratum"),
        (str(len(items)), "for the adjudicator"),
        (str(entry), "of them decide trial entry"),
    ]
    shown = "".join(f"<li><b>{value}</b>{text}</li>" for value, text in cards)
    return f'<ul class="cards">{shown}</ul>'


def _findings(findings: Sequence[Finding]) -> str:
    rows = "".join(f"<li>{escape(f.message)}</li>" for f in findings)
    return f"<ul>{rows}</ul>" if rows else ""


def _adjudication(items: Sequence[Mapping[str, Any]]) -> str:
    if not items:
        return "<h2>For the adjudicator</h2><p>Nothing: strata and predicates agree.</p>"
    rows = []
    for item in items[:_MOST_ROWS]:
        strata = "<br>".join(
            f"{escape(name)}: {STRATUM[stratum]}" for name, stratum in item["strata"].items()
        )
        look = "".join(f"<li>{escape(text)}</li>" for text in item["look_at"])
        grave = " grave" if item["stake"] in _GRAVE else ""
        rows.append(
            f'<tr><td class="n">{item["order"]}</td><td>{escape(item["subject"])}</td>'
            f'<td><span class="tag{grave}">{item["stake"].replace("_", " ")}</span></td>'
            f'<td class="strata">{strata}</td>'
            f"<td>{carried(item['attributed_to'])}</td>"
            f'<td class="n">{number(item["not_alike_ml"], 2)}</td><td><ul>{look}</ul></td></tr>'
        )
    legend = "; ".join(
        f"<b>{key.replace('_', ' ')}</b>: {escape(text)}"
        for key, text in STAKES.items()
        if key in {item["stake"] for item in items}
    )
    return (
        '<h2>For the adjudicator</h2><div class="wide"><table><thead><tr><th class="n">#</th><th>Subject</th>'
        '<th>At stake</th><th>Strata</th><th>Carried by</th><th class="n">Not counted<br>alike, ml</th>'
        f"<th>Look at</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"<p class=soft>{legend}.</p>"
    )


def _strata(cohort: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> str:
    found = cohort["strata"]
    tables = "".join(_table_3x3(pair) for pair in found["pairs"])
    without = ", ".join(f"{count} in {name}" for name, count in found["without"].items() if count)
    note = f"<p class=soft>Without a stratum, and not in these tables: {without}.</p>" if without else ""
    rows = "".join(
        f"<tr><td>{pair['a']} and {pair['b']}</td><td>{_estimate(pair['agreement'])}</td>"
        f"<td>{_estimate(pair['kappa'])}</td></tr>"
        for pair in found["pairs"]
    )
    overall = f"<p>Gwet's AC1{' over all readings' if len(pairs) > 1 else ''}: {_estimate(found['ac1'])}</p>"
    return (
        f'<h2>Strata</h2><div class="pairs">{tables}</div>{note}'
        "<table><thead><tr><th>Readings</th><th>Raw agreement [95 %]</th><th>Cohen's kappa [95 %]</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>{overall}"
        "<p class=soft>Where nearly all subjects fall into one stratum kappa can be low although "
        "readers agree on nearly all; AC1 is not.</p>"
    )


def _table_3x3(pair: Mapping[str, Any]) -> str:
    head = "".join(f'<th class="n">{STRATUM[name]}</th>' for name in STRATA)
    rows = []
    for r, name in enumerate(STRATA):
        cells = "".join(
            f'<td class="n{" same" if r == c else " apart" if count else ""}">{count}</td>'
            for c, count in enumerate(pair["table"][r])
        )
        rows.append(f"<tr><th>{STRATUM[name]}</th>{cells}</tr>")
    return (
        f"<table><caption>Rows: reading {pair['a']}; columns: reading {pair['b']}</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _figure(quantity: Mapping[str, Any], pair: int, points: Sequence[Point], names: tuple[str, str]) -> str:
    stats = quantity["bland_altman"][pair]
    name = _QUANTITY[quantity["quantity"]]
    log = quantity["scale"] == "log_ratio"
    title = f"{name}, {names[1]} against {names[0]}"
    if not points:
        return f"<figure><figcaption>{title}: no subject has both values.</figcaption></figure>"
    labels = (
        (f"Geometric mean of {names[0]} and {names[1]}, ml", f"Ratio {names[1]} / {names[0]}")
        if log
        else (f"Mean of {names[0]} and {names[1]}", f"{names[1]} - {names[0]}, percentage points")
    )
    excluded = f"; {stats['excluded']} left out" if stats["excluded"] else ""
    return (
        f"<figure>{bland_altman_svg(points, stats, labels=labels)}<figcaption>{title}. {stats['subjects']} "
        f"subjects{excluded}. Lines: bias and limits of agreement; bands: their 95 % intervals; diamonds: "
        "strata differ.</figcaption></figure>"
    )


def _bland_altman_table(cohort: Mapping[str, Any]) -> str:
    rows = []
    for quantity in cohort["quantities"]:
        log = quantity["scale"] == "log_ratio"
        for stats in quantity["bland_altman"]:
            cells = [
                _ratio(stats[key]) if log else _estimate(stats[key], 2, 100)
                for key in ("bias", "lower_limit", "upper_limit")
            ]
            what = "ratio" if log else "percentage points"
            rows.append(
                f"<tr><td>{_QUANTITY[quantity['quantity']]}</td>"
                f"<td>{stats['b']} against {stats['a']}, {what}</td>"
                f'<td class="n">{stats["subjects"]}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
            )
    return (
        '<h3>Bland-Altman</h3><div class="wide"><table><thead><tr><th>Quantity</th><th>Compared as</th>'
        '<th class="n">Subjects</th><th>Bias [95 %]</th><th>Lower limit [95 %]</th>'
        f"<th>Upper limit [95 %]</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _ratio(estimate: Mapping[str, Any]) -> str:
    turned = {
        key: None if estimate[key] is None else math.exp(estimate[key]) for key in ("value", "low", "high")
    }
    return _estimate({**turned, "reason": estimate["reason"]})


def _reliability_table(cohort: Mapping[str, Any]) -> str:
    rows = []
    for quantity in cohort["quantities"]:
        fraction = quantity["scale"] == "difference"
        within = quantity["within_subject"]
        icc = quantity["icc"]["raw" if fraction else "log"]
        rc = (
            _estimate(within["rc"], 1, 100, " points")
            if fraction
            else _estimate(within["rc_percent"], 1, 1, " %")
        )
        rows.append(
            f"<tr><td>{_QUANTITY[quantity['quantity']]}</td><td>{'fraction' if fraction else 'log ml'}</td>"
            f"<td>{_estimate(icc['icc_2_1'])}</td><td>{_estimate(icc['icc_3_1'])}</td>"
            f"<td>{_estimate(within['wcv'], 1, 100, ' %')}</td><td>{rc}</td></tr>"
        )
    return (
        '<h3>Reliability between readers</h3><div class="wide"><table><thead><tr><th>Quantity</th>'
        "<th>ICC of</th><th>ICC(2,1) [95 %]</th><th>ICC(3,1) [95 %]</th><th>wCV [95 %]</th>"
        "<th>Reproducibility coefficient [95 %]</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _attribution(cohort: Mapping[str, Any]) -> str:
    parts = []
    told = {
        "stratum": "Pairs of readings with different strata",
        "predicates": "Same stratum, but another predicate",
        "counts": "Same predicates, but other counts",
    }
    for level, text in told.items():
        counts = Counter(cohort["attributed_to"][level])
        if counts:
            parts.append(f"<h3>{text}: {counts.total()}</h3>{bars_svg(counts, carried)}")
    if not parts:
        return ""
    return (
        "<h2>What carries the differences</h2><p>One ingredient at a time is swapped between two readings "
        "and the stratum worked out again. Named is what alone (or, joined by +, only together) turns either "
        f"reading's outcome into the other's.</p>{''.join(parts)}"
    )
