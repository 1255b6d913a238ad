"""``volstrat review``."""

from __future__ import annotations

from pathlib import Path

import click

from volstrat.cli.options import case_or_study, errors_said, protocol_option, subject_option, visit_option
from volstrat.cli.say import say


@click.command()
@case_or_study
@subject_option
@visit_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: a free one]."
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--reader", metavar="R", help="Mark in lesions.R.csv, as reader R.")
@click.option("--read-only", is_flag=True, help="Show, and save nothing.")
@click.option("--blind", metavar="READER", help="As --reader, and other readers' marks are not shown.")
@protocol_option
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
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import one_case

    if reader is not None and blind is not None and reader != blind:
        msg = "--reader and --blind name two readers."
        raise click.UsageError(msg)
    with errors_said():
        from volstrat.review.server import serve

        options = ReviewOptions(reader=blind or reader or "", read_only=read_only, blind=blind is not None)
        place = one_case(source, subject=subject, visit=visit, reader=options.reader or None)
        session = ReviewSession(place, protocol_for(source, protocol_file), options)
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
