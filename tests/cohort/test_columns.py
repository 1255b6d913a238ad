"""The tables' columns: from the record's types, typed, with units, and in the docs."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cohort.cohorts import write_case
from volstrat.cohort.columns import cohort_columns, cohort_row, lesion_columns, lesion_rows
from volstrat.store.tables import csv_cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]

WORDS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "boolean": lambda text: {"true": True, "false": False}[text],
    "integer": int,
    "number": float,
}


@pytest.fixture
def mixed(tmp_path: Path, run: Run) -> Path:
    """Run a cohort of measured and failed subjects, names with line breaks among them."""
    for n in range(11):
        write_case(tmp_path / "in" / f"S{n}", n)
    write_case(tmp_path / "in" / "T\n1", 12)
    (tmp_path / "in" / "empty").mkdir()
    run(tmp_path / "in", tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("columns", [cohort_columns, lesion_columns])
def test_columns_are_named_once_and_explained(columns: Callable[[], Any]) -> None:
    """Every column says what it means; the explanation stands in the record's types."""
    names = [column.name for column in columns()]
    assert names[0] == "subject"
    assert len(set(names)) == len(names)
    assert [column.name for column in columns() if not column.description] == []


def test_columns_are_dotted_keys_of_the_record() -> None:
    """Those that scripts rely on are there, with their units."""
    units = {column.name: column.unit for column in cohort_columns()}
    assert units["volumes.total_tumour_ml"] == "ml"
    assert units["volumes.resectable_fraction"] == "1"
    assert units["predicates.stratum_1.part_voxels_upper"] == "voxels"
    assert units["predicates.stratum_2.percent"] == "%"
    wanted = {
        "status", "stratum", "predicates.stratum_2.avid_disease", "robustness.resectable_fraction_95.lo",
        "robustness.resectable_fraction_95.hi", "robustness.flips.count", "robustness.boundary_shift.stratum",
        "remnant.flr_percent", "error.code", "protocol.sha256", "findings.review", "environment.volstrat",
        "lesions.count",
    }  # fmt: skip
    assert wanted <= set(units)
    assert not [name for name in units if name.startswith("predicates.stratum_1.avid")]
    lesions = {column.name: column.unit for column in lesion_columns()}
    assert lesions["centroid_mm.z"] == "mm"
    assert lesions["bounding_box_mm.hi.x"] == "mm"


def test_rows_hold_what_the_record_holds(mixed: Path) -> None:
    """A value of each kind, looked up by hand."""
    record = json.loads((mixed / "S3" / "case.json").read_bytes())
    row = dict(zip((c.name for c in cohort_columns()), cohort_row(record), strict=True))
    assert row["volumes.total_tumour_ml"] == record["volumes"]["total_tumour_ml"]
    assert row["robustness.resectable_fraction_95.hi"] == record["robustness"]["resectable_fraction_95"][1]
    assert row["lesions.count"] == len(record["lesions"])
    assert row["robustness.shortest_way"] == " ".join(record["robustness"]["shortest_way"])
    strata = {shift["stratum"] or "none" for shift in record["robustness"]["boundary_shift"]}
    assert row["robustness.boundary_shift.stratum"] == " ".join(sorted(strata))
    lesions = [dict(zip((c.name for c in lesion_columns()), r, strict=True)) for r in lesion_rows(record)]
    told = [*record["lesions"], *record["pet_only_regions"]]
    assert [r["lesion_id"] for r in lesions] == [lesion["lesion_id"] for lesion in told]
    assert [r["centroid_mm.y"] for r in lesions] == [lesion["centroid_mm"][1] for lesion in told]
    assert lesions[0]["bounding_box_mm.lo.z"] == record["lesions"][0]["bounding_box_mm"][0][2]


@pytest.mark.parametrize("table", ["cohort", "lesions"])
def test_csv_and_parquet_say_the_same(mixed: Path, table: str) -> None:
    """Cell for cell, each read back by its type; numbers to the last bit."""
    from pyarrow import parquet

    columns = cohort_columns() if table == "cohort" else lesion_columns()
    read = parquet.read_table(mixed / f"{table}.parquet")
    assert read.column_names == [column.name for column in columns]
    with (mixed / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[1:]
    assert len(rows) == read.num_rows > 10
    for place, column in enumerate(columns):
        cells = [row[place] for row in rows]
        values = read.column(place).to_pylist()
        assert [cell == "" for cell in cells] == [value in {None, ""} for value in values]
        if column.name != "subject":
            assert [v for v in values if v is not None] == [
                WORDS[column.kind](c) for c, v in zip(cells, values, strict=True) if v is not None
            ]


def test_parquet_fields_are_typed_and_carry_units(mixed: Path) -> None:
    """For programs that read the table without the docs."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = parquet.read_schema(mixed / "cohort.parquet")
    volume = schema.field("volumes.total_tumour_ml")
    assert volume.type == pa.float64()
    assert volume.metadata[b"unit"] == b"ml"
    assert volume.metadata[b"description"]
    assert schema.field("predicates.stratum_1.part_voxels").type == pa.int64()
    assert schema.field("predicates.stratum_1.holds").type == pa.bool_()
    assert schema.field("subject").type == pa.string()


def test_a_cell_is_one_line(mixed: Path) -> None:
    """Names and sentences too: as many lines as rows."""
    text = (mixed / "cohort.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1 + 13
    assert "T\\n1" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        ("a\r\nb", "a\\r\\nb"),
    ],
)
def test_cells(value: Any, text: str) -> None:  # noqa: ANN401
    """As the docs say."""
    assert csv_cell(value) == text
