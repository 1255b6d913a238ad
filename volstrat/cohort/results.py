"""What a finished run leaves: tables, summary and page, built from the records on disk, one at a time.

``index.html`` shows the cohort at a glance, in one file that asks nothing of any network. Its rows are
written as they come, so that the page costs no memory; the browser sorts, filters and draws them, and shows
the words that each row brings.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from volstrat.case.record import record_name
from volstrat.case.record_types import PREDICATES, CaseRecord, given
from volstrat.cohort.columns import cohort_columns, cohort_row, lesion_columns, lesion_rows
from volstrat.cohort.run_file import BASIS, DERIVED_FILES, TRAIL, changed_strata
from volstrat.cohort.tasks import STATUSES
from volstrat.cohort.worker import RECORD
from volstrat.errors import OutputError
from volstrat.formats.hashing import sha256_of
from volstrat.show.pages import NO_NUMBER, asset, markup, render, styled
from volstrat.show.words import STATUS, STRATA, percent_text
from volstrat.store.output import StagedFiles
from volstrat.store.system import sync_disks
from volstrat.store.tables import COLUMNS_FILE, TableWriter, columns_bytes
from volstrat.terms.wording import shown_ml, shown_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from volstrat.cohort.ledger import Done, Ledger

_STRATA = ("stratum_1", "stratum_2", "ineligible")
_MOST_FAILURES = 20

_KEYS = (
    "subject", "href", "status", "stratum", "total", "resectable", "percent", "low", "high", "avid",
    "avidPercent", "lesions", "say", "words",
)  # fmt: skip
_ROWS = "@rows@"
"""Where the page is cut: rows are written before what stands below them is known."""


class Summary:
    """Counts over a cohort, for ``summary.json``; and the first failures, for whoever ran it."""

    def __init__(self) -> None:
        self.subjects = 0
        self._status: Counter[str] = Counter()
        self._strata: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._lesions = self._regions = 0
        self._made_by: set[tuple[str, str, str, str]] = set()
        self.failures: tuple[tuple[str, str], ...] = ()

    def add(self, record: CaseRecord) -> None:
        """Count a subject."""
        self.subjects += 1
        self._status[record["status"]] += 1
        self._strata[record["stratum"] or "none"] += 1
        if record["error"] is not None:
            self._errors[record["error"]["code"]] += 1
            if len(self.failures) < _MOST_FAILURES:
                self.failures += ((record_name(record), record["error"]["message"]),)
        self._findings.update({(f["code"], f["severity"]) for f in record["findings"]})
        self._lesions += len(record["lesions"])
        self._regions += len(record["pet_only_regions"])
        protocol = record["protocol"]
        self._made_by.add(
            (protocol["id"], protocol["version"], protocol["sha256"], record["environment"]["volstrat"])
        )

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "schema": "volstrat.cohort-summary/1",
            "subjects": self.subjects,
            "status": {status: self._status[status] for status in STATUSES},
            "stratum": {stratum: self._strata[stratum] for stratum in (*_STRATA, "none")},
            "error": dict(sorted(self._errors.items())),
            "findings": [
                {"code": code, "severity": severity, "subjects": count}
                for (code, severity), count in sorted(self._findings.items())
            ],
            "lesions": self._lesions,
            "pet_only_regions": self._regions,
            "made_by": [
                {"protocol": {"id": name, "version": version, "sha256": sha256}, "volstrat": program}
                for name, version, sha256, program in sorted(self._made_by)
            ],
        }


def write_results(out: Path, ledger: Ledger, *, turn: Callable[[], None] = lambda: None) -> Summary:
    """Write tables, summary and page; they get their names together once all are written.

    ``turn`` is called after each subject. An `OutputError` says that something cannot be written, or that a
    record is no longer what its worker wrote.
    """
    sync_disks()  # the records, before anything is built on them
    summary = Summary()
    tables = {"cohort": cohort_columns(), "lesions": lesion_columns()}
    with StagedFiles(out) as files:
        with (
            TableWriter(files, "cohort", tables["cohort"]) as cohort,
            TableWriter(files, "lesions", tables["lesions"]) as lesions,
        ):
            page = IndexPage(files.open("index.html"))
            for done, record in _records(out, ledger.subjects()):
                cohort.write(cohort_row(record))
                for row in lesion_rows(record):
                    lesions.write(row)
                page.add(record, folder=done.folder)
                summary.add(record)
                turn()
        counted = summary.as_json()
        page.close(counted, changed_strata(out / TRAIL))
        files.open(COLUMNS_FILE).write(columns_bytes(tables))
        text = json.dumps(counted, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        files.open("summary.json").write(text.encode())
    return summary


def file_hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of each of the cohort's own files that follows from the records alone."""
    names = (name for name in (*DERIVED_FILES, *BASIS) if (out / name).is_file())
    return {name: sha256_of(out / name) for name in names}


def _records(out: Path, subjects: Iterator[Done]) -> Iterator[tuple[Done, CaseRecord]]:
    for done in subjects:
        path = out / done.folder / RECORD
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"{path}: cannot be read back ({error.strerror})."
            raise OutputError(msg, hint="Run the same command again.") from error
        if hashlib.sha256(data).hexdigest() != done.record_sha256:
            msg = f"{path}: is no longer what was written there."
            raise OutputError(msg, hint="Run the same command again; the subject will be done anew.")
        yield done, json.loads(data)


class IndexPage:
    """Writes the page of a cohort to a stream, which stays open."""

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
    """Return what the table sorts by and the figure draws.

    A share is null where nothing is marked: its lower bound, 0, would read as "none of it".
    """
    predicates, volumes = given(record["predicates"]), given(record["volumes"])
    interval = given(record["robustness"])["resectable_fraction_95"]
    low, high = (None, None) if interval is None else (100 * interval[0], 100 * interval[1])
    in_pet = predicates["stratum_2"]["unit"] == "pet"
    avid_share = volumes["fdg_avid_resectable_ml" if in_pet else "resectable_fraction"]
    is_marked = volumes["resectable_fraction"] is not None
    return {
        "total": volumes["total_tumour_ml"],
        "resectable": volumes["resectable_tumour_ml"],
        "percent": predicates["stratum_1"]["percent"] if is_marked else None,
        "low": low,
        "high": high,
        "avid": volumes["fdg_avid_ml"],
        "avidPercent": None if avid_share is None else predicates["stratum_2"]["percent"],
        "lesions": len(record["lesions"]),
    }


def _number_words(row: Mapping[str, Any], record: CaseRecord) -> dict[str, str]:
    """Write the numbers of a row as everywhere else."""
    words = {key: shown_ml(row[key]) for key in ("total", "resectable", "avid") if row[key] is not None}
    thresholds = [given(record["predicates"])[stratum]["threshold_percent"] for stratum in PREDICATES]
    for key, threshold in zip(("percent", "avidPercent"), thresholds, strict=True):
        if row[key] is not None:
            words[key] = percent_text(row[key], threshold)
    if "percent" in words and row["low"] is not None:
        low, high = (shown_percent(row[end], thresholds[0]) for end in ("low", "high"))
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


def _made_by(summary: Mapping[str, Any]) -> str:
    parts = [
        f"protocol {m['protocol']['id']} {m['protocol']['version']}, volstrat {m['volstrat']}"
        for m in summary["made_by"]
    ]
    return "; ".join(parts)
