"""The lesion table of a case, ready to be filled in: all lesions and regions, where they are, how large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.errors import LesionTableError
from volstrat.rule.measure import remark_case
from volstrat.rule.row_placing import renamed_rows
from volstrat.terms.marks import LesionRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from volstrat.rule.measure import Measurements


def lesion_list(measured: Measurements, *, only: Collection[str] | None = None) -> list[LesionRow]:
    """Return a row for each lesion and PET-only region, with what the case's table says of it.

    ``only``: ids of those that are asked for.
    """
    rows = renamed_rows(measured)
    points = measured.points()
    regions = measured.attribution
    volumes = dict(zip(measured.lesions.ids, measured.measures.volume_ml.tolist(), strict=True))
    names = dict(zip(measured.lesions.ids, measured.lesions.names, strict=True))
    if regions is not None:
        ml = regions.pet_only.measures.volume_ml.tolist()
        volumes |= {f"P{n + 1}": volume for n, volume in enumerate(ml)}
    return [
        replace(
            rows.get(lesion_id, LesionRow(lesion_id=lesion_id)),
            point_mm=points[lesion_id],
            segment=names.get(lesion_id, ""),
            volume_ml=volume,
        )
        for lesion_id, volume in volumes.items()
        if only is None or lesion_id in only
    ]


def rows_that_fit(
    bare: Measurements, rows: Sequence[LesionRow]
) -> tuple[Measurements, list[LesionTableError]]:
    """Mark a case by the rows that have their place in it; say why the others have none."""
    marked = bare
    kept: list[LesionRow] = []
    errors: list[LesionTableError] = []
    for row in sorted(rows, key=lambda row: row.lesion_id.startswith("P")):  # regions rest on lesions
        try:
            table = {str(n): one for n, one in enumerate((*kept, row))}
            marked = remark_case(bare, table)
            kept.append(row)
        except LesionTableError as error:
            errors.append(error)
    return marked, errors
