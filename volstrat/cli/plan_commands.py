"""``volstrat plan``: surgical plans side by side, and the search over unions of segments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.cli.options import (
    EXISTING_FOLDER,
    EXIT_FAILED,
    errors_said,
    exit_code,
    json_option,
    lesions_option,
    print_json,
    protocol_option,
    say_error,
)
from volstrat.errors import UsageError

if TYPE_CHECKING:
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import SearchRecord


@click.command()
@click.argument("folder", metavar="CASE", type=EXISTING_FOLDER)
@json_option
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
@protocol_option
@lesions_option
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
    from volstrat.case.protocol_files import load_protocol

    with errors_said():
        if not search and (ablations is not None or flr_percent is not None):
            msg = "--ablations and --flr belong to --search."
            raise UsageError(msg, hint="Add --search.")
        if flr_percent is not None and 0 < flr_percent <= 1:
            msg = f"--flr is {flr_percent:g}; it is a percentage (30, not 0.3)."
            raise UsageError(msg, hint="Write --flr 30.")
        protocol = load_protocol(protocol_file)
        if search:
            from volstrat.case.assess import search_case

            found = search_case(
                folder, protocol, lesions=lesions, ablations=ablations or 0, flr_percent=flr_percent or 0.0
            )
            _show_search(found, as_json=as_json)
        else:
            sys.exit(_compare(folder, protocol, lesions, as_json=as_json))


def _compare(folder: Path, protocol: LoadedProtocol, lesions: str | None, *, as_json: bool) -> int:
    from volstrat.case.assess import run_case
    from volstrat.cli.plan_text import plans_table

    record = run_case(folder, protocol, lesions=lesions)
    if record["error"] is not None:
        say_error(record["error"])
        return EXIT_FAILED
    if not record["plans"]:
        msg = f"{record['subject']}: case.toml states no plan."
        raise UsageError(msg, hint="Write [[plans]] (see docs/rule.md), or use --search.")
    if as_json:
        keys = ("subject", "status", "stratum", "chosen_plan", "plans")
        print_json({key: value for key, value in record.items() if key in keys})
    else:
        click.echo(plans_table(record))
    return exit_code([record["status"]])


def _show_search(found: SearchRecord, *, as_json: bool) -> None:
    from volstrat.cli.plan_text import search_table

    if as_json:
        print_json({"search": found["search"]})
    else:
        click.echo(search_table(found))
