"""A cohort for REDCap: a data dictionary, and a file to import for each of its two instruments.

The cohort is one instrument, a record a subject; its lesions are a repeating one. Rules: REDCap's help on the
data dictionary (18 columns, in their order) and on importing repeating instruments.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.case.case_file import case_name
from volstrat.cohort.columns import Column, cohort_columns, lesion_columns
from volstrat.cohort.run_file import read_run_file
from volstrat.errors import UsageError
from volstrat.formats.hashing import sha256_of
from volstrat.store.output import write_atomically
from volstrat.store.seal import refuse_sealed
from volstrat.store.tables import csv_cell, csv_text, guarded, short_name

if TYPE_CHECKING:
    from collections.abc import Iterator
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

    Without a finished cohort, with a table that is not what the run wrote, or where nothing may be written,
    that is a `UsageError`.
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
    written = {DICTIONARY_FILE: [DICTIONARY_COLUMNS, *_dictionary_rows(out)]}
    written |= {name: list(_import_rows(out, form)) for form, name in IMPORT_FILES.items()}
    for name, rows in written.items():
        write_atomically(folder / name, csv_text(rows))
    records, lesions = (len(written[name]) - 1 for name in IMPORT_FILES.values())
    return RedcapExport(records=records, lesions=lesions, files=tuple(folder / name for name in written))


def _variable(form: str, column: str) -> str:
    """Return a column's variable: a project has each name once, so lesions' begin with ``lesion_``."""
    return short_name(column if form == COHORT else f"lesion.{column.removeprefix('lesion_')}")


def _columns(out: Path, form: str) -> list[Column]:
    """Return the columns of an instrument that its table has; subject and visit of a lesion are its record's.

    A table of an earlier version may not have them all.
    """
    from pyarrow import parquet

    there = set(parquet.read_schema(out / f"{form}.parquet").names)
    columns = cohort_columns() if form == COHORT else lesion_columns()[2:]
    return [column for column in columns if column.name in there]


def _dictionary_rows(out: Path) -> Iterator[list[str]]:
    yield _dictionary_row(RECORD_ID, COHORT, "text", "Subject, and visit where the study has visits")
    for form in (COHORT, LESIONS):
        for column in _columns(out, form):
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


def _import_rows(out: Path, form: str) -> Iterator[list[str]]:
    """Yield the header and the rows that REDCap imports into an instrument; lesions count within a record."""
    from pyarrow import parquet

    names = [column.name for column in _columns(out, form)]
    repeats = form == LESIONS
    repeat = ["redcap_repeat_instrument", "redcap_repeat_instance"] if repeats else []
    yield [RECORD_ID, *repeat, *(_variable(form, name) for name in names)]
    seen: Counter[str] = Counter()
    with parquet.ParquetFile(out / f"{form}.parquet") as table:
        for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                record = case_name(row["subject"], row["visit"])
                seen[record] += repeats
                repeat = [LESIONS, str(seen[record])] if repeats else []
                yield [_cell(record), *repeat, *(_cell(row[name]) for name in names)]


def _cell(value: str | bool | float | None) -> str:
    """Return a value as REDCap takes it: 1 and 0 for yes and no."""
    return csv_cell(int(value) if isinstance(value, bool) else value)
