"""An agreement has a trail and can be verified and sealed; its list of disputes asks for every decision."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.comparison.readers import L1, L2, L3, filled, stratum_1, write_case
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import run_cohort
from volstrat.comparison import compare_readings
from volstrat.comparison.agreement_tables import ADJUDICATION_COLUMNS, TABLES
from volstrat.comparison.readings import open_readings
from volstrat.errors import UsageError
from volstrat.store.audit import read_trail
from volstrat.store.tables import guarded, unguarded
from volstrat.verify import lock_output, verify_output

if TYPE_CHECKING:
    from pathlib import Path

ANN = "lesion_id,resectability,reader\nL1,resectable,ann\nL2,unresectable,ann\n"
BO = "lesion_id,resectability,reader\nL1,unresectable,bo\nL2,unresectable,bo\n"


def marked_twice(root: Path, *subjects: str) -> Path:
    """Write cases whose tumour two readers marked: of S1 on, ann 700 of 1000 voxels, bo none."""
    for subject in subjects:
        write_case(root / subject, tumour=filled(L1, L2), fdg_avid=filled(L1))
        (root / subject / "lesions.ann.csv").write_text(ANN)
        (root / subject / "lesions.bo.csv").write_text(BO)
    return root


def disputes(out: Path) -> list[dict[str, str]]:
    """Return the rows of the list of disputes."""
    with (out / "adjudication.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Return the agreement of two readers' tables on two subjects."""
    cases = marked_twice(tmp_path / "cases", "S1", "S2")
    compare_readings([cases, cases], tmp_path / "out", lesions=["ann", "bo"])
    return tmp_path / "out"


def test_the_trail_holds_the_hashes_of_both_readings(compared: Path) -> None:
    """Two entries; the last keeps one hash a reading, the agreement's own, and those of all its files."""
    started, finished = read_trail(compared / "audit.jsonl")
    assert started is not None
    assert finished is not None
    assert [started["event"], finished["event"]] == ["compare_started", "compare_finished"]
    assert [place["lesions"] for place in started["detail"]["readings"]] == ["ann", "bo"]
    written = json.loads((compared / "agreement.json").read_bytes())
    assert finished["detail"]["readings_sha256"] == written["readings_sha256"]
    assert written["readings_sha256"]["A"] != written["readings_sha256"]["B"]
    sha256 = hashlib.sha256((compared / "agreement.json").read_bytes()).hexdigest()
    assert finished["detail"]["agreement_sha256"] == sha256
    assert set(finished["detail"]["files"]) == {
        path.name for path in compared.iterdir() if path.is_file()
    } - {"run.json", "audit.jsonl"}


def test_every_lesion_that_decides_has_a_row_with_empty_answers(compared: Path) -> None:
    """L1 is marked apart in both subjects; each row carries the agreement's hash and the readers' names."""
    rows = disputes(compared)
    assert list(rows[0]) == [column.name for column in ADJUDICATION_COLUMNS]
    sha256 = hashlib.sha256((compared / "agreement.json").read_bytes()).hexdigest()
    assert [(row["subject"], row["a.lesion_id"], row["b.lesion_id"]) for row in rows] == [
        ("S1", "L1", "L1"), ("S2", "L1", "L1"),
    ]  # fmt: skip
    for row in rows:
        assert (row["a.resectability"], row["b.resectability"]) == ("resectable", "unresectable")
        assert (row["a.reader"], row["b.reader"]) == ("ann", "bo")
        assert (row["a.stratum"], row["b.stratum"]) == ("stratum_1", "ineligible")
        assert {row[key] for key in ("stands", "adjudicator", "reason", "decided_at")} == {""}
        assert row["agreement_sha256"] == sha256
        assert row["what"] == "lesion"


def test_a_region_that_one_reading_alone_calls_avid_is_asked_about(tmp_path: Path) -> None:
    """P1 lies far from tumour; A sees it as unresectable disease, B calls it not avid."""
    cases = tmp_path / "cases"
    masks: dict[str, Any] = {"tumour": filled(L2), "fdg_avid": filled(L2, L3)}
    write_case(cases / "S1", resectable=filled(L2), **masks)
    for reader, word in (("ann", "unresectable,avid"), ("bo", "resectable,not_avid")):
        table = f"lesion_id,resectability,fdg_avidity\nP1,{word}\n"
        (cases / "S1" / f"lesions.{reader}.csv").write_text(table)
    compare_readings([cases, cases], tmp_path / "out", lesions=["ann", "bo"])
    (row,) = disputes(tmp_path / "out")
    assert (row["what"], row["a.lesion_id"], row["b.lesion_id"]) == ("pet_only_region", "P1", "P1")
    found = json.loads((tmp_path / "out" / "agreement.json").read_bytes())
    assert any("P1" in text for text in found["adjudication"][0]["look_at"])


