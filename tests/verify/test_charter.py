"""docs/core-lab.md, walked through as printed: three readers, twelve subjects, to a signed final cohort."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.comparison.readers import L1, L2, filled, write_case

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "core-lab.md").read_text(encoding="utf-8")
SUBJECTS = [f"S{n:02}" for n in range(1, 13)]
DECIDED = {"S02": "A", "S05": "B", "S09": "table"}
"""R2 marks L1 unresectable in these three; whose reading R3 lets stand."""


def block(language: str) -> str:
    """Return the page's first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def write_study(folder: Path) -> None:
    """Write twelve subjects and three readers' tables; 700 of 1000 voxels are L1."""
    (folder / "study.toml").write_text(block("toml"))
    for subject in SUBJECTS:
        write_case(folder / "cases" / subject, tumour=filled(L1, L2), fdg_avid=filled(L1))
        for reader in ("R1", "R2", "R3"):
            l1 = "unresectable" if reader == "R2" and subject in DECIDED else "resectable"
            l2 = "resectable" if reader == "R3" else "unresectable"
            table = f"lesion_id,resectability,reader,reason\nL1,{l1},{reader},seen\nL2,{l2},{reader},seen\n"
            path = folder / "reads" / reader / f"{subject}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table)


def make_key(folder: Path) -> None:
    """Make a signer's key, and the file that says whose it is."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / "key")]
    subprocess.run(command, check=True)
    public = (folder / "key.pub").read_text()
    (folder / "signers").write_text(f'core-lab namespaces="volstrat" {public}')


def fill_in(path: Path) -> None:
    """Decide as R3 does."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        told = {"adjudicator": "R3", "reason": "artery is free", "decided_at": "2026-11-30"}
        row.update(told, stands=DECIDED[row["subject"]])
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_the_charter_on_the_page_is_what_happens(tmp_path: Path) -> None:
    """Every command as printed, each with the exit code printed beside it; then what the records say."""
    write_study(tmp_path)
    make_key(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "volstrat").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m volstrat "$@"\n')
    (programs / "volstrat").chmod(0o755)
    search = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for line in block("sh").splitlines():
        if line.startswith("# R3 fills in"):
            fill_in(tmp_path / "decided.csv")
            continue
        command, _, note = line.partition("  # exits ")
        code = int(note.partition(":")[0]) if note else 0
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, **search},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (line, done.stdout, done.stderr)
    final = tmp_path / "out" / "final"
    sha256 = hashlib.sha256((tmp_path / "out" / "agreement" / "agreement.json").read_bytes()).hexdigest()
    strata = {}
    for subject in SUBJECTS:
        record = json.loads((final / subject / "case.json").read_bytes())
        told = record["adjudication"]
        assert told["stands"] == DECIDED.get(subject, "A")
        assert told["agreement_sha256"] == sha256
        assert told["reason"]
        assert told["adjudicator"] == ("R3" if subject in DECIDED else None)
        strata[subject] = record["stratum"]
        reader = {"A": "R1", "B": "R2", "table": "R3"}[told["stands"]]
        assert {lesion["marked_by"] for lesion in record["lesions"]} == {reader}
    assert {subject for subject, stratum in strata.items() if stratum == "ineligible"} == {"S05"}
    assert set(strata.values()) == {"stratum_1", "ineligible"}


def test_what_is_claimed_of_the_rules_names_the_test_that_shows_it() -> None:
    """Each row of the table that gives anything names tests, and they exist."""
    table = PAGE[PAGE.index("| Requirement |") :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    assert len(table) >= 6
    for row in table:
        _, given, shown, _ = (cell.strip() for cell in row.strip("|").split("|"))
        named = re.findall(r"`(tests/[\w/]+\.py)`", shown)
        assert given == "no" or named, row
        assert all((ROOT / name).is_file() for name in named), row
