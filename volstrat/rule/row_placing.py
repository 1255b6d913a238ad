"""Which lesion or PET-only region each row of a lesion table is about.

A row goes by its point, whatever its id says; else by its segment name where that is unique; else by its id.
Numbers by size change with the mask, names and points do not: what rests on a number is said.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import field, replace
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.errors import LesionTableError
from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import covered_twice
from volstrat.terms.findings import finding
from volstrat.terms.wording import shown_ml, shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from volstrat.geometry.array_types import Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow

Point = tuple[float, float, float]

_REGION_ID = re.compile(r"P[0-9]+")
_AGAIN = (
    "The masks may have changed since the row was written; mark it again (volstrat lesions writes a table)."
)
_MOST_SHOWN = 8
_SAME_VOLUME = 2.0
"""Times that a lesion may have grown or shrunk in a mask that was edited."""
_SAME_VOLUME_BY_NUMBER = 1.1
"""The same where nothing but a number says which lesion a row is about."""


@frozen
class PlacedRows:
    """Rows by what they are about."""

    lesions: dict[int, LesionRow] = field(default_factory=dict)  # by the lesion's position
    regions: dict[int, LesionRow] = field(default_factory=dict)  # by the PET-only region's rank
    owners: dict[int, int] = field(default_factory=dict)  # the lesion that a region belongs to, by its rank
    findings: tuple[Finding, ...] = ()

    def by_id(self, lesions: Lesions) -> dict[str, LesionRow]:
        """Return the rows by the id that lesion or region has now."""
        found = {lesions.ids[n]: row for n, row in sorted(self.lesions.items())}
        return {**found, **{f"P{rank + 1}": row for rank, row in sorted(self.regions.items())}}


def renamed_rows(measured: Measurements) -> dict[str, LesionRow]:
    """Return a case's rows under the ids that lesions and regions have now, to be written anew."""
    owners = measured.region_words.belongs_to.tolist()
    renamed = {}
    for lesion_id, row in measured.rows.items():
        owner = row.belongs_to and measured.lesions.ids[owners[int(lesion_id[1:]) - 1]]
        same = (row.lesion_id, row.belongs_to) == (lesion_id, owner)
        renamed[lesion_id] = row if same else replace(row, lesion_id=lesion_id, belongs_to=owner)
    return renamed


def _is_region(lesion_id: str) -> bool:
    """Tell whether an id is that of a PET-only region."""
    return _REGION_ID.fullmatch(lesion_id) is not None


def place_lesion_rows(rows: Iterable[LesionRow], lesions: Lesions) -> PlacedRows:
    """Place the rows that are about lesions.

    Raises LesionTableError if a row's point lies in no lesion or in several, it names none, or two rows of
    one lesion differ.
    """
    table = tuple(rows)
    placer = _LesionPlacer(lesions, table)
    placed: dict[int, LesionRow] = {}
    findings: list[Finding] = []
    by_number = []
    for row in table:
        if _is_region(row.lesion_id):
            continue
        if row.belongs_to:
            msg = f"{row.where}: {row.lesion_id} is a lesion; only a PET-only region belongs to one."
            raise LesionTableError(msg, hint="Clear its belongs_to.")
        n, how = placer.place(row)
        now = lesions.ids[n]
        named = placer.named(row.segment)
        if how == "point" and len(named) == 1 and named[0] != n:
            at, other = row.where, lesions.ids[named[0]]
            found = finding(
                "row_contradicts", where=now, row=at, lesion=now, segment=row.segment, other=other
            )
            findings.append(found)
        if how == "number" and row.says_something:
            by_number.append(n)
        _add(placed, n, row, now, findings)
    findings += _number_findings(lesions, by_number)
    findings += _volume_findings(lesions, placed, frozenset(by_number))
    return PlacedRows(lesions=placed, findings=tuple(findings))


