"""Lesions and PET-only regions as DICOM SEG (BINARY, one segment each), lesions also as ``.seg.nrrd``.

Lesions that overlap stand in files (or layers) of their own; regions lie on the PET, in a file of theirs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.errors import ExportError
from volstrat.export.coded import ABNORMAL_STRUCTURE, NEOPLASM, PET_ONLY_REGION, Code, coded
from volstrat.export.outgoing import MAKER, Outgoing, SourceImages, content_uid, not_read_back
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from highdicom.seg import SegmentDescription
    from numpy.typing import NDArray
    from pydicom import Dataset

    from volstrat.case.record_types import LesionRecord
    from volstrat.geometry.grid import Placement, VoxelGrid
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.lesions import Lesions

    Int64s = NDArray[np.int64]

_SERIES_NUMBER: Final = 9701
_REGION_SERIES_NUMBER: Final = 9705
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A lesion or a PET-only region as a segment draws it.

    ``kind`` is what it is; ``voxels``, (n,), are linear indices on the grid of the images, rising.
    """

    name: str
    tracking_uid: str
    kind: Code
    voxels: Int64s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentFile:
    """A SEG: what its segments 1, 2, ... draw, and the images that it lies on."""

    dataset: Dataset
    source: SourceImages
    segments: tuple[Drawn, ...]

    @property
    def draws_regions(self) -> bool:
        """True where it draws PET-only regions, on the PET."""
        return self.segments[0].kind == PET_ONLY_REGION


def segmentations(out: Outgoing) -> list[SegmentFile]:
    """Return a case's lesions as segmentations of its images, and its PET-only regions as one of its PET.

    No lesion, or one that reaches beyond the images, is an `ExportError`.
    """
    lesions = out.result.measured.lesions
    if not lesions.count:
        msg = f"{out.result.sources.subject}: the tumour mask holds no voxel; there is no lesion to write."
        raise ExportError(msg, hint="A case without tumour has nothing to show in the PACS.")
    drawn = [
        Drawn(
            name=name,
            tracking_uid=out.tracking[n],
            kind=NEOPLASM,
            voxels=_on_images(lesions.of(n).indices(), lesions.grid, name, out.source),
        )
        for n, name in enumerate(lesions.ids)
    ]
    series_uid = content_uid("SEG series", *_content(out, out.source, drawn))
    found = [
        _segment_file(out, out.source, [drawn[n] for n in members], series_uid=series_uid, number=number)
        for number, members in enumerate(_disjoint_sets(lesions), start=1)
    ]
    regions = _regions(out)
    if regions and out.region_source is not None:
        series_uid = content_uid("SEG series of regions", *_content(out, out.region_source, regions))
        found.append(_segment_file(out, out.region_source, regions, series_uid=series_uid, number=1))
    return found


def _regions(out: Outgoing) -> list[Drawn]:
    """Return the PET-only regions on the PET that they are drawn on; none where it cannot be referred to."""
    attribution, source = out.result.measured.attribution, out.region_source
    if attribution is None or source is None:
        return []
    return [
        Drawn(
            name=region["lesion_id"],
            tracking_uid=region_tracking_uid(region, out),
            kind=PET_ONLY_REGION,
            voxels=_on_images(voxels, attribution.grid, region["lesion_id"], source),
        )
        for region, voxels in zip(
            out.result.record["pet_only_regions"], attribution.each_alone(), strict=True
        )
    ]


def region_tracking_uid(region: LesionRecord, out: Outgoing) -> str:
    """Return the tracking UID of a PET-only region, which goes with its place."""
    place = " ".join(f"{x:.1f}" for x in region["centroid_mm"])
    return content_uid("PET-only region", out.source.space, out.result.record["subject"], place)


def _on_images(linear: Int64s, own: VoxelGrid, name: str, source: SourceImages) -> Int64s:
    """Return voxels as linear indices on the images' grid."""
    images, placement = source.geometry.grid, source.placement
    if placement.is_identity and own.shape == images.shape:
        return linear
    index = _placed(own.unravel(linear), placement)
    beyond = int((~((index >= 0) & (index < np.array(images.shape))).all(axis=1)).sum())
    if beyond:
        msg = (
            f"{name} reaches beyond {source.series.name}: {beyond} of its {linear.size} voxels lie "
            "outside the images."
        )
        raise ExportError(msg, hint="Give the whole series that the masks were drawn on.")
    return np.sort(images.ravel(index))


def _placed(at: Int64s, placement: Placement) -> Int64s:
    """Return indices of one grid, (n, 3), as those of the grid that it lies on."""
    index = np.empty_like(at)
    for axis, (to, sign) in enumerate(zip(placement.axes, placement.signs, strict=True)):
        index[:, to] = sign * at[:, axis] + placement.offset[to]
    return index


def _disjoint_sets(lesions: Lesions) -> list[list[int]]:
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


def _content(out: Outgoing, source: SourceImages, drawn: Sequence[Drawn]) -> list[bytes | str]:
    """Return all that a SEG's UID stands for."""
    parts: list[bytes | str] = [__version__, out.time_text, source.series.series_instance_uid]
    for one in drawn:
        parts += [one.name, one.tracking_uid, out.words[one.name], one.voxels.astype("<i8").tobytes()]
    return parts


