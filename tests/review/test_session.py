"""A review without its page: marks give what ``volstrat case`` gives, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.phantom_case import write_case
from volstrat.case.assess import assess_case, reassess_case, run_case
from volstrat.case.discovery import CasePlace, open_case
from volstrat.case.lesion_table import read_lesion_table
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import InputChangedError, LesionTableError, MarkConflictError, UsageError
from volstrat.pet import uptake
from volstrat.review import mark_table
from volstrat.review.mark_table import Mark, token_of
from volstrat.review.places import lesion_at, nearest_other, values_at
from volstrat.review.reviewed import ReviewOptions
from volstrat.review.session import ReviewSession
from volstrat.review.state import States
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from volstrat.geometry.image import Image

    Sample = Callable[[str], Path]


def loaded(folder: Path, **options: object) -> ReviewSession:
    """Return a session that has read its case."""
    chosen = ReviewOptions(**options)  # type: ignore[arg-type]
    session = ReviewSession(CasePlace(folder=folder, subject=folder.name), load_protocol(), chosen)
    session.load()
    return session


def state_of(session: ReviewSession) -> dict[str, Any]:
    """Return all that a page that knows nothing yet is told."""
    return States(session).since("")


def at(session: ReviewSession, point: tuple[float, float, float], **on: str) -> str:
    """Return the lesion at a point."""
    assert session.showing.scene is not None
    return lesion_at(session.showing.scene, point, **on)  # type: ignore[arg-type]


def mark(session: ReviewSession, lesion_id: str, word: str, **more: str) -> None:
    """Mark as the page would: having seen the row that stands."""
    assert session.reviewed is not None
    seen = token_of(session.reviewed.table.rows.get(lesion_id))
    session.mark(
        Mark(lesion_id=lesion_id, reading=session.reading, resectability=word, seen=seen, **more)  # type: ignore[arg-type]
    )


def bare(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without inputs, and without the flips, which follow."""
    robustness = {k: v for k, v in record["robustness"].items() if k != "flips"}
    return {**{k: v for k, v in record.items() if k != "inputs"}, "robustness": robustness}


def test_what_it_hangs_on_follows_a_mark(sample: Sample) -> None:
    """The flips of the record arrive after a pause, and are those of the command."""
    folder = sample("S01_stratum_1")
    session = loaded(folder)
    mark(session, "L1", "unresectable")
    assert session.reviewed is not None
    version = session.reviewed.version
    until = time.monotonic() + 30
    while session.reviewed.flips is None and time.monotonic() < until:
        time.sleep(0.05)
    assert session.reviewed.record["robustness"] == run_case(folder, load_protocol())["robustness"]
    assert session.reviewed.version > version


@pytest.mark.parametrize(
    "name",
    ["S01_stratum_1", "S08_pet_only_region", "S09_unknown_not_needed", "S11_lesion_table", "S15_dicom"],
)
@pytest.mark.parametrize("seed", range(3))
def test_random_marks_give_what_the_command_gives(sample: Sample, name: str, seed: int) -> None:
    """After each of eight random marks: the whole record of the saved table, but for the inputs listed."""
    folder = sample(name)
    session = loaded(folder)
    rng = np.random.default_rng(seed)
    for _ in range(8):
        lesion = str(rng.choice(sorted(session.points)))
        word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""]))
        mark(
            session,
            lesion,
            word,
            fdg_avidity=str(rng.choice(["", "avid", "not_avid"])),
            reason=str(rng.choice(["", "vein"])),
        )
        assert session.reviewed is not None
        assert session.reviewed.result is not None
        mine = session.reviewed.result.record
        theirs = run_case(folder, load_protocol())
        assert bare(mine) == bare(theirs)


def test_reassessing_overlapping_partial_lesions_is_as_good_as_new(sample: Sample) -> None:
    """Rows put in and taken out again leave nothing behind."""
    sources = open_case(sample("S11_lesion_table")).sources
    protocol = load_protocol()
    first = assess_case(sources, protocol)
    rows = {"L1": LesionRow(lesion_id="L1", resectability=Marking.UNRESECTABLE)}
    changed = reassess_case(first, rows, protocol)
    assert changed.record["stratum"] != first.record["stratum"]
    assert reassess_case(changed, first.measured.rows, protocol).record == first.record