def place_region_rows(
    rows: Iterable[LesionRow],
    lesions: Lesions,
    placed: PlacedRows,
    attribution: Attribution | None,
    *,
    strict: bool = True,
) -> PlacedRows:
    """Place the rows that are about PET-only regions beside those that are about lesions.

    Parameters
    ----------
    placed : PlacedRows
        From `place_lesion_rows`.
    strict : bool
        Where False, a row that fits no region is left out: the regions are not those that it was written for.

    Raises LesionTableError if a row fits no region, or gives one to a lesion that does not exist.
    """
    regions: dict[int, LesionRow] = {}
    owners: dict[int, int] = {}
    findings = list(placed.findings)
    by_number: list[int] = []
    regions_by_number: list[str] = []
    rank_of = np.empty(0, np.int64) if attribution is None else attribution.rank
    for row in rows:
        if not _is_region(row.lesion_id):
            continue
        _refuse_contradictions(row)
        try:
            rank = _region_of(row, lesions, attribution, rank_of)
        except LesionTableError:
            if strict:
                raise
            continue
        now = f"P{rank + 1}"
        if row.belongs_to:
            owners[rank], is_by_number = _owner_of(row, lesions, placed)
            if is_by_number and lesions.by_size[owners[rank]]:
                by_number.append(owners[rank])
        if row.point_mm is None and row.says_something:
            regions_by_number.append(now)
        _add(regions, rank, row, now, findings)
    findings += _number_findings(lesions, by_number)
    if regions_by_number and attribution is not None and attribution.pet_only.count > 1:
        shown = _shown_ids(regions_by_number)
        findings.append(finding("marks_by_number", where="pet_only_regions", lesions=shown))
    return PlacedRows(lesions=placed.lesions, regions=regions, owners=owners, findings=tuple(findings))


def _add(placed: dict[int, LesionRow], n: int, row: LesionRow, now: str, findings: list[Finding]) -> None:
    """Add a row; a second one of the same lesion must say the same."""
    if now != row.lesion_id:
        found = finding("row_renumbered", where=now, row=row.where, named=row.lesion_id, lesion=now)
        findings.append(found)
    other = placed.setdefault(n, row)
    if other is row:
        return
    said = [(one.word, one.fdg_avidity, one.site, one.belongs_to) for one in (row, other)]
    if said[0] != said[1]:
        msg = f"{row.where}: says something else of {now} than {other.where}; both lie in it."
        raise LesionTableError(msg, hint="Keep one row a lesion.")
    findings.append(finding("rows_alike", where=now, row=row.where, other=other.where, lesion=now))


class _LesionPlacer:
    """Finds the lesion of a row."""

    def __init__(self, lesions: Lesions, rows: Sequence[LesionRow]) -> None:
        self._lesions = lesions
        self._clear = _clearly_at(lesions, {r.point_mm for r in rows if r.point_mm is not None})
        self._places = {lesion_id: n for n, lesion_id in enumerate(lesions.ids)}
        self._named: dict[str, list[int]] = {}
        for n, name in enumerate(lesions.names):
            if name:
                self._named.setdefault(_folded(name), []).append(n)

    def place(self, row: LesionRow) -> tuple[int, Literal["point", "segment", "number"]]:
        """Return the lesion's position, and by what it was found."""
        if row.point_mm is not None:
            return self._by_point(row), "point"
        same = self.named(row.segment)
        if len(same) == 1:
            return same[0], "segment"
        if len(same) > 1 and not all(self._lesions.by_size[n] for n in same):
            shown = _shown_ids([self._lesions.ids[n] for n in same], last=" and ")
            msg = f"{row.where}: the segment {row.segment!r} is the name of {shown}."
            raise LesionTableError(
                msg, hint="Give a point in the one that is meant (volstrat lesions writes them)."
            )
        n = self._places.get(row.lesion_id)
        if n is None:
            raise _no_such_id(row, self._lesions, None)
        if row.segment and not same:
            shown = _shown_ids(sorted({name for name in self._lesions.names if name})) or "none"
            msg = f"{row.where}: there is no segment {row.segment!r}; there are {shown}."
            raise LesionTableError(msg, hint="Correct the segment, or give a point in the lesion.")
        return n, "number"

    def named(self, segment: str) -> list[int]:
        """Return the lesions that have a segment's name."""
        return self._named.get(_folded(segment), []) if segment else []

    def _by_point(self, row: LesionRow) -> int:
        assert row.point_mm is not None
        clear = self._clear.get(row.point_mm)
        if clear is not None:
            return clear
        holders = lesions_at(self._lesions, row.point_mm)
        if len(holders) == 1:
            return holders[0]
        if not holders:
            msg = f"{row.where}: its point {_point(row)} lies in no lesion; the row names {row.lesion_id}."
            raise LesionTableError(msg, hint=self._turned(row) or _AGAIN)
        named = [n for n in holders if n in self.named(row.segment)]
        if len(named) == 1:
            return named[0]
        n = self._places.get(row.lesion_id)
        if n in holders and not self._alone_anywhere(n):
            return n
        shown = " and ".join(self._lesions.ids[n] for n in holders)
        msg = f"{row.where}: its point {_point(row)} lies in {shown}, which overlap there."
        raise LesionTableError(msg, hint="Give a point that lies in one of them alone, or name the segment.")

    def _turned(self, row: LesionRow) -> str:
        """Say that a point lies in a lesion once it is read as RAS; "" where it does not."""
        assert row.point_mm is not None
        x, y, z = row.point_mm
        held = [self._lesions.ids[n] for n in lesions_at(self._lesions, (-x, -y, z))]
        if not held:
            return ""
        where = " and ".join(held)
        return f"Turn the signs of x and y (RAS to LPS): then it lies in {where}. Points are in LPS."

    def _alone_anywhere(self, n: int) -> bool:
        """Tell whether a lesion has a voxel that no other holds; without one, no point can name it alone."""
        shared = covered_twice(self._lesions.starts, self._lesions.stops)
        return bool(self._lesions.of(n).difference(shared))


