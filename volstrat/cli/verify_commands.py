"""``volstrat verify``, ``audit`` and ``lock``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import volstrat.cli.options as opt
from volstrat.cli.options import say
from volstrat.terms.wording import more_than

if TYPE_CHECKING:
    from volstrat.verify import Verification

_MOST_SHOWN = 20
_OUTPUT = click.argument("out", metavar="OUT", type=opt.EXISTING_FOLDER)


@click.command()
@_OUTPUT
@click.option(
    "--inputs",
    type=opt.ANY,
    help="Folder or manifest of the cases, where it is not the one that run.json names.",
)
@click.option("--only-hashes", is_flag=True, help="Compare hashes and versions; measure nothing again.")
@click.option(
    "--protocol",
    "protocol_file",
    type=opt.ANY,
    help="Protocol file to run again by [default: the run's own].",
)
@click.option(
    "--signers",
    type=opt.ANY,
    metavar="FILE",
    help="Allowed signers of a sealed output (ssh-keygen); without it, whose signature it is stays open.",
)
@opt.workers
@click.option("--json", "as_json", is_flag=True, help="Print the verification as JSON.")
def verify(
    *,
    out: Path,
    inputs: Path | None,
    only_hashes: bool,
    protocol_file: Path | None,
    signers: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run an output's cases again and compare every byte; name the first step that differs.

    Steps, in their order: input bytes, header, protocol, version, library, count. Exit codes: 0 clean, 1
    something differs.
    """
    from volstrat.case.protocol_files import load_protocol
    from volstrat.verify import verify_output

    with opt.errors_said():
        result = verify_output(
            out,
            inputs=inputs,
            protocol=None if protocol_file is None else load_protocol(protocol_file),
            only_hashes=only_hashes,
            signers=signers,
            workers=workers,
        )
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(result)
    if not result.clean:
        sys.exit(opt.EXIT_FAILED)


def _show(result: Verification) -> None:
    how = "hashes compared, nothing measured" if result.only_hashes else "measured again"
    say(f"{result.subjects} subject{'s' if result.subjects != 1 else ''}, {how}.")
    if result.trail is not None:
        faults = result.trail.faults
        say(f"Trail: {result.trail.head.length} entries, {'whole' if not faults else 'NOT whole'}.")
        for text in (*faults, *result.trail.openings, *result.trail.clock):
            say(f"  {text}")
    for fault in result.files[:_MOST_SHOWN]:
        say(f"[{fault.kind}] {fault.message}")
    _more(len(result.files), "files")
    for difference in result.protocol:
        say(f"Protocol: {difference.what} was {_value(difference.old)}, is {_value(difference.new)}.")
    for difference in result.tables:
        old, new = _value(difference.old), _value(difference.new)
        say(f"Tables: {difference.what}, which makes the Parquet files, was {old}, is {new}.")
    for found in result.differing[:_MOST_SHOWN]:
        say(f"{found.subject}: first differs at {_words(found.first.step)}.")
        for difference in found.differences[:_MOST_SHOWN]:
            place = " ".join(text for text in (difference.role, difference.path) if text)
            say(
                f"  {_words(difference.step):<12}{f'{place}: ' if place else ''}{difference.what}: "
                f"{_value(difference.old)} -> {_value(difference.new)}"
            )
    _more(len(result.differing), "subjects")
    if result.versions:
        say(f"Records were made by volstrat {', '.join(result.versions)}. What can alter a verdict since:")
        for text in result.changes or ("nothing that the changelog names.",):
            say(f"  {text}")
    if result.sealed:
        say("The output is sealed (SHA256SUMS).")
    if result.signature is not None:
        say(result.signature.sentence)
    same = (
        "all hashes and versions are what they were" if result.only_hashes else "everything comes out again"
    )
    say(f"Clean: {same}." if result.clean else "DIFFERS.")


def _more(count: int, what: str) -> None:
    if count > _MOST_SHOWN:
        say(f"... {more_than(count, _MOST_SHOWN)} {what} (--json lists all).")


def _words(step: str) -> str:
    return step.replace("_", " ")


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


@click.group()
def audit() -> None:
    """Show or check an output's trail: who did what, when, and whether an entry was altered."""