def _segment_file(
    out: Outgoing, source: SourceImages, drawn: Sequence[Drawn], *, series_uid: str, number: int
) -> SegmentFile:
    from highdicom.seg import Segmentation

    grid = source.geometry.grid
    columns, rows, _ = grid.shape
    slices = np.unique(np.concatenate([one.voxels for one in drawn]) // (columns * rows))
    labels = np.zeros((slices.size, rows, columns), np.uint8 if len(drawn) < 256 else np.uint16)
    for label, one in enumerate(drawn, start=1):
        i_j_k = grid.unravel(one.voxels)
        labels[np.searchsorted(slices, i_j_k[:, 2]), i_j_k[:, 1], i_j_k[:, 0]] = label
    uid = content_uid("SEG", *_content(out, source, drawn))
    of_regions = drawn[0].kind == PET_ONLY_REGION
    dataset = Segmentation(
        source_images=[source.header(int(k)) for k in slices],
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=[_described(out, one, label) for label, one in enumerate(drawn, start=1)],
        series_instance_uid=series_uid,
        series_number=_REGION_SERIES_NUMBER if of_regions else _SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="PET_ONLY" if of_regions else "LESIONS",
        series_description="PET-only regions (volstrat)" if of_regions else "Lesions (volstrat)",
    )
    if slices.size == 1:  # how high its voxels are is the slices' distance; highdicom writes 1 mm there
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SliceThickness = measures.SpacingBetweenSlices = f"{grid.spacing_mm[2]:.10g}"
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = content_uid("dimensions", uid)  # highdicom draws one
    out.finish(dataset, uid=uid, series_uid=series_uid, number=number)
    return SegmentFile(dataset=dataset, source=source, segments=tuple(drawn))


def _described(out: Outgoing, one: Drawn, label: int) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    return SegmentDescription(
        segment_number=label,
        segment_label=one.name,
        segmented_property_category=coded(ABNORMAL_STRUCTURE),
        segmented_property_type=coded(one.kind),
        algorithm_type="MANUAL",
        tracking_uid=one.tracking_uid,
        tracking_id=one.name,
        display_color=CIELabColor.from_rgb(*STYLES[out.words[one.name]].colour),
    )


def check_segmentation(path: Path, file: SegmentFile) -> None:
    """Hold a written SEG to what it draws, voxel for voxel."""
    from volstrat.dicom.seg.segmentation import read_seg

    grid = file.source.geometry.grid
    mask, _ = read_seg(path, threshold=None, image_grid=grid)
    placement = mask.grid.placement_on(grid, tolerance_mm=0.1)
    if placement is None:
        raise not_read_back(path, "does not lie on its images")
    for label, one in enumerate(file.segments, start=1):
        index = _placed(mask.grid.unravel(mask.runs.of(label).indices()), placement)
        if not np.array_equal(np.sort(grid.ravel(index)), one.voxels):
            raise not_read_back(path, f"gives other voxels for {one.name}")


def write_slicer_file(out: Outgoing, folder: Path) -> Path:
    """Write ``SUBJECT.seg.nrrd`` on the tumour's own grid, a segment a lesion, and read it back.

    Lesions that overlap lie in layers of their own, as Slicer stores them. One that does not read back voxel
    for voxel is an `ExportError`.
    """
    from volstrat.formats.volumes import read_mask
    from volstrat.store.output import folder_name

    lesions = out.result.measured.lesions
    voxels = [lesions.of(n).indices() for n in range(lesions.count)]
    layers = _disjoint_sets(lesions)
    dense = np.zeros((len(layers), lesions.grid.size), np.uint8 if lesions.count < 256 else np.uint16)
    segments = []
    for layer, members in enumerate(layers):
        for n in members:
            dense[layer, voxels[n]] = n + 1
            segments.append((n, layer))
    header = _slicer_header(out, lesions.grid, segments, layers=len(layers), dtype=dense.dtype)
    path = folder / f"{folder_name(out.result.record['subject'])}.seg.nrrd"
    # One value of every layer, then the next voxel: layers are NRRD's fastest axis.
    packed = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    data = packed.compress(np.ascontiguousarray(dense.T).tobytes()) + packed.flush()
    path.write_bytes(header.encode() + data)
    mask = read_mask(path).mask
    by_name = {name: label for label, name in mask.names.items()}
    for n, lesion_id in enumerate(lesions.ids):
        label = by_name.get(lesion_id)
        if label is None or not np.array_equal(mask.runs.of(label).indices(), voxels[n]):
            raise not_read_back(path, f"gives other voxels for {lesion_id}")
    return path


def _slicer_header(
    out: Outgoing,
    grid: VoxelGrid,
    segments: list[tuple[int, int]],
    *,
    layers: int,
    dtype: np.dtype[np.unsignedinteger],
) -> str:
    ni, nj, nk = grid.shape
    *vectors, origin = ("(" + ",".join(repr(float(x)) for x in grid.affine[:3, a]) + ")" for a in range(4))
    layered = layers > 1
    lines = [
        "NRRD0005",
        f"type: {'uint8' if dtype == np.uint8 else 'uint16'}",
        f"dimension: {4 if layered else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{layers} ' if layered else ''}{ni} {nj} {nk}",
        f"space directions: {'none ' if layered else ''}{' '.join(vectors)}",
        f"kinds: {'list ' if layered else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {origin}",
    ]
    for number, (n, layer) in enumerate(segments):
        name = out.result.measured.lesions.ids[n]
        colour = " ".join(f"{value / 255:.6g}" for value in STYLES[out.words[name]].colour)
        lines += [
            f"Segment{number}_ID:={name}",
            f"Segment{number}_Name:={name}",
            f"Segment{number}_NameAutoGenerated:=0",
            f"Segment{number}_Color:={colour}",
            f"Segment{number}_ColorAutoGenerated:=0",
            f"Segment{number}_LabelValue:={n + 1}",
            f"Segment{number}_Layer:={layer}",
            f"Segment{number}_Extent:=0 {ni - 1} 0 {nj - 1} 0 {nk - 1}",
            f"Segment{number}_Tags:=Segmentation.Status:{out.words[name]}|",
        ]
    lines += [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    return "\n".join(lines) + "\n\n"
