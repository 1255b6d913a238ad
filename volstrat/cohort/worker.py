"""One subject, inside a worker: skip it or do it, write its record, hand back a receipt.

Beside ``case.json`` stands ``.receipt.json``: what the record rests on and what its bytes hash to. A later
run skips the subject only where all of that is still true, the record's own bytes included.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from volstrat.case.fingerprint import Fingerprint, take_fingerprint
from volstrat.case.json_types import record_bytes
from volstrat.case.record import environment, failure_record, record_name
from volstrat.cohort.run_file import Replaced, keep_replaced
from volstrat.cohort.tasks import FINAL_STATUSES, Receipt, Task, WorkerContext, plain_text
from volstrat.errors import InputChangedError, OutputError, VolstratError, is_want_of_memory
from volstrat.store.output import read_object, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord

RECORD = "case.json"
RECEIPT = ".receipt.json"
REPORTS = ("report.html", "report.pdf")
"""What may stand beside a record, made of it: another record takes them away."""

_SCHEMA = "volstrat.receipt/1"
_READS = 2


@cache
def version_sha256() -> str:
    """Return the hash of what a record's numbers may depend on beside inputs and protocol: the versions."""
    return hashlib.sha256(json.dumps(environment(), sort_keys=True).encode()).hexdigest()


def do_task(task: Task, context: WorkerContext) -> Receipt:
    """Do one subject, or skip it where an earlier run's record still holds.

    A record that cannot be written is an `OutputError`: the run cannot go on. A `MemoryError` says that the
    subject needs more memory than it may take.
    """
    try:
        name = ""
        for _ in range(_READS):
            case = task.case.open(lesions=context.lesions, naming=context.protocol.protocol.naming)
            inputs: Fingerprint | None = None
            with suppress(VolstratError):  # an input that cannot be read: measuring tells it better
                inputs = take_fingerprint(case.sources)
            if inputs is not None and not context.fresh:
                standing = _standing_receipt(task, inputs, context.protocol)
                if standing is not None:
                    return standing
            record = context.assess(case, context.protocol)
            if inputs is None:
                return _write_record(task, record, inputs_sha256="")
            changed = inputs.changed_file()
            if changed is None:
                return _write_record(task, record, inputs_sha256=inputs.sha256)
            name = changed.name
        msg = f"{name}: changed while it was read."
        error = InputChangedError(msg, hint="Wait until it has been copied, then run the batch again.")
        return fail_task(task, error, context.protocol)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, VolstratError) and error.code == "output_unwritable":
            raise
        if is_want_of_memory(error):  # tried once more, alone
            raise MemoryError(str(error)) from error
        return fail_task(task, error, context.protocol)


def fail_task(task: Task, error: Exception, protocol: LoadedProtocol) -> Receipt:
    """Write the record of a subject that failed."""
    record = failure_record(subject=task.case.subject, visit=task.case.visit, error=error, protocol=protocol)
    said = record["error"]
    assert said is not None  # a failure says why
    for folder in {task.case.folder.absolute(), task.case.folder.resolve()}:
        for key in ("message", "hint"):
            said[key] = said[key].replace(f"{folder}/", "").replace(str(folder), folder.name or ".")
    return _write_record(task, record, inputs_sha256="")


def _write_record(task: Task, record: CaseRecord, *, inputs_sha256: str) -> Receipt:
    """Write a subject's record, then the receipt that vouches for it."""
    record["adjudication"] = task.case.adjudication
    data = record_bytes(_without_surrogates(record))
    before = _bytes_of(task.target / RECORD)
    _tidy(task.target, reports_too=before != data)
    replaced = keep_replaced(task.target.parent, before or data, data, task.subject)
    receipt = _receipt(task, record, data, inputs_sha256=inputs_sha256, replaced=replaced)
    # The hash in the receipt tells a file that a power cut left short: waiting for the disk gains nothing.
    write_atomically(task.target / RECORD, data, at_once=False)
    written = _vouched(receipt, record["protocol"]["sha256"]) | {"replaced": receipt.replaced}
    write_atomically(task.target / RECEIPT, (json.dumps(written) + "\n").encode(), at_once=False)
    return receipt


def _receipt(
    task: Task, record: CaseRecord, data: bytes, *, inputs_sha256: str, replaced: Replaced | None
) -> Receipt:
    """Return what the parent learns of a record; one that stays keeps what it had replaced."""
    record_sha256 = hashlib.sha256(data).hexdigest()
    if replaced is None:
        known = (read_receipt(task.target) or {}).get("replaced")
        if isinstance(known, dict) and known.get("new_sha256") == record_sha256:
            replaced = cast("Replaced", known)
    return Receipt(
        location=task.location,
        subject=record_name(record),
        status=record["status"],
        stratum=record["stratum"],
        inputs_sha256=inputs_sha256,
        record_sha256=record_sha256,
        version=record["environment"]["volstrat"],
        replaced=replaced,
    )


def _vouched(receipt: Receipt, protocol_sha256: str) -> dict[str, Any]:
    """Return what a record rests on, what it says and what its bytes hash to, as it stands beside it."""
    return {
        "schema": _SCHEMA,
        "subject": receipt.subject,
        "status": receipt.status,
        "stratum": receipt.stratum,
        "inputs_sha256": receipt.inputs_sha256,
        "protocol_sha256": protocol_sha256,
        "version_sha256": version_sha256(),
        "record_sha256": receipt.record_sha256,
    }


def read_receipt(folder: Path) -> dict[str, Any] | None:
    """Return what stands beside a subject's record; None where nothing readable does."""
    return read_object(folder / RECEIPT)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None  # a pipe would be waited for
    except OSError:
        return None


def _tidy(target: Path, *, reports_too: bool) -> None:
    """Remove what a killed worker left unfinished (nothing else ends so), and reports of another record.

    A report that cannot be removed would show an old verdict beside the new one: an `OutputError`.
    """
    with suppress(OSError):
        for path in target.glob(".*.part"):
            path.unlink(missing_ok=True)
    for path in (target / name for name in REPORTS if reports_too):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            msg = f"{path}: shows another result and cannot be removed ({error.strerror})."
            raise OutputError(msg, hint="Check the folder's permissions.") from error


def _standing_receipt(task: Task, inputs: Fingerprint, protocol: LoadedProtocol) -> Receipt | None:
    """Return the receipt of an earlier run's record where everything it rests on is the same.

    What the receipt says of the record itself is not believed: the record says it.
    """
    found, data = read_receipt(task.target), _bytes_of(task.target / RECORD)
    if found is None or data is None:
        return None
    try:
        receipt = _receipt(task, json.loads(data), data, inputs_sha256=inputs.sha256, replaced=None)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    wanted = _vouched(receipt, protocol.sha256)
    if receipt.subject != task.subject or any(found.get(key) != value for key, value in wanted.items()):
        return None
    return replace(receipt, skipped=True) if receipt.status in FINAL_STATUSES else None


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value whose texts can be written as UTF-8: file names need not be."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
