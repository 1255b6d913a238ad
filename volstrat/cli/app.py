"""The ``volstrat`` command and its subcommands."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import volstrat.cli.options as opt
from volstrat import __version__
from volstrat.cli.options import say
from volstrat.errors import VolstratError

if TYPE_CHECKING:
    from volstrat.case.protocol_files import LoadedProtocol

_ELSEWHERE = {
    "case_commands": ("accept", "lesions", "plan", "review"),
    "cohort_commands": ("batch", "init", "merge"),
    "compare_commands": ("adjudicate", "compare", "consensus"),
    "result_commands": ("export", "report"),
    "verify_commands": ("audit", "lock", "selftest", "unlock", "verify"),
}
"""Modules beside this one and the commands that they hold."""


class _Commands(click.Group):
    """Imports a command's module when it is asked for, and all of them to list the commands."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = next((module for module, names in _ELSEWHERE.items() if cmd_name in names), None)
        if module is not None:
            self._add_from(module)
        elif cmd_name not in self.commands:  # click names those that are spelt nearly so
            self.list_commands(ctx)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        for module in _ELSEWHERE:
            self._add_from(module)
        return super().list_commands(ctx)

    def _add_from(self, module: str) -> None:
        holder = import_module(f"volstrat.cli.{module}")
        for name in _ELSEWHERE[module]:
            self.add_command(getattr(holder, name))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="volstrat %(version)s")
def cli() -> None:
    """Measure tumour volumes and FDG-avid disease, and assign PANTODON strata.

    Exit codes: 0 done, every case has a stratum and nothing to review; 1 a case failed, or a check
    found a difference; 2 usage, or nothing found; 3 done, and a case needs a person. 1 wins over 3.
    """


@cli.command()
@click.argument("folder", type=opt.EXISTING_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the case record as JSON.")
@click.option("-o", "--out", type=opt.FOLDER, help="Also write OUT/SUBJECT/case.json.")
@opt.protocol
@opt.lesions
def case(
    folder: Path, as_json: bool, out: Path | None, protocol_file: Path | None, lesions: str | None
) -> None:
    """Measure one case folder and assign its stratum."""
    from volstrat.case.assess import run_case

    with opt.errors_said():
        if out is not None:
            from volstrat.store.seal import refuse_run

            refuse_run(out)
        record = run_case(folder, _protocol(protocol_file), lesions=lesions)
        if out is not None:
            from volstrat.case.json_types import record_bytes
            from volstrat.case.record import record_name
            from volstrat.store.output import folder_name, write_atomically

            write_atomically(out / folder_name(record_name(record)) / "case.json", record_bytes(record))
    if as_json:
        opt.print_json(record)
        if record["error"] is not None:
            opt.say_error(record["error"])
    else:
        from volstrat.cli.terminal_tables import case_table

        click.echo(case_table(record))
    sys.exit(opt.exit_code([record["status"]]))


@cli.command()
@opt.case_or_study
@opt.subject
@opt.visit
@opt.as_json
@opt.protocol
@opt.lesions
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
    from volstrat.case.inspect import inspect_case
    from volstrat.study.study_file import protocol_for
    from volstrat.study.subjects import one_case

    with opt.errors_said():
        loaded = protocol_for(source, protocol_file)
        place = one_case(source, subject=subject, visit=visit, lesions=lesions)
        found = inspect_case(place, loaded, lesions=lesions)
    if as_json:
        opt.print_json(found)
    else:
        from volstrat.cli.terminal_tables import inspection_table

        click.echo(inspection_table(found))
    if any(entry["error"] for entry in found["inputs"]):
        sys.exit(opt.EXIT_FAILED)


@cli.command()
@click.argument("folder", type=opt.EXISTING_FOLDER)
@opt.as_json
@click.option("--series", metavar="UID", help="Which PET series, where the folder holds several.")
def suv(folder: Path, as_json: bool, series: str | None) -> None:
    """Show what turns the PET series of a folder into SUV, and where each figure comes from."""
    from volstrat.case.pet_inputs import suv_report

    with opt.errors_said():
        found = suv_report(folder, series=series)
    if as_json:
        opt.print_json(found)
    else:
        from volstrat.cli.terminal_tables import suv_table

        click.echo(suv_table(found))
    if found["error"] is not None:
        opt.say_error(found["error"])
        sys.exit(opt.EXIT_FAILED)


@cli.group()
def protocol() -> None:
    """Show or check a protocol: the choices behind every verdict."""


@protocol.command("show")
@opt.protocol
def protocol_show(protocol_file: Path | None) -> None:
    """Print the protocol file with the reason for each choice."""
    click.echo(_protocol(protocol_file).text, nl=False)


@protocol.command("check")
@click.argument("file", type=opt.EXISTING_FILE)
def protocol_check(file: Path) -> None:
    """Check a protocol file; exit 1 with one sentence where it does not hold."""
    from volstrat.case.protocol_files import altered_findings, load_protocol

    with opt.errors_said(usage=("usage",)):
        loaded = load_protocol(file)
    say(f"{file.name}: protocol {loaded.protocol.id} {loaded.protocol.version}, sha256 {loaded.sha256}.")
    for one in altered_findings(loaded.protocol):
        say(one.message)


@protocol.command("schema")
def protocol_schema() -> None:
    """Print the JSON Schema of a protocol file."""
    from volstrat.terms.protocol import protocol_schema as schema

    click.echo(json.dumps(schema(), indent=2))


def _protocol(path: Path | None) -> LoadedProtocol:
    """Load a protocol; one that cannot be read is wrong usage."""
    from volstrat.case.protocol_files import load_protocol

    try:
        return load_protocol(path)
    except VolstratError as error:
        raise click.UsageError(str(error)) from error