def test_marking_a_partly_resectable_lesion_moves_its_boundary_anew(tmp_path: Path) -> None:
    """L3 is resectable in one slice by the mask: marked whole, its parts are others, and so is the shift."""
    folder = write_case(tmp_path / "phantom")
    session = loaded(folder)
    assert session.reviewed is not None
    assert session.reviewed.result is not None
    before = session.reviewed.result.record
    assert [x["resectability"] for x in before["lesions"]] == ["unresectable", "resectable", "partial"]
    for word in ("resectable", "unresectable", ""):
        mark(session, "L3", word)
        assert session.reviewed.result is not None
        mine = session.reviewed.result.record
        assert bare(mine) == bare(run_case(folder, load_protocol())), word
    assert bare(session.reviewed.result.record)["robustness"] == bare(before)["robustness"]


def test_points_lie_in_their_lesions(sample: Sample) -> None:
    """Also of the PET-only region, which lies on PET's grid."""
    session = loaded(sample("S08_pet_only_region"))
    assert set(session.points) == {"L1", "L2", "P1"}
    for lesion_id, point in session.points.items():
        assert at(session, point) == lesion_id
    assert at(session, (0.0, 0.0, 0.0)) == ""
    assert session.reviewed is not None
    assert session.points == session.reviewed.bare.measured.points()


def test_a_click_finds_what_the_slice_shows(tmp_path: Path) -> None:
    """A lesion 1 mm high between the middles of 4 mm PET slices, whose z are 0, 4, ...: clicked on z = 4."""
    from tests.volume_files import nifti

    dense = np.zeros((20, 20, 20), dtype=np.uint8)
    dense[5:9, 5:9, 3] = 1
    nifti(tmp_path / "tumour.nii", dense, np.eye(4))
    nifti(tmp_path / "suv.nii", np.ones((5, 5, 5), dtype=np.float32), np.diag([4.0, 4, 4, 1]))
    session = loaded(tmp_path)
    assert at(session, (6.0, 6.0, 3.0)) == "L1"
    assert at(session, (6.0, 6.0, 4.0)) == ""
    assert at(session, (6.0, 6.0, 4.0), on="axial") == "L1"
    assert at(session, (6.0, 6.0, 0.0), on="axial") == ""
    assert at(session, (6.0, 6.0, 4.0), on="coronal") == ""


def test_each_reader_has_a_table_and_sees_the_others(sample: Sample) -> None:
    """A and B mark apart; A's page shows B's word; ``case --lesions`` tells them apart."""
    folder = sample("S01_stratum_1")
    a, b = loaded(folder, reader="A"), loaded(folder, reader="B")
    mark(a, "L1", "unresectable")
    mark(b, "L1", "ablatable")
    a.refresh()
    told = {x["id"]: x["others"] for x in state_of(a)["lesions"]}
    assert told["L1"] == [{"reader": "B", "word": "ablatable"}]
    strata = [run_case(folder, load_protocol(), lesions=r)["stratum"] for r in ("A", "B")]
    assert strata == ["ineligible", "stratum_1"]
    assert not (folder / "lesions.csv").exists()


def test_a_blind_reader_sees_nobody_else(sample: Sample) -> None:
    """Neither in the table, nor in the verdict, nor in a row of another hand in one's own file."""
    folder = sample("S09_unknown_not_needed")
    mark(loaded(folder, reader="A"), "L1", "unresectable")
    blind = loaded(folder, reader="B", blind=True)
    state = state_of(blind)
    assert {x["word"] for x in state["lesions"]} == {"unknown"}
    assert all(x["others"] == [] and x["by"] == "" for x in state["lesions"])
    (folder / "lesions.B.csv").write_bytes((folder / "lesions.A.csv").read_bytes())
    spoilt = loaded(folder, reader="B", blind=True)
    assert "another reader" in state_of(spoilt)["problem"]
    assert {x["word"] for x in state_of(spoilt)["lesions"]} == {"unknown"}


def test_a_mark_by_another_program_is_taken_over(sample: Sample) -> None:
    """The table changes on disk: the next look shows it, and a mark on the old row is a conflict."""
    folder = sample("S01_stratum_1")
    mine, theirs = loaded(folder), loaded(folder)
    mark(theirs, "L1", "unresectable", reader="B")
    with pytest.raises(MarkConflictError):
        mark(mine, "L1", "ablatable", reader="A")
    before = state_of(mine)["version"]
    mine.refresh()
    assert state_of(mine)["version"] > before
    assert state_of(mine)["verdict"]["title"] == "Ineligible"
    mark(mine, "L1", "ablatable", reader="A")
    assert state_of(mine)["verdict"]["title"] == "Stratum 1"


