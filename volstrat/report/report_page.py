"""A case record as a page that stands alone: HTML, and PDF from it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from volstrat.case.json_types import record_bytes
from volstrat.case.record_types import PREDICATES, given
from volstrat.errors import UsageError
from volstrat.pictures.key_slices import words_by_name
from volstrat.report.report_details import Beside, details, grid_text, page_heads
from volstrat.report.report_figures import criterion_bar, remnant_bar, sign, waterfall
from volstrat.show.pages import markup, render, styled
from volstrat.show.plan_words import ARITHMETIC, plan_rows
from volstrat.show.verdict_words import (
    change_texts,
    headline,
    liver_text,
    margin_text,
    remnant_text,
    shift_text,
    status_line,
)
from volstrat.show.words import AVIDITY, SEVERITIES, protocol_choices
from volstrat.terms.wording import shown_ml, shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.case.input_types import InputRecord
    from volstrat.case.record_types import CaseRecord, LesionRecord
    from volstrat.pictures.key_slices import Pictures
    from volstrat.terms.protocol import Protocol

_MOST_URGENT = 5
_PICTURES_IN_A_ROW = ((8, 4), (25, 5))
"""Up to so many pictures, so many in a row; of more, six."""
_FEW_MARKS = 12
_TITLES = {
    "stratum_1": "Stratum 1, resectable share of the tumour volume",
    "stratum_2": "Stratum 2, resectable share of FDG-avid disease",
}


def report_html(
    record: CaseRecord,
    *,
    protocol: Protocol | None,
    pictures: Pictures | None = None,
    sites: Mapping[str, str] | None = None,
    no_pictures: str = "No pictures: the inputs were not read.",
    around: Beside | None = None,
) -> str:
    """Write the report of a case as one HTML page that loads nothing.

    ``protocol`` is None where the record was made under one that is not at hand; ``sites`` are the names that
    the masks give their segments, by lesion id.
    """
    values: dict[str, Any] = {
        "record": record,
        "record_sha256": hashlib.sha256(record_bytes(record)).hexdigest(),
        "policy": markup("img-src data:; style-src 'unsafe-inline'"),
        "style": markup(styled("report/templates/report.css") + page_heads(record)),
        "severities": SEVERITIES,
        "headline": headline(record),
        "status": status_line(record),
        "choices": [] if protocol is None else protocol_choices(protocol),
        "inputs": [_input(entry) for entry in record["inputs"]],
        "libraries": ", ".join(f"{k} {v}" for k, v in record["environment"]["libraries"].items()),
        "no_pictures": no_pictures,
        "pictures": pictures,
    }
    if record["error"] is None:
        values.update(_measured(record, pictures, sites or {}))
        values.update(details(record, around or Beside()))
    return render("report/templates/report.html", **values)


def _measured(record: CaseRecord, pictures: Pictures | None, sites: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page says of a case that did not fail."""
    words = words_by_name(record)
    rows = [_row(x, words, sites) for x in (*record["lesions"], *record["pet_only_regions"])]
    urgent = [f for f in record["findings"] if f["severity"] in ("blocking", "review") and not f["closed"]]
    drawn = () if pictures is None else pictures.slices
    wide = next((row for most, row in _PICTURES_IN_A_ROW if len(drawn) <= most), 6)
    by_id = {row["id"]: row for row in rows}
    needed = given(record["predicates"])["stratum_1"]["threshold_percent"]
    liver = liver_text(record["liver_burden"], needed)
    return {
        "bars": [{"title": _TITLES[key], **criterion_bar(record, key)} for key in PREDICATES],
        "margin": margin_text(record),
        "urgent": urgent[:_MOST_URGENT],
        "more_urgent": len(urgent) - _MOST_URGENT if len(urgent) > _MOST_URGENT else 0,
        "changes": change_texts(record),
        "remnant": f"{liver} {remnant_text(record['remnant'])}".strip(),
        "waterfall": markup(waterfall(record["lesions"])),
        "legend": [(word, markup(sign(word))) for word in dict.fromkeys(words.values())],
        "rows": rows,
        "sites": any(row["site"] for row in rows),
        **(_plans(record) if record["plans"] else {"plan_table": []}),
        "slices": [[(p, by_id[p.name]) for p in drawn[n : n + wide]] for n in range(0, len(drawn), wide)],
        "wide": wide,
        "few_marks": _FEW_MARKS,
        "sureness": [x for x in (margin_text(record), shift_text(record), *change_texts(record)) if x],
    }


def _plans(record: CaseRecord) -> dict[str, Any]:
    """Return what the page that compares the plans says."""
    return {
        "plan_table": plan_rows(record),
        "plan_bars": [markup(remnant_bar(plan)) for plan in record["plans"]],
        "plan_reviews": [
            (plan["name"], finding)
            for plan in record["plans"]
            for finding in plan["findings"]
            if finding["severity"] in ("blocking", "review")
        ],
        "arithmetic": ARITHMETIC,
    }


def _row(lesion: LesionRecord, words: Mapping[str, str], sites: Mapping[str, str]) -> dict[str, Any]:
    word = words[lesion["lesion_id"]]
    shown_word = word
    if word == "partial" and lesion["resectable_fraction"] is not None:
        shown_word = f"partial ({100 * lesion['resectable_fraction']:.0f} %)"
    return {
        "id": lesion["lesion_id"],
        "site": sites.get(lesion["lesion_id"], ""),
        "word": shown_word,
        "sign": markup(sign(word)),
        "avidity": AVIDITY[lesion["fdg_avidity"]],
        "volume": shown_ml(lesion["volume_ml"]),
        "axial": f"{lesion['max_axial_diameter_mm']:.1f}",
        "longest": f"{lesion['max_diameter_mm']:.1f}",
        "avid_ml": "-" if lesion["fdg_avid_ml"] is None else shown_ml(lesion["fdg_avid_ml"]),
        "suv_max": _figure(lesion["suv_max"]),
        "suv_peak": _figure(lesion["suv_peak"]),
        "tlg": _figure(lesion["tlg_g"]),
        "point": ", ".join(f"{x:.0f}" for x in lesion.get("point_mm", ())) or "-",  # none before 0.2.3
    }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _input(entry: InputRecord) -> dict[str, Any]:
    grid, segments = entry["grid"], entry["segments"]
    named = [f"{s['number']} {s['name'] or ''}".strip() for s in segments]
    shown = "-" if grid is None else grid_text(grid["shape"], grid["spacing_mm"])
    return {**entry, "grid": shown, "segments": shown_names(named)}


def report_pdf(html: str) -> bytes:
    """Turn a report into PDF (PDF/UA-1, A4 landscape); refused without the extra ``pdf`` and its libraries.

    The same page gives the same bytes: no date is written, and the identifier comes from the page.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:
        msg = f"PDF needs WeasyPrint, which cannot be loaded ({error})."
        hint = 'In the checkout, install the extra: pip install ".[pdf]"; the system needs Pango.'
        raise UsageError(msg, hint=hint) from error
    identifier = hashlib.sha256(html.encode()).digest()[:16]
    fetcher = URLFetcher(allowed_protocols=("data",))  # the page holds all it shows
    data: bytes = HTML(string=html, url_fetcher=fetcher).write_pdf(
        pdf_identifier=identifier, pdf_variant="pdf/ua-1"
    )
    return data
