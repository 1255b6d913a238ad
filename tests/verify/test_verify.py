"""A cohort comes out again, and what changed is named at the right step."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from volstrat.case.assess import run_case
from volstrat.case.json_types import record_bytes
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import Shard, merge_cohorts, run_cohort
from volstrat.errors import UsageError
from volstrat.store.output import write_atomically
from volstrat.verify import lock_output, verify_output
from volstrat.verify.changelog import changes_since
from volstrat.verify.steps import STEPS, record_differences

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.verify.conftest import Cohort
    from volstrat.verify import Verification

FIRST, TABLE, BROKEN = "S01_stratum_1", "S11_lesion_table", "S14_broken_file"


def verified(cohort: Cohort, **changes: Any) -> Verification:  # noqa: ANN401 - any argument
    """Verify against the copied inputs, by the copied protocol file."""
    told = {"protocol": load_protocol(cohort.protocol), "workers": 1, **changes}
    return verify_output(cohort.out, inputs=cohort.inputs, **told)


def steps(result: Verification) -> dict[str, str]:
    """Return the first step that differs, by subject."""
    return {found.subject: found.first.step for found in result.differing}


def edit_nifti(path: Path, edit: Callable[[bytearray], None]) -> None:
    """Change bytes of a .nii.gz."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    edit(data)
    path.write_bytes(gzip.compress(bytes(data), mtime=0))


def add_voxel(data: bytearray) -> None:
    """Make the last background voxel tumour."""
    at = len(data) - 1
    while data[at]:
        at -= 1
    data[at] = 1


def move(data: bytearray) -> None:
    """Shift the image by 3 mm along x, in qform and sform alike."""
    for offset in (268, 280 + 12):  # qoffset_x; srow_x[3]
        (x,) = struct.unpack_from("<f", data, offset)
        struct.pack_into("<f", data, offset, x + 3)


def describe(data: bytearray) -> None:
    """Write the free text of the header."""
    data[148:152] = b"abcd"


@pytest.mark.parametrize("only_hashes", [True, False])
def test_an_untouched_cohort_is_clean(cohort: Cohort, only_hashes: bool) -> None:
    """Records of assigned and of failed cases come out again, and the trail says that this was checked."""
    result = verified(cohort, only_hashes=only_hashes)
    assert result.clean
    assert (result.subjects, result.noted) == (3, True)
    last = json.loads(cohort.entries()[-1])
    assert (last["event"], last["detail"]["clean"]) == ("verified", True)
    assert verified(cohort, only_hashes=True).clean  # the head in run.json followed


def test_subjects_that_left_in_an_earlier_run_are_no_fault(cohort: Cohort) -> None:
    """Their folders are left alone by every later run too; the trail says that they left."""
    shutil.rmtree(cohort.inputs / BROKEN)
    protocol = load_protocol(cohort.protocol)
    for _ in range(2):  # the first reports it, the second has nothing to report
        run_cohort(cohort.inputs, cohort.out, protocol, workers=1)
    assert (cohort.out / BROKEN / "case.json").exists()
    assert verified(cohort, only_hashes=True).clean
    assert verified(cohort).clean
    lock_output(cohort.out, with_open=True)


def test_names_that_the_table_escapes_are_no_fault(cohort: Cohort) -> None:
    """A line break in a name is an escape in cohort.csv; record and folder are that subject's still."""
    for name in ("a\nb", "tab\there"):
        shutil.copytree(cohort.inputs / FIRST, cohort.inputs / name)
    run_cohort(cohort.inputs, cohort.out, load_protocol(cohort.protocol), workers=1)
    assert verified(cohort, only_hashes=True).clean
    (cohort.out / "a%0Ab" / "case.json").unlink()
    (fault,) = [fault for fault in verified(cohort, only_hashes=True).files if fault.kind == "missing"]
    assert fault.path == r"a\nb"


def test_verifying_leaves_no_trace_but_in_the_trail(cohort: Cohort) -> None:
    """Tables and records stay as they are."""

    def state() -> dict[str, bytes]:
        files = {str(p.relative_to(cohort.out)): p.read_bytes() for p in cohort.out.rglob("*") if p.is_file()}
        return {
            name: data
            for name, data in files.items()
            if name not in {"audit.jsonl", "run.json"} and ".volstrat" not in name
        }

    before = state()
    verified(cohort)
    assert state() == before


