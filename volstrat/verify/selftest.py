"""Whether the installed program gives what the sample subjects must give: numbers worked out without it."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.assess import run_case
from volstrat.case.json_types import record_bytes
from volstrat.case.protocol_files import load_protocol
from volstrat.case.record import environment
from volstrat.errors import InputFileError
from volstrat.store.tables import TABLE_LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA_ID = "volstrat.selftest/1"

_SAMPLES, _EXPECTED = "sample_data", "expected.json"
_REL, _ABS = 1e-6, 1e-9
_TOLD = ("predicates", "volumes")
_BY_ID = ("lesions", "pet_only_regions")


def samples_folder() -> Path:
    """Return the sample subjects: in the installed package, else beside it in a checkout; else refuse."""
    package = Path(str(files("volstrat")))
    for folder in (package / _SAMPLES, package.parent / _SAMPLES):
        if (folder / _EXPECTED).is_file():
            return folder
    msg = "This installation has no sample subjects."
    raise InputFileError(msg, hint="Install volstrat again from its wheel.")


def self_test() -> dict[str, Any]:
    """Run every sample subject and hold it to what was worked out for it.

    Returns JSON values: ``passed``, the versions, the protocol's hash, and for each subject what came, in
    what it differs, and the hash of its record without ``environment``.
    """
    folder, protocol = samples_folder(), load_protocol(None)
    wanted = json.loads((folder / _EXPECTED).read_text(encoding="utf-8"))
    samples = []
    for subject, want in wanted.items():
        record = run_case(folder / subject, protocol)
        kept = {key: value for key, value in record.items() if key != "environment"}
        samples.append(
            {
                "subject": subject,
                "status": record["status"],
                "stratum": record["stratum"],
                "differs": list(_differences(json.loads(record_bytes(record)), want)),
                "record_sha256": hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest(),
            }
        )
    return {
        "schema": SCHEMA_ID,
        "passed": not any(one["differs"] for one in samples),
        "protocol": {
            "id": protocol.protocol.id,
            "version": protocol.protocol.version,
            "sha256": protocol.sha256,
        },
        "environment": environment(also=TABLE_LIBRARIES),
        "samples": samples,
    }


def _differences(record: dict[str, Any], want: dict[str, Any]) -> Iterator[str]:
    """Yield each key that is not as worked out, with both values."""
    yield from _compared(record, want, ("status", "stratum"))
    if want["status"] == "failed":
        said = (record["error"] or {}).get("message", "")
        if want["error_names"] not in said:
            yield f"error: {said!r} does not name {want['error_names']!r}"
        return
    yield from _compared(record, want, _TOLD)
    for key in _BY_ID:
        if key in want:
            yield from _compared({one["lesion_id"]: one for one in record[key]}, want[key], within=f"{key}.")
    for code in sorted(set(want["findings"]) - {one["code"] for one in record["findings"]}):
        yield f"findings: {code} is absent"


def _compared(
    came: dict[str, Any], want: dict[str, Any], keys: Iterable[str] | None = None, within: str = ""
) -> Iterator[str]:
    for key in (key for key in keys or want if key in want):
        found, value, at = came.get(key), want[key], f"{within}{key}"
        if isinstance(value, dict):
            yield from _compared(found if isinstance(found, dict) else {}, value, within=f"{at}.")
        elif isinstance(value, float) and isinstance(found, float):
            if not math.isclose(found, value, rel_tol=_REL, abs_tol=_ABS):
                yield f"{at}: {found} came, {value} was worked out"
        elif found != value:
            yield f"{at}: {found!r} came, {value!r} was worked out"
