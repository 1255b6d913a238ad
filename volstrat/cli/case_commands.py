"""Commands on one case: ``volstrat lesions``, ``accept``, ``review`` and ``plan``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import volstrat.cli.options as opt
from volstrat.cli.options import say
from volstrat.errors import UsageError

_MAY_BE_SOURCE = click.argument("source", metavar="[CASE|STUDY.toml]", required=False, type=opt.EXISTING)
_TABLE = click.option("--lesions", "table", metavar="NAME", help="Lesion table in place of the case's own.")


@click.command()
@_MAY_BE_SOURCE
@opt.subject
@opt.visit
@_TABLE
@opt.protocol
@click.option(
    "--from",
    "report",
    metavar="SR.dcm",
    type=opt.EXISTING_FILE,
    help="Read the markings out of a structured report that volstrat wrote, in place of a case.",
)
@click.option("-o", "out", metavar="FILE", type=opt.ANY, help="Write it there.")
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

    with opt.errors_said():
        if out is not None and out.exists():
            msg = f"{out}: is there already."
            raise UsageError(msg, hint="Name another file with -o; what is marked in it stays.")
        if (source is None) == (report is None):
            msg = "A case or --from SR.dcm is needed, and not both."
            raise UsageError(msg, hint="Write volstrat lesions CASE, or volstrat lesions --from SR.dcm.")
        if source is None:
            from volstrat.export.structured_report import report_rows

            assert report is not None
            _write_table(table_bytes(report_rows(report)), out, said="markings read")
            return
        protocol = protocol_for(source, protocol_file).protocol
        place = one_case(source, subject=subject, visit=visit, lesions=table)
        case = place.open(lesions=table, naming=protocol.naming)
        own = case.sources.only("lesions")
        if own is not None and out is not None and own.path.resolve() == out.resolve():
            case = case.without("lesions")  # a study names it already; it is to be written
        inputs = read_inputs(case, protocol)
        bare = measure_case(inputs.without_rows, protocol)
        measured, errors = rows_that_fit(bare, inputs.masks.rows)
        count = len(measured.lesions.ids)
        words = "ablatable or unresectable in resectability, avid or not_avid in fdg_avidity"
        said = f"{count} lesion{'' if count == 1 else 's'}; write resectable, {words}"
        _write_table(table_bytes(lesion_list(measured)), out, said=said)
        for error in errors:
            say(f"volstrat: left out: {error}", err=True)
        sys.exit(opt.EXIT_FAILED if errors else 0)


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
@opt.case_or_study
@click.argument("code")
@click.option("--where", metavar="PLACE", help="Lesion, region or file, where several have the finding.")
@click.option("--by", metavar="WHO", required=True, help="Who looked.")
@click.option("--reason", metavar="WHY", required=True, help="Why the stratum stands.")
@opt.subject
@opt.visit
@_TABLE
@opt.protocol
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
    from volstrat.study.study_file import protocol_for, refuse_other_version
    from volstrat.study.subjects import one_case

    with opt.errors_said():
        refuse_other_version(source)
        protocol = protocol_for(source, protocol_file)
        place = one_case(source, subject=subject, visit=visit, lesions=table)
        case = place.open(lesions=table, naming=protocol.protocol.naming)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        closed, path = accept_review(case, protocol, code, where=where, by=by, reason=reason, at=now)
        for one in closed:
            say(f"Closed by {by} in {path.name}: {one['message']}", err=True)


@click.command()
@opt.case_or_study
@opt.subject
@opt.visit
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: a free one]."
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--reader", metavar="R", help="Mark in lesions.R.csv, as reader R.")
@click.option("--read-only", is_flag=True, help="Show, and save nothing.")
@click.option("--blind", metavar="READER", help="As --reader, and other readers' marks are not shown.")
@opt.protocol
def review(
    *,
    source: Path,
    subject: str | None,
    visit: str | None,
    port: int,
    no_browser: bool,
    reader: str | None,
    read_only: bool,
    blind: str | None,
    protocol_file: Path | None,
) -> None:
    """Open a case on a local page: look, mark lesions, watch the verdict; every mark is saved at once.

    The page is served to this computer only, through a link that works once. It ends with Ctrl-C.
    """
    from volstrat.review.reviewed import ReviewOptions
    from volstrat.review.session import ReviewSession
    from volstrat.study.study_file import protocol_for, refuse_other_version
    from volstrat.study.subjects import one_case

    if reader is not None and blind is not None and reader != blind:
        msg = "--reader and --blind name two readers."
        raise click.UsageError(msg)
    with opt.errors_said():
        from volstrat.review.server import serve

        if not read_only:
            refuse_other_version(source)
        asked = ReviewOptions(reader=blind or reader or "", read_only=read_only, blind=blind is not None)
        place = one_case(source, subject=subject, visit=visit, reader=asked.reader or None)
        session = ReviewSession(place, protocol_for(source, protocol_file), asked)
        serve(
            session,
            port=port,
            opened=lambda link: _open(link, browser=not no_browser),
            say=lambda link: say(f"A new link: {link}", err=True),
        )


def _open(link: str, *, browser: bool) -> None:
    say(f"The page is open at {link}", err=True)
    say("The link works once, on this computer. Ctrl-C ends.", err=True)
    if browser:
        import webbrowser

        webbrowser.open(link)


@click.command()
@click.argument("folder", metavar="CASE", type=opt.EXISTING_FOLDER)
@opt.as_json
@click.option("--search", is_flag=True, help="List every union of segments that would do.")
@click.option(
    "--ablations",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --search: ablate the N largest lesions that remain in the liver [default: 0].",
)
@click.option(
    "--flr",
    "flr_percent",
    type=click.FloatRange(min=0, max=100),
    metavar="PERCENT",
    help="With --search: the least remnant, of the liver without tumour [default: 0].",
)
@opt.protocol
@opt.lesions
def plan(
    *,
    folder: Path,
    as_json: bool,
    search: bool,
    ablations: int | None,
    flr_percent: float | None,
    protocol_file: Path | None,
    lesions: str | None,
) -> None:
    """Compare the surgical plans of a case: stratum, what stays, and the remnant of each.

    With --search: every union of the map's segments that reaches the threshold of stratum 1, takes all avid
    disease and cuts through no tumour, by falling remnant. That is arithmetic, not advice: vessels and bile
    ducts are not seen, and nothing is chosen.
    """
    from volstrat.case.assess import run_case, search_case
    from volstrat.case.protocol_files import load_protocol
    from volstrat.cli.terminal_tables import plans_table, search_table

    with opt.errors_said():
        if not search and (ablations is not None or flr_percent is not None):
            msg = "--ablations and --flr belong to --search."
            raise UsageError(msg, hint="Add --search.")
        if flr_percent is not None and 0 < flr_percent <= 1:
            msg = f"--flr is {flr_percent:g}; it is a percentage (30, not 0.3)."
            raise UsageError(msg, hint="Write --flr 30.")
        protocol = load_protocol(protocol_file)
        if search:
            found = search_case(
                folder, protocol, lesions=lesions, ablations=ablations or 0, flr_percent=flr_percent or 0.0
            )
            _shown({"search": found["search"]} if as_json else search_table(found))
            return
        record = run_case(folder, protocol, lesions=lesions)
        if record["error"] is not None:
            opt.say_error(record["error"])
            sys.exit(opt.EXIT_FAILED)
        if not record["plans"]:
            msg = f"{record['subject']}: case.toml states no plan."
            raise UsageError(msg, hint="Write [[plans]] (see docs/rule.md), or use --search.")
        keys = ("subject", "status", "stratum", "chosen_plan", "plans")
        own = {key: value for key, value in record.items() if key in keys}
        _shown(own if as_json else plans_table(record))
        sys.exit(opt.exit_code([record["status"]]))


def _shown(found: dict[str, Any] | str) -> None:
    if isinstance(found, str):
        click.echo(found)
    else:
        opt.print_json(found)
