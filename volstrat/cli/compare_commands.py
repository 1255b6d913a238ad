"""``volstrat compare`` and ``volstrat consensus``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

import volstrat.cli.options as opt
from volstrat.cli.options import say
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.comparison import ComparisonResult
    from volstrat.comparison.agreement_types import Estimate

    Command = Callable[..., None]

_DIFFERS = ("trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable")
_PERSON = ("predicates", "review")

_READINGS = click.argument("readings", nargs=-1, required=True, metavar="A B [C ...]", type=opt.ANY)
_OUT = click.option("-o", "--out", type=opt.FOLDER, required=True, help="Output folder.")
_PROTOCOL = click.option(
    "--protocol",
    "protocol_file",
    type=opt.ANY,
    help="Protocol file (TOML) for cases; a cohort output brings its own. Without it pantodon.toml.",
)
_LESIONS = click.option(
    "--lesions",
    multiple=True,
    metavar="NAME",
    help="Lesion table to use: a file in the case folder, or R for lesions.R.csv. Once for all readings, or "
    "once for each: two readers' tables of one folder are `compare CASE CASE --lesions R1 --lesions R2`.",
)


def _millimetres(name: str, default: float, text: str) -> Callable[[Command], Command]:
    return click.option(name, type=click.FloatRange(min=0), default=default, show_default=True, help=text)


@click.command()
@_READINGS
@_OUT
@_millimetres("--tolerance-mm", 2.0, "Tolerance of the surface Dice.")
@_millimetres(
    "--match-mm", 10.0, "Lesions that do not overlap match where their centroids are no farther apart."
)
@click.option(
    "--resample",
    is_flag=True,
    help="Resample a reading on another grid (nearest neighbour) onto the first's.",
)
@_PROTOCOL
@_LESIONS
def compare(
    *,
    readings: tuple[Path, ...],
    out: Path,
    tolerance_mm: float,
    match_mm: float,
    resample: bool,
    protocol_file: Path | None,
    lesions: tuple[str, ...],
) -> None:
    """Compare two or more readings: cases, folders of cases, cohort outputs, masks.

    Exit codes: 0 all strata and predicates agree; 1 a stratum differs, or a subject could not be compared;
    3 strata agree, but a predicate or a call for review does not.
    """
    from volstrat.comparison import Settings, compare_readings
    from volstrat.comparison.subject import STAKES

    with opt.errors_said():
        result = compare_readings(
            readings,
            out,
            protocol=_loaded(protocol_file),
            lesions=lesions,
            settings=Settings(
                surface_tolerance_mm=tolerance_mm, match_distance_mm=match_mm, resample=resample
            ),
            each=lambda subject, stake: say(f"{subject}: {STAKES[stake]}", err=True),
        )
    _show(result, out)
    if any(result.stakes.get(kind) for kind in _DIFFERS):
        sys.exit(opt.EXIT_FAILED)
    if any(result.stakes.get(kind) for kind in _PERSON):
        sys.exit(opt.EXIT_PERSON)


def _show(result: ComparisonResult, out: Path) -> None:
    from volstrat.case.case_file import case_name

    for finding in result.findings:
        say(f"[{finding.severity}] {finding.message}")
    cohort = result.cohort
    answers = (
        ('"no stratum" as an answer', cohort["strata"]),
        ('without "no stratum"', cohort["strata_given"]),
    )
    for how, found in answers:
        for pair in found["pairs"]:
            same = sum(row[n] for n, row in enumerate(pair["table"]))
            say(f"{pair['a']} and {pair['b']}, {how}, n = {pair['subjects']}: {same} agree")
            figures = (("raw agreement", pair["agreement"]), ("kappa", pair["kappa"]), ("AC1", pair["ac1"]))
            for name, figure in figures:
                say(f"    {name:<14} {_figure(figure)}")
    for one in cohort["wcv_by_diameter"]:
        if one["lesions"]:
            end = "" if one["diameter_to_mm"] is None else f" to {one['diameter_to_mm']:g}"
            say(
                f"Lesions from {one['diameter_from_mm']:g}{end} mm, n = {one['lesions']}: "
                f"wCV in % {_figure(one['wcv_percent'])}; the protocol's {one['protocol_wcv_percent']:g} %"
            )
    for quantity in cohort["quantities"]:
        for two in quantity["bland_altman"]:
            worst = [one for one in two["left_out"] if None not in (one["a"], one["b"])]
            if worst:
                named = shown_names([f"{one['subject']} ({one['a']:.2f} / {one['b']:.2f})" for one in worst])
                say(f"{quantity['quantity']}, {two['a']} / {two['b']}, left out of the ratios: {named}")
    for item in result.adjudication[:20]:
        named = ", ".join(f"{name} {stratum or 'none'}" for name, stratum in item["strata"].items())
        carried = f"; carried by {item['attributed_to']}" if item["attributed_to"] else ""
        where, stake = case_name(item["subject"], item["visit"]), item["stake"].replace("_", " ")
        say(f"{item['order']:>3}. {where}: {stake} ({named}){carried}")
    if len(result.adjudication) > 20:
        say(f"     ... and {len(result.adjudication) - 20} more in adjudication.csv")
    many = "s" if result.subjects != 1 else ""
    say(f"{result.subjects} subject{many}; {out / 'agreement.html'}, {out / 'agreement.json'}")


def _figure(estimate: Estimate) -> str:
    if estimate["value"] is None:
        return f"does not exist ({estimate['reason']})"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f} (no interval: {estimate['reason']})"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


@click.command()
@_READINGS
@_OUT
@click.option(
    "--method", type=click.Choice(["majority", "staple"]), default="majority", show_default=True,
    help="How voxels are settled; markings are always settled by majority.",
)  # fmt: skip
@_PROTOCOL
@_LESIONS
def consensus(
    *,
    readings: tuple[Path, ...],
    out: Path,
    method: Literal["majority", "staple"],
    protocol_file: Path | None,
    lesions: tuple[str, ...],
) -> None:
    """Write a consensus case for each subject, from three readings on.

    Of two readings that differ neither outvotes the other: an adjudicator decides. Exit code 1 where a
    subject has no consensus.
    """
    from volstrat.comparison import write_consensus

    with opt.errors_said():
        result = write_consensus(
            readings, out, method=method, protocol=_loaded(protocol_file), lesions=lesions
        )
    for subject, problem in result.failed:
        say(f"volstrat: {subject}: no consensus. {problem}", err=True)
    say(f"{len(result.written)} subjects with a consensus, {len(result.failed)} without; {out}")
    if result.failed:
        sys.exit(opt.EXIT_FAILED)


@click.command()
@click.argument("agreement", type=opt.EXISTING_FOLDER)
@click.argument("table", type=opt.EXISTING_FILE)
@_OUT
@click.option(
    "--concordant",
    required=True,
    metavar="A|B",
    help="Whose reading stands for subjects that are not in dispute.",
)
@opt.workers
def adjudicate(*, agreement: Path, table: Path, out: Path, concordant: str, workers: int | None) -> None:
    """Build the final cohort: for each subject in dispute the reading that TABLE says stands.

    AGREEMENT is what `volstrat compare` wrote; TABLE is its adjudication.csv with `stands` (A, B or table),
    `adjudicator`, `reason` and `decided_at` filled in for every subject. Where `table` stands, the marks are
    those of lesions.<adjudicator>.csv in A's case folder. Exit codes are those of `volstrat batch`.
    """
    from volstrat.cli.cohort_commands import end, ends_said, shown
    from volstrat.comparison import adjudicate as build

    with ends_said(), shown() as show:
        result = build(agreement, table, out, concordant=concordant, workers=workers, on_progress=show)
    end(result, out)


def _loaded(protocol_file: Path | None) -> LoadedProtocol | None:
    from volstrat.case.protocol_files import load_protocol

    return None if protocol_file is None else load_protocol(protocol_file)
