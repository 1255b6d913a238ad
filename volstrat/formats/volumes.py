"""Reading NIfTI, NRRD and MetaImage files: masks as runs, images as dense values.

Masks are streamed from the file into a `RunScanner`; no dense volume is ever held.

>>> volume_format(Path("case/Tumour.NII.GZ"))
'nifti'
>>> volume_format(Path("case/tumour.seg.nrrd"))
'seg.nrrd'
>>> volume_format(Path("case/notes.txt")) is None
True
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import FormatError, MaskValueError
from volstrat.formats.layout import Segment, feed_layers, voxel_pieces
from volstrat.formats.stream import SourceFile
from volstrat.frozen import frozen
from volstrat.geometry.image import MOST_VOXELS, Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.run_scanner import RunScanner
from volstrat.geometry.runs import LabelRuns, VoxelRuns, ranked
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from volstrat.formats.layout import VolumeHeader
    from volstrat.formats.stream import Decoder, Digest
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding
    from volstrat.terms.tracers import TracerSaid

_MOST_LABELS = 10_000
_IMAGE_VALUES = 50
_IMAGE_TOUCHING = 0.5

_FORMATS = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".hdr": "nifti",
    ".hdr.gz": "nifti",
    ".seg.nrrd": "seg.nrrd",
    ".seg.nhdr": "seg.nrrd",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
}


@frozen(eq=False)
class MaskRead:
    """A mask as read from a file."""

    mask: Mask
    format: str  # "nifti", "nrrd", "seg.nrrd" or "metaimage"
    # of the file's bytes, in hex; for a detached header of its bytes and then of its data files', in their
    # order.
    sha256: str
    findings: tuple[Finding, ...] = ()
    # what the header of the PET series that it was drawn on says of the tracer; None where that is not known.
    drawn_on_tracer: TracerSaid | None = None
    # Coded category and type (value, scheme, meaning) of segments that have them.
    codes: Mapping[int, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    drawn_on: VoxelGrid | None = None  # the whole image that a sparse mask was drawn on, where it is known
    is_reading: bool = True  # False for a segmentation without any segment: nobody has drawn in it
    # True where nothing is drawn and the grid says nothing (3D Slicer writes one voxel then).
    is_blank: bool = False


@frozen(eq=False)
class ImageRead:
    """An image as read from a file; `sha256` as in `MaskRead`."""

    image: Image  # float32, slope and intercept applied
    format: str
    sha256: str
    units: str | None  # unit of the values, where the header names one (NRRD's sample units)
    # of the voxels' bytes as stored, without header and compression; None where nobody asked.
    voxels_sha256: str | None = None
    findings: tuple[Finding, ...] = ()


def _ending(path: Path, *more: str) -> str:
    """Return the longest ending of a volume, or one of some more, that a file's name has; "" for none."""
    name = path.name.lower()
    return max((one for one in (*_FORMATS, *more) if name.endswith(one) and name != one), key=len, default="")


def volume_format(path: Path) -> str | None:
    """Return the format that a file's name says, in any case, or None for other names.

    Data files of detached headers (.img, .raw, .zraw) are no volumes of their own: None.
    """
    return _FORMATS.get(_ending(path))


def stem_of(path: Path) -> str:
    """Return a file's name without the ending of a volume or DICOM file.

    >>> stem_of(Path("case/Liver_segment_5.NII.GZ"))
    'Liver_segment_5'
    """
    return path.name[: len(path.name) - len(_ending(path, ".dcm", ".ima"))]


def read_mask(path: Path, *, threshold: float | None = None) -> MaskRead:
    """Read a mask, streaming: work and memory go with the tumour and not with the volume.

    With a ``threshold``, voxels with a value >= it get label 1. Label maps keep their values as labels.
    Segments of a `.seg.nrrd` keep their label value where all of them differ, else they are numbered from 1
    in the order of the file.

    Raises InputFileError if the file or a data file it names cannot be read; FormatError if it is in no form
    that volstrat takes; CorruptDataError if it is truncated, damaged, or of another size than its header
    says; GeometryError if its grid is sheared, singular, without orientation, or contradicts itself;
    MaskValueError if a value is no label: NaN, negative or not integral.
    """
    digest = hashlib.sha256()
    with _opened(path, digest) as (header, attached):
        if header.is_segmentation and threshold is not None:
            msg = f"{path.name}: holds named segments, to which a threshold does not apply."
            raise FormatError(msg, hint="Leave out threshold; choose with segments = [...].")
        scale = {"slope": header.slope, "intercept": header.intercept}
        scanners = [
            RunScanner(header.dtype, **scale, threshold=threshold, where=path.name)
            for _ in range(header.layers)
        ]
        feed_layers(scanners, header, voxel_pieces(header, attached, digest))
    layers = [scanner.finish() for scanner in scanners]
    mask, findings = _fractional(header, layers) if header.is_fractional else _mask(header, layers)
    refuse_image(mask, path.name)
    numbers = _numbered(header)[0]
    return MaskRead(
        mask=mask,
        format=_format_of(path, header),
        sha256=digest.hexdigest(),
        findings=header.findings + findings,
        codes={numbers[one.layer, one.value]: one.codes for one in header.segments if one.codes},
        drawn_on=header.drawn_on,
        is_reading=bool(header.segments or mask.labels or not header.grid.is_window),
        is_blank=header.grid.is_window and header.grid.size == 1 and not mask.runs.starts.size,
    )


