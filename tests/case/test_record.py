"""Case records end to end: from files in a folder to the JSON that other programs read (docs/record.md)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pytest

from tests.records import run_case
from tests.rule_cases import Record, codes, counts, judge, protocol_of
from tests.rule_random import marked_case, restored
from tests.volume_files import nifti, oblique_lps
from volstrat.case.installed import installed_version
from volstrat.case.json_types import record_bytes
from volstrat.case.protocol_files import LoadedProtocol, load_protocol
from volstrat.case.record import failure_record
from volstrat.case.typed_json import record_schema
from volstrat.errors import FormatError, InputFileError, VolstratError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.oracle_rule import OracleCase

KEYS = [
    "schema",
    "subject",
    "status",
    "stratum",
    "predicates",
    "volumes",
    "lesions",
    "pet_only_regions",
    "robustness",
    "remnant",
    "findings",
    "error",
    "protocol",
    "inputs",
    "environment",
]
LESION_KEYS = {
    "lesion_id",
    "voxels",
    "volume_ml",
    "centroid_mm",
    "bounding_box_mm",
    "max_diameter_mm",
    "max_axial_diameter_mm",
    "resectability",
    "resectable_fraction",
    "fdg_avidity",
    "fdg_avid_ml",
    "suv_max",
    "suv_mean",
    "suv_peak",
    "tlg_g",
}
CT = oblique_lps(3)
PET = oblique_lps(3)
PET[:3, :3] *= 2.0


def labels() -> NDArray[np.uint8]:
    """Return two lesions: L1 4 x 4 x 4 = 64 voxels, L2 2 x 2 x 4 = 16 voxels."""
    values = np.zeros((20, 16, 12), dtype=np.uint8)
    values[2:6, 2:6, 2:6] = 1
    values[12:14, 10:12, 4:8] = 2
    return values


def write_case(folder: Path, **files: str) -> Path:
    """Write tumour, resectable (L1) and avid (on L1) masks and any text files into a case folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tumour = labels()
    nifti(folder / "tumour.nii", tumour, CT)
    nifti(folder / "resectable.nii", (tumour == 1).astype(np.uint8), CT)
    avid = np.zeros((12, 10, 8), dtype=np.uint8)
    avid[1:3, 1:3, 1:3] = 1
    nifti(folder / "fdg_avid.nii", avid, PET)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def run(folder: Path, **changes: Any) -> Record:  # noqa: ANN401 - any protocol field
    """Return the record of a folder; it meets the schema and is JSON."""
    protocol = load_protocol()
    if changes:
        protocol = replace(protocol, protocol=replace(protocol.protocol, **changes))
    record = run_case(folder, protocol)
    import_module("jsonschema").Draft202012Validator(record_schema()).validate(record)
    assert json.loads(record_bytes(record)) == record
    return record


def test_record_of_a_case_has_the_contracts_keys_and_numbers(tmp_path: Path) -> None:
    """64 of 80 voxels can go: 80 %, stratum 1, with every key that section 6 promises."""
    record = run(write_case(tmp_path / "S001"))
    assert [key for key in record if key in KEYS] == KEYS
    assert record["schema"] == "volstrat.case-record/2"
    assert (record["subject"], record["stratum"], record["error"]) == ("S001", "stratum_1", None)
    assert counts(record, "stratum_1") == (True, 64, 64, 80)
    assert counts(record, "stratum_2") == (True, 8, 8, 8)
    assert "both_strata_hold" in codes(record, "info")
    voxel_ml = abs(float(np.linalg.det(CT[:3, :3]))) / 1000
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(80 * voxel_ml, rel=1e-6)
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(8 * 8 * voxel_ml, rel=1e-6)
    assert [row["lesion_id"] for row in record["lesions"]] == ["L1", "L2"]
    assert all(set(row) >= LESION_KEYS for row in record["lesions"])
    assert [row["role"] for row in record["inputs"]] == ["tumour", "resectable", "fdg_avid"]
    assert all(len(row["sha256"]) == 64 and "/" not in row["path"] for row in record["inputs"])


def test_record_depends_on_nothing_but_inputs_protocol_and_version(tmp_path: Path) -> None:
    """The same files elsewhere, written at another time and in another order: the same bytes."""
    first = write_case(tmp_path / "here" / "S001", lesions__csv="lesion_id,resectability\nL2,ablatable\n")
    second = tmp_path / "there" / "deeper" / "S001"
    second.mkdir(parents=True)
    for path in sorted(first.iterdir(), reverse=True):
        shutil.copyfile(path, second / path.name)
    one, two = record_bytes(run(first)), record_bytes(run(second))
    assert one == two == record_bytes(run(first))
    assert str(tmp_path).encode() not in one


