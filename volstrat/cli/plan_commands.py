"""``volstrat plan``: surgical plans side by side, and the search over unions of segments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.cli.say import say
from volstrat.errors import UsageError, VolstratError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import SearchRecord

EXIT_FAILED, EXIT_USAGE, EXIT_PERSON = 1, 2, 3
_USAGE = {"usage", "protocol_invalid"}
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", metavar="CASE", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
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

    try:
        if not search and (ablations is not None or flr_percent is not None):
            msg = "--ablations and --flr belong to --search."
            raise UsageError(msg, hint="Add --search.")
        protocol = load_protocol(protocol_file)
        if search:
            from volstrat.case.assess import search_case

            found = search_case(
                folder, protocol, lesions=lesions, ablations=ablations or 0, flr_percent=flr_percent or 0.0
            )
            _show_search(found, as_json=as_json)
        else:
            sys.exit(_compare(folder, protocol, lesions, as_json=as_json))
    except VolstratError as error:
        say(f"volstrat: {error}", err=True)
        sys.exit(EXIT_USAGE if error.code in _USAGE else EXIT_FAILED)


def _compare(folder: Path, protocol: LoadedProtocol, lesions: str | None, *, as_json: bool) -> int:
    from volstrat.case.assess import run_case
    from volstrat.cli.plan_text import plans_table

    record = run_case(folder, protocol, lesions=lesions)
    if record["error"] is not None:
        say(f"volstrat: {record['error']['message']} {record['error']['hint']}".rstrip(), err=True)
        return EXIT_FAILED
    if not record["plans"]:
        msg = f"{record['subject']}: case.toml states no plan."
        raise UsageError(msg, hint="Write [[plans]] (see docs/rule.md), or use --search.")
    if as_json:
        keys = ("subject", "status", "stratum", "chosen_plan", "plans")
        _print_json({key: value for key, value in record.items() if key in keys})
    else:
        click.echo(plans_table(record))
    return EXIT_PERSON if record["status"] in {"review", "not_assessable"} else 0


def _show_search(found: SearchRecord, *, as_json: bool) -> None:
    from volstrat.cli.plan_text import search_table

    if as_json:
        _print_json({"search": found["search"]})
    else:
        click.echo(search_table(found))


def _print_json(found: Mapping[str, object]) -> None:
    from volstrat.case.record import record_bytes

    sys.stdout.buffer.write(record_bytes(found))
    sys.stdout.buffer.flush()
