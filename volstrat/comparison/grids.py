"""Bring two readings onto one grid, and make sure that they are readings of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.case.entries import EntryReader
from volstrat.errors import DifferentImageError, GridMismatchError, VolstratError
from volstrat.formats.hashing import joint_sha256
from volstrat.geometry.alignment import align_masks, resample_nearest
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.rule.lesions import Lesions, TumourEntry
from volstrat.rule.measure import CaseMasks, Measurements, measure_case, tumour_only
from volstrat.rule.row_placing import renamed_rows
from volstrat.terms.findings import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.case.assess import CaseResult
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.protocol import Protocol

_IMAGES = ("ct", "pet")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnOneGrid:
    """Two measured readings on one grid; ``moves`` bring any masks of each onto it.

    ``findings`` say what had to be done.
    """

    a: Measurements
    b: Measurements
    moves: tuple[Callable[[CaseMasks], CaseMasks], Callable[[CaseMasks], CaseMasks]]
    findings: tuple[Finding, ...]


def check_one_image(a: CaseResult, b: CaseResult) -> None:
    """Refuse (`DifferentImageError`) two readings whose images are known and are not the same.

    Files with the same bytes are one image. Where bytes differ, grids and values are read and compared, for a
    copy may be compressed anew.
    """
    for role in _IMAGES:
        one, other = a.sources.only(role), b.sources.only(role)
        if one is None or other is None or not (one.path.exists() and other.path.exists()):
            continue
        if one.path.samefile(other.path) or _content_sha256(one.path) == _content_sha256(other.path):
            continue
        try:
            images = [EntryReader(r.sources).image(role, e) for r, e in ((a, one), (b, other))]
        except VolstratError:
            continue  # an image that cannot be read says nothing about whether both are one
        shapes = [image.grid.shape for image in images]
        apart = images[0].grid.corner_displacement_mm(images[1].grid)
        if shapes[0] != shapes[1] or apart > 1e-3:
            what = f"their grids lie {apart:.2f} mm apart"
        elif not np.array_equal(images[0].values, images[1].values):
            what = "their values differ"
        else:
            continue
        msg = f"The readings were made on two different {role.upper()} images: {what}."
        raise DifferentImageError(msg, hint="Have both readers read the same series.")


def _content_sha256(path: Path) -> str:
    """Hash what a file holds, or a folder's files whatever they are called."""
    return joint_sha256([path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()])


def on_one_grid(
    a: CaseResult,
    b: CaseResult,
    *,
    names: tuple[str, str],
    protocols: tuple[Protocol, Protocol],
    resample: bool,
) -> OnOneGrid:
    """Bring two readings onto one grid, that of the first (wider where the second reaches beyond it).

    Frames of reference that are known and differ are a `DifferentImageError`; grids that differ are a
    `GridMismatchError` unless the second reading is to be resampled.
    """
    grids = (a.inputs.masks.grid, b.inputs.masks.grid)
    tolerance_mm = min(p.geometry_tolerance_mm for p in protocols)
    uids = [grid.frame_of_reference_uid for grid in grids]
    if None not in uids and uids[0] != uids[1]:
        msg = "The readings were drawn in two frames of reference."
        raise DifferentImageError(msg, hint="Have both readers read the same examination.")
    labels = [f"reading {name}" for name in names]
    empty = {
        label: Mask(grid=grid, runs=LabelRuns.empty()) for label, grid in zip(labels, grids, strict=True)
    }
    findings: tuple[Finding, ...] = ()
    try:
        common, _ = align_masks(empty, tolerance_mm=tolerance_mm, base=labels[0])
    except GridMismatchError as error:
        if not resample:
            hint = "Draw both on one image, or resample the second reading with --resample."
            raise GridMismatchError(error.message, hint=hint) from error
        common = grids[0]
        reason = error.message
        note = finding("resampled", "reading", where=names[1], name=names[1], other=names[0], reason=reason)
        findings = (note,)
    resampled = b.measured.lesions if findings else None
    moves = (_Mover(common, tolerance_mm), _Mover(common, tolerance_mm, resampled=resampled))
    measured = []
    for result, protocol, move in zip((a, b), protocols, moves, strict=True):
        moved = move(result.inputs.masks)
        same = moved is result.inputs.masks
        if not same and result.decision is not None:
            msg = "A reading with surgical plans lies on another grid than the other reading."
            hint = "Draw both on one image: plans are carried out on their own grid."
            raise GridMismatchError(msg, hint=hint)
        again = result.measured if same else measure_case(_unpointed(moved, result.measured), protocol)
        measured.append(tumour_only(again))
    return OnOneGrid(a=measured[0], b=measured[1], moves=moves, findings=findings)


def _unpointed(masks: CaseMasks, measured: Measurements) -> CaseMasks:
    """Return the masks with rows that name lesions by the ids that their points had on the own grid."""
    rows = renamed_rows(measured).values()
    return replace(masks, rows=tuple(replace(row, point_mm=None, segment="") for row in rows))


class _Mover:
    """Brings masks onto a grid: by whole voxels or, given the lesions, by nearest neighbour.

    Lesions that are resampled keep their ids.
    """

    def __init__(self, grid: VoxelGrid, tolerance_mm: float, *, resampled: Lesions | None = None) -> None:
        self._grid, self._tolerance_mm, self._resampled = grid, tolerance_mm, resampled

    def __call__(self, masks: CaseMasks) -> CaseMasks:
        own = masks.grid
        if own.shape == self._grid.shape and np.array_equal(own.affine, self._grid.affine):
            return masks
        resectable, rows = masks.resectable, masks.rows
        if resectable is not None:
            mask = Mask(grid=own, runs=LabelRuns.from_sets([(1, resectable)]))
            resectable = self._mask(mask).voxels()
        tumour = tuple(replace(entry, mask=self._mask(entry.mask)) for entry in masks.tumour)
        if self._resampled is not None:
            tumour = (self._lesions(self._resampled),)
            kept = {f"L{label}" for label in tumour[0].mask.runs.values}
            rows = tuple(row for row in rows if row.lesion_id in kept or row.lesion_id.startswith("P"))
        return replace(masks, grid=self._grid, tumour=tumour, resectable=resectable, rows=rows)

    def _lesions(self, lesions: Lesions) -> TumourEntry:
        labels = np.array([int(lesion_id[1:]) for lesion_id in lesions.ids], dtype=np.int64)[lesions.lesion]
        mask = Mask(grid=lesions.grid, runs=LabelRuns(lesions.starts, lesions.stops, labels))
        return TumourEntry(mask=self._mask(mask), instances="labels")

    def _mask(self, mask: Mask) -> Mask:
        if self._resampled is not None:
            return resample_nearest(mask, self._grid)
        return mask.on_grid(self._grid, tolerance_mm=self._tolerance_mm)