@pytest.mark.parametrize(
    ("spoil", "code", "names"),
    [
        pytest.param(lambda f: (f / "tumour.nii").unlink(), "role_missing", "tumour", id="no tumour"),
        pytest.param(
            lambda f: nifti(f / "resectable.nii", (labels() > 0).astype(np.uint8), shifted(0.15)),
            "grid_mismatch",
            "0.15 mm",
            id="resectable 0.15 mm off",
        ),
        pytest.param(
            lambda f: (f / "lesions.csv").write_text("lesion_id,resectability\nL9,resectable\n"),
            "lesion_table_invalid",
            "L9",
            id="row of no lesion",
        ),
        pytest.param(
            lambda f: (f / "lesions.csv").write_text("lesion_id,resectability\nL1,maybe\n"),
            "lesion_table_invalid",
            "maybe",
            id="word of no contract",
        ),
        pytest.param(
            lambda f: (f / "lesions.csv").write_text("lesion_id,resectability\nL1,\nL1,resectable\n"),
            "lesion_table_invalid",
            "second row",
            id="two rows of one lesion",
        ),
        pytest.param(
            lambda f: nifti(f / "tumour.nii", np.full((4, 4, 4), 0.5, np.float32), CT),
            "mask_value_invalid",
            "0.5",
            id="value that is no label",
        ),
        pytest.param(
            lambda f: (f / "fdg_avid.nii").write_bytes((f / "fdg_avid.nii").read_bytes()[:-200]),
            "data_corrupt",
            "fdg_avid.nii",
            id="truncated avid mask",
        ),
    ],
)
def test_failed_case_is_a_record_that_says_why_and_claims_nothing(
    tmp_path: Path,
    spoil: Callable[[Path], object],
    code: str,
    names: str,
) -> None:
    """Status failed, no stratum, predicates and volumes null, empty lists, one clear sentence."""
    folder = write_case(tmp_path / "S001")
    spoil(folder)
    record = run(folder)
    assert (record["status"], record["stratum"]) == ("failed", None)
    assert (record["predicates"], record["volumes"]) == (None, None)
    assert (record["lesions"], record["pet_only_regions"], record["findings"]) == ([], [], [])
    assert record["error"]["code"] == code
    assert names in record["error"]["message"]
    assert str(tmp_path) not in record["error"]["message"]


def shifted(millimetres: float) -> NDArray[np.float64]:
    """Return the CT's affine moved along its first axis."""
    moved = CT.copy()
    moved[:3, 3] += millimetres * CT[:3, 0] / np.linalg.norm(CT[:3, 0])
    return moved


def test_resectable_mask_within_the_tolerance_is_on_the_same_grid(tmp_path: Path) -> None:
    """0.09 mm off is the same grid; 0.15 mm is refused above, or resampled where the entry says so."""
    folder = write_case(tmp_path / "S001")
    nifti(folder / "resectable.nii", (labels() == 1).astype(np.uint8), shifted(0.09))
    assert counts(run(folder), "stratum_1") == (True, 64, 64, 80)
    nifti(folder / "resectable.nii", (labels() == 1).astype(np.uint8), shifted(0.15))
    (folder / "case.toml").write_text(
        'subject = "X7"\n[inputs]\ntumour = "tumour.nii"\n'
        'resectable = { path = "resectable.nii", resample = true }\nfdg_avid = "fdg_avid.nii"\n'
    )
    record = run(folder)
    assert counts(record, "stratum_1") == (True, 64, 64, 80)
    assert record["subject"] == "X7"
    assert "resampled" in codes(record)


def test_pet_without_an_avid_mask_is_pet_missing(tmp_path: Path) -> None:
    """An image shows nothing until someone or some rule says what is avid."""
    folder = write_case(tmp_path / "S001", lesions__csv="lesion_id,resectability\nL1,unresectable\n")
    (folder / "fdg_avid.nii").unlink()
    nifti(folder / "pet.nii", np.ones((12, 10, 8), dtype=np.float32), PET)
    record = run(folder)
    assert (record["status"], record["stratum"]) == ("not_assessable", None)
    assert "pet_missing" in codes(record, "blocking")
    assert record["predicates"]["stratum_2"]["avid_disease"] == "not_assessed"


def test_table_and_mask_together_the_table_stands(tmp_path: Path) -> None:
    """L1 is resectable in the mask and unresectable in the table: 0 of 80, and a finding."""
    folder = write_case(tmp_path / "S001", lesions__csv="lesion_id,resectability\nL1,unresectable\n")
    record = run(folder)
    assert counts(record, "stratum_1") == (False, 0, 0, 80)
    assert "table_over_mask" in codes(record)
    assert record["stratum"] == "ineligible"


