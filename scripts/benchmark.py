"""Measure volstrat against the floor of reading the bytes and against what a user would otherwise write.

    python scripts/benchmark.py [masks|robustness|pet|sizes|dicom|cohort|compare|all] [--runs N] [--full]

Each part makes its data in a temporary folder, the same every time, runs all rows in turn and prints a
table: median wall and processor time, the ratio to one row, peak memory of a process of its own.
Other packages are used where they are installed, and said to be missing where they are not. Nothing here
is a test: times say what one machine did.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_timing import Row, machine, run_program

PARTS = ("masks", "robustness", "pet", "sizes", "dicom", "cohort", "compare")
_LIBRARIES = (
    *("volstrat", "numpy", "scipy", "zlib-ng", "isal", "SimpleITK", "nibabel", "scikit-image"),
    *("connected-components-3d", "pyradiomics", "pydicom", "highdicom", "rt-utils", "panoptica"),
    "surface-distance",
)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--runs", type=int, default=7, help="rounds; slow rows run in fewer (default 7)")
    parser.add_argument("--full", action="store_true", help="cohort: 10,000 subjects too")
    parser.add_argument("--once", nargs=2, metavar=("ROW", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once is not None:
        _once(arguments.part, *arguments.once)
        return
    print(machine())
    print("Python " + sys.version.split()[0] + "; " + ", ".join(_versions()))
    parts = PARTS if arguments.part == "all" else (arguments.part,)
    with TemporaryDirectory(prefix="volstrat-benchmark-") as folder:
        use_bytecode(Path(folder, "bytecode"))
        for part in parts:
            module = import_module(f"bench_{part}")
            told = {"full": arguments.full} if part == "cohort" else {}
            module.run(Path(folder), runs=arguments.runs, peak=partial(_in_its_own, part, folder), **told)


def _once(part: str, name: str, folder: str) -> None:
    """Do one row's work once: what peak memory is taken of."""
    row: Row = next(r for r in import_module(f"bench_{part}").rows(Path(folder)) if r.name == name)
    row.work()


def _in_its_own(part: str, folder: str, row: Row) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), part, "--once", row.name, folder]


def _versions() -> list[str]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return found


def use_bytecode(folder: Path) -> None:
    """Let every program find its bytecode, as an installed one does, without writing into the checkout."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    for program in (["-m", "volstrat", "--version"], ["-c", "import volstrat.case.assess, volstrat.cli.app"]):
        run_program([sys.executable, *program])


if __name__ == "__main__":
    main()
