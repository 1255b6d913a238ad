"""Imports point one way, and importing stays light (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "volstrat"

LAYERS = (
    "errors",
    "frozen",
    "terms",
    "geometry",
    "pet",
    "rule",
    "certainty",
    "plans",
    "agreement",
    "formats",
    "dicom",
    "store",
    "case",
    "study",
    "show",
    "pictures",
    "cohort",
    "comparison",
    "verify",
    "report",
    "review",
    "export",
    "api",
    "cli",
    "__main__",
)
"""Each imports only from itself and from those before it; ``volstrat`` itself imports nothing."""

SCIENCE = ("terms", "geometry", "pet", "rule", "certainty", "plans", "agreement")
"""What measures and decides: numpy and scipy only, no files, no clock, no environment."""

LIGHT = {"formats": {"numpy", "zlib_ng"}, "cli": {"click"}}
"""What may be imported while a module loads, beside the standard library and volstrat; else numpy."""

HEAVY = (
    "SimpleITK",
    "pydicom",
    "highdicom",
    "nibabel",
    "matplotlib",
    "pandas",
    "pyarrow",
    "skimage",
    "scipy",
)

OUTSIDE_WORLD = {
    "datetime", "http", "io", "logging", "os", "pathlib", "random", "shutil", "socket", "sqlite3",
    "subprocess", "sys", "tempfile", "time", "tomllib", "urllib",
}  # fmt: skip
"""Files, TOML, clocks, environment, logging: not for the science."""

Import = tuple[str, bool]
"""A module's dotted name, and whether it is imported while the importing module loads."""


def imports(tree: ast.AST, *, loading: bool = True) -> Iterator[Import]:
    """Yield what a syntax tree imports at run time, leaving out ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(body=node.orelse, type_ignores=[]), loading=loading)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, loading) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            yield module, loading
            yield from ((f"{module}.{alias.name}", loading) for alias in node.names)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, loading=loading and not inside)


def name_of(path: Path) -> str:
    """Return the dotted name of a module file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {name: list(imports(ast.parse(path.read_text(encoding="utf-8")))) for name, path in MODULES.items()}
WITHIN = {
    name: {used for used, _ in found if used in MODULES and used != name} for name, found in IMPORTS.items()
}


def layer(name: str) -> str:
    """Return the part of the package that a module belongs to; "" for the package itself."""
    return [*name.split("."), ""][1]


def third_party(name: str) -> str:
    """Return the top package of an import that is neither volstrat's nor the standard library's, or ""."""
    top = name.split(".", 1)[0]
    return "" if top == "volstrat" or top in sys.stdlib_module_names else top


def test_the_checker_sees_every_form_of_import() -> None:
    """Plain, from, inside a function, under ``try`` and ``else``; type-checking imports do not count."""
    source = """
import a.b
from c import d
if TYPE_CHECKING:
    import never
else:
    import e
try:
    import f
except ImportError:
    pass
def late():
    import g
class Early:
    import h
"""
    found = list(imports(ast.parse(source)))
    assert [name for name, loading in found if loading] == ["a.b", "c", "c.d", "e", "f", "h"]
    assert [name for name, loading in found if not loading] == ["g"]


def test_every_module_belongs_to_a_known_layer() -> None:
    """A new part of the package takes its place in LAYERS before it imports anything."""
    assert sorted({layer(name) for name in MODULES} - {"", *LAYERS}) == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str) -> None:
    """A module imports only from its own layer and from those listed above it."""
    if not layer(name):
        assert WITHIN[name] == set()
        return
    allowed = {"", *LAYERS[: LAYERS.index(layer(name)) + 1]}
    assert sorted(used for used in WITHIN[name] if layer(used) not in allowed) == []


def test_no_module_imports_itself_by_a_detour() -> None:
    """The import graph has no cycle, function-level imports included."""
    TopologicalSorter(WITHIN).prepare()  # raises CycleError, which names the cycle


def test_no_module_name_stands_twice() -> None:
    """A name in a traceback or a search leads to one file."""
    names = sorted(path.stem for path in MODULES.values() if path.stem not in {"__init__", "__main__"})
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_no_file_is_longer_than_a_reader_bears() -> None:
    """450 lines in the package; 500 in tests and scripts, whose tables of cases are long."""
    most = {"volstrat": 450, "tests": 500, "scripts": 500}
    long = {
        f"{path.relative_to(ROOT)}: {count} lines"
        for folder, limit in most.items()
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > limit
    }
    assert long == set()


def test_every_package_says_which_question_it_answers() -> None:
    """The docstring of a package is the label on its door."""
    assert [
        str(path.relative_to(ROOT))
        for path in MODULES.values()
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ] == []


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) in SCIENCE])
def test_the_science_knows_numpy_and_scipy_and_no_outside_world(name: str) -> None:
    """Science only: no other library, no files, TOML, clock, environment or logging."""
    used = {used for used, _ in IMPORTS[name]}
    assert {third_party(one) for one in used} <= {"", "numpy", "scipy"}
    assert sorted({one.split(".", 1)[0] for one in used} & OUTSIDE_WORLD) == []
    calls = [
        node.func for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)
    ]
    assert [call.id for call in calls if isinstance(call, ast.Name) and call.id in {"open", "print"}] == []


@pytest.mark.parametrize("name", MODULES)
def test_loading_a_module_imports_nothing_heavy(name: str) -> None:
    """What takes long to import is imported by the function that needs it."""
    loaded = {third_party(used) for used, loading in IMPORTS[name] if loading} - {""}
    assert sorted(loaded - LIGHT.get(layer(name), {"numpy"})) == []


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        pytest.param(["--version"], set(), id="version"),
        pytest.param(["case", "sample_data/S06_no_pet_not_needed", "--json"], {"numpy"}, id="nifti"),
        pytest.param(["case", "sample_data/S07_no_pet_but_needed", "--json"], {"numpy"}, id="metaimage"),
        pytest.param(["case", "sample_data/S12_slicer_segments", "--json"], {"numpy"}, id="nrrd-pet"),
        pytest.param(["inspect", "sample_data/S06_no_pet_not_needed"], {"numpy"}, id="inspect"),
    ],
)
def test_a_case_of_masks_runs_without_heavy_libraries(arguments: list[str], allowed: set[str]) -> None:
    """docs/architecture.md: a case imports numpy and little else; ``--version`` not even that.

    Where avid voxels and tumour make millions of pairs, scipy's nearest neighbours are worth their import.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "volstrat", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}
    assert "volstrat" in loaded
    assert loaded & {"numpy", *HEAVY} <= allowed
