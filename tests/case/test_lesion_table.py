"""Lesion tables: every sentence of the contract, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from volstrat.case.lesion_table import COLUMNS, HISTORY, read_bytes, read_events, read_lesion_table
from volstrat.errors import InputFileError, LesionTableError
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from pathlib import Path


def read(text: str | bytes) -> tuple[LesionRow, ...]:
    """Parse a table called lesions.csv."""
    return read_lesion_table(text if isinstance(text, bytes) else text.encode(), name="lesions.csv")


def test_every_column_is_read() -> None:
    """Words, the point in mm, and who said so when."""
    rows = read(
        ",".join(COLUMNS) + "\n"
        'L1,ablatable,avid,1.5,-2,3e1,Met 1,2.5,liver,,AB,"near the vena cava, 3 cm",2026-01-02T03:04:05Z\n'
        "P2,unresectable,not_avid,,,,,,,L4,,,\n"
    )
    assert rows == (
        LesionRow(
            lesion_id="L1",
            resectability=Marking.ABLATABLE,
            fdg_avidity="avid",
            point_mm=(1.5, -2.0, 30.0),
            segment="Met 1",
            volume_ml=2.5,
            site="liver",
            reader="AB",
            reason="near the vena cava, 3 cm",
            recorded_at="2026-01-02T03:04:05Z",
            where="lesions.csv, line 2",
        ),
        LesionRow(
            lesion_id="P2",
            resectability=Marking.UNRESECTABLE,
            fdg_avidity="not_avid",
            belongs_to="L4",
            where="lesions.csv, line 3",
        ),
    )


@pytest.mark.parametrize(
    ("word", "marking"),
    [
        ("resectable", Marking.RESECTABLE),
        ("ablatable", Marking.ABLATABLE),
        ("unresectable", Marking.UNRESECTABLE),
        ("unknown", Marking.UNKNOWN),
        ("", None),
    ],
)
def test_the_four_words_and_the_empty_cell(word: str, marking: Marking | None) -> None:
    """Empty: what the mask says stays."""
    [row] = read(f"lesion_id,resectability\nL1,{word}\n")
    assert row.resectability is marking
    assert (row.fdg_avidity, row.point_mm) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("lesion_id,resectability\n", id="no rows"),
        pytest.param("lesion_id,resectability", id="no line end"),
        pytest.param("lesion_id,resectability\n\n\n", id="blank lines"),
        pytest.param("lesion_id,resectability\n,\n , \n", id="blank cells"),
    ],
)
def test_a_table_without_rows_is_valid(text: str) -> None:
    """Nothing marked is a statement, too."""
    assert read(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufefflesion_id,resectability\nL1,resectable\n", id="byte order mark"),
        pytest.param("lesion_id,resectability\r\nL1,resectable\r\n", id="Windows"),
        pytest.param("lesion_id,resectability\rL1,resectable\r", id="old Mac"),
        pytest.param(" lesion_id , resectability \n L1 , resectable \n", id="spaces"),
        pytest.param('"lesion_id","resectability"\n"L1","resectable"\n', id="quotes"),
        pytest.param("resectability,lesion_id\nresectable,L1\n", id="columns in another order"),
        pytest.param("lesion_id,resectability\n\nL1,resectable\n\n", id="blank lines between"),
    ],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    """The same one row."""
    [row] = read(text)
    assert (row.lesion_id, row.resectability) == ("L1", Marking.RESECTABLE)


@pytest.mark.parametrize(
    ("text", "said", "next_step"),
    [
        pytest.param("", "lesions.csv: is empty", "column names", id="empty"),
        pytest.param(" \n", "lesions.csv: is empty", "column names", id="blank"),
        pytest.param(
            "lesion_id\nL1\n", "no column resectability", "first two are required", id="column missing"
        ),
        pytest.param(
            "L1,resectable\n", "no column lesion_id and no resectability", "columns are", id="no header"
        ),
        pytest.param(
            "lesion_id,resectability,note\n", "unknown column 'note'", "columns are", id="unknown column"
        ),
        pytest.param(
            "Lesion_ID,resectability\n", "no column lesion_id", "columns are", id="column in capitals"
        ),
        pytest.param(
            "lesion_id,resectability,lesion_id\n", "lesion_id comes twice", "one", id="column twice"
        ),
        pytest.param(
            "lesion_id,resectability\nL1\n", "line 2: has 1 cells, the header 2", "quotes", id="short row"
        ),
        pytest.param(
            "lesion_id,resectability\nL1,unknown,x\n", "line 2: has 3 cells", "quotes", id="long row"
        ),
        pytest.param(
            "lesion_id,resectability\n,unknown\n", "line 2: the lesion_id is empty", "L1", id="no id"
        ),
        pytest.param(
            "lesion_id,resectability\nL1,maybe\n",
            "is 'maybe'; it must be ablatable, not_tumour, resectable, unknown, unresectable or empty",
            "words",
            id="fifth word",
        ),
        pytest.param(
            "lesion_id,resectability\nL1,partial\n", "'partial'", "words", id="partial is no marking"
        ),
        pytest.param("lesion_id,resectability\nL1,UNKNOWN\n", "'UNKNOWN'", "lower case", id="capitals"),
        pytest.param("lesion_id,resectability,fdg_avidity\nL1,,Avid\n", "'Avid'", "lower case", id="Avid"),
        pytest.param(
            "lesion_id,resectability,fdg_avidity\nL1,,yes\n", "avid, not_avid or empty", "words", id="yes"
        ),
        pytest.param(
            "lesion_id,resectability,fdg_avidity\nL1,,not_assessed\n",
            "'not_assessed'",
            "words",
            id="not_assessed",
        ),
        pytest.param(
            "lesion_id,resectability\nL1,unknown\nL2,\nL1,unknown\n",
            "line 4: L1 has a second row (the first: lesions.csv, line 2)",
            "one row",
            id="two rows of one lesion",
        ),
        pytest.param(
            "lesion_id,resectability,x_mm,y_mm,z_mm\nL1,,1,2,\n", "'1', '2', ''", "mm", id="half a point"
        ),
        pytest.param("lesion_id,resectability,x_mm\nL1,,1\n", "x_mm, y_mm, z_mm", "mm", id="x alone"),
        pytest.param("lesion_id,resectability,x_mm,y_mm,z_mm\nL1,,1,2,c\n", "'c'", "mm", id="letter"),
        pytest.param("lesion_id,resectability,x_mm,y_mm,z_mm\nL1,,1,2,nan\n", "finite", "mm", id="NaN"),
        pytest.param("lesion_id,resectability,x_mm,y_mm,z_mm\nL1,,1,2,inf\n", "finite", "mm", id="infinite"),
        pytest.param('lesion_id,resectability\nL1,"unknown\n', "not a readable CSV", "CSV", id="open quote"),
        pytest.param(
            'lesion_id,resectability\n"L1"x,unknown\n', "not a readable CSV", "CSV", id="text after quote"
        ),
        pytest.param(
            "lesion_id,resectability\nL1,ünknown\n".encode("latin-1"), "UTF-8", "UTF-8", id="Latin 1"
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(text: str | bytes, said: str, next_step: str) -> None:
    """One sentence: file, line, what stands there, what may; and the next step."""
    with pytest.raises(LesionTableError) as caught:
        read(text)
    assert caught.value.message.startswith("lesions.csv")
    assert said in caught.value.message
    assert next_step in caught.value.hint


def test_files_are_read_whole(tmp_path: Path) -> None:
    """As they are."""
    (tmp_path / "t.csv").write_bytes(b"a\r\n\xff")
    assert read_bytes(tmp_path / "t.csv") == b"a\r\n\xff"


def test_what_is_no_small_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """Absent, a directory, a pipe that nobody writes into, a device, far too large."""
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    with (tmp_path / "huge.csv").open("wb") as stream:
        stream.truncate(10**10)
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    for name, said in (
        ("absent", "no such file"),
        ("folder", "is a directory where a file is expected"),
        ("pipe", "is not a regular file"),
        ("zero", "is not a regular file"),
        ("huge", "10000000000 bytes"),
        ("circle", "cannot be read"),
    ):
        with pytest.raises(InputFileError) as caught:
            read_bytes(tmp_path / f"{name}.csv")
        assert caught.value.message.startswith(f"{name}.csv: ")
        assert said in caught.value.message
        assert caught.value.hint


def test_a_table_beyond_any_size_is_refused_unread(tmp_path: Path) -> None:
    """42 MB: its size is looked at first, as a table of 9 MB fills the memory of many workers."""
    path = tmp_path / "lesions.csv"
    path.touch()
    os.truncate(path, 42_000_000)
    with pytest.raises(
        InputFileError, match=r"^lesions\.csv: has 42000000 bytes; a table or settings file has"
    ):
        read_bytes(path)


def test_what_happened_to_a_reading_is_read_whatever_a_name_holds(tmp_path: Path) -> None:
    """A reader's name in another character set takes no signature along; a pipe is not waited for."""
    rows = ("L1,ablatable,J\xfcrgen,,2026-01-02,lesions.csv", ",complete,AB,hash,2026-01-03,lesions.csv")
    text = "\n".join(("lesion_id,resectability,reader,reason,recorded_at,table", *rows))
    (tmp_path / HISTORY).write_bytes(text.encode("latin-1"))
    (event,) = read_events(tmp_path / "lesions.csv")
    assert (event.kind, event.by, event.text) == ("complete", "AB", "hash")
    (tmp_path / HISTORY).unlink()
    os.mkfifo(tmp_path / HISTORY)
    assert read_events(tmp_path / "lesions.csv") == ()