def test_one_voxel_is_input_bytes(cohort: Cohort) -> None:
    """The role, the file and the voxel counts are named; what follows from it comes after."""
    edit_nifti(cohort.inputs / FIRST / "tumour.nii.gz", add_voxel)
    result = verified(cohort)
    assert steps(result) == {FIRST: "input_bytes"}
    (found,) = result.differing
    segments = cohort.record(FIRST)["inputs"][0]["segments"]
    old = sum(segment["voxels"] for segment in segments)
    assert asdict(found.first) == {
        "step": "input_bytes",
        "role": "tumour",
        "path": "tumour.nii.gz",
        "what": "voxels",
        "old": old,
        "new": old + 1,
    }
    assert "volumes.total_tumour_ml" in {d.what for d in found.differences if d.step == "count"}
    assert not result.clean


def test_an_image_that_was_moved_is_a_header_though_the_case_now_fails(cohort: Cohort) -> None:
    """The masks no longer share a grid; the moved one is named, with its old and new origin."""
    edit_nifti(cohort.inputs / FIRST / "tumour.nii.gz", move)
    result = verified(cohort)
    (found,) = result.differing
    assert (found.first.step, found.first.role) == ("header", "tumour")
    assert found.first.what == "grid.origin_mm"
    moved = [new - old for old, new in zip(found.first.old, found.first.new, strict=True)]
    assert moved == pytest.approx([-3, 0, 0], abs=1e-4)  # NIfTI's x is right, ours is left
    assert {d.role for d in found.differences if d.step == "header"} == {"tumour"}


@pytest.mark.parametrize("only_hashes", [False, True])
def test_a_header_text_that_nothing_depends_on_is_a_header(cohort: Cohort, only_hashes: bool) -> None:
    """Bytes differ; voxels and grid do not, and that is what is said."""
    edit_nifti(cohort.inputs / FIRST / "resectable.nii.gz", describe)
    result = verified(cohort, only_hashes=only_hashes)
    (found,) = result.differing
    assert (found.first.step, found.first.role) == ("header", "resectable")
    assert [d.step for d in found.differences] == ["header"]


def test_a_word_in_the_lesion_table_is_input_bytes(cohort: Cohort) -> None:
    """The table is an input like any other."""
    table = cohort.inputs / TABLE / "lesions.csv"
    table.write_text(table.read_text().replace("ablatable", "unresectable"))
    result = verified(cohort)
    assert steps(result) == {TABLE: "input_bytes"}
    assert result.differing[0].first.role == "lesions"


def test_a_protocol_field_is_protocol(cohort: Cohort) -> None:
    """The field is named with its old and new value, and every subject starts to differ there."""
    text = cohort.protocol.read_text(encoding="utf-8")
    assert "ablation_counts = true" in text
    cohort.protocol.write_text(text.replace("ablation_counts = true", "ablation_counts = false"))
    result = verified(cohort)
    assert [(d.what, d.old, d.new) for d in result.protocol] == [("ablation_counts", True, False)]
    assert set(steps(result).values()) == {"protocol"}


def test_a_comment_in_the_protocol_is_protocol_too(cohort: Cohort) -> None:
    """No field differs, but the bytes that were approved do."""
    cohort.protocol.write_text(cohort.protocol.read_text(encoding="utf-8") + "\n# a note\n")
    result = verified(cohort, only_hashes=True)
    assert [d.what for d in result.protocol] == ["sha256 (no field differs: comments or order)"]


def test_without_another_word_the_runs_own_protocol_file_counts(finished: Cohort, cohort: Cohort) -> None:
    """The file that the run was made by is looked at again, not the packaged one."""
    assert verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean
    run = json.loads((cohort.out / "run.json").read_bytes())
    assert run["protocol"]["source"] == str(finished.protocol)


