"""What verifying holds in memory does not grow with the cohort."""

from __future__ import annotations

import gc
import hashlib
import json
import tracemalloc
from typing import TYPE_CHECKING

from volstrat.cohort.run_file import records_sha256
from volstrat.verify.result_folder import check_files, read_records

if TYPE_CHECKING:
    from pathlib import Path

FEW, MANY = 150, 750


def write_output(out: Path, count: int) -> dict[str, object]:
    """Write an output of as many records with their receipts, and return its ``run.json``."""
    environment = {"volstrat": "0", "python": "3", "platform": "x", "libraries": {}}
    hashes = []
    for n in range(count):
        subject = f"S{n:05}"
        record: dict[str, object] = {
            "subject": subject, "status": "assigned", "stratum": "stratum_1", "inputs": [], "findings": [],
            "error": None, "protocol": {"sha256": "0" * 64}, "environment": environment,
        }  # fmt: skip
        data = json.dumps(record).encode()
        sha256 = hashlib.sha256(data).hexdigest()
        hashes.append((subject, sha256))
        folder = out / subject
        folder.mkdir(parents=True)
        (folder / "case.json").write_bytes(data)
        receipt = {"status": "assigned", "stratum": "stratum_1", "record_sha256": sha256}
        (folder / ".receipt.json").write_text(json.dumps({**receipt, "inputs_sha256": "1" * 64}))
    (out / "cohort.csv").write_text("subject,visit\n" + "".join(f"{subject},\n" for subject, _ in hashes))
    inputs = records_sha256((subject, "1" * 64) for subject, _ in hashes)
    return {"event": "batch", "records_sha256": records_sha256(hashes), "inputs_sha256": inputs}


def test_records_and_receipts_are_looked_at_without_being_held(tmp_path: Path) -> None:
    """Of 600 subjects more, not two in three leave an object in memory: not a name, nor a hash of each."""
    held = {}
    for count in (FEW, MANY):
        run = write_output(tmp_path / str(count), count)
        tracemalloc.start()
        records = read_records(tmp_path / str(count), run)
        faults = check_files(tmp_path / str(count), run, records)
        gc.collect()
        held[count] = len(tracemalloc.take_snapshot().traces)
        tracemalloc.stop()
        assert records.faults == ()
        assert [fault.kind for fault in faults] == ["missing"] * len(faults)  # run.json and the trail
        assert len(records.folders) == count
    assert held[MANY] - held[FEW] < (MANY - FEW) * 2 / 3  # what others of the process keep counts too
