"""Reports on disk: of a case, and of every subject of a cohort's output."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.entries import EntryReader
from volstrat.case.json_types import record_bytes
from volstrat.case.record import failure_record, parse_record, record_name
from volstrat.cohort.run_file import read_run_file, removed_subjects
from volstrat.comparison.readings import cases_below, cohort_cases, protocol_of_run
from volstrat.errors import UsageError, VolstratError
from volstrat.formats.walk import open_regular
from volstrat.pictures.key_slices import draw_pictures
from volstrat.pictures.scene import planned_scene
from volstrat.pictures.shown_images import ShownImages
from volstrat.report.report_details import beside
from volstrat.report.report_page import report_html, report_pdf
from volstrat.store.output import folder_name, write_atomically
from volstrat.store.seal import refuse_sealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.case.assess import CaseResult
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.comparison.readings import SubjectReading
    from volstrat.terms.protocol import Protocol

REPORT, REPORT_PDF = "report.html", "report.pdf"
_RECORD, _RUN = "case.json", "run.json"
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A report that was written."""

    subject: str
    status: str
    files: tuple[Path, ...]


def render_result(result: CaseResult, protocol: Protocol) -> str:
    """Return the report of a measured case as HTML, with pictures."""
    around = beside(result, dates=protocol.report.dates)
    shown = ShownImages(EntryReader(result.sources))
    pictures = draw_pictures(planned_scene(result), result.record, views=around.views, shown=shown)
    return report_html(
        result.record,
        protocol=protocol,
        pictures=pictures,
        sites=result.measured.lesions.names_by_id,
        around=around,
    )


def write_report(
    result: CaseResult | CaseRecord, out: Path, *, protocol: LoadedProtocol, pdf: bool = False
) -> WrittenReport:
    """Write ``report.html`` (and ``report.pdf``) of one case into the subject's own folder.

    A record alone (of a failed case) gives a report without pictures. A PDF that cannot be made is a
    `UsageError`.
    """
    if isinstance(result, dict):
        record = result
        known = record["protocol"]["sha256"] == protocol.sha256
        html = report_html(record, protocol=protocol.protocol if known else None)
    else:
        record = result.record
        html = render_result(result, protocol.protocol)
    files = _files(out, pdf=pdf)
    _write(html, files)
    return WrittenReport(subject=record_name(record), status=record["status"], files=files)


def _files(folder: Path, *, pdf: bool) -> tuple[Path, ...]:
    return (folder / REPORT, folder / REPORT_PDF) if pdf else (folder / REPORT,)


def _write(html: str, files: tuple[Path, ...]) -> None:
    write_atomically(files[0], html.encode())
    if len(files) > 1:
        write_atomically(files[1], report_pdf(html))


def report_case(
    folder: Path, out: Path, protocol: LoadedProtocol, *, lesions: str | None = None, pdf: bool = False
) -> WrittenReport:
    """Measure a case and write ``OUT/SUBJECT/report.html`` as `write_report`; one that fails gets one too."""
    refuse_sealed(out)
    subject = folder.resolve().name or "case"
    result: CaseResult | CaseRecord
    try:
        case = open_case(folder, lesions=lesions, naming=protocol.protocol.naming)
        subject = case.sources.subject
        result = assess_case(case, protocol)
    except Exception as error:
        result = failure_record(subject=subject, error=error, protocol=protocol)
    return write_report(result, out / folder_name(subject), protocol=protocol, pdf=pdf)


def is_cohort_output(folder: Path) -> bool:
    """Tell whether a folder is what ``volstrat batch`` or ``volstrat case -o`` wrote."""
    return (folder / _RUN).is_file() or any(folder.glob(f"*/{_RECORD}"))


def report_cohort(
    out: Path,
    target: Path,
    protocol: LoadedProtocol,
    *,
    inputs: Path | None = None,
    lesions: str | None = None,
    pdf: bool = False,
    each: Callable[[WrittenReport], None] = lambda _: None,
) -> list[WrittenReport]:
    """Write a report for every record below an output folder, from the record as it stands.

    Pictures need the cases; they are looked for in ``inputs`` (as the batch was given them), else where
    ``run.json`` says that they were; of an adjudicated cohort, in the readings that stand. They are left out,
    and the report says why, where a case is not there or no longer gives the same record. A report with
    pictures that stands already, of the same record, is left as it is. An output without a record is refused.
    """
    refuse_sealed(target)
    run = read_run_file(out) or {}
    gone = removed_subjects(out, run)
    table = lesions if lesions is not None else run.get("lesions")
    if inputs is None:
        cases = cohort_cases(out, {**run, "lesions": table})
    else:
        cases = cases_below(inputs, out, lesions=table)
    own = protocol_of_run(run)
    written = []
    for path in sorted(out.glob(f"*/{_RECORD}")):
        with open_regular(path, f" of {path.parent.name}") as stream:
            data = stream.read()
        record = parse_record(data, name=str(path))
        if record_name(record) in gone:
            continue
        files = _files(target / path.parent.name, pdf=pdf)
        done = WrittenReport(subject=record_name(record), status=record["status"], files=files)
        if not _stands(files, data):
            made_by = own if own is not None and record["protocol"]["sha256"] == own.sha256 else protocol
            html = _from_record(record, data, cases.get(record_name(record)), made_by)
            _write(html, files)
        written.append(done)
        each(done)
    if not written:
        msg = f"{out}: no record in it (SUBJECT/{_RECORD})."
        raise UsageError(msg, hint="Name a case folder, or the output of volstrat batch.")
    return written


def _stands(files: tuple[Path, ...], record: bytes) -> bool:
    """Tell whether the reports are there, with pictures, of a record of these bytes."""
    try:
        with files[0].open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    mark = f'content="{hashlib.sha256(record).hexdigest()} with pictures"'
    return mark.encode() in head and all(path.is_file() for path in files)


def _from_record(
    record: CaseRecord, data: bytes, reading: SubjectReading | None, protocol: LoadedProtocol
) -> str:
    known = record["protocol"]["sha256"] == protocol.sha256
    why = "No pictures: the cases are not at hand (--inputs names where they are)."
    if not known:
        why = "No pictures: the record was made under another protocol (--protocol names it)."
    elif reading is not None and reading.case is not None and record["error"] is None:
        try:
            result = assess_case(reading.open(protocol), protocol)
        except VolstratError as error:
            why = f"No pictures: the case can no longer be read. {error}"
        else:
            result.record["adjudication"] = reading.case.adjudication
            if record_bytes(result.record) == data:
                return render_result(result, protocol.protocol)
            why = "No pictures: the case no longer gives this record."
    shown = protocol.protocol if known else None
    return report_html(record, protocol=shown, no_pictures=why)
