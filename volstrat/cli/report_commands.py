"""``volstrat report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.cli.options import (
    EXISTING,
    EXISTING_FOLDER,
    FOLDER,
    errors_said,
    exit_code,
    lesions_option,
    protocol_option,
)
from volstrat.cli.say import say

if TYPE_CHECKING:
    from volstrat.report.write import WrittenReport


@click.command()
@click.argument("source", metavar="CASE|OUT", type=EXISTING_FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder for SUBJECT/report.html.")
@click.option("--pdf", is_flag=True, help="Also write SUBJECT/report.pdf (needs the extra pdf).")
@click.option(
    "--inputs",
    type=EXISTING,
    metavar="ROOT|MANIFEST.csv",
    help="Where the cases of OUT are [default: as run.json says].",
)
@protocol_option
@lesions_option
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

    with errors_said():
        protocol = load_protocol(protocol_file)
        if is_cohort_output(source):
            written = report_cohort(source, out, protocol, inputs=inputs, lesions=lesions, pdf=pdf, each=tell)
        else:
            written = [report_case(source, out, protocol, lesions=lesions, pdf=pdf)]
            tell(written[0])
    sys.exit(exit_code(done.status for done in written))