def test_read_only_saves_nothing(sample: Sample) -> None:
    """No table, no history, no mark."""
    folder = sample("S01_stratum_1")
    session = loaded(folder, read_only=True)
    with pytest.raises(UsageError, match="read only"):
        mark(session, "L1", "unresectable")
    assert not list(folder.glob("*.csv"))


def test_marks_are_refused_once_a_mask_changed(sample: Sample) -> None:
    """The page names the file; marks made before stay saved; reading again takes the new mask."""
    folder = sample("S01_stratum_1")
    session = loaded(folder)
    mark(session, "L1", "ablatable")
    saved = (folder / "lesions.csv").read_bytes()
    (folder / "resectable.nii.gz").unlink()
    until = time.monotonic() + 30  # a slow disk is not looked at all the time
    while not state_of(session)["changed_input"] and time.monotonic() < until:
        time.sleep(0.05)
    assert state_of(session)["changed_input"] == "resectable.nii.gz"
    with pytest.raises(InputChangedError):
        mark(session, "L2", "ablatable")
    assert (folder / "lesions.csv").read_bytes() == saved
    session.load()
    assert state_of(session)["changed_input"] == ""
    words = {x["id"]: x["word"] for x in state_of(session)["lesions"]}
    assert words == {"L1": "ablatable", "L2": "unknown", "L3": "unknown"}


def test_a_table_that_does_not_fit_can_be_put_right(sample: Sample) -> None:
    """No verdict while a row misses its lesion or names none; marking or removing it mends the table."""
    folder = sample("S01_stratum_1")
    header = "lesion_id,resectability,x_mm,y_mm,z_mm\n"
    (folder / "lesions.csv").write_text(header + "L1,ablatable,0,0,0\nL9,resectable,,,\nL2,unresectable,,,\n")
    session = loaded(folder)
    state = state_of(session)
    assert state["verdict"] is None
    assert "lies in no lesion; the row names L1" in state["problem"]
    assert [x["id"] for x in state["lesions"] if x["misfit"]] == ["L1"]
    assert [x["id"] for x in state["strangers"]] == ["L9"]
    mark(session, "L1", "ablatable")
    mark(session, "L9", "")
    state = state_of(session)
    assert state["problem"] == ""
    assert state["verdict"]["title"] == "Stratum 1"
    assert run_case(folder, load_protocol())["stratum"] == "stratum_1"


def test_a_broken_table_is_said_and_left_alone(sample: Sample) -> None:
    """The lesions are shown, the verdict is not, and nothing is written over it."""
    folder = sample("S01_stratum_1")
    (folder / "lesions.csv").write_text("lesion_id,resectability\nL1,perhaps\n")
    session = loaded(folder)
    state = state_of(session)
    assert state["verdict"] is None
    assert "perhaps" in state["problem"]
    assert len(state["lesions"]) == 3
    with pytest.raises(LesionTableError):
        mark(session, "L1", "resectable")
    assert (folder / "lesions.csv").read_text() == "lesion_id,resectability\nL1,perhaps\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"lesion_id": "L1", "resectability": "Resectable"}, "no marking"),
        ({"lesion_id": "L1", "fdg_avidity": "hot"}, "no avidity"),
        ({"lesion_id": "L77", "resectability": "resectable"}, "no lesion"),
        ({"lesion_id": "L1", "reason": "x" * 2000}, "longer"),
    ],
)
def test_words_that_are_none_are_refused(sample: Sample, words: dict[str, str], error: str) -> None:
    """Nothing is written."""
    folder = sample("S01_stratum_1")
    session = loaded(folder)
    with pytest.raises(LesionTableError, match=error):
        session.mark(Mark(reading=session.reading, **words))  # type: ignore[arg-type]
    assert not (folder / "lesions.csv").exists()


def test_a_case_toml_without_a_table_is_told(sample: Sample) -> None:
    """``case.toml`` is complete: what it does not name is not read, so the page says how it will be."""
    folder = sample("S12_slicer_segments")
    session = loaded(folder)
    assert "--lesions lesions.csv" in session.notice
    mark(session, "L2", "unresectable")  # avid
    assert run_case(folder, load_protocol())["stratum"] == "stratum_2"
    assert run_case(folder, load_protocol(), lesions="lesions.csv")["stratum"] == "ineligible"
    assert state_of(session)["verdict"]["title"] == "Ineligible"


