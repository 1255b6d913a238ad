"""One subject, inside a worker: skip it or do it, write its record, hand back a receipt.

Beside ``case.json`` stands ``.receipt.json``: what the record rests on and what its bytes hash to. A later
run skips the subject only where all of that is still true, the record's own bytes included.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from volstrat.case.fingerprint import Fingerprint, take_fingerprint
from volstrat.case.json_types import record_bytes
from volstrat.case.record import environment, failure_record, record_name
from volstrat.cohort.changes import keep_replaced
from volstrat.cohort.tasks import FINAL_STATUSES, Receipt, plain_text
from volstrat.errors import InputChangedError, OutputError, VolstratError, is_want_of_memory
from volstrat.store.output import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.cohort.changes import Replaced
    from volstrat.cohort.tasks import Task, WorkerContext

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

    Raises
    ------
    OutputError
        If the record cannot be written: the run cannot go on.
    MemoryError
        If the subject needs more memory than it may take.
    """
    try:
        name = ""
        for _ in range(_READS):
            case = task.case.open(lesions=context.lesions, naming=context.protocol.protocol.naming)
            inputs = _fingerprint(case.sources)
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


def _fingerprint(sources: CaseSources) -> Fingerprint | None:
    """Hash the inputs; None where one cannot be read, which measuring will tell better."""
    try:
        return take_fingerprint(sources)
    except VolstratError:
        return None


def fail_task(task: Task, error: Exception, protocol: LoadedProtocol) -> Receipt:
    """Write the record of a subject that failed.

    Raises
    ------
    OutputError
    """
    record = failure_record(subject=task.case.subject, visit=task.case.visit, error=error, protocol=protocol)
    said = record["error"]
    assert said is not None  # a failure says why
    for folder in {task.case.folder.absolute(), task.case.folder.resolve()}:
        said["message"] = said["message"].replace(f"{folder}/", "").replace(str(folder), folder.name or ".")
        said["hint"] = said["hint"].replace(f"{folder}/", "").replace(str(folder), folder.name or ".")
    return _write_record(task, record, inputs_sha256="")


def _write_record(task: Task, record: CaseRecord, *, inputs_sha256: str) -> Receipt:
    """Write a subject's record, then the receipt that vouches for it.

    Raises
    ------
    OutputError
    """
    record["adjudication"] = task.case.adjudication
    data = record_bytes(_without_surrogates(record))
    _tidy(task.target, data)
    try:
        before = (task.target / RECORD).read_bytes()
    except OSError:
        before = data
    replaced = keep_replaced(task.target.parent, before, data, task.subject) or _last_replaced(task, data)
    receipt = Receipt(
        location=task.location,
        subject=record_name(record),
        status=record["status"],
        stratum=record["stratum"],
        inputs_sha256=inputs_sha256,
        record_sha256=hashlib.sha256(data).hexdigest(),
        version=record["environment"]["volstrat"],
        replaced=replaced,
    )
    # The hash in the receipt tells a file that a power cut left short: waiting for the disk gains nothing.
    write_atomically(task.target / RECORD, data, at_once=False)
    written = {
        "schema": _SCHEMA,
        "subject": receipt.subject,
        "status": receipt.status,
        "stratum": receipt.stratum,
        "inputs_sha256": receipt.inputs_sha256,
        "protocol_sha256": record["protocol"]["sha256"],
        "version_sha256": version_sha256(),
        "record_sha256": receipt.record_sha256,
        "replaced": replaced,
    }
    write_atomically(task.target / RECEIPT, (json.dumps(written) + "\n").encode(), at_once=False)
    return receipt


def read_receipt(folder: Path) -> dict[str, Any] | None:
    """Return what stands beside a subject's record; None where nothing readable does."""
    try:
        found = json.loads((folder / RECEIPT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _last_replaced(task: Task, data: bytes) -> Replaced | None:
    """Return what the record that stands there, and stays, had replaced, as its receipt says."""
    try:
        found = json.loads((task.target / RECEIPT).read_bytes())["replaced"]
        return cast("Replaced", found) if found["new_sha256"] == hashlib.sha256(data).hexdigest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tidy(target: Path, record: bytes) -> None:
    """Remove what a killed worker left unfinished (nothing else ends so), and reports of another record.

    Raises
    ------
    OutputError
        If a report cannot be removed: it would show an old verdict beside the new one.
    """
    with suppress(OSError):
        for name in target.glob(".*.part"):
            name.unlink(missing_ok=True)
    reports = [target / name for name in REPORTS if (target / name).exists()]
    try:
        if reports and (target / RECORD).read_bytes() == record:
            return
    except OSError:
        pass
    try:
        for path in reports:
            path.unlink()
    except OSError as error:
        msg = f"{path}: shows another result and cannot be removed ({error.strerror})."
        raise OutputError(msg, hint="Check the folder's permissions.") from error


def _standing_receipt(task: Task, inputs: Fingerprint, protocol: LoadedProtocol) -> Receipt | None:
    """Return the receipt of an earlier run's record where everything it rests on is the same.

    What the receipt says of the record itself is not believed: the record says it.
    """
    try:
        found = json.loads((task.target / RECEIPT).read_bytes())
        data = (task.target / RECORD).read_bytes()
        record = json.loads(data)
        status, stratum = record["status"], record["stratum"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    record_sha256 = hashlib.sha256(data).hexdigest()
    wanted = {
        "schema": _SCHEMA,
        "subject": task.subject,
        "status": status,
        "stratum": stratum,
        "inputs_sha256": inputs.sha256,
        "protocol_sha256": protocol.sha256,
        "version_sha256": version_sha256(),
        "record_sha256": record_sha256,
    }
    if not isinstance(found, dict) or any(found.get(key) != value for key, value in wanted.items()):
        return None
    if status not in FINAL_STATUSES:
        return None
    return Receipt(
        location=task.location,
        subject=task.subject,
        status=status,
        stratum=stratum,
        inputs_sha256=inputs.sha256,
        record_sha256=record_sha256,
        version=environment()["volstrat"],
        skipped=True,
        replaced=_last_replaced(task, data),
    )


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value whose texts can be written as UTF-8: file names need not be."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