def another_environment(cohort: Cohort, edit: Callable[[dict[str, Any]], None]) -> None:
    """Make the first subject's record as another program would have left it, receipt included."""
    path = cohort.out / FIRST / "case.json"
    record = cohort.record(FIRST)
    edit(record["environment"])
    data = (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
    path.write_bytes(data)
    receipt = json.loads((path.parent / ".receipt.json").read_bytes())
    receipt["record_sha256"] = hashlib.sha256(data).hexdigest()
    (path.parent / ".receipt.json").write_text(json.dumps(receipt))


@pytest.mark.parametrize("only_hashes", [True, False])
def test_a_package_version_is_library(cohort: Cohort, only_hashes: bool) -> None:
    """The package is named with both versions. The forged record is told besides."""
    another_environment(cohort, lambda environment: environment["libraries"].update(numpy="2.0.99"))
    result = verified(cohort, only_hashes=only_hashes)
    (found,) = result.differing
    assert (found.first.step, found.first.what, found.first.old) == ("library", "numpy", "2.0.99")
    assert [fault.kind for fault in result.files] == ["altered"]


@pytest.mark.parametrize("only_hashes", [True, False])
def test_what_makes_the_parquet_files_is_compared_for_the_tables(cohort: Cohort, only_hashes: bool) -> None:
    """Records do not name pyarrow; ``run.json`` does, and another one is the step `library`."""
    path = cohort.out / "run.json"
    run = json.loads(path.read_bytes())
    here = run["environment"]["libraries"]["pyarrow"]
    assert verified(cohort, only_hashes=only_hashes).tables == ()
    run["environment"]["libraries"]["pyarrow"] = "17.0.99"
    path.write_text(json.dumps(run))
    result = verified(cohort, only_hashes=only_hashes)
    (found,) = result.tables
    assert (found.step, found.what, found.old, found.new) == ("library", "pyarrow", "17.0.99", here)
    assert result.differing == ()
    assert not result.clean
    assert result.as_json()["tables"] == [asdict(found)]


def test_another_version_is_version_and_points_to_the_changelog(cohort: Cohort) -> None:
    """Records of an older program are told what changed since."""
    another_environment(cohort, lambda environment: environment.update(volstrat="0.0.9"))
    result = verified(cohort, only_hashes=True)
    (found,) = result.differing
    assert (found.first.step, found.first.old) == ("version", "0.0.9")
    assert result.versions == ("0.0.9",)
    assert result.changes


def test_a_count_without_any_cause_is_count(cohort: Cohort) -> None:
    """A record that says another number, while all that it rests on is the same."""
    record = cohort.record(FIRST)
    record["predicates"]["stratum_1"]["part_voxels"] += 1
    (cohort.out / FIRST / "case.json").write_text(json.dumps(record, indent=2) + "\n")
    result = verified(cohort)
    (found,) = result.differing
    assert (found.first.step, found.first.what) == ("count", "predicates.stratum_1.part_voxels")
    assert [fault.path for fault in result.files] == [f"{FIRST}/case.json"]


def test_changed_bytes_are_found_by_hashes_alone(cohort: Cohort) -> None:
    """Nothing is measured; the role and file are named."""
    edit_nifti(cohort.inputs / FIRST / "tumour.nii.gz", add_voxel)
    result = verified(cohort, only_hashes=True)
    assert steps(result) == {FIRST: "input_bytes"}
    assert result.differing[0].first.path == "tumour.nii.gz"


def test_a_subject_that_is_gone_or_new_is_named(cohort: Cohort) -> None:
    """One case is gone, and another one has come: the record has no inputs, and the new one no record."""
    shutil.rmtree(cohort.inputs / FIRST)
    shutil.copytree(cohort.inputs / "S11_lesion_table", cohort.inputs / "S99")
    for only_hashes in (True, False):
        assert steps(verified(cohort, only_hashes=only_hashes)) == {
            FIRST: "input_bytes",
            "S99": "input_bytes",
        }


@pytest.mark.parametrize(
    ("spoil", "path", "kind"),
    [
        pytest.param(lambda out: (out / "notes.txt").write_text("x"), "notes.txt", "extra", id="extra"),
        pytest.param(lambda out: (out / "cohort.csv").unlink(), "cohort.csv", "missing", id="no-table"),
        pytest.param(lambda out: (out / FIRST / "case.json").unlink(), FIRST, "missing", id="no-record"),
        pytest.param(
            lambda out: (out / FIRST / "old.json").write_text("{}"), f"{FIRST}/old.json", "extra", id="beside"
        ),
        pytest.param(
            lambda out: (out / "lesions.csv").write_bytes((out / "lesions.csv").read_bytes()[:-9]),
            "lesions.csv", "altered", id="cut-table",
        ),
        pytest.param(
            lambda out: (out / FIRST / ".receipt.json").unlink(),
            f"{FIRST}/.receipt.json", "missing", id="no-receipt",
        ),
        pytest.param(
            lambda out: (out / FIRST).rename(out / "S98"), "S98/case.json", "extra", id="folder-renamed"
        ),
        pytest.param(
            lambda out: (out / FIRST / "case.json").write_text(f'{{"subject": "{FIRST}"}}'),
            f"{FIRST}/case.json", "altered", id="no-case-record",
        ),
        pytest.param(
            lambda out: (out / FIRST / "case.json").write_text("[" * 100_000),
            f"{FIRST}/case.json", "altered", id="nested",
        ),
        pytest.param(
            lambda out: ((out / FIRST / "case.json").unlink(), (out / FIRST / "case.json").mkdir()),
            f"{FIRST}/case.json", "altered", id="folder-for-record",
        ),
        pytest.param(lambda out: (out / "index.html").unlink(), "index.html", "missing", id="no-page"),
    ],
)  # fmt: skip
def test_extra_missing_and_altered_files_are_named(
    cohort: Cohort, spoil: Callable[[Path], Any], path: str, kind: str
) -> None:
    """Each by its path and kind."""
    spoil(cohort.out)
    result = verified(cohort, only_hashes=True)
    assert (path, kind) in {(fault.path, fault.kind) for fault in result.files}
    assert not result.clean


def test_records_forged_together_with_their_receipts_are_told_by_the_trail(cohort: Cohort) -> None:
    """The run's last entry holds one hash over all records."""
    another_environment(cohort, lambda environment: environment.update(platform="linux-x"))
    assert [f.path for f in verified(cohort, only_hashes=True).files] == ["*/case.json"]


def test_a_single_case_is_verified_where_its_folder_is_named(cohort: Cohort, tmp_path: Path) -> None:
    """`volstrat case -o` leaves no run file; the other cases beside it were never meant."""
    record = run_case(cohort.inputs / FIRST, load_protocol(None))
    write_atomically(tmp_path / "case" / FIRST / "case.json", record_bytes(record))
    with pytest.raises(UsageError, match="Nothing says where the cases"):
        verify_output(tmp_path / "case")
    for inputs in (cohort.inputs / FIRST, cohort.inputs):
        for only_hashes in (True, False):
            result = verify_output(tmp_path / "case", inputs=inputs, only_hashes=only_hashes, workers=1)
            assert (result.clean, result.subjects, result.trail) == (True, 1, None)


def test_shards_and_their_merger_are_verified(cohort: Cohort, tmp_path: Path) -> None:
    """A shard runs its own part again; a merger what its parts were made from."""
    for number in (1, 2):
        run_cohort(
            cohort.inputs, tmp_path / f"part{number}", load_protocol(None), workers=1,
            shard=Shard(number=number, of=2),
        )  # fmt: skip
    merge_cohorts([tmp_path / "part1", tmp_path / "part2"], tmp_path / "whole")
    assert verify_output(tmp_path / "part1", workers=1).clean
    assert verify_output(tmp_path / "whole", workers=1).clean
    edit_nifti(cohort.inputs / FIRST / "tumour.nii.gz", add_voxel)
    assert steps(verify_output(tmp_path / "whole", workers=1)) == {FIRST: "input_bytes"}


def test_inputs_that_are_not_there_are_a_matter_of_usage(cohort: Cohort) -> None:
    """The message says what to name."""
    with pytest.raises(UsageError, match="no such folder"):
        verify_output(cohort.out, inputs=cohort.inputs / "elsewhere")


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    """An empty folder is no output."""
    with pytest.raises(UsageError, match="holds no record"):
        verify_output(tmp_path)


def test_the_changelog_tells_what_changed_since_a_version() -> None:
    """Only the sections of later versions, only what can alter a verdict, the latest first."""
    text = """# Changelog
## [Unreleased]
### Changes that can alter a verdict
- Ties are settled
  another way.
## [0.10.0] - 2027-01-01
### Changes that can alter a verdict
- Slices.
### Added
- A page.
## [0.2.0] - 2026-12-01
### Changes that can alter a verdict
- Counts.
"""
    later = ["Unreleased: Ties are settled another way.", "0.10.0: Slices."]
    assert changes_since("0.2.0", text) == later  # 0.10 comes after 0.2
    assert changes_since("0.1.0", text) == [*later, "0.2.0: Counts."]
    assert changes_since("0.10.0", text) == later[:1]


def test_differences_come_in_the_order_of_the_steps(cohort: Cohort) -> None:
    """Whatever the order in which they are found."""
    old, new = cohort.record(FIRST), cohort.record(FIRST)
    new["volumes"]["total_tumour_ml"] += 1
    new["environment"]["libraries"]["numpy"] = "9"
    new["environment"]["volstrat"] = "9"
    new["protocol"]["sha256"] = "0" * 64
    new["inputs"][1]["grid"]["spacing_mm"][2] = 9.0
    new["inputs"][0]["sha256"] = "0" * 64
    new["inputs"][0]["voxels_sha256"] = "0" * 64
    assert [d.step for d in record_differences(old, new)] == list(STEPS)
    assert record_differences(old, old) == []


def test_records_of_two_forms_are_compared_by_the_keys_of_both(cohort: Cohort) -> None:
    """An older record lacks keys that are written now, at the top and within: the step is `version` alone."""
    old, new = cohort.record(FIRST), cohort.record(FIRST)
    old["schema"] = "volstrat.case-record/1"
    del old["liver_burden"], old["lesions"][0]["tlg_g"], old["volumes"]["pet_only_ml"]
    (form,) = record_differences(old, new)
    assert (form.step, form.what) == ("version", "form of the record")
    assert (form.old, form.new) == ("volstrat.case-record/1", new["schema"])
    old["lesions"][0]["voxels"] += 1
    assert [d.what for d in record_differences(old, new)] == ["form of the record", "lesions[0].voxels"]
    del new["lesions"][0]["suv_max"]  # of one form, a key that is gone is a difference
    old = cohort.record(FIRST)
    assert {d.step for d in record_differences(old, new)} == {"count"}


def test_a_pet_attribute_is_a_header(cohort: Cohort) -> None:
    """A changed weight alters the SUV; the attribute is named, not the file's bytes."""
    old = cohort.record(FIRST)
    pet = {
        "role": "pet", "path": "pet", "format": "dicom-pt", "sha256": "1" * 64, "segments": [],
        "grid": {"shape": [1, 1, 1], "spacing_mm": [1.0, 1.0, 1.0], "frame_of_reference_uid": None},
        "suv": {"sources": [{"attribute": "PatientWeight", "tag": "(0010,1030)", "value": "71"}]},
    }  # fmt: skip
    heavier = {
        **pet,
        "sha256": "2" * 64,
        "suv": {"sources": [{"attribute": "PatientWeight", "tag": "", "value": "75"}]},
    }
    new = cohort.record(FIRST)
    old["inputs"], new["inputs"] = [pet], [heavier]
    found = record_differences(old, new)
    assert [(d.step, d.what, d.old, d.new) for d in found] == [("header", "PatientWeight", "71", "75")]


@pytest.mark.parametrize("only_hashes", [False, True])
def test_a_renamed_subject_is_one_fault(cohort: Cohort, only_hashes: bool) -> None:
    """The same files under another name: one difference that names both."""
    (cohort.inputs / "S11_lesion_table").rename(cohort.inputs / "S99")
    found = verified(cohort, only_hashes=only_hashes)
    (one,) = found.differing
    assert (one.first.step, one.first.old, one.first.new) == ("input_bytes", "S11_lesion_table", "S99")


def test_hashes_alone_say_where_voxels_and_header_cannot_be_told_apart(cohort: Cohort) -> None:
    """A mask that cannot be read any more."""
    path = cohort.inputs / FIRST / "resectable.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    (found,) = verified(cohort, only_hashes=True).differing
    assert (found.first.step, found.first.role) == ("input_bytes", "resectable")
    assert "voxels or header cannot be told" in found.first.what
