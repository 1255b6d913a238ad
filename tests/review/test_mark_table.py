"""The lesion table on disk: row by row, with history, never behind another's back."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from volstrat.case.lesion_table import HISTORY, Event, read_lesion_table
from volstrat.errors import LesionTableError, MarkConflictError, OutputError, UsageError
from volstrat.review.mark_table import (
    MarkTable,
    RowChange,
    TableState,
    check_reader,
    clean_text,
    other_tables,
    token_of,
)
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-01-02T03:04:05Z"


def row(lesion_id: str, marking: Marking | None, *, reader: str = "A", reason: str = "") -> LesionRow:
    """Return a row at a point."""
    return LesionRow(
        lesion_id=lesion_id,
        resectability=marking,
        point_mm=(1.5, -2.25, 3.0),
        reader=reader,
        reason=reason,
        recorded_at=AT,
    )


def replace(
    table: MarkTable,
    lesion_id: str,
    new: LesionRow | None,
    *,
    seen: str,
    by: str,
    at: str,
    force: bool = False,
) -> TableState:
    """Replace one row."""
    change = RowChange(lesion_id=lesion_id, new=new, seen=seen, force=force)
    return table.replace([change], by=by, at=at)


def history(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the history."""
    with (folder / HISTORY).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_new_table_is_a_lesion_table(tmp_path: Path) -> None:
    """What is written, the reader of lesion tables reads: word, point, reader, reason, time."""
    table = MarkTable(tmp_path / "lesions.csv")
    assert (table.read().rows, table.read().sha256) == ({}, "")
    replace(table, "L1", row("L1", Marking.ABLATABLE, reason='near "vein", IVC'), seen="", by="A", at=AT)
    (found,) = read_lesion_table((tmp_path / "lesions.csv").read_bytes(), name="lesions.csv")
    assert (found.lesion_id, found.resectability, found.point_mm) == (
        "L1",
        Marking.ABLATABLE,
        (1.5, -2.25, 3.0),
    )
    assert (found.reader, found.reason, found.recorded_at) == ("A", 'near "vein", IVC', AT)
    assert not (tmp_path / HISTORY).exists()


def test_the_row_that_stood_goes_to_the_history_first(tmp_path: Path) -> None:
    """Each replacement and removal leaves what was; with who and when; other rows stay, in their order."""
    table = MarkTable(tmp_path / "lesions.csv")
    for n in (1, 2, 3):
        state = replace(table, f"L{n}", row(f"L{n}", Marking.RESECTABLE), seen="", by="A", at=AT)
    state = replace(
        table,
        "L2",
        row("L2", Marking.UNRESECTABLE, reader="B"),
        seen=token_of(state.rows["L2"]),
        by="B",
        at="later",
    )
    assert list(state.rows) == ["L1", "L2", "L3"]
    assert state.rows["L2"].resectability is Marking.UNRESECTABLE
    state = replace(table, "L2", None, seen=token_of(state.rows["L2"]), by="C", at="last")
    assert list(state.rows) == ["L1", "L3"]
    told = [
        (h["lesion_id"], h["resectability"], h["reader"], h["replaced_by"], h["replaced_at"], h["table"])
        for h in history(tmp_path)
    ]
    assert told == [
        ("L2", "resectable", "A", "B", "later", "lesions.csv"),
        ("L2", "unresectable", "B", "C", "last", "lesions.csv"),
    ]