def read_image(path: Path, *, hash_voxels: bool = False) -> ImageRead:
    """Read an image as dense float32 values, slope and intercept applied; errors as of `read_mask`.

    ``hash_voxels``: also hash the voxels apart from the header.
    """
    digest = hashlib.sha256()
    with _opened(path, digest) as (header, attached):
        if header.layers != 1:
            msg = f"{path.name}: holds {header.layers} values at each voxel; an image has one."
            raise FormatError(msg)
        voxels = hashlib.sha256() if hash_voxels else None
        values = _filled(header, voxel_pieces(header, attached, digest), voxels)
    return ImageRead(
        image=Image(grid=header.grid, values=values.reshape(header.grid.shape, order="F")),
        format=_format_of(path, header),
        sha256=digest.hexdigest(),
        units=header.units,
        voxels_sha256=None if voxels is None else voxels.hexdigest(),
        findings=header.findings,
    )


@contextmanager
def open_image(path: Path) -> Iterator[tuple[VoxelGrid, Iterator[NDArray[np.generic]]]]:
    """Open an image to be read bit by bit: its grid, and its values in the order of the file.

    The first axis runs fastest; slope and intercept are applied. Errors are those of `read_mask`; of damaged
    data while the values are read.
    """
    with _opened(path, None) as (header, attached):
        if header.layers != 1:
            msg = f"{path.name}: holds {header.layers} values at each voxel; an image has one."
            raise FormatError(msg)
        yield header.grid, _values(header, voxel_pieces(header, attached, None))


def read_grid(path: Path) -> VoxelGrid:
    """Read the header only and return its grid in LPS mm; errors as of `read_mask`."""
    with _opened(path, None) as (header, _):
        return header.grid


def data_files(path: Path) -> tuple[Path, ...]:
    """Read the header only and return the files that hold its voxels; none where they follow it."""
    with _opened(path, None) as (header, _):
        return header.data_files


def _format_of(path: Path, header: VolumeHeader) -> str:
    return "seg.nrrd" if header.grid.is_window else str(volume_format(path))


@contextmanager
def _opened(path: Path, digest: Digest | None) -> Iterator[tuple[VolumeHeader, Decoder | None]]:
    """Open a volume and read its header; the decoder, if any, stands where the voxels begin."""
    named = volume_format(path)
    if named is None:
        msg = f"{path.name}: is not a volume by its name; {', '.join(_FORMATS)} were expected."
        raise FormatError(
            msg, hint="Name the header file (.hdr, .nhdr, .mhd) where header and data are apart."
        )
    with SourceFile(path, digest) as source:
        yield _read_header(named, path, source)


def _read_header(named: str, path: Path, source: SourceFile) -> tuple[VolumeHeader, Decoder | None]:
    """Read a header by the module of its format, which is loaded when a file asks for it."""
    if named == "nifti":
        from volstrat.formats.nifti import read_header
    elif named == "metaimage":
        from volstrat.formats.metaimage import read_header
    else:
        from volstrat.formats.nrrd import read_header
    return read_header(path, source)


def _mask(header: VolumeHeader, layers: list[LabelRuns]) -> tuple[Mask, tuple[Finding, ...]]:
    """Return the mask; values of segments become their numbers, each (layer, value) its own."""
    if not header.is_segmentation:
        return Mask(grid=header.grid, runs=layers[0], names=header.label_names), ()
    numbers, names = _numbered(header)
    parts = []
    unnamed: list[str] = []
    for layer, runs in enumerate(layers):
        values, inverse = ranked(runs.labels)
        for value in (int(v) for v in values):
            if (layer, value) not in numbers:
                taken = set(numbers.values())
                numbers[layer, value] = value if value not in taken else max(taken) + 1
                unnamed.append(f"{value} ({runs.of(value).count} voxels)")
        labels = np.array([numbers[layer, int(value)] for value in values], dtype=np.int64)[inverse]
        parts.append((runs.starts, runs.stops, labels))
    starts, stops, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((labels, starts))
    mask = Mask(grid=header.grid, runs=LabelRuns(starts[order], stops[order], labels[order]), names=names)
    if not unnamed:
        return mask, ()
    values_text = ", ".join(unnamed)
    return mask, (finding("segment_unnamed", where=header.name, name=header.name, values=values_text),)


