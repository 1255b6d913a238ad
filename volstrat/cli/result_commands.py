"""What goes out of results: ``volstrat report`` and ``volstrat export``."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

import volstrat.cli.options as opt
from volstrat.cli.options import say

if TYPE_CHECKING:
    from volstrat.report.write import WrittenReport


@click.command()
@click.argument("source", metavar="CASE|OUT", type=opt.EXISTING_FOLDER)
@click.option("-o", "--out", type=opt.FOLDER, required=True, help="Folder for SUBJECT/report.html.")
@click.option("--pdf", is_flag=True, help="Also write SUBJECT/report.pdf (needs the extra pdf).")
@click.option(
    "--inputs",
    type=opt.EXISTING,
    metavar="ROOT|MANIFEST.csv",
    help="Where the cases of OUT are [default: as run.json says].",
)
@opt.protocol
@opt.lesions
def report(
    *,
    source: Path,
    out: Path,
    pdf: bool,
    inputs: Path | None,
    protocol_file: Path | None,
    lesions: str | None,
) -> None:
    """Write a page for the meeting: verdict, margins, pictures of every lesion, inputs with hashes.

    CASE is a case folder, which is measured; OUT is the output of batch, of which every record gets a
    report. The page stands alone: it loads nothing, and the same inputs give the same bytes.
    """
    from volstrat.case.protocol_files import load_protocol
    from volstrat.report.write import is_cohort_output, report_case, report_cohort

    def tell(done: WrittenReport) -> None:
        say(f"{done.subject}: {done.status} {done.files[0]}", err=True)

    with opt.errors_said():
        protocol = load_protocol(protocol_file)
        if is_cohort_output(source):
            written = report_cohort(source, out, protocol, inputs=inputs, lesions=lesions, pdf=pdf, each=tell)
        else:
            written = [report_case(source, out, protocol, lesions=lesions, pdf=pdf)]
            tell(written[0])
    sys.exit(opt.exit_code(done.status for done in written))


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Parse ``--at``: ISO 8601, local; whole seconds."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).replace(microsecond=0, tzinfo=None)
    except ValueError as error:
        msg = f"{value!r} is no date and time of ISO 8601; write 2026-03-01T14:30:00."
        raise click.BadParameter(msg) from error


@click.command()
@click.argument("source", metavar="CASE|STUDY.toml|OUT", type=opt.EXISTING)
@opt.subject
@opt.visit
@click.option(
    "-o",
    "--out",
    type=opt.ANY,
    help="Folder for the DICOM files; may hold earlier exports of the same study, and nothing else.",
)
@click.option(
    "--redcap",
    metavar="DIR",
    type=opt.FOLDER,
    help="Write a cohort's output as import files and data dictionary for REDCap, and nothing else.",
)
@click.option("--seg", is_flag=True, help="Segmentation: a segment for each lesion.")
@click.option("--sr", is_flag=True, help="Structured report of all measurements, with the segmentation.")
@click.option("--pdf", is_flag=True, help="The report as encapsulated PDF.")
@click.option("--sc", is_flag=True, help="Key images as secondary capture, volumes burned in.")
@click.option("--slicer", is_flag=True, help="Also SUBJECT.seg.nrrd for 3D Slicer.")
@click.option(
    "--at",
    metavar="DATETIME",
    callback=_moment,
    help="When the content was made (ISO 8601, local) [default: now]; the same time gives the same bytes.",
)
@opt.protocol
@opt.lesions
def export(
    *,
    source: Path,
    subject: str | None,
    visit: str | None,
    out: Path | None,
    redcap: Path | None,
    seg: bool,
    sr: bool,
    pdf: bool,
    sc: bool,
    slicer: bool,
    at: datetime | None,
    protocol_file: Path | None,
    lesions: str | None,
) -> None:
    """Write a case as DICOM, or with --redcap a cohort's output as files for REDCap.

    DICOM: segmentation, structured report, PDF and key images in the patient's study.

    Without --seg, --sr, --pdf or --sc it writes all four. Needs the extra dicom. Names, numbers and dates of
    patient and study are copied from the images into these files, and into nothing else.
    """
    if redcap is not None:
        if out is not None or seg or sr or pdf or sc or slicer:
            msg = "--redcap writes a cohort's tables, -o and the kinds of DICOM a case: one at a time."
            raise click.UsageError(msg)
        from volstrat.export.redcap import export_redcap

        with opt.errors_said():
            written = export_redcap(source, redcap)
        for path in written.files:
            say(str(path))
        say(f"{written.records} records, {written.lesions} lesions and PET-only regions.")
        return
    if out is None:
        msg = "Name the folder for the DICOM files with -o, or one for REDCap's files with --redcap."
        raise click.UsageError(msg)
    from volstrat.export.export_run import export_case
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import one_case

    kinds = [name for name, wanted in (("seg", seg), ("sr", sr), ("pdf", pdf), ("sc", sc)) if wanted]
    with opt.errors_said():
        protocol = protocol_for(source, protocol_file)
        place = one_case(source, subject=subject, visit=visit, lesions=lesions)
        done = export_case(place, out, protocol, kinds=kinds, slicer=slicer, at=at, lesions=lesions)
    for path in done.files:
        say(f"{done.subject}: {done.status} {path}", err=True)
    for note in done.notes:
        say(f"{done.subject}: {note}", err=True)
    sys.exit(opt.exit_code([done.status]))