def test_neither_mask_nor_table_leaves_every_lesion_unknown(tmp_path: Path) -> None:
    """No claim without a marking."""
    folder = write_case(tmp_path / "S001")
    (folder / "resectable.nii").unlink()
    for text in (None, "lesion_id,resectability\n"):  # a table without rows is valid
        if text is not None:
            (folder / "lesions.csv").write_text(text)
        record = run(folder)
        assert [row["resectability"] for row in record["lesions"]] == ["unknown", "unknown"]
        assert (record["status"], record["stratum"]) == ("not_assessable", None)


def test_tumour_scope_liver_counts_only_tumour_in_the_liver(tmp_path: Path) -> None:
    """With L2 outside the liver 64 of 64 can go; a finding says what was left out."""
    folder = write_case(tmp_path / "S001")
    liver = np.zeros((20, 16, 12), dtype=np.uint8)
    liver[:8] = 1
    nifti(folder / "liver.nii", liver, CT)
    assert counts(run(folder), "stratum_1") == (True, 64, 64, 80)
    record = run(folder, tumour_scope="liver")
    assert counts(record, "stratum_1") == (True, 64, 64, 64)
    assert "tumour_outside_liver" in codes(record)
    (folder / "liver.nii").unlink()
    failed = run(folder, tumour_scope="liver")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "role_missing")


def test_instances_of_case_toml(tmp_path: Path) -> None:
    """`components` renumbers two labels by volume; one label in two pieces stays one with `labels`."""
    folder = write_case(tmp_path / "S001")
    entry = 'tumour = {{ path = "tumour.nii", instances = "{}" }}\n'
    for instances, value, expected in (
        ("components", None, {"L1": 64, "L2": 16}),
        ("labels", 5, {"L5": 80}),
        ("components", 5, {"L1": 64, "L2": 16}),
    ):
        if value is not None:
            nifti(folder / "tumour.nii", (labels() > 0).astype(np.uint8) * value, CT)
        (folder / "case.toml").write_text("[inputs]\n" + entry.format(instances))
        assert {row["lesion_id"]: row["voxels"] for row in run(folder)["lesions"]} == expected


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        pytest.param({}, True, id="as-it-is"),
        pytest.param({"visit": "V2"}, True, id="what-the-case-is-called"),
        pytest.param({"error": None}, False, id="without-its-error"),
        pytest.param({"stratum": "stratum_1"}, False, id="with-a-stratum"),
        pytest.param({"liver_burden": {}}, False, id="with-something-measured"),
    ],
)
def test_a_failed_case_has_its_error_and_nothing_measured(change: dict[str, Any], valid: bool) -> None:
    """The schema says so of every key that holds what is measured."""
    record = {**run_case(SAMPLES / "S14_broken_file", load_protocol()), **change}
    assert import_module("jsonschema").Draft202012Validator(record_schema()).is_valid(record) is valid


SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.mark.parametrize(
    ("subject", "more"),
    [
        ("S01_stratum_1", set()),
        ("S12_slicer_segments", set()),
        ("S15_dicom", {"pydicom", "SimpleITK"}),
        ("S14_broken_file", {"pydicom", "SimpleITK", "openpyxl"}),  # it failed: what could take part
    ],
)
def test_environment_names_the_libraries_that_took_part(subject: str, more: set[str]) -> None:
    """Masks are read by volstrat itself; no library is named that had nothing to do with the result."""
    libraries = run_case(SAMPLES / subject, load_protocol())["environment"]["libraries"]
    assert set(libraries) == {"numpy", "scipy", "zlib-ng"} | more


def test_a_workbook_names_what_read_it(tmp_path: Path) -> None:
    """And its format says so."""
    book = openpyxl.Workbook()
    for row in (["lesion_id", "resectability"], ["L1", "ablatable"]):
        book.active.append(row)
    inputs = '[inputs]\ntumour = "tumour.nii"\nlesions = "marks.xlsx"\n'
    book.save(write_case(tmp_path / "S1", case__toml=inputs) / "marks.xlsx")
    record = run(tmp_path / "S1")
    assert [one["format"] for one in record["inputs"] if one["role"] == "lesions"] == ["xlsx"]
    assert "openpyxl" in record["environment"]["libraries"]


