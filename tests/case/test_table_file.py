"""Tables as spreadsheets save them: one table in many writings gives the same rows."""

from __future__ import annotations

import io
import random
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

import openpyxl
import pytest

from volstrat.case.lesion_table import read_lesion_table
from volstrat.case.table_file import read_table
from volstrat.errors import LesionTableError
from volstrat.terms.marks import LesionRow

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = ("lesion_id", "resectability", "fdg_avidity", "x_mm", "y_mm", "z_mm", "reader", "reason")
CELLS = (
    ("L1", "resectable", "avid", "-20.5", "3.25", "910", "Åsa", "near the vein, 3 cm"),
    ("L2", "", "not_avid", "", "", "", "", ""),
)


def written(
    separator: str, *, decimal: str = ".", quote: bool = True, end: str = "", line_end: str = "\r\n"
) -> str:
    """Write the table with one separator and decimal sign."""
    lines = [separator.join(HEADER) + end]
    for row in CELLS:
        cells = [
            cell.replace(".", decimal) if column.endswith("_mm") else cell
            for column, cell in zip(HEADER, row, strict=True)
        ]
        lines.append(separator.join(f'"{c}"' if separator in c else c for c in cells) + end)
    return line_end.join(lines) + line_end


def workbook(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """Make an Excel workbook."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


NUMBERS = [[float(c) if n in {3, 4, 5} and c else c or None for n, c in enumerate(row)] for row in CELLS]
WRITINGS = {
    "commas": ("lesions.csv", written(",").encode()),
    "semicolons and decimal commas": ("lesions.csv", written(";", decimal=",").encode()),
    "semicolons and decimal points": ("lesions.csv", written(";").encode()),
    "tabs": ("lesions.csv", written("\t").encode()),
    "sep line": ("lesions.csv", ("sep=;\r\n" + written(";", decimal=",")).encode()),
    "quoted sep line": ("lesions.csv", ('"sep=,"\n' + written(",")).encode()),
    "byte order mark": ("lesions.csv", written(",").encode("utf-8-sig")),
    "mark and sep line": ("lesions.csv", ("sep=;\n" + written(";")).encode("utf-8-sig")),
    "UTF-16 as Excel's Unicode text": ("lesions.csv", written("\t").encode("utf-16")),
    "UTF-16 big-endian": ("lesions.csv", b"\xfe\xff" + written(";", decimal=",").encode("utf-16-be")),
    "empty columns at the end": ("lesions.csv", written(",", end=",,,").encode()),
    "blank rows": ("lesions.csv", (written(",") + ",,,,,,,\r\n\r\n").encode()),
    "old line ends": ("lesions.csv", written(";", line_end="\n").encode()),
    "workbook": ("lesions.xlsx", workbook({"Sheet1": [HEADER, *NUMBERS], "Sheet2": []})),
    "workbook of texts": ("lesions.xlsx", workbook({"marks": [HEADER, *CELLS]})),
}


def rows_of(name: str, data: bytes) -> tuple[LesionRow, ...]:
    """Read the marks."""
    return read_lesion_table(data, name=name)


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_writing_of_a_table_gives_the_same_marks(writing: str) -> None:
    """Words, points and texts with separators in them, whatever separates the cells."""
    name, data = WRITINGS[writing]
    (first, second) = rows_of(name, data)
    assert (first.lesion_id, first.resectability, first.fdg_avidity) == (
        "L1", rows_of(*WRITINGS["commas"])[0].resectability, "avid",
    )  # fmt: skip
    assert first.point_mm == (-20.5, 3.25, 910.0)
    assert (first.reader, first.reason) == ("Åsa", "near the vein, 3 cm")
    assert (second.lesion_id, second.resectability, second.fdg_avidity, second.point_mm) == (
        "L2", None, "not_avid", None,
    )  # fmt: skip


def test_a_row_is_named_by_its_line_of_the_file() -> None:
    """A ``sep=`` line and blank lines count, as a spreadsheet's row numbers do."""
    with pytest.raises(LesionTableError, match=r"line 4: resectability is 'maybe'"):
        rows_of("lesions.csv", b"sep=;\nlesion_id;resectability\n\nL1;maybe\n")
    with pytest.raises(LesionTableError, match=r"line 3: resectability is 'maybe'"):
        rows_of("lesions.xlsx", workbook({"a": [["lesion_id", "resectability"], [], ["L1", "maybe"]]}))


def test_decimal_commas_count_only_where_semicolons_separate() -> None:
    """Between commas "1,5" is a quoted text that is no number; it is named, not guessed."""
    table = b'lesion_id,resectability,x_mm,y_mm,z_mm\nL1,,"1,5","2,5","3,5"\n'
    with pytest.raises(LesionTableError, match="line 2: x_mm, y_mm, z_mm are '1,5'"):
        rows_of("lesions.csv", table)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        pytest.param("t.csv", b"a;b,c\n", "commas and semicolons", id="two separators"),
        pytest.param("t.csv", b"sep=|\na|b\n", "sep='|'", id="another separator"),
        pytest.param("t.csv", b"a,,c\n1,2,3\n", "column 2 has no name", id="column without a name"),
        pytest.param("t.csv", b"# marks\na,b\n1,2\n", "its first line says '# marks' alone", id="a title"),
        pytest.param("t.csv", b"a,b\n1,2,3\n", "line 2: has 3 cells, the header 2", id="too long"),
        pytest.param("t.csv", b"a,b\n1\n", "line 2: has 1 cells, the header 2", id="too short"),
        pytest.param("t.csv", b"a\x00b\n", "NUL", id="zero bytes"),
        pytest.param("t.csv", b"\xff\xfea", "is not UTF-16", id="half a character"),
        pytest.param("t.xlsx", b"lesion_id,resectability\n", "no readable Excel", id="CSV called xlsx"),
        pytest.param("t.xlsx", workbook({"one": [["a"]], "two": [["b"]]}), "one, two", id="two sheets"),
        pytest.param("t.xlsx", workbook({"one": []}), "is empty", id="nothing in it"),
        pytest.param(
            "t.xlsx", workbook({"one": [["a"], ["=1+1"]]}), "line 2: the formula '=1", id="unworked formula"
        ),
    ],
)
def test_what_is_no_table_is_refused_by_name(name: str, data: bytes, said: str) -> None:
    """One sentence with the file, what stands there and the next step."""
    with pytest.raises(LesionTableError) as caught:
        read_table(data, name=name)
    assert caught.value.message.startswith(name)
    assert said in caught.value.message
    assert caught.value.hint


def test_a_workbook_that_swells_is_refused_before_it_is_unpacked() -> None:
    """70 MB of zeros in a few kB: no table."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"0" * 70_000_000)
    with pytest.raises(LesionTableError, match="unpacks to 70000000 bytes"):
        read_table(stream.getvalue(), name="lesions.xlsx")


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_workbook_is_refused_in_a_sentence(seed: int) -> None:
    """Bytes changed anywhere: read all the same, or no workbook; never what a library stumbled over."""
    rng = random.Random(seed)
    data = bytearray(workbook({"S": [["lesion_id", "resectability"], ["L1", "resectable"]]}))
    for _ in range(3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with suppress(LesionTableError):
        assert read_table(bytes(data), name="lesions.xlsx").separator == ""
