"""``volstrat report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.cli.say import say
from volstrat.errors import VolstratError

if TYPE_CHECKING:
    from volstrat.report.write import WrittenReport

EXIT_FAILED, EXIT_USAGE, EXIT_PERSON = 1, 2, 3
_USAGE = {"usage", "protocol_invalid"}
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_OUT = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("source", metavar="CASE|OUT", type=_FOLDER)
@click.option("-o", "--out", type=_OUT, required=True, help="Folder for SUBJECT/report.html.")
@click.option("--pdf", is_flag=True, help="Also write SUBJECT/report.pdf (needs the extra pdf).")
@click.option(
    "--inputs",
    type=click.Path(exists=True, path_type=Path),
    metavar="ROOT|MANIFEST.csv",
    help="Where the cases of OUT are [default: as run.json says].",
)
@click.option(
    "--protocol",
    "protocol_file",
    type=click.Path(path_type=Path),
    help="Protocol file (TOML); without it the packaged pantodon.toml.",
)
@click.option(
    "--lesions",
    metavar="NAME",
    help="Lesion table to use: a file in the case folder, or R for lesions.R.csv.",
)
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

    try:
        protocol = load_protocol(protocol_file)
        if is_cohort_output(source):
            written = report_cohort(source, out, protocol, inputs=inputs, lesions=lesions, pdf=pdf, each=tell)
        else:
            written = [report_case(source, out, protocol, lesions=lesions, pdf=pdf)]
            tell(written[0])
    except VolstratError as error:
        say(f"volstrat: {error}", err=True)
        sys.exit(EXIT_USAGE if error.code in _USAGE else EXIT_FAILED)
    statuses = {done.status for done in written}
    if "failed" in statuses:
        sys.exit(EXIT_FAILED)
    sys.exit(EXIT_PERSON if statuses & {"review", "not_assessable"} else 0)