def _clearly_at(lesions: Lesions, points_mm: set[Point]) -> dict[Point, int]:
    """Return the lesion of each point that lies well within a voxel of one; of others, `lesions_at` decides.

    All are looked up at once: a table of thousands of rows is placed on every mark.
    """
    points = list(points_mm)
    if not points or not lesions.starts.size or lesions.overlapping:
        return {}
    grid = lesions.grid
    index = grid.to_index(np.array(points))
    edge = 2 * TIE_MM * np.sqrt((grid.inverse[:3, :3] ** 2).sum(axis=1))
    at = np.floor(index + 0.5 - edge).astype(np.int64)
    clear = (at == np.floor(index + 0.5 + edge)).all(axis=1)
    clear &= ((at >= 0) & (at < np.array(grid.shape))).all(axis=1)
    linear = grid.ravel(np.where(clear[:, None], at, 0))
    run = np.searchsorted(lesions.starts, linear, side="right") - 1
    clear &= (run >= 0) & (linear < lesions.stops[run])
    found = lesions.lesion[run].tolist()
    return {points[n]: found[n] for n in np.flatnonzero(clear).tolist()}


def lesions_at(lesions: Lesions, point_mm: Sequence[float]) -> list[int]:
    """Return the positions of the lesions that hold a point (LPS mm).

    One on a voxel's face (within 0.001 mm) belongs to the voxel beside it where the first holds none.
    """
    voxels = _voxels_at(lesions.grid, point_mm)
    for those in (voxels[:1], voxels[1:]):
        found = {n for voxel in those for n in lesions.holders(voxel)}
        if found:
            return sorted(found)
    return []


def _voxels_at(grid: VoxelGrid, point_mm: Sequence[float]) -> list[int]:
    """Voxels that hold a point: the one it lies in first, then those whose face it lies on (0.001 mm)."""
    index = grid.to_index(np.array(point_mm))
    slack = TIE_MM * np.sqrt((grid.inverse[:3, :3] ** 2).sum(axis=1))
    sides = [
        {int(np.floor(c + 0.5 - s)), int(np.floor(c + 0.5 + s))} for c, s in zip(index, slack, strict=True)
    ]
    inside = [v for v in product(*sides) if all(0 <= a < n for a, n in zip(v, grid.shape, strict=True))]
    at = tuple(int(a) for a in grid.voxel_at(index[None])[0])
    inside.sort(key=lambda v: v != at)
    return [int(grid.ravel(np.array(v))) for v in inside]


def _region_of(row: LesionRow, lesions: Lesions, attribution: Attribution | None, rank_of: Int64s) -> int:
    """Return the rank of a row's region; ``rank_of`` is that of each avid voxel."""
    if attribution is None:
        raise _no_such_id(row, lesions, attribution)
    if row.point_mm is None:
        rank = int(row.lesion_id[1:]) - 1
        if not 0 <= rank < attribution.pet_only.count:
            raise _no_such_id(row, lesions, attribution)
        return rank
    for linear in _voxels_at(attribution.grid, row.point_mm):
        at = int(np.searchsorted(attribution.voxels, linear))
        if at < attribution.voxels.size and attribution.voxels[at] == linear and rank_of[at] >= 0:
            return int(rank_of[at])
    held = lesions_at(lesions, row.point_mm)
    lies = f"lies in {lesions.ids[held[0]]}" if held else "lies in no PET-only region"
    msg = f"{row.where}: its point {_point(row)} {lies}; the row names {row.lesion_id}."
    raise LesionTableError(msg, hint=_AGAIN)


