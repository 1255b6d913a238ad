"""A small cohort that was run once; each test gets a copy of inputs and output to spoil."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cohort.cohorts import InlineRunner
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
SUBJECTS = ("S01_stratum_1", "S11_lesion_table", "S14_broken_file")
"""Stratum 1; stratum 1 by mask and table; failed, which a rerun must reproduce too."""


@dataclass(frozen=True)
class Cohort:
    """Inputs, the protocol file, and the output of a run over them."""

    inputs: Path
    protocol: Path
    out: Path

    def record(self, subject: str) -> Any:  # noqa: ANN401 - a record, to be changed
        """Return a subject's record."""
        found: dict[str, Any] = json.loads((self.out / subject / "case.json").read_bytes())
        return found

    def entries(self) -> list[bytes]:
        """Return the trail's lines."""
        return (self.out / "audit.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do subjects in the tests' own process; the tests of the program start workers all the same."""
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return a cohort that no test may touch."""
    root = tmp_path_factory.mktemp("finished")
    for subject in SUBJECTS:
        shutil.copytree(SAMPLES / subject, root / "inputs" / subject)
    protocol = root / "protocol.toml"
    protocol.write_text(load_protocol(None).text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
        run_cohort(root / "inputs", root / "out", load_protocol(protocol), workers=1)
    return Cohort(inputs=root / "inputs", protocol=protocol, out=root / "out")


@pytest.fixture
def cohort(finished: Cohort, tmp_path: Path) -> Cohort:
    """Return a copy of inputs and output; `run.json` still names the first inputs."""
    own = Cohort(inputs=tmp_path / "inputs", protocol=tmp_path / "protocol.toml", out=tmp_path / "out")
    shutil.copytree(finished.inputs, own.inputs)
    shutil.copytree(finished.out, own.out)
    shutil.copy(finished.protocol, own.protocol)
    return own
