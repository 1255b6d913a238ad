"""Files for REDCap, read back by a parser of its documented rules; short names of columns."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from tests.cohort.cohorts import InlineRunner
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import run_cohort
from volstrat.comparison.agreement_tables import TABLES
from volstrat.errors import UsageError
from volstrat.export.redcap import DICTIONARY_COLUMNS, DICTIONARY_FILE, export_redcap
from volstrat.formats.hashing import sha256_of
from volstrat.store.tables import short_name, unguarded

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
"""What REDCap's validation `number` takes."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a run over three samples: with lesions and a region, and one that failed."""
    root = tmp_path_factory.mktemp("redcap")
    (root / "inputs").mkdir()
    for name in ("S01_stratum_1", "S08_pet_only_region", "S14_broken_file"):
        shutil.copytree(SAMPLES / name, root / "inputs" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
        run_cohort(root / "inputs", root / "out", load_protocol(), workers=1)
    return root / "out"


def rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return a file's header and rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        return list(reader.fieldnames or ()), list(reader)


def test_redcap_reads_what_is_exported(cohort: Path, tmp_path: Path) -> None:
    """Dictionary: 18 columns, valid unique names, record id first. Imports: known fields, valid values."""
    done = export_redcap(cohort, tmp_path)
    header, fields = rows(tmp_path / "redcap_data_dictionary.csv")
    assert len(header) == 18
    assert tuple(header) == DICTIONARY_COLUMNS
    names = [field["Variable / Field Name"] for field in fields]
    assert names[0] == "record_id"
    assert len(set(names)) == len(names)
    for field in fields:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field["Variable / Field Name"])
        assert field["Form Name"] in {"cohort", "lesions"}
        assert field["Field Type"] in {"text", "yesno"}
        assert field["Text Validation Type OR Show Slider Number"] in {"", "integer", "number"}
        assert field["Field Label"]
    by_name = {field["Variable / Field Name"]: field for field in fields}
    for form, count in (("cohort", done.records), ("lesions", done.lesions)):
        header, found = rows(tmp_path / f"redcap_{form}.csv")
        assert header[0] == "record_id"
        assert len(found) == count
        for row in found:
            for name in header[1:]:
                if name.startswith("redcap_repeat_"):
                    continue
                assert by_name[name]["Form Name"] == form
                kind = by_name[name]["Text Validation Type OR Show Slider Number"]
                if row[name] and by_name[name]["Field Type"] == "yesno":
                    assert row[name] in {"0", "1"}
                elif row[name] and kind == "number":
                    assert NUMBER.fullmatch(row[name])
                elif row[name] and kind == "integer":
                    assert re.fullmatch(r"-?[0-9]+", row[name])
                elif not kind:
                    assert not re.match(r"[=+@\t\r]", row[name])


def test_records_and_lesions_are_those_of_the_cohort(cohort: Path, tmp_path: Path) -> None:
    """Three records, the failed one too; lesions numbered within each record; values as in the records."""
    export_redcap(cohort, tmp_path)
    _, records = rows(tmp_path / "redcap_cohort.csv")
    _, lesions = rows(tmp_path / "redcap_lesions.csv")
    expected: dict[str, list[tuple[str, str]]] = {}
    for record in records:
        case = json.loads((cohort / record["record_id"] / "case.json").read_bytes())
        assert record["status"] == case["status"]
        assert record["stratum"] == (case["stratum"] or "")
        both = [*case["lesions"], *case["pet_only_regions"]]
        expected[record["record_id"]] = [(str(n), one["lesion_id"]) for n, one in enumerate(both, 1)]
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in expected}
    for row in lesions:
        assert row["redcap_repeat_instrument"] == "lesions"
        found[row["record_id"]].append((row["redcap_repeat_instance"], row["lesion_id"]))
    assert found == expected
    assert len(records) == 3


def test_every_column_has_a_short_name_of_its_own_a_label_and_a_type(cohort: Path) -> None:
    """SAS: at most 32 of letters, digits, underscores, unlike whatever the case; labels up to 256."""
    header, columns = rows(cohort / "columns.csv")
    assert header == ["table", "column", "name", "label", "type", "unit"]
    for table in ("cohort", "lesions"):
        named = [row for row in columns if row["table"] == table]
        own, _ = rows(cohort / f"{table}.csv")
        assert [row["column"] for row in named] == own
        assert len({row["name"].lower() for row in named}) == len(named)
        for row in named:
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", row["name"])
            assert 0 < len(row["label"]) <= 256
            assert row["type"] in {"text", "boolean", "integer", "number"}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_columns_of_a_comparison_have_short_names_of_their_own(table: str) -> None:
    """The same rules."""
    names = [short_name(column.name) for column in TABLES[table]]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", name) for name in names)


def test_a_name_that_stays_too_long_is_cut_and_told_apart_by_a_hash() -> None:
    """Two columns that begin alike."""
    one, other = (short_name(f"a_group_of_words_that_is_much_too_long.{end}") for end in ("left", "right"))
    assert max(len(one), len(other)) <= 32
    assert one != other
    assert unguarded(one) == one


def test_what_is_no_cohort_or_was_changed_is_refused(cohort: Path, tmp_path: Path) -> None:
    """A folder without a run, and a table that the run did not write."""
    with pytest.raises(UsageError, match="holds no finished cohort"):
        export_redcap(tmp_path, tmp_path / "redcap")
    for path in cohort.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "lesions.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="is not what the run wrote"):
        export_redcap(tmp_path, tmp_path / "redcap")


def test_the_command_writes_one_kind_at_a_time(cohort: Path, tmp_path: Path) -> None:
    """--redcap is for cohorts, the rest for cases."""
    done = CliRunner().invoke(cli, ["export", str(cohort), "--redcap", str(tmp_path / "redcap")])
    assert done.exit_code == 0, done.output
    assert "3 records" in done.output
    both = CliRunner().invoke(cli, ["export", str(cohort), "--redcap", str(tmp_path), "--seg"])
    assert both.exit_code == 2
    neither = CliRunner().invoke(cli, ["export", str(cohort)])
    assert neither.exit_code == 2
    assert "--redcap" in neither.output


def test_a_table_of_an_earlier_version_is_exported_with_the_columns_that_it_has(
    cohort: Path, tmp_path: Path
) -> None:
    """A column that a later version added (``point_mm``) is in neither file; it ended in a KeyError."""
    out = tmp_path / "out"
    shutil.copytree(cohort, out)
    table, run = out / "lesions.parquet", out / "run.json"
    before = sha256_of(table)
    parquet.write_table(
        parquet.read_table(table).drop_columns(["point_mm.x", "point_mm.y", "point_mm.z"]), table
    )
    run.write_text(run.read_text().replace(before, sha256_of(table)))
    export_redcap(out, tmp_path / "redcap")
    names = [field["Variable / Field Name"] for field in rows(tmp_path / "redcap" / DICTIONARY_FILE)[1]]
    header, lesions = rows(tmp_path / "redcap" / "redcap_lesions.csv")
    assert lesions
    assert set(header) < {*names, "redcap_repeat_instrument", "redcap_repeat_instance"}
    assert not [name for name in (*header, *names) if "point" in name]