def _refuse_contradictions(row: LesionRow) -> None:
    if row.not_tumour:
        msg = f"{row.where}: {row.lesion_id} is a PET-only region, no tumour on CT."
        raise LesionTableError(msg, hint="Write not_avid in its fdg_avidity to dismiss it.")
    if row.belongs_to and (row.resectability is not None or row.fdg_avidity == "not_avid"):
        said = "not_avid" if row.resectability is None else row.word
        msg = f"{row.where}: {row.lesion_id} is {said} and belongs to {row.belongs_to}; only one can be."
        raise LesionTableError(msg, hint="Clear one of them: what belongs to a lesion takes its marking.")


def _owner_of(row: LesionRow, lesions: Lesions, placed: PlacedRows) -> tuple[int, bool]:
    """Return the lesion that a region belongs to (by a row of the table, by segment, by id), and if by id."""
    owner = row.belongs_to
    if _is_region(owner):
        itself = " itself" if owner == row.lesion_id else f" {owner}"
        msg = f"{row.where}: {row.lesion_id} belongs to{itself}, a region; it can belong to a lesion alone."
        raise LesionTableError(msg, hint="Name the lesion (L1, L2, ...), or mark the region.")
    rows = [n for n, other in placed.lesions.items() if other.lesion_id == owner]
    named = [n for n, name in enumerate(lesions.names) if name and _folded(name) == _folded(owner)]
    if len(rows) == 1 or len(named) == 1:
        return (rows[0] if len(rows) == 1 else named[0]), False
    if owner in lesions.ids:
        return lesions.ids.index(owner), True
    shown = _shown_ids(lesions.ids) or "none"
    msg = f"{row.where}: {row.lesion_id} belongs to {owner!r}, which is not in this case; there are {shown}."
    raise LesionTableError(msg, hint="Correct belongs_to, or mark the region.")


def _no_such_id(row: LesionRow, lesions: Lesions, attribution: Attribution | None) -> LesionTableError:
    regions = [] if attribution is None else [f"P{n + 1}" for n in range(attribution.pet_only.count)]
    known = ", ".join(filter(None, (_shown_ids(lesions.ids), _shown_ids(regions)))) or "none"
    msg = f"{row.where}: {row.lesion_id!r} does not exist in this case; there are {known}."
    return LesionTableError(msg, hint="Correct the id, or remove the row.")


def _number_findings(lesions: Lesions, by_number: Sequence[int]) -> list[Finding]:
    """Say which rows rest on a number: of lesions numbered by size, and of segments that have a name."""
    sized = [lesions.ids[n] for n in by_number if lesions.by_size[n] and lesions.numbers_are_loose]
    named = [lesions.ids[n] for n in by_number if not lesions.by_size[n] and lesions.names[n]]
    findings = []
    if sized:
        findings.append(finding("marks_by_number", where="lesions", lesions=_shown_ids(sized)))
    if named:
        findings.append(finding("named_lesion_by_number", where="lesions", lesions=_shown_ids(named)))
    return findings


def _volume_findings(
    lesions: Lesions, placed: dict[int, LesionRow], by_number: frozenset[int]
) -> list[Finding]:
    """Name the rows whose volume is not their lesion's: they may be of another lesion, or of another case."""
    told = {n: row.volume_ml for n, row in sorted(placed.items()) if row.says_something and row.volume_ml}
    if not told:
        return []
    voxels = lesions.sizes
    off = []
    for n, ml in told.items():
        now = float(voxels[n]) * lesions.grid.voxel_ml
        most = _SAME_VOLUME_BY_NUMBER if n in by_number else _SAME_VOLUME
        if not ml / most <= now <= ml * most:
            off.append(f"{lesions.ids[n]} ({shown_ml(ml)} there, {shown_ml(now)} now)")
    return [finding("row_volume_differs", where="lesions", lesions=shown_names(off))] if off else []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _point(row: LesionRow) -> str:
    assert row.point_mm is not None
    x, y, z = row.point_mm
    return f"({x:g}, {y:g}, {z:g}) mm"


def _shown_ids(ids: Sequence[str], *, last: str = ", ") -> str:
    """List ids for a sentence, the middle left out where there are many."""
    return last.join(ids if len(ids) <= _MOST_SHOWN else [*ids[:3], "...", ids[-1]])
