"""`volstrat selftest`: the installed program against numbers worked out without it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from volstrat.cli.app import cli
from volstrat.verify import selftest


def test_every_sample_is_as_worked_out() -> None:
    """Exit 0, a hash for each record, and the versions; two runs print the same."""
    first, second = (CliRunner().invoke(cli, ["selftest", "--json"]) for _ in range(2))
    assert first.exit_code == 0
    assert first.output == second.output
    told = json.loads(first.output)
    assert told["passed"] is True
    assert len(told["samples"]) == 16
    assert len({one["record_sha256"] for one in told["samples"]}) == 16
    assert {"numpy", "pyarrow"} <= told["environment"]["libraries"].keys()


def test_a_number_that_does_not_come_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1 with the key, what came and what was worked out; the other samples are as they were."""
    folder = tmp_path / "sample_data"
    shutil.copytree(selftest.samples_folder(), folder)
    expected = json.loads((folder / "expected.json").read_text())
    expected["S01_stratum_1"]["predicates"]["stratum_1"]["part_voxels"] += 1
    expected["S02_stratum_2"]["stratum"] = "ineligible"
    (folder / "expected.json").write_text(json.dumps(expected))
    monkeypatch.setattr(selftest, "samples_folder", lambda: folder)
    done = CliRunner().invoke(cli, ["selftest"])
    assert done.exit_code == 1
    assert "predicates.stratum_1.part_voxels: 4219 came, 4220 was worked out" in done.output
    assert "stratum: 'stratum_2' came, 'ineligible' was worked out" in done.output
    assert "14 of 16 sample subjects are as worked out" in done.output
