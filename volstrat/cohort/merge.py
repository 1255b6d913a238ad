"""Shards into one cohort: the same files as one run over all of it would have left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from volstrat.case.case_file import case_name
from volstrat.case.protocol_files import LoadedProtocol, load_protocol
from volstrat.case.record import record_name
from volstrat.cohort.cohort_run import CohortResult, CohortRun, open_run, refuse_other_kind
from volstrat.cohort.ledger import marked_name
from volstrat.cohort.run_file import (
    HISTORY,
    TRAIL,
    change_of,
    entries_of_changes,
    history_faults,
    keep_replaced,
    read_run_file,
    records_sha256,
)
from volstrat.cohort.tasks import Progress, Receipt
from volstrat.cohort.worker import RECORD, read_receipt
from volstrat.errors import OutputError, UsageError
from volstrat.store.locking import output_lock
from volstrat.store.output import folder_name, write_atomically
from volstrat.store.seal import refuse_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from volstrat.cohort.run_file import Replaced

_SUBJECTS_AT_ONCE = 5000
_ALIKE = {"protocol": "protocol", "environment": "program or libraries", "lesions": "lesion table"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One output to merge, and what its run said of itself."""

    folder: Path
    run: dict[str, Any]


def merge_cohorts(
    shards: Sequence[Path], out: Path, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> CohortResult:
    """Merge the finished outputs of all shards of one run, or of whole cohorts, into another folder.

    A subject of two outputs gets one failed row that names both, never a result.

    An output that is unfinished, missing or altered, was made by another protocol or version (a shard: with
    another lesion table), or is ``out`` itself is a `UsageError`; an ``out`` that cannot be written an
    `OutputError`.
    """
    refuse_sealed(out)
    refuse_other_kind(out)
    parts = [_part(folder, out) for folder in shards]
    _check_alike(parts)
    _check_complete(parts)
    protocol = _protocol_of(parts[0])
    tables = {part.run.get("lesions") for part in parts}
    detail = {
        "input_root": None,
        "merged": [str(part.folder.resolve()) for part in parts],
        "lesions": tables.pop() if len(tables) == 1 else None,
        "shard": None,
    }
    with (
        output_lock(out),
        open_run(out, out, protocol, event="merge", detail=detail, on_progress=on_progress) as run,
    ):
        named = list(zip(parts, _names(parts), strict=True))
        for part, name in named:  # so that no case of a subject that several have is taken over
            for subject in _subjects(part.folder):
                run.ledger.offer(f"{name}: {subject}", subject)
        for part, name in named:
            taken: list[Receipt] = []
            for subject in _subjects(part.folder):
                taken.append(_take_over(part, name, subject, run))
                run.progress.done += 1
                run.progress.found = run.progress.done
                run.show()
            _check_unaltered(part, taken)
            _take_over_history(part, run)
            run.ledger.commit()
        return run.finish()


def _part(folder: Path, out: Path) -> _Part:
    if folder.resolve() == out.resolve():
        msg = f"{out}: is one of the outputs to merge."
        raise UsageError(msg, hint="Name another folder with -o.")
    run = read_run_file(folder)
    if run is None:
        msg = f"{folder}: is no output of volstrat batch; it has no readable run.json."
        raise UsageError(msg)
    if run.get("finished_at") is None or not (folder / "cohort.parquet").is_file():
        msg = f"{folder}: its run has not come to its end."
        raise UsageError(msg, hint="Run its batch again; what is done will be skipped.")
    return _Part(folder=folder, run=run)


def _check_alike(parts: Sequence[_Part]) -> None:
    """Refuse outputs that were made by different rules or programs, and one that is named twice."""
    first = parts[0]
    for n, part in enumerate(parts[1:], start=1):
        if part.folder.resolve() in {other.folder.resolve() for other in parts[:n]}:
            msg = f"{part.folder}: is named twice."
            raise UsageError(msg)
        for key, what in _ALIKE.items():
            is_asked = key != "lesions" or part.run.get("shard")
            if is_asked and _without_place(first.run.get(key)) != _without_place(part.run.get(key)):
                msg = f"{part.folder}: was made with another {what} than {first.folder}."
                raise UsageError(msg, hint="Run one of them again, then merge.")


def _without_place(recorded: Mapping[str, Any] | str | None) -> object:
    """Return what a run says of its protocol, program or tables, but for where the protocol's file lay."""
    return {k: v for k, v in recorded.items() if k != "source"} if isinstance(recorded, dict) else recorded


def _check_complete(parts: Sequence[_Part]) -> None:
    """Refuse shards of which one is missing, comes twice, or is of another partition."""
    shards = [part.run.get("shard") for part in parts]
    if not any(shards):
        return
    if not all(shards):
        whole = next(part.folder for part in parts if not part.run.get("shard"))
        msg = f"{whole}: is a whole cohort; the others are shards."
        raise UsageError(msg, hint="Merge shards with shards.")
    pairs = [tuple(map(int, str(shard).split("/"))) for shard in shards]
    of = {n for _, n in pairs}
    if len(of) != 1:
        msg = f"The outputs are shards of different partitions: {', '.join(map(str, shards))}."
        raise UsageError(msg, hint="Merge the shards of one partition.")
    (count,) = of
    numbers = sorted(number for number, _ in pairs)
    missing = [str(n) for n in range(1, count + 1) if n not in numbers]
    if missing or len(numbers) != count:
        wrong = f"shard {', '.join(missing)} of {count} is missing" if missing else "one shard comes twice"
        msg = f"The outputs do not make a whole cohort: {wrong}."
        raise UsageError(msg, hint="Name the output of each shard once.")


def _protocol_of(part: _Part) -> LoadedProtocol:
    """Return the protocol that the outputs were made with, as far as a failed record names it."""
    in_run_file = part.run["protocol"]
    packaged = load_protocol(None).protocol
    protocol = replace(packaged, id=in_run_file["id"], version=in_run_file["version"])
    return LoadedProtocol(protocol=protocol, sha256=in_run_file["sha256"], text=in_run_file.get("text", ""))


def _names(parts: Sequence[_Part]) -> list[str]:
    """Return what to call each output in the tables: its path below what all have in common."""
    folders = [part.folder.resolve() for part in parts]
    common = Path(os.path.commonpath(folders)) if len(folders) > 1 else folders[0].parent
    return [folder.relative_to(common).as_posix() for folder in folders]


def _subjects(folder: Path) -> Iterator[str]:
    """Yield the subjects of an output, exactly as they are called: the CSV escapes line breaks."""
    from pyarrow import ArrowException, parquet

    path = folder / "cohort.parquet"
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_SUBJECTS_AT_ONCE, columns=["subject", "visit"]):
                for subject, visit in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield case_name(subject, visit)
    except (OSError, ArrowException) as error:
        msg = f"{path}: cannot be read ({error})."
        raise UsageError(msg, hint="Run its batch again.") from error


