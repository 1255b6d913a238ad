"""Lesions as DICOM SEG: BINARY, one segment a lesion; lesions that overlap stand in files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.errors import ExportError
from volstrat.export.coded import ABNORMAL_STRUCTURE, NEOPLASM, coded
from volstrat.export.content_uids import content_uid
from volstrat.export.outgoing import MAKER
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from highdicom.seg import SegmentDescription
    from numpy.typing import NDArray
    from pydicom import Dataset

    from volstrat.export.outgoing import Outgoing
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.lesions import Lesions

    Int64s = NDArray[np.int64]

_SERIES_NUMBER: Final = 9701


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentFile:
    """A SEG, and which lesions its segments are.

    Parameters
    ----------
    dataset : pydicom.Dataset
    lesions : tuple of int
        Positions in the case's lesions, of segment 1, 2, ...
    voxels : tuple of array of int64, (n,)
        Linear indices on the grid of the images, rising, of each segment.
    """

    dataset: Dataset
    lesions: tuple[int, ...]
    voxels: tuple[Int64s, ...]


def segmentations(out: Outgoing) -> list[SegmentFile]:
    """Return the lesions of a case as segmentations of its images.

    Raises
    ------
    ExportError
        If there is no lesion, or one reaches beyond the images.
    """
    lesions = out.result.measured.lesions
    if not lesions.count:
        msg = f"{out.result.sources.subject}: the tumour mask holds no voxel; there is no lesion to write."
        raise ExportError(msg, hint="A case without tumour has nothing to show in the PACS.")
    voxels = [_on_images(lesions.of(n), lesions.ids[n], out) for n in range(lesions.count)]
    series_uid = content_uid("SEG series", *_content(out, range(lesions.count), voxels))
    return [
        _segment_file(out, members, voxels, series_uid=series_uid, number=number)
        for number, members in enumerate(disjoint_sets(lesions), start=1)
    ]


def _on_images(voxels: VoxelRuns, lesion_id: str, out: Outgoing) -> Int64s:
    """Return a lesion's voxels as linear indices on the images' grid."""
    source = out.source
    own, images, placement = out.result.measured.lesions.grid, source.geometry.grid, source.placement
    linear = voxels.indices()
    if placement.is_identity and own.shape == images.shape:
        return linear
    at = own.unravel(linear)
    index = np.empty_like(at)
    for axis, (to, sign) in enumerate(zip(placement.axes, placement.signs, strict=True)):
        index[:, to] = sign * at[:, axis] + placement.offset[to]
    beyond = int((~((index >= 0) & (index < np.array(images.shape))).all(axis=1)).sum())
    if beyond:
        msg = (
            f"{lesion_id} reaches beyond {source.series.name}: {beyond} of its {linear.size} voxels lie "
            "outside the images."
        )
        raise ExportError(msg, hint="Give the whole series that the masks were drawn on.")
    return np.sort(images.ravel(index))


def disjoint_sets(lesions: Lesions) -> list[list[int]]:
    """Put lesions into as few files as a first fit finds, so that no two of a file share a voxel."""
    if not lesions.overlapping:
        return [list(range(lesions.count))]
    sets: list[tuple[list[int], VoxelRuns]] = []
    for n in range(lesions.count):
        voxels = lesions.of(n)
        for at, (members, taken) in enumerate(sets):
            if not voxels.intersection(taken):
                sets[at] = ([*members, n], taken.union(voxels))
                break
        else:
            sets.append(([n], voxels))
    return [members for members, _ in sets]


def _content(out: Outgoing, members: Sequence[int], voxels: Sequence[Int64s]) -> list[bytes | str]:
    """Return all that a SEG's UID stands for."""
    parts: list[bytes | str] = [__version__, out.time_text, out.source.series.series_instance_uid]
    for n in members:
        name = out.result.measured.lesions.ids[n]
        parts += [name, out.tracking[n], out.words[name], voxels[n].astype("<i8").tobytes()]
    return parts


def _segment_file(
    out: Outgoing, members: Sequence[int], voxels: Sequence[Int64s], *, series_uid: str, number: int
) -> SegmentFile:
    from highdicom.seg import Segmentation

    grid = out.source.geometry.grid
    columns, rows, _ = grid.shape
    slices = np.unique(np.concatenate([voxels[n] for n in members]) // (columns * rows))
    labels = np.zeros((slices.size, rows, columns), np.uint8 if len(members) < 256 else np.uint16)
    for label, n in enumerate(members, start=1):
        i_j_k = grid.unravel(voxels[n])
        labels[np.searchsorted(slices, i_j_k[:, 2]), i_j_k[:, 1], i_j_k[:, 0]] = label
    uid = content_uid("SEG", *_content(out, members, voxels))
    dataset = Segmentation(
        source_images=[out.source.header(int(k)) for k in slices],
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=[_described(out, n, label) for label, n in enumerate(members, start=1)],
        series_instance_uid=series_uid,
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="LESIONS",
        series_description="Lesions (volstrat)",
    )
    _name_dimensions(dataset, content_uid("dimensions", uid))
    out.finish(dataset, uid=uid, series_uid=series_uid, number=number)
    return SegmentFile(dataset=dataset, lesions=tuple(members), voxels=tuple(voxels[n] for n in members))


def _described(out: Outgoing, lesion: int, label: int) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    name = out.result.measured.lesions.ids[lesion]
    return SegmentDescription(
        segment_number=label,
        segment_label=name,
        segmented_property_category=coded(ABNORMAL_STRUCTURE),
        segmented_property_type=coded(NEOPLASM),
        algorithm_type="MANUAL",
        tracking_uid=out.tracking[lesion],
        tracking_id=name,
        display_color=CIELabColor.from_rgb(*STYLES[out.words[name]].colour),
    )


def _name_dimensions(dataset: Dataset, uid: str) -> None:
    """Give the dimensions a UID that comes from content; highdicom draws one."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