@audit.command("show")
@_OUTPUT
@click.argument("subject", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON, one a line.")
def audit_show(*, out: Path, subject: str | None, as_json: bool) -> None:
    """Print the trail's entries in their order; of one SUBJECT, what became of its record."""
    from volstrat.store.audit import read_trail

    with opt.errors_said():
        entries = list(read_trail(out / "audit.jsonl"))
    for line, entry in enumerate(entries, start=1):
        if entry is None:
            say(f"line {line} is no entry", err=True)
        elif subject is not None and entry["detail"].get("subject") != subject:
            continue
        elif as_json:
            click.echo(json.dumps(entry))
        else:
            say(_entry(entry))


def _entry(entry: dict[str, Any]) -> str:
    detail = entry["detail"]
    who = "@".join(str(detail[key]) for key in ("user", "host") if detail.get(key))
    if entry["event"] == "record_changed":
        old, new = (
            f"{detail.get(f'{age}_stratum') or 'no stratum'} ({detail.get(f'{age}_status')})"
            for age in ("old", "new")
        )
        moved = ", ".join(detail.get("moved") or ["nothing that is known"])
        changed = f"{detail.get('subject')}: {old} -> {new}; moved: {moved}"
        return f"{entry['entry']:>5}  {entry['recorded_at']}  {entry['event']:<16}  {who}  {changed}"
    keys = ("subjects", "status", "clean", "differing", "reader", "subject", "by", "reason", "open", "fresh")
    details = ", ".join(
        f"{key} {json.dumps(detail[key], ensure_ascii=False)}" for key in keys if detail.get(key) is not None
    )
    return f"{entry['entry']:>5}  {entry['recorded_at']}  {entry['event']:<16}  {who}  {details}".rstrip()


@audit.command("check")
@_OUTPUT
def audit_check(*, out: Path) -> None:
    """Check every link of the trail; exit 1 with the entries that were altered, removed or moved."""
    from volstrat.verify import check_output_trail

    with opt.errors_said():
        state = check_output_trail(out)
    for text in (*state.openings, *state.clock, *state.faults):
        say(text)
    if state.faults:
        sys.exit(opt.EXIT_FAILED)
    say(f"{state.head.length} entries, whole; the last hashes to {state.head.last_sha256}.")


@click.command()
@_OUTPUT
@click.option(
    "--with-open", is_flag=True, help="Seal subjects in that failed, have no stratum or need review."
)
def lock(*, out: Path, with_open: bool) -> None:
    """Seal a finished output with SHA256SUMS; afterwards nothing is written into it.

    Subjects that are not settled are named, and sealed in only with --with-open.

    Check it anywhere with `sha256sum -c SHA256SUMS`; sign it with
    `ssh-keygen -Y sign -n volstrat -f KEY SHA256SUMS`.
    """
    from volstrat.verify import lock_output

    with opt.errors_said():
        files = lock_output(out, with_open=with_open)
    say(f"{files} files sealed in {out / 'SHA256SUMS'}.")
    say(f"Sign it: ssh-keygen -Y sign -n volstrat -f KEY {out / 'SHA256SUMS'}")


@click.command()
@_OUTPUT
@click.option("--by", required=True, metavar="WHO", help="Who opens it.")
@click.option("--reason", required=True, metavar="WHY", help="Why it is opened.")
def unlock(*, out: Path, by: str, reason: str) -> None:
    """Open a sealed output again; verify and audit check say ever after who opened it, when and why."""
    from volstrat.verify import unlock_output

    with opt.errors_said():
        unlock_output(out, by=by, reason=reason)
    say(f"{out}: opened. Its trail says by whom and why.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, for a validation file.")
def selftest(*, as_json: bool) -> None:
    """Run the sample subjects on the installed program and hold them to numbers worked out without it.

    Prints versions and the hash of each record; exit 1 where one differs.
    """
    from volstrat.verify.selftest import self_test

    with opt.errors_said():
        result = self_test()
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _show_selftest(result)
    if not result["passed"]:
        sys.exit(opt.EXIT_FAILED)


def _show_selftest(result: dict[str, Any]) -> None:
    made_by = result["environment"]
    libraries = ", ".join(f"{name} {version}" for name, version in made_by["libraries"].items())
    say(f"volstrat {made_by['volstrat']}, Python {made_by['python']}, {made_by['platform']}; {libraries}")
    protocol = result["protocol"]
    say(f"Protocol {protocol['id']} {protocol['version']}, sha256 {protocol['sha256']}")
    for one in result["samples"]:
        state = "differs" if one["differs"] else "as worked out"
        say(
            f"{one['subject']:<28}{one['stratum'] or one['status']:<16}{state:<15}{one['record_sha256'][:16]}"
        )
        for text in one["differs"]:
            say(f"  {text}")
    wrong = sum(bool(one["differs"]) for one in result["samples"])
    say(f"{len(result['samples']) - wrong} of {len(result['samples'])} sample subjects are as worked out.")
