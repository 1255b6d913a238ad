"""``index.html``: the cohort at a glance, in one file that asks nothing of any network.

Rows are written as they come, so that the page costs no memory; the browser sorts, filters and draws.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from volstrat.cohort.worker import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from volstrat.case.record import CaseRecord

_KEYS = (
    "subject", "href", "status", "stratum", "total", "resectable", "percent", "low", "high", "avid",
    "avidPercent", "lesions", "say",
)  # fmt: skip
_CARDS = (
    ("stratum_1", "Stratum 1"),
    ("stratum_2", "Stratum 2"),
    ("ineligible", "Ineligible"),
    ("none", "No stratum"),
)
_STATUS = {
    "assigned": "assigned",
    "review": "to review",
    "not_assessable": "not assessable",
    "failed": "failed",
}


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
        style, script = _asset("page.css"), _asset("page.js")
        head, self._rest = _asset("page.html").split("@rows@")
        self._parts = {
            "style": style,
            "style-hash": _csp_hash(style),
            "script": script,
            "script-hash": _csp_hash(script),
            "title": "volstrat cohort",
        }
        self._write(_filled(head, self._parts) + "[")

    def add(self, record: CaseRecord, *, folder: str) -> None:
        """Add a subject's row."""
        predicates, volumes = record["predicates"], record["volumes"]
        row: dict[str, Any] = dict.fromkeys(_KEYS)
        row.update(
            subject=record["subject"],
            href=quote(f"{folder}/{RECORD}"),
            status=record["status"],
            stratum=record["stratum"] or "none",
            say=_remarks(record),
        )
        if predicates is not None and volumes is not None:
            self._threshold = predicates["stratum_1"]["threshold_percent"]
            low, high = _interval(record)
            row.update(
                total=volumes["total_tumour_ml"],
                resectable=volumes["resectable_tumour_ml"],
                percent=_marked(predicates["stratum_1"]["percent"], volumes["resectable_fraction"]),
                low=low,
                high=high,
                avid=volumes["fdg_avid_ml"],
                avidPercent=_marked(
                    predicates["stratum_2"]["percent"],
                    volumes[
                        "fdg_avid_resectable_ml"
                        if predicates["stratum_2"]["unit"] == "pet"
                        else "resectable_fraction"
                    ],
                ),
                lesions=len(record["lesions"]),
            )
        self._write(("" if self._first else ",") + "\n" + _script_json(list(row.values())))
        self._first = False

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write what stands below the rows; the stream stays open."""
        about = {"keys": _KEYS, "threshold": self._threshold}
        cards = "".join(
            f'<li class="{key}"><b>{summary["stratum"][key]}</b>{name}</li>' for key, name in _CARDS
        )
        told = ", ".join(f"{summary['status'][key]} {name}" for key, name in _STATUS.items())
        parts = {
            **self._parts,
            "about": _script_json(about),
            "made-by": html.escape(_made_by(summary)),
            "cards": cards,
            "status": f"{summary['subjects']} subjects: {told}.",
        }
        self._write("\n]" + _filled(self._rest, parts))

    def _write(self, text: str) -> None:
        self._stream.write(text.encode())


def _asset(name: str) -> str:
    return files("volstrat.cohort").joinpath(name).read_text(encoding="utf-8")


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Put parts in the places of a template; what they hold is not looked at again."""
    return re.sub(r"@([a-z-]+)@", lambda place: parts[place[1]], template)


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
    found = (record["robustness"] or {}).get("resectable_fraction_95")
    return (None, None) if found is None else (100 * found[0], 100 * found[1])


def _made_by(summary: Mapping[str, Any]) -> str:
    told = [
        f"protocol {m['protocol']['id']} {m['protocol']['version']}, volstrat {m['volstrat']}"
        for m in summary["made_by"]
    ]
    return "; ".join(told)
