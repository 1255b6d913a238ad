"""docs/pacs.md, line by line, on an Orthanc of its own.

Orthanc runs in a network namespace of its own, where only its loopback exists; skipped in plain sight where
it cannot be had (Orthanc, DCMTK, curl, unshare).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from tests.export.conftest import CASE, ROOT

PAGE = ROOT / "docs" / "pacs.md"
NEEDED = (
    "Orthanc",
    "unshare",
    "ip",
    "curl",
    "echoscu",
    "storescu",
    "findscu",
    "getscu",
    "dciodvfy",
    "dsrdump",
)
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

CONFIGURATION = {
    "Name": "test",
    "HttpPort": 8042,
    "DicomPort": 4242,
    "DicomAet": "ORTHANC",
    "RemoteAccessAllowed": False,
    "DicomAlwaysAllowGet": True,
    "Plugins": [str(PLUGIN)],
}

START = """
set -eu
ip link set lo up
Orthanc orthanc.json > orthanc.log 2>&1 &
archive=$!
trap 'kill $archive; wait $archive || true' EXIT
for attempt in $(seq 400); do
  curl -fsS http://127.0.0.1:8042/system > /dev/null 2>&1 && break
  sleep 0.25
done
count() {
  curl -fsS http://127.0.0.1:8042/statistics >> statistics.txt
  echo >> statistics.txt
}
"""


def commands() -> list[str]:
    """Return the shell blocks of the page, in their order."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def parts(body: bytes) -> list[bytes]:
    """Return the parts of a multipart answer, without their headers."""
    boundary = body[: body.index(b"\r\n")]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in body.split(boundary)[1:-1]]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the page was followed from its first line to its last."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or not PLUGIN.exists():
        pytest.skip(f"an Orthanc with DICOMweb and its clients are not at hand: {missing or PLUGIN.name}")
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces are not allowed here")
    folder = tmp_path_factory.mktemp("pacs")
    shutil.copytree(CASE, folder / CASE.name)
    (folder / "store").mkdir()
    program = folder / "bin" / "volstrat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m volstrat "$@"\n')
    program.chmod(0o755)
    places = {"StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store")}
    (folder / "orthanc.json").write_text(json.dumps(CONFIGURATION | places))
    again = [
        "volstrat export S15_dicom -o again --at 2026-03-01T14:30:00 --seg --sr",
        "storescu -R -aec ORTHANC 127.0.0.1 4242 again/*.dcm",
        "count",
        "volstrat export S15_dicom -o other --at 2026-03-01T15:30:00 --seg --sr",
        "storescu -R -aec ORTHANC 127.0.0.1 4242 other/*.dcm",
        "count",
    ]
    blocks = commands()
    script = "\n".join([START, blocks[0], blocks[1], "count", blocks[2], "count", *blocks[3:], *again])
    (folder / "follow.sh").write_text(script)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["unshare", "-rn", "bash", "follow.sh"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_every_object_arrives_and_comes_back_byte_for_byte(followed: Path) -> None:
    """Sent by STOW and fetched by WADO as it was written; by C-STORE and C-GET with the same content."""
    sent = {pydicom.dcmread(path).SOPInstanceUID: path for path in (followed / "out").glob("*.dcm")}
    fetched = parts((followed / "study.multipart").read_bytes())
    assert sorted(fetched) == sorted(path.read_bytes() for path in sent.values())
    back = {pydicom.dcmread(path).SOPInstanceUID: path for path in (followed / "back").iterdir()}
    assert set(back) == set(sent)
    for uid, path in sent.items():
        one, other = pydicom.dcmread(path), pydicom.dcmread(back[uid])
        assert one == other


def test_the_same_content_again_changes_nothing_and_other_content_adds(followed: Path) -> None:
    """8 by STOW; the same by C-STORE, and a second export of the same; then three of other content."""
    lines = (followed / "statistics.txt").read_text()
    counts = [int(n) for n in re.findall(r'"CountInstances" : (\d+)', lines)]
    assert counts == [8, 8, 8, 11]


def test_the_objects_are_filed_with_the_patient_s_study(followed: Path) -> None:
    """One series each of SR, DOC and OT; of SEG one on the CT and one on the PET."""
    series = json.loads((followed / "series.json").read_text())
    assert sorted(one["00080060"]["Value"][0] for one in series) == ["DOC", "OT", "SEG", "SEG", "SR"]
    assert "Stratum 2" in (followed / "report.txt").read_text()
