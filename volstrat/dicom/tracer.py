"""What the headers of a PET series say of its tracer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from volstrat.dicom.image_frames import frames_of
from volstrat.errors import CorruptDataError, FormatError
from volstrat.terms.tracers import Injection, TracerSaid, tracer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.dicom.folder import ImageFile, SeriesFiles
    from volstrat.dicom.header import Header

_THERAPY_NUCLIDES: Final = frozenset({"I-131", "Lu-177", "Y-90"})
"""A description of an FDG-PET that names one of them says how the patient was treated."""
_SAYING: Final = (
    "SpecificCharacterSet",
    "RadiopharmaceuticalInformationSequence",
    "Radiopharmaceutical",
    "RadiopharmaceuticalCodeSequence",
    "RadionuclideCodeSequence",
    "RadionuclideHalfLife",
)


def series_tracer(series: SeriesFiles) -> TracerSaid:
    """Tell what a PT series' headers say of its tracer: of every slice, at their top level and in each item.

    A damaged header says nothing here: reading the series refuses it. Descriptions never say FDG; where
    nothing else is said, or FDG (the scanner's default may stand), another tracer's name there is kept as
    ``described_as``.
    """
    seen: dict[tuple[bytes, ...], Header] = {}
    for header in (header for file in series.files for header in _headers(file)):
        seen.setdefault(tuple(map(header.stored, _SAYING)), header)  # slices mostly say it in the same bytes
    said = tracer_of(said for header in seen.values() for said in _injections(header))
    if said.tracer not in ("fdg", "not_stated"):
        return said
    described = next((file.described_tracer for file in series.files if file.described_tracer), "")
    if said.tracer == "fdg" and described in _THERAPY_NUCLIDES:
        return said
    return replace(said, described_as=described)


def _headers(file: ImageFile) -> list[Header]:
    """Return the header of a classic file; of an Enhanced one those of its frames too."""
    if file.plane is not None:
        return [file.header]
    try:
        return [file.header, *(frame.header for frame in frames_of(file))]
    except (CorruptDataError, FormatError):
        return [file.header]


def _injections(header: Header) -> Iterator[Injection]:
    for item in (header, *_items(header, "RadiopharmaceuticalInformationSequence")):
        text = item.label("Radiopharmaceutical")
        yield Injection(
            texts=(text,) if text else (),
            agents=_codes(item, "RadiopharmaceuticalCodeSequence"),
            nuclides=_codes(item, "RadionuclideCodeSequence"),
            half_life_s=_half_life_s(item),
        )


def _items(header: Header, keyword: str) -> list[Header]:
    try:
        return header.items(keyword)
    except CorruptDataError:
        return []


def _codes(item: Header, keyword: str) -> tuple[tuple[str, str], ...]:
    return tuple((code.text("CodeValue"), code.label("CodeMeaning")) for code in _items(item, keyword))


def _half_life_s(item: Header) -> float | None:
    try:
        seconds = item.number("RadionuclideHalfLife")
    except CorruptDataError:
        return None
    return seconds if seconds is not None and math.isfinite(seconds) else None
