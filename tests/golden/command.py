"""``scripts/golden``: what changed, in words; and accepting it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.golden import digests
from tests.golden.cases import DATA, ROOT, SETS, SHARED, absent, all_found
from tests.golden.words import changes, grouped

if TYPE_CHECKING:
    from tests.golden.cases import Found


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit 1 where ``--show`` or no option finds a difference."""
    parser = argparse.ArgumentParser(prog="scripts/golden", description=__doc__)
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--show", action="store_true", help="say in words what changed since the last accepted")
    one.add_argument("--accept", action="store_true", help="make what is now the goldens")
    one.add_argument("--values", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--all", action="store_true", help="with --show: every place of every change")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        found = all_found(SETS, Path(scratch))
    if chosen.values:
        chosen.values.write_text(json.dumps(found), encoding="utf-8")
        return 0
    missing = [case for case in SHARED if absent(case)]
    differing = {}
    for name in SETS:
        stored = digests.read(name)
        now = digests.digests(found[name])
        if chosen.accept:
            kept = digests.only(stored, missing) if name == "shared" else {}
            digests.write(name, {file: now.get(file, {}) | kept.get(file, {}) for file in {*now, *kept}})
        elif told := digests.differences(now, digests.without(stored, missing)):
            differing[name] = told
    if missing:
        say(f"Not made here, for want of shared data: {', '.join(missing)}.")
    if chosen.accept:
        say("Accepted. List what changed, and why, in CHANGELOG.md.")
        return 0
    if not differing:
        say("No difference.")
        return 0
    if chosen.show:
        _show(found, every=chosen.all)
    else:
        for name, told in differing.items():
            say(f"{name}: {len(told)} lines differ, e.g. {told[0]}")
        say("`scripts/golden --show` says it in words.")
    return 1


def _show(found: dict[str, Found], *, every: bool) -> None:
    """Make the values of the last accepted goldens by the program of that commit, and say what changed."""
    commit = _git("log", "-1", "--format=%H", "--", "tests/golden")
    say(f"Since {_git('log', '-1', '--format=%h %s', commit)}:")
    before = _values_at(commit)
    for name in SETS:
        for line in grouped(changes(before.get(name, {}), found[name]), most=None if every else 3):
            say(f"{name}: {line}")


def _values_at(commit: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        tree, file = Path(scratch) / "tree", Path(scratch) / "values.json"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            subprocess.run(
                [sys.executable, "-m", "tests.golden.command", "--values", str(file)],
                cwd=tree,
                env=os.environ | {"PYTHONPATH": str(tree), "VOLSTRAT_TEST_DATA": str(DATA)},
                check=True,
            )
            values: dict[str, Any] = json.loads(file.read_bytes())
        finally:
            _git("worktree", "remove", "--force", str(tree))
    return values


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