def test_a_row_that_another_changed_is_not_replaced(tmp_path: Path) -> None:
    """B saw A's first row; A changed it; B's mark is a conflict that names A; the table stays."""
    table = MarkTable(tmp_path / "lesions.csv")
    first = replace(table, "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT).rows["L1"]
    replace(table, "L1", row("L1", Marking.ABLATABLE), seen=token_of(first), by="A", at=AT)
    before = (tmp_path / "lesions.csv").read_bytes()
    with pytest.raises(MarkConflictError, match=r"A changed L1 to ablatable at 2026"):
        replace(table, "L1", row("L1", Marking.UNRESECTABLE, reader="B"), seen=token_of(first), by="B", at=AT)
    assert (tmp_path / "lesions.csv").read_bytes() == before
    state = replace(
        table,
        "L1",
        row("L1", Marking.UNRESECTABLE, reader="B"),
        seen=token_of(first),
        by="B",
        at=AT,
        force=True,
    )
    assert state.rows["L1"].reader == "B"
    assert history(tmp_path)[-1]["resectability"] == "ablatable"


def test_a_first_mark_never_covers_another_reader_s(tmp_path: Path) -> None:
    """Where the page showed no row, a row that is there now is a conflict; so is one that is gone."""
    table = MarkTable(tmp_path / "lesions.csv")
    mine = replace(table, "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT).rows["L1"]
    with pytest.raises(MarkConflictError):
        replace(table, "L1", row("L1", Marking.UNKNOWN, reader="B"), seen="", by="B", at=AT)
    replace(table, "L1", None, seen=token_of(mine), by="A", at=AT)
    with pytest.raises(MarkConflictError, match="removed"):
        replace(table, "L1", row("L1", Marking.UNKNOWN, reader="B"), seen=token_of(mine), by="B", at=AT)


def test_every_cell_counts_for_a_conflict() -> None:
    """Marking, avidity, reason, reader, point: a change of any is another row."""
    base = row("L1", Marking.RESECTABLE)
    others = [
        row("L1", Marking.ABLATABLE),
        row("L1", Marking.RESECTABLE, reader="B"),
        row("L1", Marking.RESECTABLE, reason="x"),
        LesionRow(
            lesion_id="L1", resectability=Marking.RESECTABLE, fdg_avidity="avid", reader="A", recorded_at=AT
        ),
    ]
    assert len({token_of(x) for x in (base, *others, None)}) == 6


def test_another_lesion_s_new_row_is_kept(tmp_path: Path) -> None:
    """Two readers at once, different lesions: both rows are there."""
    a, b = MarkTable(tmp_path / "lesions.csv"), MarkTable(tmp_path / "lesions.csv")
    a.read(), b.read()
    replace(a, "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT)
    state = replace(b, "L2", row("L2", Marking.ABLATABLE, reader="B"), seen="", by="B", at=AT)
    assert {i: r.reader for i, r in state.rows.items()} == {"L1": "A", "L2": "B"}


def test_a_table_that_is_none_is_not_overwritten(tmp_path: Path) -> None:
    """A file with another header is an error, and stays."""
    path = tmp_path / "lesions.csv"
    path.write_text("id;mark\nL1;x\n")
    with pytest.raises(LesionTableError):
        replace(MarkTable(path), "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT)
    assert path.read_text() == "id;mark\nL1;x\n"


def test_where_the_history_cannot_be_written_nothing_changes(tmp_path: Path) -> None:
    """A folder in its place: the mark fails, and the old row stands."""
    table = MarkTable(tmp_path / "lesions.csv")
    state = replace(table, "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT)
    (tmp_path / HISTORY).mkdir()
    with pytest.raises(OutputError):
        replace(table, "L1", row("L1", Marking.UNKNOWN), seen=token_of(state.rows["L1"]), by="A", at=AT)
    assert table.read().rows["L1"].resectability is Marking.RESECTABLE


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    """No traceback of the operating system's."""
    with pytest.raises(OutputError, match="cannot be opened"):
        replace(MarkTable(tmp_path / "gone" / "lesions.csv"), "L1", None, seen="", by="A", at=AT)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "history", "History", ".x", "x" * 65, "a b", "a\n"])
def test_readers_that_make_no_file_name_are_refused(name: str) -> None:
    """Nothing leaves the folder, and the history is nobody's table."""
    with pytest.raises(UsageError):
        check_reader(name)


def test_texts_are_one_line() -> None:
    """Line breaks and tabs become spaces; control characters are refused."""
    assert clean_text("  near\n the\tvein ", what="reason") == "near the vein"
    with pytest.raises(LesionTableError):
        clean_text("bell \x07", what="reason")
    with pytest.raises(LesionTableError):
        clean_text("x" * 1001, what="reason")


def test_other_readers_tables_are_found(tmp_path: Path) -> None:
    """``lesions.csv`` and ``lesions.X.csv``, neither one's own nor the history nor other CSV files."""
    for name in ("lesions.csv", "lesions.A.csv", "lesions.B.csv", HISTORY, "cohort.csv", "lesions.csv.bak"):
        (tmp_path / name).write_text("")
    assert [p.name for p in other_tables(tmp_path / "lesions.A.csv")] == ["lesions.B.csv", "lesions.csv"]


def test_several_rows_are_replaced_all_or_none(tmp_path: Path) -> None:
    """Two new rows in one writing; where one of two conflicts, neither is written."""
    table = MarkTable(tmp_path / "lesions.csv")
    two = [RowChange(lesion_id=f"L{n}", new=row(f"L{n}", Marking.RESECTABLE), seen="") for n in (1, 2)]
    assert list(table.replace(two, by="A", at=AT).rows) == ["L1", "L2"]
    before = (tmp_path / "lesions.csv").read_bytes()
    more = [
        RowChange(lesion_id="L3", new=row("L3", Marking.RESECTABLE), seen=""),
        RowChange(lesion_id="L1", new=row("L1", Marking.UNKNOWN), seen="not what stands"),
    ]
    with pytest.raises(MarkConflictError, match="changed L1"):
        table.replace(more, by="B", at=AT)
    assert (tmp_path / "lesions.csv").read_bytes() == before


def test_events_of_a_reading_are_rows_without_a_lesion(tmp_path: Path) -> None:
    """Those of another table are not this one's; rows of lesions are no events."""
    table, other = MarkTable(tmp_path / "lesions.csv"), MarkTable(tmp_path / "lesions.B.csv")
    replace(table, "L1", row("L1", Marking.RESECTABLE), seen="", by="A", at=AT)
    replace(table, "L1", row("L1", Marking.UNKNOWN), seen="", by="A", at=AT, force=True)
    signed = Event(kind="complete", text="sha256 00", by="A", at=AT)
    table.note(signed)
    other.note(Event(kind="note", text="late phase only", by="B", at=AT))
    assert table.events() == (signed,)
    assert [event.kind for event in other.events()] == ["note"]
    assert [h["lesion_id"] for h in history(tmp_path)] == ["L1", "", ""]


def test_a_history_that_was_cut_off_takes_no_further_row_along(tmp_path: Path) -> None:
    """What comes after a line without an end stands on a line of its own, and is found again."""
    table = MarkTable(tmp_path / "lesions.csv")
    table.note(Event(kind="note", text="first", by="A", at="2026-11-30T08:00:00Z"))
    history = tmp_path / "lesions.history.csv"
    history.write_bytes(history.read_bytes() + b"L1,resect")
    table.note(Event(kind="complete", text="sha256 0", by="A", at="2026-11-30T09:00:00Z"))
    assert [event.kind for event in table.events()] == ["note", "complete"]
