"""``index.html``: the cohort at a glance, in one file that asks nothing of any network.

Rows are written as they come, so that the page costs no memory; the browser sorts, filters and draws
them, and shows the words that each row brings.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from volstrat.case.record import record_name
from volstrat.case.record_types import PREDICATES, given
from volstrat.cohort.worker import RECORD
from volstrat.show.pages import NO_NUMBER, asset, markup, render, styled
from volstrat.show.words import STATUS, STRATA, percent_text
from volstrat.terms.wording import shown_ml, shown_percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from volstrat.case.record_types import CaseRecord


_KEYS = (
    "subject", "href", "status", "stratum", "total", "resectable", "percent", "low", "high", "avid",
    "avidPercent", "lesions", "say", "words",
)  # fmt: skip
_ROWS = "@rows@"
"""Where the page is cut: rows are written before what stands below them is known."""


class IndexPage:
    """Writes the page of a cohort.

    Parameters
    ----------
    stream : BinaryIO
        Stays open.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._threshold: float | None = None
        self._first = True
        head, _ = self._page().split(_ROWS, 1)
        self._write(head + "[")

    def add(self, record: CaseRecord, *, folder: str) -> None:
        """Add a subject's row."""
        row: dict[str, Any] = dict.fromkeys(_KEYS)
        row.update(
            subject=record_name(record),
            href=quote(f"{folder}/{RECORD}"),
            status=record["status"],
            stratum=record["stratum"] or "none",
            say=_remarks(record),
        )
        row["words"] = {"status": STATUS[record["status"]], "stratum": STRATA[record["stratum"]]}
        if record["predicates"] is not None and record["volumes"] is not None:
            self._threshold = record["predicates"]["stratum_1"]["threshold_percent"]
            row.update(_numbers(record))
            row["words"] |= _number_words(row, record)
        self._write(("" if self._first else ",") + "\n" + _script_json(list(row.values())))
        self._first = False

    def close(self, summary: Mapping[str, Any], changes: Sequence[str] = ()) -> None:
        """Write what stands below the rows, and which strata changed; the stream stays open."""
        about = {"keys": _KEYS, "threshold": self._threshold, "dash": NO_NUMBER}
        counts = summary["stratum"]
        numbers = ", ".join(f"{summary['status'][key]} {word}" for key, word in STATUS.items())
        page = self._page(
            about=markup(_script_json(about)),
            cards=[(key, counts[key or "none"]) for key in STRATA],
            told=f"{summary['subjects']} subjects: {numbers}.",
            changes=changes,
            made_by=_made_by(summary),
        )
        _, rest = page.split(_ROWS, 1)
        self._write("\n]" + rest)

    def _page(self, **values: Any) -> str:  # noqa: ANN401 - whatever the template names
        """Return the page round its rows; what is not known yet comes after them."""
        style, script = styled("cohort/templates/cohort.css"), asset("cohort/templates/cohort.js")
        known = {"about": "", "cards": (), "told": "", "changes": (), "made_by": "", **values}
        return render(
            "cohort/templates/cohort.html",
            policy=markup(f"style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'"),
            style=markup(style),
            script=markup(script),
            rows=_ROWS,
            **known,
        )

    def _write(self, text: str) -> None:
        self._stream.write(text.encode())


def _numbers(record: CaseRecord) -> dict[str, Any]:
    """Return what the table sorts by and the figure draws."""
    predicates, volumes = given(record["predicates"]), given(record["volumes"])
    low, high = _interval(record)
    in_pet = predicates["stratum_2"]["unit"] == "pet"
    known = volumes["fdg_avid_resectable_ml" if in_pet else "resectable_fraction"]
    return {
        "total": volumes["total_tumour_ml"],
        "resectable": volumes["resectable_tumour_ml"],
        "percent": _marked(predicates["stratum_1"]["percent"], volumes["resectable_fraction"]),
        "low": low,
        "high": high,
        "avid": volumes["fdg_avid_ml"],
        "avidPercent": _marked(predicates["stratum_2"]["percent"], known),
        "lesions": len(record["lesions"]),
    }


def _number_words(row: Mapping[str, Any], record: CaseRecord) -> dict[str, str]:
    """Write the numbers of a row as everywhere else."""
    words = {key: shown_ml(row[key]) for key in ("total", "resectable", "avid") if row[key] is not None}
    for key, stratum in zip(("percent", "avidPercent"), PREDICATES, strict=True):
        if row[key] is not None:
            words[key] = percent_text(row[key], given(record["predicates"])[stratum]["threshold_percent"])
    if "percent" in words and row["low"] is not None:
        threshold = given(record["predicates"])["stratum_1"]["threshold_percent"]
        low, high = (shown_percent(row[end], threshold) for end in ("low", "high"))
        words["percent"] += f" ({low}{NO_NUMBER}{high})"
    return words


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _script_json(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _remarks(record: CaseRecord) -> str | None:
    """Return what a person must look at: the error, else the codes of blocking and review findings."""
    if record["error"] is not None:
        return str(record["error"]["message"])
    codes = [f["code"] for f in record["findings"] if f["severity"] in {"blocking", "review"}]
    return ", ".join(dict.fromkeys(codes)) or None


def _marked(percent: float | None, known: float | None) -> float | None:
    """Return a share, or None where nothing is marked: its lower bound, 0, would read as "none of it"."""
    return None if known is None else percent


def _interval(record: CaseRecord) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the resectable fraction, in percent."""
    found = given(record["robustness"])["resectable_fraction_95"]
    return (None, None) if found is None else (100 * found[0], 100 * found[1])


def _made_by(summary: Mapping[str, Any]) -> str:
    parts = [
        f"protocol {m['protocol']['id']} {m['protocol']['version']}, volstrat {m['volstrat']}"
        for m in summary["made_by"]
    ]
    return "; ".join(parts)
