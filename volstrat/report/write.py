"""Reports on disk: of a case, and of every subject of a cohort's output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case import assess_case
from volstrat.errors import UsageError, VolstratError
from volstrat.io.discovery import find_sources
from volstrat.io.output import folder_name, write_atomically
from volstrat.record import failure_record
from volstrat.report.key_slices import draw_pictures
from volstrat.report.page import report_html, report_pdf
from volstrat.report.scene import build_scene
from volstrat.report.sites import lesion_sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from volstrat.case import CaseResult
    from volstrat.core.protocol import Protocol
    from volstrat.io.protocol_files import LoadedProtocol
    from volstrat.record import CaseRecord

REPORT, REPORT_PDF = "report.html", "report.pdf"
_RECORD, _RUN = "case.json", "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A report that was written."""

    subject: str
    status: str
    files: tuple[Path, ...]


def render_result(result: CaseResult, protocol: Protocol) -> str:
    """Return the report of a measured case as HTML, with pictures."""
    pictures = draw_pictures(build_scene(result), result.record)
    return report_html(
        result.record, protocol=protocol, pictures=pictures, sites=lesion_sites(result.measured)
    )


def write_report(
    result: CaseResult | CaseRecord, out: Path, *, protocol: LoadedProtocol, pdf: bool = False
) -> WrittenReport:
    """Write ``report.html`` (and ``report.pdf``) of one case into a folder.

    Parameters
    ----------
    result : CaseResult or CaseRecord
        A record alone (a failed case) gives a report without pictures.
    out : Path
        The subject's own folder.

    Raises
    ------
    UsageError
        If a PDF is asked for and cannot be made.
    OutputError
        If the folder cannot be written.
    """
    if isinstance(result, dict):
        record = result
        known = record["protocol"]["sha256"] == protocol.sha256
        html = report_html(record, protocol=protocol.protocol if known else None)
    else:
        record = result.record
        html = render_result(result, protocol.protocol)
    return _written(record, html, out, pdf=pdf)


def _written(record: CaseRecord, html: str, out: Path, *, pdf: bool) -> WrittenReport:
    files = [out / REPORT]
    write_atomically(files[0], html.encode())
    if pdf:
        files.append(out / REPORT_PDF)
        write_atomically(files[1], report_pdf(html))
    return WrittenReport(subject=record["subject"], status=record["status"], files=tuple(files))


def report_case(
    folder: Path,
    out: Path,
    protocol: LoadedProtocol,
    *,
    lesions: str | None = None,
    pdf: bool = False,
) -> WrittenReport:
    """Measure one case folder and write ``OUT/SUBJECT/report.html``; a case that fails gets one too.

    Raises
    ------
    UsageError, OutputError
        As `write_report`.
    """
    subject = folder.resolve().name or "case"
    result: CaseResult | CaseRecord
    try:
        sources = find_sources(folder, lesions=lesions, naming=protocol.protocol.naming)
        subject = sources.subject
        result = assess_case(sources, protocol)
    except Exception as error:
        result = failure_record(subject=subject, error=error, protocol=protocol)
    return write_report(result, out / folder_name(subject), protocol=protocol, pdf=pdf)


def is_cohort_output(folder: Path) -> bool:
    """Tell whether a folder is what ``volstrat batch`` or ``volstrat case -o`` wrote."""
    return (folder / _RUN).is_file() or any(True for _ in _record_files(folder))


def _record_files(out: Path) -> Iterator[Path]:
    yield from sorted(out.glob(f"*/{_RECORD}"))


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

    Pictures need the case folders; they are looked for below ``inputs``, else where ``run.json`` says
    that they were. They are left out, and the report says why, where a case is not there or no longer
    gives the same record.

    Raises
    ------
    UsageError
        If there is no record.
    """
    root = inputs if inputs is not None else _input_root(out)
    written = []
    for path in _record_files(out):
        record = _read_record(path)
        place = target / path.parent.name
        html = _from_record(record, root, protocol, lesions)
        written.append(_written(record, html, place, pdf=pdf))
        each(written[-1])
    if not written:
        msg = f"{out}: no record in it (SUBJECT/{_RECORD})."
        raise UsageError(msg, hint="Name a case folder, or the output of volstrat batch.")
    return written


def _read_record(path: Path) -> CaseRecord:
    try:
        record: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{path}: is no readable record."
        raise UsageError(msg, hint="Run volstrat batch again.") from error
    if not isinstance(record, dict) or record.get("schema") != "volstrat.case-record/1":
        msg = f"{path}: is no case record."
        raise UsageError(msg, hint="Run volstrat batch again.")
    return record


def _input_root(out: Path) -> Path | None:
    try:
        told = json.loads((out / _RUN).read_bytes()).get("input_root")
    except (OSError, ValueError, AttributeError):
        return None
    return None if not isinstance(told, str) else type(out)(told)


def _from_record(
    record: CaseRecord, root: Path | None, protocol: LoadedProtocol, lesions: str | None
) -> str:
    known = record["protocol"]["sha256"] == protocol.sha256
    shown = protocol.protocol if known else None
    why = "No pictures: the case folders are not at hand (--inputs ROOT names them)."
    folder = None if root is None or record["error"] is not None else _case_folder(root, record["subject"])
    if not known:
        why = "No pictures: the record was made under another protocol (--protocol names it)."
    elif folder is not None:
        try:
            sources = find_sources(folder, lesions=lesions, naming=protocol.protocol.naming)
            result = assess_case(sources, protocol)
        except VolstratError as error:
            why = f"No pictures: the case can no longer be read. {error}"
        else:
            if {**result.record, "subject": record["subject"]} == record:
                return render_result(result, protocol.protocol)
            why = "No pictures: the case folder no longer gives this record."
    return report_html(record, protocol=shown, no_pictures=why)


def _case_folder(root: Path, subject: str) -> Path | None:
    """Return the folder of a subject below a root, where its name or case.toml says so."""
    direct = root / folder_name(subject)
    if direct.is_dir():
        return direct
    from volstrat.cohort.source import find_cases

    if not root.is_dir():
        return None
    for case in find_cases(root, root / ".none", shard=None):
        if case.subject == subject:
            return case.folder
    return None
