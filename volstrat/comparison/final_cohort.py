"""The final cohort: for each subject the reading that stands, whose, by whom and why."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.table_file import table_format
from volstrat.cohort.cohort_run import CohortResult, open_run
from volstrat.cohort.pool import LocalRunner, default_workers
from volstrat.cohort.run_file import ADJUDICATION, BASIS, COMPARISON, TRAIL, kept_head, read_run_file
from volstrat.cohort.tasks import Limits, Progress, WorkerContext
from volstrat.comparison.compare_run import check_place
from volstrat.comparison.decisions import (
    AGREEMENT,
    HeldAgreement,
    decided_cases,
    read_decisions,
    read_held_agreement,
    undisputed,
)
from volstrat.comparison.readings import ReadingSet, readings_of_run
from volstrat.errors import InputFileError, UsageError
from volstrat.store.audit import check_trail, read_trail
from volstrat.store.locking import output_lock
from volstrat.store.output import write_atomically
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.cohort.source import FoundCase


def adjudicate(
    agreement: Path,
    table: Path,
    out: Path,
    *,
    concordant: str,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CohortResult:
    """Build the final cohort of an agreement: an output like that of ``volstrat batch``.

    ``agreement`` is the output of ``volstrat compare``, ``table`` its ``adjudication.csv``, filled in, and
    ``concordant`` the reading that stands for subjects that are not in dispute; the rest is as for
    `run_cohort`. An agreement that is not whole, a table that does not decide on it, a reading that changed
    since or is not there are a `UsageError`, an output that cannot be written an `OutputError`.
    """
    run = read_run_file(agreement)
    if run is None or run.get("event") != COMPARISON or run.get("finished_at") is None:
        msg = f"{agreement}: is no finished agreement of readings."
        raise UsageError(msg, hint="Name the output folder of volstrat compare.")
    held = read_held_agreement(agreement)
    if not {run.get("agreement_sha256"), _entered_sha256(agreement, run)} == {held.sha256}:
        msg = f"{agreement / AGREEMENT}: is not what the comparison wrote."
        raise UsageError(msg, hint="volstrat verify says what else has changed; compare again.")
    check_place(out, [agreement, *(Path(place["path"]) for place in run["readings"])], of=ADJUDICATION)
    decisions = read_decisions(table, held)
    undisputed(held, decisions, concordant)
    readings = {reading.name: reading for reading in readings_of_run(run)}
    _check_unchanged(held, readings)
    protocol = _protocol(readings, held)
    cases = list(decided_cases(held, decisions, readings, concordant))
    kept = {AGREEMENT: held.data, f"adjudication.{table_format(table.name)}": table.read_bytes()}
    detail = {
        "input_root": None,
        "lesions": None,
        "agreement_sha256": held.sha256,
        "concordant": concordant,
        "readings": run["readings"],
    }
    return build_final(out, cases, protocol, kept, detail, workers=workers, on_progress=on_progress)


def _entered_sha256(agreement: Path, run: Mapping[str, Any]) -> str | None:
    """Return the agreement's hash as the trail has it; None where the trail is not whole."""
    expected = kept_head(run)
    with suppress(InputFileError):
        if expected is not None and not check_trail(agreement / TRAIL, expected=expected)[1]:
            entries = (entry for entry in read_trail(agreement / TRAIL) if entry is not None)
            ends = [one["detail"] for one in entries if one["event"] == f"{COMPARISON}_finished"]
            return ends[-1].get("agreement_sha256") if ends else None
    return None


def build_final(
    out: Path,
    cases: Sequence[FoundCase],
    protocol: LoadedProtocol,
    kept: Mapping[str, bytes],
    detail: Mapping[str, Any],
    *,
    workers: int | None,
    on_progress: Callable[[Progress], None],
) -> CohortResult:
    """Measure the cases that stand and write them as a cohort's output, with what they rest on."""
    # A decision is no input: what an earlier run left never stands for it.
    context = WorkerContext(protocol=protocol, fresh=True)
    runner = LocalRunner(context, workers=workers or default_workers(), limits=Limits())
    with (
        output_lock(out),
        open_run(out, out, protocol, event=ADJUDICATION, detail=detail, on_progress=on_progress) as run,
    ):
        for name in BASIS:
            (out / name).unlink(missing_ok=True)
        for name, data in kept.items():
            write_atomically(out / name, data)
        return run.do(iter(cases), runner)


def _check_unchanged(held: HeldAgreement, readings: Mapping[str, ReadingSet]) -> None:
    """Refuse readings that are not, subject by subject, what was compared."""
    changed: dict[str, list[str]] = {}
    known = dict(held.subjects())
    for name in sorted({*known, *(one for reading in readings.values() for one in reading.subjects)}):
        for letter, reading in readings.items():
            found = reading.subjects.get(name)
            now = None if found is None else found.sha256(reading.protocol)
            if known.get(name, {}).get(letter) != now:
                changed.setdefault(letter, []).append(name)
    if changed:
        changes = "; ".join(
            f"reading {letter} ({held.readers[letter]}): {shown_names(names)}"
            for letter, names in changed.items()
        )
        msg = f"Changed since the comparison: {changes}."
        raise UsageError(msg, hint="Compare the readings again and decide on the new agreement.")


def _protocol(readings: Mapping[str, ReadingSet], held: HeldAgreement) -> LoadedProtocol:
    """Return the one protocol of all readings."""
    protocols = {reading.protocol.sha256: reading.protocol for reading in readings.values()}
    if len(protocols) > 1 or not all(reading.protocol_known for reading in readings.values()):
        made_by = ", ".join(
            f"{letter} ({held.readers[letter]}) {reading.protocol.sha256[:12]}"
            for letter, reading in readings.items()
        )
        msg = f"The readings were made by different or unknown protocols: {made_by}."
        raise UsageError(msg, hint="Run one of them again by the other's protocol, and compare again.")
    return next(iter(protocols.values()))
