"""Two readings with surgical plans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from tests.plans.plan_cases import write_case
from volstrat.cli.app import cli

if TYPE_CHECKING:
    from pathlib import Path

PLANS = """
[[plans]]
name = "A"
resect = { segments = [5] }
ablate = [{ lesion = "L2" }]
outside_liver = { L4 = "resectable" }
[[plans]]
name = "B"
resect = { segments = [4] }
outside_liver = { L4 = "resectable" }
"""


def test_readers_who_chose_different_plans_are_told_apart(tmp_path: Path) -> None:
    """A: 26 of 30 voxels go, stratum 1; B: 10 of 30. The same masks: the plan alone carries it."""
    for reader in "AB":
        (tmp_path / reader).mkdir()
        write_case(tmp_path / reader / "S1", PLANS, top=f'chosen = "{reader}"\n')
    done = CliRunner().invoke(
        cli, ["compare", str(tmp_path / "A"), str(tmp_path / "B"), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code in {0, 1, 3}, done.output
    found = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    subject = found["subjects"][0]
    assert subject["attributed_to"] == "plan"
    discordance = subject["pairs"][0]["discordance"]
    assert discordance["differing"] == ["plan"]
    assert discordance["carried_by"] == [["plan"]]


def test_the_same_plan_twice_is_no_difference(tmp_path: Path) -> None:
    """Names do not matter: what is cut and ablated does."""
    for reader, plans in (("A", PLANS), ("B", PLANS.replace('"A"', '"mine"'))):
        (tmp_path / reader).mkdir()
        name = "A" if reader == "A" else "mine"
        write_case(tmp_path / reader / "S1", plans, top=f'chosen = "{name}"\n')
    CliRunner().invoke(
        cli, ["compare", str(tmp_path / "A"), str(tmp_path / "B"), "-o", str(tmp_path / "out")]
    )
    found = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    assert found["subjects"][0]["pairs"][0]["discordance"]["differing"] == []


def test_a_consensus_refuses_plans(tmp_path: Path) -> None:
    """A plan is chosen, not voted on."""
    for reader in "ABC":
        (tmp_path / reader).mkdir()
        write_case(tmp_path / reader / "S1", PLANS, top='chosen = "A"\n')
    readings = [str(tmp_path / reader) for reader in "ABC"]
    done = CliRunner().invoke(cli, ["consensus", *readings, "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "a plan is chosen, not voted on" in done.output
