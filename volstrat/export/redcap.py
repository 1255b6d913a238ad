"""A cohort for REDCap: a data dictionary, and a file to import for each of its two instruments.

The cohort is one instrument, a record a subject; its lesions are a repeating one. Rules: REDCap's help on the
data dictionary (18 columns, in their order) and on importing repeating instruments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.cohort.columns import Column, cohort_columns, lesion_columns
from volstrat.cohort.run_file import read_run_file
from volstrat.errors import UsageError
from volstrat.formats.hashing import sha256_of
from volstrat.store.output import write_atomically
from volstrat.store.seal import refuse_sealed
from volstrat.store.tables import csv_cell, csv_text, guarded, short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


DICTIONARY_COLUMNS = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number",
    "Text Validation Min", "Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)",
    "Required Field?", "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name",
    "Matrix Ranking?", "Field Annotation",
)  # fmt: skip
RECORD_ID = "record_id"
COHORT, LESIONS = "cohort", "lesions"
"""The two instruments."""

DICTIONARY_FILE = "redcap_data_dictionary.csv"
IMPORT_FILES = {COHORT: "redcap_cohort.csv", LESIONS: "redcap_lesions.csv"}

_ROWS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RedcapExport:
    """What was written: how many records, how many lesions, and the files."""

    records: int
    lesions: int
    files: tuple[Path, ...]


def export_redcap(out: Path, folder: Path) -> RedcapExport:
    """Write the output of ``volstrat batch``, ``merge`` or ``adjudicate`` as files that REDCap imports.

    Raises
    ------
    UsageError
        If there is no finished cohort, a table is not what the run wrote, or nothing may be written there.
    OutputError
        If a file cannot be written.
    """
    run = read_run_file(out)
    files = (run or {}).get("files") or {}
    for name in (COHORT, LESIONS):
        table = out / f"{name}.parquet"
        if run is None or run.get("finished_at") is None or not table.is_file():
            msg = f"{out}: holds no finished cohort."
            raise UsageError(msg, hint="Name the output folder of volstrat batch, merge or adjudicate.")
        if sha256_of(table) != files.get(table.name):
            msg = f"{table}: is not what the run wrote."
            raise UsageError(msg, hint="volstrat verify names all of it; run the batch again.")
    if folder.resolve() == out.resolve():
        msg = f"{folder}: is the cohort itself; what is exported needs a folder of its own."
        raise UsageError(msg, hint="Name another folder with --redcap.")
    refuse_sealed(folder)
    cohort = [_import_header(COHORT), *_cohort_rows(out)]
    lesions = [_import_header(LESIONS), *_lesion_rows(out)]
    written = (
        (folder / DICTIONARY_FILE, [DICTIONARY_COLUMNS, *_dictionary_rows()]),
        (folder / IMPORT_FILES[COHORT], cohort),
        (folder / IMPORT_FILES[LESIONS], lesions),
    )
    for path, rows in written:
        write_atomically(path, csv_text(rows))
    return RedcapExport(
        records=len(cohort) - 1, lesions=len(lesions) - 1, files=tuple(path for path, _ in written)
    )


def _variable(form: str, column: str) -> str:
    """Return a column's variable: a project has each name once, so lesions' begin with ``lesion_``."""
    return short_name(column if form == COHORT else f"lesion.{column.removeprefix('lesion_')}")


def _columns(form: str) -> Sequence[Column]:
    """Return the columns of an instrument; subject and visit of a lesion are its record's."""
    if form == COHORT:
        return cohort_columns()
    return [column for column in lesion_columns() if column.name not in {"subject", "visit"}]


def _dictionary_rows() -> Iterator[list[str]]:
    yield _dictionary_row(RECORD_ID, COHORT, "text", "Subject, and visit where the study has visits")
    for form in (COHORT, LESIONS):
        for column in _columns(form):
            yield _dictionary_row(
                _variable(form, column.name),
                form,
                "yesno" if column.kind == "boolean" else "text",
                column.description,
                note=f"Unit: {column.unit}" if column.unit else "",
                validation=column.kind if column.kind in {"integer", "number"} else "",
            )


def _dictionary_row(
    name: str, form: str, kind: str, label: str, *, note: str = "", validation: str = ""
) -> list[str]:
    said = dict(zip(DICTIONARY_COLUMNS, (name, form, "", kind, label, "", note, validation), strict=False))
    return [guarded(said.get(column, "")) for column in DICTIONARY_COLUMNS]


def _import_header(form: str) -> list[str]:
    repeat = [] if form == COHORT else ["redcap_repeat_instrument", "redcap_repeat_instance"]
    return [RECORD_ID, *repeat, *(_variable(form, column.name) for column in _columns(form))]


def _cohort_rows(out: Path) -> Iterator[list[str]]:
    for row in _rows(out / f"{COHORT}.parquet"):
        yield [_cell(_record_id(row)), *(_cell(row[column.name]) for column in _columns(COHORT))]


def _lesion_rows(out: Path) -> Iterator[list[str]]:
    seen: dict[str, int] = {}
    for row in _rows(out / f"{LESIONS}.parquet"):
        record = _record_id(row)
        seen[record] = seen.get(record, 0) + 1
        values = (_cell(row[column.name]) for column in _columns(LESIONS))
        yield [_cell(record), LESIONS, str(seen[record]), *values]


def _record_id(row: dict[str, Any]) -> str:
    return case_name(row["subject"], row["visit"])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _cell(value: str | bool | float | None) -> str:
    """Return a value as REDCap takes it: 1 and 0 for yes and no."""
    return csv_cell(int(value) if isinstance(value, bool) else value)
