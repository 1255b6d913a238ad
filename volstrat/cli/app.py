"""The ``volstrat`` command and its subcommands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from volstrat import __version__
from volstrat.cli.cohort_commands import batch, merge
from volstrat.cli.compare_commands import adjudicate, compare, consensus
from volstrat.cli.export_commands import export
from volstrat.cli.marking_commands import accept, lesions
from volstrat.cli.plan_commands import plan
from volstrat.cli.report_commands import report
from volstrat.cli.review_commands import review
from volstrat.cli.say import say
from volstrat.cli.study_commands import init
from volstrat.cli.verify_commands import audit, lock, selftest, unlock, verify
from volstrat.errors import VolstratError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.case.protocol_files import LoadedProtocol

EXIT_FAILED, EXIT_USAGE, EXIT_PERSON = 1, 2, 3

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_OUT = click.Path(file_okay=False, path_type=Path)
_protocol_option = click.option(
    "--protocol",
    "protocol_file",
    type=click.Path(path_type=Path),
    help="Protocol file (TOML); without it the packaged pantodon.toml.",
)
_lesions_option = click.option(
    "--lesions",
    metavar="NAME",
    help="Lesion table to use: a file in the case folder, or R for lesions.R.csv.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="volstrat %(version)s")
def cli() -> None:
    """Measure tumour volumes and FDG-avid disease, and assign PANTODON strata.

    Exit codes: 0 done, every case has a stratum and nothing to review; 1 a case failed, or a check
    found a difference; 2 usage, or nothing found; 3 done, and a case needs a person. 1 wins over 3.
    """


def _load(protocol_file: Path | None) -> LoadedProtocol:
    from volstrat.case.protocol_files import load_protocol

    try:
        return load_protocol(protocol_file)
    except VolstratError as error:
        raise click.UsageError(str(error)) from error


def exit_code(statuses: list[str]) -> int:
    """Return the exit code that the cases' statuses amount to."""
    if "failed" in statuses:
        return EXIT_FAILED
    return EXIT_PERSON if {"review", "not_assessable"} & set(statuses) else 0


@cli.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the case record as JSON.")
@click.option("-o", "--out", type=_OUT, help="Also write OUT/SUBJECT/case.json.")
@_protocol_option
@_lesions_option
def case(
    folder: Path, as_json: bool, out: Path | None, protocol_file: Path | None, lesions: str | None
) -> None:
    """Measure one case folder and assign its stratum."""
    from volstrat.case.assess import run_case
    from volstrat.case.record import record_bytes, record_name
    from volstrat.cli.terminal_tables import case_table
    from volstrat.store.output import folder_name, write_atomically
    from volstrat.store.seal import refuse_sealed

    if out is not None:
        try:
            refuse_sealed(out)
        except VolstratError as error:
            _fail(error)
    record = run_case(folder, _load(protocol_file), lesions=lesions)
    data = record_bytes(record)
    if out is not None:
        try:
            write_atomically(out / folder_name(record_name(record)) / "case.json", data)
        except VolstratError as error:
            _fail(error)
    if as_json:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        if record["error"] is not None:
            say(f"volstrat: {record['error']['message']} {record['error']['hint']}".rstrip(), err=True)
    else:
        click.echo(case_table(record))
    sys.exit(exit_code([record["status"]]))


@cli.command()
@click.argument("source", metavar="CASE|STUDY.toml", type=click.Path(exists=True, path_type=Path))
@click.option("--subject", metavar="NAME", help="Which subject of a study file.")
@click.option("--visit", metavar="NAME", help="Which visit, where the study has visits.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@_protocol_option
@_lesions_option
def inspect(
    *,
    source: Path,
    subject: str | None,
    visit: str | None,
    as_json: bool,
    protocol_file: Path | None,
    lesions: str | None,
) -> None:
    """Show what would be read from a case, and as what: of a case folder, or of a subject of a study."""
    from volstrat.cli.terminal_tables import inspection_table
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import inspect_one

    try:
        loaded = protocol_for(source, protocol_file)
        found = inspect_one(source, loaded, subject=subject, visit=visit, lesions=lesions)
    except VolstratError as error:
        _fail(error)
    _show(found, as_json=as_json, table=inspection_table)
    if any(entry["error"] for entry in found["inputs"]):
        sys.exit(EXIT_FAILED)


@cli.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--series", metavar="UID", help="Which PET series, where the folder holds several.")
def suv(folder: Path, as_json: bool, series: str | None) -> None:
    """Show what turns the PET series of a folder into SUV, and where each figure comes from."""
    from volstrat.case.pet_image import suv_report
    from volstrat.cli.terminal_tables import suv_table

    try:
        found = suv_report(folder, series=series)
    except VolstratError as error:
        _fail(error)
    _show(found, as_json=as_json, table=suv_table)
    if found["error"] is not None:
        say(f"volstrat: {found['error']['message']} {found['error']['hint']}".rstrip(), err=True)
        sys.exit(EXIT_FAILED)


@cli.group()
def protocol() -> None:
    """Show or check a protocol: the choices behind every verdict."""


@protocol.command("show")
@_protocol_option
def protocol_show(protocol_file: Path | None) -> None:
    """Print the protocol file with the reason for each choice."""
    click.echo(_load(protocol_file).text, nl=False)


@protocol.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def protocol_check(file: Path) -> None:
    """Check a protocol file; exit 1 with one sentence where it does not hold."""
    from volstrat.case.protocol_files import load_protocol

    try:
        loaded = load_protocol(file)
    except VolstratError as error:
        _fail(error)
    say(f"{file.name}: protocol {loaded.protocol.id} {loaded.protocol.version}, sha256 {loaded.sha256}.")


@protocol.command("schema")
def protocol_schema() -> None:
    """Print the JSON Schema of a protocol file."""
    from volstrat.terms.protocol import protocol_schema as schema

    click.echo(json.dumps(schema(), indent=2))


cli.add_command(init)
cli.add_command(lesions)
cli.add_command(accept)
cli.add_command(batch)
cli.add_command(merge)
cli.add_command(compare)
cli.add_command(consensus)
cli.add_command(adjudicate)
cli.add_command(verify)
cli.add_command(audit)
cli.add_command(lock)
cli.add_command(unlock)
cli.add_command(selftest)
cli.add_command(plan)
cli.add_command(report)
cli.add_command(export)
cli.add_command(review)


def _show(found: dict[str, Any], *, as_json: bool, table: Callable[[dict[str, Any]], str]) -> None:
    """Print JSON, or a table for people."""
    from volstrat.case.record import record_bytes

    if as_json:
        sys.stdout.buffer.write(record_bytes(found))
        sys.stdout.buffer.flush()
    else:
        click.echo(table(found))


def _fail(error: VolstratError) -> None:
    """Say the error in one sentence and stop with the code of a failure or of wrong usage."""
    say(f"volstrat: {error}", err=True)
    sys.exit(EXIT_USAGE if error.code == "usage" else EXIT_FAILED)