def _fractional(header: VolumeHeader, layers: list[LabelRuns]) -> tuple[Mask, tuple[Finding, ...]]:
    """Return the mask of a fractional label map, a layer a segment: what holds half of the largest share."""
    segments = header.segments or (Segment(name="", value=1, layer=0),)
    sets = []
    for order, segment in enumerate(segments, start=1):
        runs = layers[segment.layer]
        largest = max(runs.values, default=0)
        kept = 2 * runs.labels >= largest
        number = order if len(segments) > 1 else segment.value
        sets.append((number, VoxelRuns.from_intervals(runs.starts[kept], runs.stops[kept])))
    names = {number: one.name for (number, _), one in zip(sets, segments, strict=True) if one.name}
    mask = Mask(grid=header.grid, runs=LabelRuns.from_sets([one for one in sets if one[1]]), names=names)
    return mask, (finding("fractional_labelmap", where=header.name, name=header.name),)


def refuse_image(mask: Mask, name: str) -> None:
    """Refuse what is an image: more values than any label map, or many, most side by side with another."""
    runs, count, wrong = mask.runs, len(mask.runs.values), ""
    if count > _MOST_LABELS:
        wrong = f"holds {count:,} different values; a label map has at most {_MOST_LABELS:,}"
    elif not mask.names and count >= _IMAGE_VALUES:
        touching = (runs.stops[:-1] == runs.starts[1:]) & (runs.labels[:-1] != runs.labels[1:])
        if touching.mean() > _IMAGE_TOUCHING:
            wrong = f"holds {count} different values, most of them side by side: this looks like an image"
    if wrong:
        msg = f"{name}: {wrong}."
        raise MaskValueError(msg, hint="Name the mask; a map of probabilities needs a threshold.")


def _numbered(header: VolumeHeader) -> tuple[dict[tuple[int, int], int], dict[int, str]]:
    """Return the number of each (layer, value) that a segment names, and the names by number."""
    values = [segment.value for segment in header.segments]
    apart = len(set(values)) == len(values)
    numbers, names = {}, {}
    for order, segment in enumerate(header.segments, start=1):
        number = segment.value if apart else order
        numbers[segment.layer, segment.value] = number
        names[number] = segment.name
    return numbers, names


def _filled(header: VolumeHeader, pieces: Iterator[bytes], digest: Digest | None) -> NDArray[np.float32]:
    """Return all values, (n,), decoded piece by piece; the digest takes their bytes as stored."""
    first = next(pieces)  # fails before anything is allocated where the file is too short
    if header.grid.size > MOST_VOXELS:
        msg = f"{header.name}: has {header.grid.size:,} voxels; an image has at most {MOST_VOXELS:,}."
        raise FormatError(msg, hint="Check that this is the file that is meant, or crop it to the patient.")
    try:
        values = np.zeros(header.grid.size, dtype=np.float32)  # takes no memory where nothing is written
    except (MemoryError, ValueError) as error:
        msg = f"{header.name}: an image of shape {header.grid.shape} does not fit in memory."
        raise FormatError(msg) from error
    done = 0
    for some in _values(header, chain((first,), pieces), digest):
        if some.any():
            with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite: so it reads
                values[done : done + some.size] = some
        done += some.size
    return values


def _values(
    header: VolumeHeader, pieces: Iterable[bytes], digest: Digest | None = None
) -> Iterator[NDArray[np.generic]]:
    """Yield the values that pieces of bytes hold, as they come."""
    carry = b""
    scaled = header.slope != 1 or header.intercept != 0
    for piece in pieces:
        if digest is not None:
            digest.update(piece)
        data = carry + piece if carry else piece
        count = len(data) // header.dtype.itemsize
        carry = data[count * header.dtype.itemsize :]
        stored: NDArray[np.generic] = np.frombuffer(data, dtype=header.dtype, count=count)
        if scaled:
            with np.errstate(over="ignore", invalid="ignore"):
                stored = stored.astype(np.float64) * header.slope + header.intercept
        yield stored
