"""What a record says of the files that were read (`inputs[]`), and the values that all of it is made of."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from volstrat.case.json_types import JsonObject, Limits
from volstrat.terms.roles import RoleName
from volstrat.terms.tracers import Tracer

Ml = Annotated[float, Limits(minimum=0)]
Fraction = Annotated[float, Limits(minimum=0, maximum=1)]
Percent = Annotated[float, Limits(minimum=0, maximum=100)]
Voxels = Annotated[int, Limits(minimum=0)]
Sha256 = Annotated[str, Limits(pattern="^[0-9a-f]{64}$")]
PointMm = Annotated[list[float], Limits(length=3)]
Code = Annotated[str, Limits(pattern="^[a-z0-9_]+$")]
Sentence = Annotated[str, Limits(min_length=1)]


class GridRecord(JsonObject):
    """Where a file's voxels lie."""

    shape: Annotated[list[Annotated[int, Limits(minimum=1)]], Limits(length=3)]
    spacing_mm: Annotated[list[Annotated[float, Limits(above=0)]], Limits(length=3)]
    origin_mm: NotRequired[Annotated[PointMm, "Centre of the first voxel, LPS."]]
    directions: NotRequired[
        Annotated[list[PointMm], Limits(length=3), "Unit vectors of the axes in LPS, one a column."]
    ]
    frame_of_reference_uid: Annotated[
        str | None, "What stands for the UID: equal within a case where the frames of reference are; no UID."
    ]


class SegmentRecord(JsonObject):
    """A segment, ROI or label of a mask."""

    number: Annotated[int, Limits(minimum=1)]
    name: str | None
    voxels: Voxels


class PartRecord(JsonObject):
    """A part of a mask file, and the role it plays in the case."""

    number: int
    name: str | None
    voxels: Annotated[Voxels | None, "Null for a ROI that was not looked at."]
    role: Annotated[RoleName | None, "Null where it plays none."]


class SourceRecord(JsonObject):
    """An attribute of a header that was used."""

    attribute: str
    tag: str
    value: Any


class SuvRecord(JsonObject):
    """How stored values became SUV."""

    units: str | None
    suvbw_factor: float | None
    sul_janmahasatian_factor: float | None
    sul_james_factor: float | None
    decay_reference: str | None
    uptake_minutes: float | None
    sources: list[SourceRecord]


class InputRecord(JsonObject):
    """A file that was read."""

    role: RoleName
    path: Annotated[str, "Relative to the case folder."]
    format: str
    sha256: Sha256
    voxels_sha256: NotRequired[
        Annotated[
            Sha256,
            "Whatever the file's header. Of masks: of which voxels carry which label. Of a PET: of the "
            "stored values in the grid's order (of a file that is no DICOM: in the file's), where they were "
            "read.",
        ]
    ]
    history_sha256: NotRequired[
        Annotated[
            Sha256, "Of the history of marks beside a lesion table: what stood there before, and whose."
        ]
    ]
    tracer: NotRequired[
        Annotated[
            Tracer,
            "What the headers of a PET say of its tracer, else its entry; not_stated: F-18 "
            "alone, or nothing.",
        ]
    ]
    days_from_ct: NotRequired[
        Annotated[int, Limits(minimum=0), "Days between the CT and this PET, where both headers say."]
    ]
    suv: NotRequired[Annotated[SuvRecord, "How a DICOM PET became SUV, with every attribute used."]]
    grid: GridRecord | None
    segments: list[SegmentRecord]
    parts: NotRequired[
        Annotated[list[PartRecord], "Every segment, ROI or label of a mask file, taken or not."]
    ]