def test_every_table_is_parquet_too_and_says_what_its_columns_are(compared: Path) -> None:
    """Types, units and meanings; the same rows as the CSV."""
    from pyarrow import parquet

    for name, columns in TABLES.items():
        table = parquet.read_table(compared / f"{name}.parquet")
        assert table.column_names == [column.name for column in columns]
        assert all(field.metadata[b"description"] for field in table.schema)
        with (compared / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            assert len(list(csv.DictReader(stream))) == table.num_rows
    volume = parquet.read_table(compared / "agreement.parquet").schema.field("a.total_tumour_ml")
    assert (str(volume.type), volume.metadata[b"unit"]) == ("double", b"ml")


@pytest.mark.parametrize("only_hashes", [False, True])
def test_an_untouched_agreement_is_clean(compared: Path, only_hashes: bool) -> None:
    """Verifying compares the readings again, or their hashes."""
    found = verify_output(compared, only_hashes=only_hashes)
    assert found.clean
    assert found.subjects == 2
    assert found.noted


def test_a_reading_that_changed_is_named(compared: Path, tmp_path: Path) -> None:
    """One word in bo's table of S2: subject and reading, nothing else."""
    (tmp_path / "cases" / "S2" / "lesions.bo.csv").write_text(BO.replace("L2,unres", "L2,res"))
    found = verify_output(compared, only_hashes=True)
    (one,) = found.differing
    assert one.subject == "S2"
    assert [difference.what for difference in one.differences] == ["reading B (bo)"]


def test_a_reading_that_is_gone_is_named(compared: Path, tmp_path: Path) -> None:
    """It is a difference, not a matter of usage."""
    (tmp_path / "cases").rename(tmp_path / "elsewhere")
    found = verify_output(compared)
    assert [one.first.what for one in found.differing] == ["reading A (ann)", "reading B (bo)"]


@pytest.mark.parametrize("name", ["agreement.json", "adjudication.csv", "agreement.html"])
def test_a_file_of_an_agreement_that_was_changed_is_named(compared: Path, name: str) -> None:
    """Every file's hash stands in the trail."""
    path = compared / name
    path.write_bytes(path.read_bytes().replace(b"S1", b"S3", 1))
    found = verify_output(compared, only_hashes=True)
    assert name in {fault.path for fault in found.files}


def test_an_agreement_can_be_sealed_and_nothing_is_written_into_it(compared: Path, tmp_path: Path) -> None:
    """As a cohort's output."""
    assert lock_output(compared) == 11
    assert verify_output(compared).clean
    cases = tmp_path / "cases"
    with pytest.raises(UsageError, match="sealed"):
        compare_readings([cases, cases], compared, lesions=["ann", "bo"])


def test_an_agreement_is_no_reading(compared: Path) -> None:
    """Its run.json is no cohort's."""
    with pytest.raises(UsageError, match="is an agreement of readings"):
        open_readings([compared, compared])


def test_records_that_changed_are_named_where_cohorts_were_compared(tmp_path: Path) -> None:
    """The hash of a reading takes in its records beside its inputs."""
    for reader in ("a", "b"):
        stratum_1(tmp_path / reader / "S1")
        run_cohort(tmp_path / reader, tmp_path / f"out_{reader}", load_protocol(), workers=1)
    compare_readings([tmp_path / "out_a", tmp_path / "out_b"], tmp_path / "out")
    path = tmp_path / "out_b" / "S1" / "case.json"
    path.write_bytes(path.read_bytes().replace(b'"stratum_1"', b'"stratum_2"', 1))
    (one,) = verify_output(tmp_path / "out", only_hashes=True).differing
    assert (one.subject, one.first.what) == ("S1", "reading B (out_b)")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+SUM(A1)", "'+SUM(A1)"), ("-x", "'-x"), ("@a", "'@a"), ("\tx", "'\tx"),
        ("\rx", "'\rx"), ("-12.5", "-12.5"), ("+3e-5", "+3e-5"), ("-.5", "-.5"), ("S1", "S1"), ("", ""),
        ("'quoted", "'quoted"),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula(text: str, cell: str) -> None:
    """A leading apostrophe, but for plain numbers; reading takes it off again."""
    assert guarded(text) == cell
    assert unguarded(cell) == text


def test_a_subject_called_like_a_formula_is_guarded_in_every_table(tmp_path: Path) -> None:
    """In compare's tables and the cohort's, which verify and lock still read by its own name."""
    name = "=HYPERLINK(1)"
    cases = marked_twice(tmp_path / "cases", name)
    compare_readings([cases, cases], tmp_path / "out", lesions=["ann", "bo"])
    assert {row["subject"] for row in disputes(tmp_path / "out")} == {f"'{name}"}
    run_cohort(cases, tmp_path / "cohort", load_protocol(), lesions="ann", workers=1)
    with (tmp_path / "cohort" / "cohort.csv").open(newline="") as stream:
        assert [row["subject"] for row in csv.DictReader(stream)] == [f"'{name}"]
    assert verify_output(tmp_path / "cohort", only_hashes=True).clean


def test_a_reading_without_a_stratum_counts_as_an_answer_first_and_is_left_out_second(tmp_path: Path) -> None:
    """B leaves S2 unmarked: 1 of 2 agree; of the one with a stratum in both, that one does."""
    cases = marked_twice(tmp_path / "cases", "S1", "S2")
    (cases / "S1" / "lesions.bo.csv").write_text(ANN)
    (cases / "S2" / "lesions.bo.csv").write_text("lesion_id,resectability\n")
    command = [
        "compare",
        str(cases),
        str(cases),
        "-o",
        str(tmp_path / "out"),
        "--lesions",
        "ann",
        "--lesions",
        "bo",
    ]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 1
    cohort = json.loads((tmp_path / "out" / "agreement.json").read_bytes())["cohort"]
    (answered,), (given,) = cohort["strata"]["pairs"], cohort["strata_given"]["pairs"]
    assert (answered["subjects"], answered["agreement"]["value"]) == (2, 0.5)
    assert (given["subjects"], given["agreement"]["value"]) == (1, 1.0)
    assert cohort["strata_given"]["without"] == {"A": 0, "B": 1}
    first, second = (
        done.output.index('"no stratum" as an answer, n = 2'),
        done.output.index('without "no stratum", n = 1'),
    )
    assert first < second


def test_bland_and_altman_say_whom_they_left_out_the_worst_first(tmp_path: Path) -> None:
    """Resectable tumour of S1: 700 voxels of 1.28 mm3 for ann, none for bo; S2 alike, S3 unmarked by bo."""
    cases = marked_twice(tmp_path / "cases", "S1", "S2", "S3")
    (cases / "S2" / "lesions.bo.csv").write_text(ANN)
    (cases / "S3" / "lesions.bo.csv").write_text("lesion_id,resectability\n")
    compare_readings([cases, cases], tmp_path / "out", lesions=["ann", "bo"])
    quantities = json.loads((tmp_path / "out" / "agreement.json").read_bytes())["cohort"]["quantities"]
    (figures,) = next(q for q in quantities if q["quantity"] == "resectable_tumour_ml")["bland_altman"]
    assert (figures["subjects"], figures["excluded"]) == (1, 2)
    assert [(one["subject"], one["b"]) for one in figures["left_out"]] == [("S1", 0.0), ("S3", None)]
    assert figures["left_out"][0]["a"] == pytest.approx(700 * 0.00128)


def test_the_studys_own_volume_error_stands_beside_the_protocols(tmp_path: Path) -> None:
    """B draws L2 with 330 for 300 voxels: s / m = 30 / sqrt 2 / 315 for one of two lesions of one size."""
    larger = filled(L1, ((20, 31), *L2[1:]))
    a, b = stratum_1(tmp_path / "a" / "S1"), stratum_1(tmp_path / "b" / "S1", tumour=larger)
    compare_readings([a, b], tmp_path / "out")
    classes = json.loads((tmp_path / "out" / "agreement.json").read_bytes())["cohort"]["wcv_by_diameter"]
    assert [(c["diameter_from_mm"], c["diameter_to_mm"]) for c in classes] == [
        (0, 10), (10, 35), (35, 50), (50, 100), (100, None),
    ]  # fmt: skip
    assert [c["protocol_wcv_percent"] for c in classes] == [28.2, 14.1, 10.3, 8.5, 8.5]
    (own,) = [c for c in classes if c["lesions"]]
    squares = [(30 / math.sqrt(2) / 315) ** 2, 0.0]
    mean = math.sqrt(sum(squares) / own["lesions"])
    assert own["lesions"] == 2
    assert own["wcv_percent"]["value"] == pytest.approx(100 * mean, rel=1e-9)
