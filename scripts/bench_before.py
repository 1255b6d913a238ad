"""Whole programs of another checkout beside this one's and a SimpleITK script, in one run.

    git worktree add ../before COMMIT
    python scripts/bench_before.py ../before [--runs N]

Prints one table: processor time, its ratio to that of the SimpleITK script on the same case, and peak memory.
Processor time, since other work on the machine falls on it least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_phantoms import lesions, write_case
from bench_timing import ROOT, SCRIPTS, Row, Timed, machine, run_rows
from benchmark import use_bytecode

_VOXELS = (183_500, 700_000, 2_000_000)
_LESIONS = (10, 100, 1_000, 2_500)


def make(folder: Path) -> dict[str, Path]:
    """Write the cases, and return them by what the table calls them."""
    cases = {}
    for voxels in _VOXELS:
        cases[f"60 lesions, {voxels:,} voxels"] = folder / f"voxels-{voxels}"
        write_case(folder / f"voxels-{voxels}", lesions(seed=1, voxels=voxels), pet=None)
    bodies = lesions(seed=1)
    cases["60 lesions, PET"] = folder / "pet"
    write_case(folder / "pet", bodies, pet=bodies)
    for count in _LESIONS:
        cases[f"{count:,} lesions"] = folder / f"lesions-{count}"
        write_case(folder / f"lesions-{count}", lesions(seed=1, count=count), pet=None)
    return cases


def rows(cases: dict[str, Path], before: Path) -> list[Row]:
    """Return the rows: each case before and after, the SimpleITK script on it, and what only starts."""
    found = [Row(name="bare Python", program=(sys.executable, "-c", "pass"))]
    for name, folder in cases.items():
        for when, checkout in (("before", before), ("after", ROOT)):
            found.append(_row(f"{name}, {when}", checkout, "case", str(folder), "--json"))
        if "lesions," in name:
            script = (sys.executable, str(SCRIPTS / "bench_simpleitk.py"), str(folder))
            found.append(Row(name=f"{name}, SimpleITK", program=script, needs=("SimpleITK",)))
    sample = str(ROOT / "sample_data" / "S06_no_pet_not_needed")
    for name, arguments in (("inspect, a sample", ("inspect", sample)), ("--help", ("--help",))):
        for when, checkout in (("before", before), ("after", ROOT)):
            found.append(_row(f"{name}, {when}", checkout, *arguments))
    return found


def _row(name: str, checkout: Path, *arguments: str) -> Row:
    program = ("env", f"PYTHONPATH={checkout}", sys.executable, "-P", "-m", "volstrat", *arguments)
    return Row(name=name, program=program, accepts=(0, 3))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="a checkout to compare with")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    with TemporaryDirectory(prefix="volstrat-benchmark-") as folder:
        use_bytecode(Path(folder, "bytecode"))
        cases = make(Path(folder))
        seen = run_rows(rows(cases, arguments.before.resolve()), runs=arguments.runs, peak=None)
    bare = _cpu_ms(seen["bare Python"])
    print("\n| | before: cpu ms | after: cpu ms | before: ratio | after: ratio | before: MB | after: MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in (*cases, "inspect, a sample", "--help"):
        unit = seen.get(f"{name}, SimpleITK")
        both = [seen[f"{name}, {when}"] for when in ("before", "after")]
        ms = " | ".join(f"{_cpu_ms(one):,.0f}" for one in both)
        base = bare if unit is None else _cpu_ms(unit)
        more = " x bare Python" if unit is None else ""
        ratios = " | ".join(f"{_cpu_ms(one) / base:.2f}{more}" for one in both)
        peaks = " | ".join(f"{(one.peak_bytes or 0) / 1e6:.0f}" for one in both)
        print(f"| {name} | {ms} | {ratios} | {peaks} |")


def _cpu_ms(seen: Timed) -> float:
    return 1000 * statistics.median(seen.processor)


if __name__ == "__main__":
    main()