def _check_unaltered(part: _Part, taken: list[Receipt]) -> None:
    """Refuse an output whose records or receipts are not those that its run hashed at its end."""
    taken.sort(key=lambda receipt: receipt.subject)
    now = {
        "records": records_sha256((one.subject, one.record_sha256) for one in taken),
        "inputs": records_sha256((one.subject, one.inputs_sha256) for one in taken),
    }
    for what, sha256 in now.items():
        if part.run.get(f"{what}_sha256") not in (None, sha256):
            named = "receipts" if what == "inputs" else what
            msg = f"{part.folder}: its {named} are not those that its run wrote."
            raise UsageError(msg, hint="volstrat verify names them; run its batch again, then merge.")


def _take_over(part: _Part, name: str, subject: str, run: CohortRun) -> Receipt:
    """Copy a subject's folder, note what it holds, and return what it rests on and hashes to."""
    location = f"{name}: {subject}"
    source, data = _record_of(part, subject)
    record = json.loads(data)
    receipt = Receipt(
        location=location,
        subject=subject,
        status=record["status"],
        stratum=record["stratum"],
        inputs_sha256=str((read_receipt(source) or {}).get("inputs_sha256") or ""),
        record_sha256=hashlib.sha256(data).hexdigest(),
        version=record["environment"]["volstrat"],
    )
    folder = run.ledger.offer(location, subject)
    if folder is None:
        return receipt
    target = run.out / folder
    try:
        if (target / RECORD).exists():
            replaced = keep_replaced(run.out, (target / RECORD).read_bytes(), data, subject)
            receipt = replace(receipt, replaced=replaced)
            shutil.rmtree(target)
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.name.endswith(".part"):
                write_atomically(target / path.relative_to(source), path.read_bytes())
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"{source}: cannot be copied to {target} ({error.strerror})."
        raise OutputError(msg, hint="Check the disk's space and the folders' permissions.") from error
    run.note(receipt)
    return receipt


def _take_over_history(part: _Part, run: CohortRun) -> None:
    """Keep what records of an output had taken the place of, and enter it: their receipts say so too."""
    trail = part.folder / TRAIL
    gone = [name for name, fault in history_faults(part.folder, trail) if fault != "extra"]
    if gone:
        msg = f"{part.folder}: records that were replaced are gone or altered: {', '.join(gone)}."
        raise UsageError(msg, hint="Put them back from a copy, or do its subjects in another folder.")
    known = Counter(map(change_of, entries_of_changes(run.out / TRAIL)))
    for one in entries_of_changes(trail):
        name = f"{HISTORY}/{one['old_sha256']}.json"
        write_atomically(run.out / name, (part.folder / name).read_bytes(), at_once=False)
        known[change_of(one)] -= 1
        if known[change_of(one)] < 0:
            run.file.replaced(cast("Replaced", one))


def _record_of(part: _Part, subject: str) -> tuple[Path, bytes]:
    """Return a subject's folder in an output, and its record's bytes."""
    for name in (marked_name(subject), folder_name(subject)):
        folder = part.folder / name
        try:
            data = (folder / RECORD).read_bytes()
            if record_name(json.loads(data)) == subject:
                return folder, data
        except (OSError, ValueError, KeyError):
            continue
    msg = f"{part.folder}: the record of {subject!r} is not there, or is no record."
    raise UsageError(msg, hint="Run its batch again.")
