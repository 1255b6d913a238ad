"""``volstrat review``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from volstrat.cli.say import say
from volstrat.errors import VolstratError

EXIT_FAILED, EXIT_USAGE = 1, 2
_USAGE = {"usage", "protocol_invalid"}


@click.command()
@click.argument("source", metavar="CASE|STUDY.toml", type=click.Path(exists=True, path_type=Path))
@click.option("--subject", metavar="NAME", help="Which subject of the study.")
@click.option("--visit", metavar="NAME", help="Which visit, where the study has visits.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: a free one]."
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--reader", metavar="R", help="Mark in lesions.R.csv, as reader R.")
@click.option("--read-only", is_flag=True, help="Show, and save nothing.")
@click.option("--blind", metavar="READER", help="As --reader, and other readers' marks are not shown.")
@click.option(
    "--protocol",
    "protocol_file",
    type=click.Path(path_type=Path),
    help="Protocol file (TOML); without it the packaged pantodon.toml.",
)
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
    try:
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
    except VolstratError as error:
        say(f"volstrat: {error}", err=True)
        sys.exit(EXIT_USAGE if error.code in _USAGE else EXIT_FAILED)


def _open(link: str, *, browser: bool) -> None:
    say(f"The page is open at {link}", err=True)
    say("The link works once, on this computer. Ctrl-C ends.", err=True)
    if browser:
        import webbrowser

        webbrowser.open(link)