def test_a_named_table_is_marked_in(sample: Sample) -> None:
    """``case.toml`` names marks.csv: marks go there, and the case is assessable once L3 is marked."""
    folder = sample("S10_unknown_matters")
    session = loaded(folder)
    assert state_of(session)["verdict"]["title"] == "1 lesion still to mark"
    mark(session, "L3", "resectable")
    assert state_of(session)["verdict"]["title"] == "Stratum 1"
    assert "L3,resectable" in (folder / "marks.csv").read_text()
    assert run_case(folder, load_protocol())["stratum"] == "stratum_1"


def test_a_case_that_fails_is_told(sample: Sample) -> None:
    """The sentence and the next step, and no crash."""
    state = state_of(loaded(sample("S14_broken_file")))
    assert "truncated" in state["error"]["message"]
    assert state["error"]["hint"]
    json.dumps(state)


def test_names_of_segments_are_sites(sample: Sample) -> None:
    """The names that Slicer's segments carry stand beside the lesions."""
    sites = {x["id"]: x["site"] for x in state_of(loaded(sample("S12_slicer_segments")))["lesions"]}
    assert all(sites.values())
    assert any("primary" in site.lower() for site in sites.values())


def test_what_nobody_foresaw_is_said_on_the_page(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the masks fails: the case failed. Drawing fails: lesions can be marked, without pictures."""

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    folder = sample("S01_stratum_1")
    with monkeypatch.context() as patched:
        patched.setattr("volstrat.review.showing.Projections", breaks)
        session = loaded(folder)
        assert session.stage == ""
        assert "The images cannot be shown" in " ".join(state_of(session)["warnings"])
        mark(session, "L1", "unresectable")
    with monkeypatch.context() as patched:
        patched.setattr("volstrat.review.session.assess_case", breaks)
        told = state_of(loaded(folder))
        assert told["stage"] == ""
        assert "ZeroDivisionError" in told["error"]["message"]
        assert told["verdict"] is None


def test_no_two_runs_of_the_program_have_the_same_reading(sample: Sample) -> None:
    """A tab of the run before never takes its lesions for those of this one."""
    folder = sample("S01_stratum_1")
    first, second = loaded(folder), loaded(folder)
    assert 0 < first.reading < second.reading


def test_a_blind_reader_sees_no_row_that_came_with_her_own_mark(sample: Sample) -> None:
    """Another's row, in her own table just before she marks: no verdict of it, not even for a moment."""
    folder = sample("S01_stratum_1")
    session = loaded(folder, reader="C", blind=True)
    (folder / "lesions.C.csv").write_text("lesion_id,resectability,reader\nL1,unresectable,B\n")
    mark(session, "L2", "resectable")
    told = state_of(session)
    assert told["verdict"] is None
    assert "another reader (B)" in told["problem"]
    assert "unresectable" not in {x["word"] for x in told["lesions"] if x["id"] == "L1"}


def test_a_signed_reading_takes_no_mark_until_it_is_opened_again(sample: Sample) -> None:
    """Signed with a name over the marks' hash; a reason opens it; both stand in the history."""
    folder = sample("S01_stratum_1")
    session = loaded(folder, reader="R")
    mark(session, "L1", "unresectable")
    session.note("complete", "", "")
    assert session.signed is not None
    table_hash = hashlib.sha256((folder / "lesions.R.csv").read_bytes()).hexdigest()
    assert (session.signed.by, session.signed.text) == ("R", f"sha256 {table_hash}")
    with pytest.raises(UsageError, match="signed by R"):
        mark(session, "L2", "unresectable")
    with pytest.raises(UsageError, match="name and a reason"):
        session.note("reopened", " ", "")
    session.note("reopened", "CT seen again", "")
    mark(session, "L2", "unresectable")
    assert [e.kind for e in loaded(folder, reader="R").events] == ["complete", "reopened"]


def test_a_reading_with_unmarked_lesions_is_not_complete(sample: Sample) -> None:
    """S10: L3 is not marked."""
    session = loaded(sample("S10_unknown_matters"))
    with pytest.raises(UsageError, match="1 lesion still to mark"):
        session.note("complete", "", "R")


def test_of_known_lesions_only_what_changed_is_told(sample: Sample) -> None:
    """A page that has a state is told the marked lesion alone, and no image again."""
    session = loaded(sample("S01_stratum_1"))
    states = States(session)
    first = states.since("")
    assert [x["id"] for x in first["lesions"]] == ["L1", "L2", "L3"]
    mark(session, "L1", "unresectable")
    after = states.since(first["mark"])
    assert [x["id"] for x in after["changed"]] == ["L1"]
    assert "lesions" not in after
    assert "images" not in after


def test_values_and_distances_are_those_of_the_voxels(tmp_path: Path) -> None:
    """HU and SUV of the nearest voxel, oblique and feet first too; 3 voxels of 2 mm between two lesions."""
    from tests.lattices import oblique
    from tests.volume_files import nifti

    for n, affine in enumerate((oblique(3, (2.0, 2.0, 2.0), tilt=0.3), np.diag([2.0, 2.0, -2.0, 1.0]))):
        folder = tmp_path / str(n)
        folder.mkdir()
        hu = np.arange(12 * 12 * 12, dtype=np.int16).reshape(12, 12, 12)
        dense = np.zeros((12, 12, 12), dtype=np.uint8)
        dense[2:4, 2:4, 2:4] = 1
        dense[6:8, 2:4, 2:4] = 1
        nifti(folder / "tumour.nii", dense, affine)
        nifti(folder / "ct.nii", hu, affine)
        nifti(folder / "suv.nii", (hu / 100).astype(np.float32), affine)
        session = loaded(folder)
        scene = session.showing.scene
        assert scene is not None
        for index in ((3, 4, 5), (11, 0, 7)):
            x, y, z = scene.mask_grid.to_mm(np.array(index, dtype=float)).tolist()
            point = (x + 0.3, y, z)  # a little off the centre
            found = values_at(scene, point)
            assert found["hu"] == hu[index]
            assert found["suv"] == pytest.approx(hu[index] / 100, abs=1e-3)
        assert values_at(scene, (900.0, 0.0, 0.0)) == {"hu": None, "suv": None}
        assert nearest_other(scene, "L1") == ("L2", 6.0)  # from i = 3 to i = 6


def test_a_mark_measures_only_what_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lesions with SUV: a marking measures no uptake, an avidity word that of its lesion, once."""
    from tests.volume_files import nifti

    dense = np.zeros((12, 12, 12), dtype=np.uint8)
    dense[2:4, 2:4, 2:4] = 1
    dense[6:8, 2:4, 2:4] = 1
    (tmp_path / "S1").mkdir()
    nifti(tmp_path / "S1" / "tumour.nii", dense, np.diag([2.0, 2.0, 2.0, 1.0]))
    nifti(tmp_path / "S1" / "fdg_avid.nii", dense * np.uint8(1), np.diag([2.0, 2.0, 2.0, 1.0]))
    nifti(tmp_path / "S1" / "suv.nii", dense * np.float32(6) + np.float32(1), np.diag([2.0, 2.0, 2.0, 1.0]))
    session = loaded(tmp_path / "S1")
    asked: list[int] = []
    measure = uptake.suv_statistics

    def counted(suv: Image, voxels: Sequence[Any]) -> Any:  # noqa: ANN401 - as it is
        asked.append(len(voxels))
        return measure(suv, voxels)

    monkeypatch.setattr(uptake, "suv_statistics", counted)
    mark(session, "L1", "resectable")
    mark(session, "L2", "unresectable")
    assert sum(asked) == 0
    mark(session, "L1", "resectable", fdg_avidity="not_avid")
    assert sum(asked) <= 1
    mark(session, "L1", "resectable")
    mark(session, "L1", "resectable", fdg_avidity="not_avid")
    assert sum(asked) <= 1
    assert session.reviewed is not None
    assert bare(session.reviewed.record) == bare(run_case(tmp_path / "S1", load_protocol()))


def test_rows_that_did_not_change_are_not_read_again(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is parsed where its bytes are others than those that were written, and no more than once."""
    session = loaded(sample("S01_stratum_1"))
    parsed: list[str] = []

    def counted(data: bytes, *, name: str) -> tuple[LesionRow, ...]:
        parsed.append(name)
        return read_lesion_table(data, name=name)

    monkeypatch.setattr(mark_table, "read_lesion_table", counted)
    mark(session, "L1", "unresectable")
    parsed.clear()
    mark(session, "L1", "ablatable")
    session.refresh()
    assert parsed == []
    path = session.place.folder / session.table_name
    path.write_text(path.read_text(encoding="utf-8").replace("ablatable", "unknown"), encoding="utf-8")
    session.refresh()
    session.refresh()
    assert parsed == [session.table_name]
    assert session.reviewed is not None
    assert session.reviewed.rows["L1"].word == "unknown"