@pytest.mark.parametrize(
    ("package", "subject", "same"),
    [
        ("pydicom", "S01_stratum_1", True),
        ("pydicom", "S15_dicom", False),
        ("pyarrow", "S15_dicom", True),
        ("numpy", "S01_stratum_1", False),
    ],
)
def test_a_package_that_took_no_part_changes_no_byte(
    monkeypatch: pytest.MonkeyPatch, package: str, subject: str, same: bool
) -> None:
    """As after an upgrade."""

    def upgraded(name: str) -> str | None:
        return "99.9" if name == package else installed_version(name)

    before = record_bytes(run_case(SAMPLES / subject, load_protocol()))
    monkeypatch.setattr("volstrat.case.record._version", upgraded)
    assert (record_bytes(run_case(SAMPLES / subject, load_protocol())) == before) is same


def write_files(folder: Path, case: OracleCase) -> Path:
    """Write a random case as files: label map, masks, PET field and table."""
    folder.mkdir(parents=True)
    values = np.zeros(next(iter(case.lesions.values())).shape, dtype=np.uint8)
    for name, voxels in case.lesions.items():
        values[voxels] = int(name[1:])
    entries = ['tumour = { path = "a.nii", instances = "labels" }']
    nifti(folder / "a.nii", values, case.affine)
    if case.resectable is not None:
        nifti(folder / "b.nii", case.resectable.astype(np.uint8), case.affine)
        entries.append('resectable = "b.nii"')
    if case.avid is not None and case.avid_affine is not None:
        nifti(folder / "c.nii", case.avid.astype(np.uint8), case.avid_affine)
        entries.append('fdg_avid = "c.nii"')
    if case.field_shape is not None and case.field_affine is not None:
        nifti(folder / "d.nii", np.ones(case.field_shape, dtype=np.float32), case.field_affine)
        entries.append('pet = "d.nii"')
    rows = [f"{name},{word or ''},{call or ''}" for name, (word, call) in case.table.items()]
    (folder / "e.csv").write_text("\n".join(["lesion_id,resectability,fdg_avidity", *rows]) + "\n")
    entries.append('lesions = "e.csv"')
    (folder / "case.toml").write_text("\n".join(["[inputs]", *entries]) + "\n")
    return folder


def test_files_give_what_arrays_give_however_they_are_stored(tmp_path: Path) -> None:
    """Random cases through NIfTI files, turned and mirrored: predicates, ids, lesions and reviews agree."""
    for n in range(12):
        case = marked_case(9000 + n)
        taken = np.zeros_like(next(iter(case.lesions.values())))
        apart = {}
        for name, voxels in case.lesions.items():  # a label map has no overlaps
            apart[name] = voxels & ~taken
            taken |= voxels
        case.lesions = {name: voxels for name, voxels in apart.items() if voxels.any()}
        case.table = {i: row for i, row in case.table.items() if i in case.lesions}
        if case.avid is not None and case.field_shape is None:  # a dense avid mask says what PET covered
            case.field_affine, (ni, nj, nk) = case.avid_affine, case.avid.shape
            case.field_shape = (ni, nj, nk)
        expected = judge(case)
        turned = restored(case, ct=(7 * n) % 48, pet=(11 * n + 5) % 48)
        folder = write_files(tmp_path / f"S{n:03}", turned)
        loaded = LoadedProtocol(protocol=protocol_of(case), sha256="0" * 64, text="")
        record = run_case(folder, loaded)
        assert record["error"] is None
        assert record["stratum"] == expected["stratum"]
        assert record["predicates"] == expected["predicates"]
        for rows in ("lesions", "pet_only_regions"):
            for got, wanted in zip(record[rows], expected[rows], strict=True):
                for key in ("lesion_id", "voxels", "resectability", "resectable_fraction", "fdg_avidity"):
                    assert got[key] == wanted[key]
                assert got["centroid_mm"] == pytest.approx(wanted["centroid_mm"], abs=1e-3)
        reviews = {(f["code"], f["where"]) for f in expected["findings"] if f["severity"] == "review"}
        found = {(f["code"], f["where"]) for f in record["findings"] if f["severity"] == "review"}
        # Random labels enclose each other and lie at the edge; arrays have no edge.
        found = {one for one in found if one[0] not in ("part_may_be_organ", "lesion_at_edge")}
        assert found == reviews


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (FormatError("x.nii: its voxels are RGB colours; whole or real numbers were expected."), "Export it"),
        (InputFileError("x.nii: cannot be read (denied)."), "Check path and rights."),
        (InputFileError("x.nii: no such file.", hint="Copy it."), "Copy it."),
    ],
)
def test_every_failure_says_the_next_step(error: VolstratError, step: str) -> None:
    """Where the place that raised it says none, the step that docs/findings.md gives for its code."""
    said = failure_record(subject="S1", error=error, protocol=load_protocol())["error"]
    assert said is not None
    assert said["hint"].startswith(step)
    assert "`" not in said["hint"]
