"""Names of columns for programs that want them short, and ``columns.csv``, which has one for every column.

SAS takes names of at most 32 letters, digits and underscores that begin with a letter or underscore, whatever
their case, and labels of at most 256 characters; REDCap takes the same in lower case, without a double
underscore or one at the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from typing import TYPE_CHECKING

from volstrat.store.tables import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.store.tables import TableColumn

COLUMNS_FILE = "columns.csv"
LONGEST_NAME, LONGEST_LABEL = 32, 256

_HEADER = ("table", "column", "name", "label", "type", "unit")
_SHORT = {
    "predicates": "pred",
    "probability": "prob",
    "robustness": "rob",
    "resectable": "resec",
    "threshold": "thresh",
    "boundary": "bound",
    "stratum": "strat",
    "disease": "dis",
    "fraction": "frac",
    "adjudication": "adj",
}
"""What is shortened in a name that would be too long."""


def short_name(column: str) -> str:
    """Return a name that SAS and REDCap take; it follows from the column's own name alone.

    A name that stays too long is cut and ends in a hash of the whole.

    >>> short_name("volumes.total_tumour_ml"), short_name("predicates.stratum_1.part_voxels_upper")
    ('volumes_total_tumour_ml', 'pred_strat_1_part_voxels_upper')
    """
    words = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_").split("_")
    if not words[0][:1].isalpha():
        words.insert(0, "c")
    name = "_".join(words)
    if len(name) > LONGEST_NAME:
        name = "_".join(_SHORT.get(word, word) for word in words)
    if len(name) > LONGEST_NAME:
        mark = hashlib.sha256(column.encode()).hexdigest()[:6]
        name = f"{name[: LONGEST_NAME - 7].rstrip('_')}_{mark}"
    return name


def columns_bytes(tables: Mapping[str, Sequence[TableColumn]]) -> bytes:
    """Return ``columns.csv`` of tables: a row a column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for table, columns in tables.items():
        for column in columns:
            label = column.description[:LONGEST_LABEL]
            row = (table, column.name, short_name(column.name), label, column.kind, column.unit)
            writer.writerow([guarded(cell) for cell in row])
    return text.getvalue().encode()
