"""``volstrat lesions`` and ``volstrat accept``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from volstrat.cli.options import (
    ANY,
    EXISTING,
    EXISTING_FILE,
    EXIT_FAILED,
    case_or_study,
    errors_said,
    protocol_option,
    subject_option,
    visit_option,
)
from volstrat.cli.say import say
from volstrat.errors import UsageError

_MAY_BE_SOURCE = click.argument("source", metavar="[CASE|STUDY.toml]", required=False, type=EXISTING)
_TABLE = click.option("--lesions", "table", metavar="NAME", help="Lesion table in place of the case's own.")


@click.command()
@_MAY_BE_SOURCE
@subject_option
@visit_option
@_TABLE
@protocol_option
@click.option(
    "--from",
    "report",
    metavar="SR.dcm",
    type=EXISTING_FILE,
    help="Read the markings out of a structured report that volstrat wrote, in place of a case.",
)
@click.option("-o", "out", metavar="FILE", type=ANY, help="Write it there.")
def lesions(
    *,
    source: Path | None,
    subject: str | None,
    visit: str | None,
    table: str | None,
    protocol_file: Path | None,
    report: Path | None,
    out: Path | None,
) -> None:
    """Write the lesion table of a case, ready to be filled in.

    Each lesion and PET-only region has a row with a point in it, its segment's name and its volume, and what
    the case's own table says of it. A row with a point finds its lesion again whatever number it has later.
    """
    from volstrat.case.inputs import read_inputs
    from volstrat.case.lesion_list import lesion_list, rows_that_fit
    from volstrat.case.lesion_table import table_bytes
    from volstrat.rule.measure import measure_case
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import one_case

    with errors_said():
        if out is not None and out.exists():
            msg = f"{out}: is there already."
            raise UsageError(msg, hint="Name another file with -o; what is marked in it stays.")
        if (source is None) == (report is None):
            msg = "A case or --from SR.dcm is needed, and not both."
            raise UsageError(msg, hint="Write volstrat lesions CASE, or volstrat lesions --from SR.dcm.")
        if source is None:
            from volstrat.export.report_reading import report_rows

            assert report is not None
            _write_table(table_bytes(report_rows(report)), out, said="markings read")
            return
        protocol = protocol_for(source, protocol_file).protocol
        place = one_case(source, subject=subject, visit=visit, lesions=table)
        inputs = read_inputs(place.open(lesions=table, naming=protocol.naming), protocol)
        bare = measure_case(inputs.without_rows, protocol)
        measured, errors = rows_that_fit(bare, inputs.masks.rows)
        count = len(measured.lesions.ids)
        words = (
            "write resectable, ablatable or unresectable in resectability, avid or not_avid in fdg_avidity"
        )
        said = f"{count} lesion{'' if count == 1 else 's'}; {words}"
        _write_table(table_bytes(lesion_list(measured)), out, said=said)
        for error in errors:
            say(f"volstrat: left out: {error}", err=True)
        sys.exit(EXIT_FAILED if errors else 0)


def _write_table(data: bytes, out: Path | None, *, said: str) -> None:
    from volstrat.store.output import write_atomically
    from volstrat.store.seal import refuse_sealed

    if out is None:
        click.echo(data.decode(), nl=False)
    else:
        refuse_sealed(out.parent)
        write_atomically(out, data)
        say(f"{out}: {said}.", err=True)


@click.command()
@case_or_study
@click.argument("code")
@click.option("--where", metavar="PLACE", help="Lesion, region or file, where several have the finding.")
@click.option("--by", metavar="WHO", required=True, help="Who looked.")
@click.option("--reason", metavar="WHY", required=True, help="Why the stratum stands.")
@subject_option
@visit_option
@_TABLE
@protocol_option
def accept(
    *,
    source: Path,
    code: str,
    where: str | None,
    by: str,
    reason: str,
    subject: str | None,
    visit: str | None,
    table: str | None,
    protocol_file: Path | None,
) -> None:
    """Close a review: write down who looked and why the stratum stands, in reviews.csv of the case folder.

    It holds as long as the finding rests on the same evidence. What blocks the stratum cannot be closed.
    """
    from volstrat.case.assess import accept_review
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import one_case

    with errors_said():
        protocol = protocol_for(source, protocol_file)
        place = one_case(source, subject=subject, visit=visit, lesions=table)
        case = place.open(lesions=table, naming=protocol.protocol.naming)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        closed, path = accept_review(case, protocol, code, where=where, by=by, reason=reason, at=now)
        for one in closed:
            say(f"Closed by {by} in {path.name}: {one['message']}", err=True)
