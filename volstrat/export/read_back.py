"""What was written is read again, by this program and by the libraries, before it gets its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from volstrat.export.outgoing import Outgoing
    from volstrat.export.segmentation_out import SegmentFile

_RELATIVE = 1e-6  # of a decimal string of 16 characters


def check_segmentation(path: Path, file: SegmentFile) -> None:
    """Hold a written SEG to what it draws, voxel for voxel.

    Raises
    ------
    ExportError
    """
    from volstrat.dicom.seg.segmentation import read_seg

    grid = file.source.geometry.grid
    mask, _ = read_seg(path, threshold=None, image_grid=grid)
    placement = mask.grid.placement_on(grid, tolerance_mm=0.1)
    if placement is None:
        raise _wrong(path, "does not lie on its images")
    for label, one in enumerate(file.segments, start=1):
        at = mask.grid.unravel(mask.runs.of(label).indices())
        index = np.empty_like(at)
        for axis, (to, sign) in enumerate(zip(placement.axes, placement.signs, strict=True)):
            index[:, to] = sign * at[:, axis] + placement.offset[to]
        if not np.array_equal(np.sort(grid.ravel(index)), one.voxels):
            raise _wrong(path, f"gives other voxels for {one.name}")


def check_report(path: Path, files: Sequence[SegmentFile], out: Outgoing) -> None:
    """Hold a written SR to the record: each lesion's volume, marking and avidity, and the stratum.

    Raises
    ------
    ExportError
    """
    from volstrat.export.report_reading import read_report

    record, said, rows = out.result.record, read_report(path), out.rows
    for one in (one for file in files for one in file.segments):
        lesion = rows[one.name]
        found = said.lesions.get(lesion["lesion_id"])
        same = (
            found is not None
            and abs(found.volume_ml - lesion["volume_ml"]) <= _RELATIVE * lesion["volume_ml"]
            and (found.resectability, found.fdg_avidity) == (lesion["resectability"], lesion["fdg_avidity"])
            and found.tracking_uid == one.tracking_uid
        )
        if not same:
            raise _wrong(path, f"says something else of {lesion['lesion_id']}")
    if said.stratum != (record["stratum"] or "not_assessable"):
        raise _wrong(path, "says another stratum")


def check_bytes(path: Path, keyword: str, data: bytes) -> None:
    """Hold a written document or picture to its bytes.

    Raises
    ------
    ExportError
    """
    from pydicom import dcmread

    if dcmread(path)[keyword].value != data:
        raise _wrong(path, "holds other bytes than were written")


def _wrong(path: Path, what: str) -> ExportError:
    msg = f"{path.name}: read back, it {what}; nothing was written."
    return ExportError(msg, hint="Please report this, with the case if it can be shared.")
