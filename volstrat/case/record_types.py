"""What a case record is: every key, what it holds and what it means, in this one place.

JSON Schema, the columns of a cohort's tables and their docs follow from here (`scripts/make_record_files.py`
writes those files); `volstrat.case.record` fills it. A required key that holds one value is a column,
named by its dotted key; a list becomes its count (docs/columns.md).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NotRequired, TypeVar

from volstrat.case.input_types import (
    Code,
    Fraction,
    InputRecord,
    Ml,
    Percent,
    PointMm,
    Sentence,
    Sha256,
    Voxels,
)
from volstrat.case.json_types import JsonObject, Limits
from volstrat.terms.findings import Severity
from volstrat.terms.marks import FdgAvidity, Resectability, Site
from volstrat.terms.outcomes import AvidDisease, SiteSource, Status, Stratum

SCHEMA_ID: Final = "volstrat.case-record/2"

PredicateName = Literal["stratum_1", "stratum_2"]
PREDICATES: tuple[PredicateName, ...] = ("stratum_1", "stratum_2")


class PredicateRecord(JsonObject):
    """A predicate of the rule, three-valued, with its counts."""

    holds: Annotated[bool | None, "Whether the predicate holds; null: unknown."]
    part_voxels: Annotated[
        Voxels | None, "Resectable voxels, lower bound: what is unknown counts as unresectable."
    ]
    part_voxels_upper: Annotated[Voxels | None, "Upper bound: what is unknown counts as resectable."]
    whole_voxels: Annotated[Voxels | None, "All voxels that the predicate asks about."]
    unit: Annotated[
        Literal["tumour", "pet"], "Whose voxels are counted: the tumour mask's or the PET grid's."
    ]
    percent: Annotated[
        Percent | None, "Resectable share of whole_voxels; null where its two bounds differ, and of nothing."
    ]
    percent_lower: Annotated[Percent | None, "The same at the lower bound: unknown counts as unresectable."]
    percent_upper: Annotated[Percent | None, "The same at the upper bound: unknown counts as resectable."]
    threshold_percent: Annotated[float, "What percent must reach."]


class AvidPredicateRecord(PredicateRecord):
    """The predicate of stratum 2."""

    avid_disease: Annotated[AvidDisease, "Whether there is FDG-avid disease."]


class PredicatesRecord(JsonObject):
    """Both predicates."""

    stratum_1: PredicateRecord
    stratum_2: AvidPredicateRecord


class VolumesRecord(JsonObject):
    """Volumes of the case."""

    total_tumour_ml: Annotated[Ml, "Tumour voxels times the voxel volume."]
    resectable_tumour_ml: Annotated[
        Ml | None, "Lower bound: an unknown marking counts as unresectable; null where nothing is marked."
    ]
    residual_tumour_ml: Annotated[Ml | None, "Total less resectable."]
    resectable_fraction: Annotated[Fraction | None, "Resectable over total."]
    fdg_avid_ml: Annotated[Ml | None, "FDG-avid voxels of the PET grid; null without an avid mask."]
    fdg_avid_resectable_ml: Annotated[Ml | None, "Resectable part of it, lower bound."]
    fdg_avid_resectable_fraction: Annotated[Fraction | None, "Resectable avid volume over avid volume."]
    fdg_avid_fraction: Annotated[
        Fraction | None, "Tumour voxels whose centre lies in an avid PET voxel, over tumour voxels."
    ]
    pet_only_ml: Annotated[Ml | None, "Avid voxels that belong to no tumour on CT."]


class LesionRecord(JsonObject):
    """A lesion, or a PET-only region: a row of ``lesions.csv``."""

    lesion_id: Annotated[
        str,
        Limits(pattern="^[LP][0-9]+$"),
        "L1, L2, ...: lesions on CT; P1, P2, ...: avid regions that belong to none.",
    ]
    voxels: Annotated[
        int, Limits(minimum=1), "Of the mask's own grid: the tumour's, or the PET's for a region."
    ]
    volume_ml: Annotated[Ml, "Voxels times the voxel volume."]
    centroid_mm: Annotated[PointMm, "Mean of the voxel centres, LPS."]
    point_mm: Annotated[
        PointMm, "Centre of its voxel nearest to the centroid, LPS: where a table's row finds it again."
    ]
    bounding_box_mm: Annotated[
        list[PointMm], Limits(length=2), "Lowest and highest LPS coordinate of any voxel centre."
    ]
    max_diameter_mm: Annotated[float, Limits(minimum=0), "Between voxel centres."]
    max_axial_diameter_mm: Annotated[float, Limits(minimum=0), "Between voxel centres of one axial slice."]
    resectability: Annotated[Resectability, "The marking of the whole lesion; partial: there is none."]
    resectable_fraction: Annotated[
        Fraction | None, "Resectable voxels over all, lower bound; null where nothing is marked."
    ]
    fdg_avidity: Annotated[FdgAvidity, "By the lesion table, else by the avid voxels that belong to it."]
    fdg_avid_ml: Annotated[Ml | None, "PET voxels attributed to it."]
    suv_max: Annotated[float | None, "Highest voxel value."]
    suv_mean: Annotated[float | None, "Mean over its voxels."]
    suv_peak: Annotated[float | None, "Mean over a sphere of 1 cm3."]
    tlg_g: Annotated[float | None, "Total lesion glycolysis: SUVmean times volume."]
    counting_error_percent: Annotated[
        float,
        Limits(minimum=0),
        "Standard deviation of the volume from counting voxels alone, at this size and grid.",
    ]
    segment: Annotated[str | None, "Name of the segment, ROI or label that it is, or is a piece of."]
    site: Annotated[
        Site | None,
        "By the lesion table, else liver or not_liver by the liver mask; null where neither says.",
    ]
    site_source: Annotated[SiteSource | None, "What says the site."]
    dismissed: Annotated[
        bool, "A lesion that the table calls not_tumour, a region that it calls not_avid: counted nowhere."
    ]
    near: Annotated[
        list[str | float] | None,
        "Of a region that touches no tumour but lies within the attribution distance: the nearest lesion, "
        "and the smallest distance of voxel centres, mm.",
    ]
    belongs_to: Annotated[str | None, "Of a region: the lesion whose marking it takes, by the table."]
    marked_by: Annotated[
        str | None, "Reader of its row in the lesion table; of what the chosen plan marks, who made the plan."
    ]
    reason: Annotated[str | None, "Why, in the reader's words; null where a plan marks it."]
    recorded_at: Annotated[str | None, "When, as the row says; null where a plan marks it."]


class BoundaryShiftRecord(JsonObject):
    """The case with every tumour boundary moved."""

    shift_mm: float
    resectable_fraction: Fraction | None
    stratum: Stratum | None


class PetShiftRecord(JsonObject):
    """The case with PET moved along the patient's z; positive is headwards."""

    shift_mm: float
    stratum: Stratum | None


class FlipRecord(JsonObject):
    """One change that alone gives another stratum."""

    lesion_id: str
    to: Literal["resectable", "ablatable", "unresectable", "avid", "not_avid"]
    stratum: Stratum


class RobustnessRecord(JsonObject):
    """How far the verdict is from another one."""

    resectable_fraction_95: Annotated[
        Annotated[list[Fraction], Limits(length=2)] | None,
        "95 % interval of the resectable fraction from volume error; with unknown markings the envelope of "
        "both extremes.",
    ]
    probability_stratum_1_holds: Annotated[
        Fraction | None, "By the volume error alone; null where it depends on unknown markings."
    ]
    boundary_shift: list[BoundaryShiftRecord]
    pet_shift: Annotated[list[PetShiftRecord], "Empty where FDG does not decide."]
    flips: Annotated[
        list[FlipRecord], "Each change of one lesion's marking or avidity that alone gives another stratum."
    ]
    margin_ml: Annotated[float | None, "Resectable ml less the threshold's."]
    shortest_way: Annotated[
        list[str] | None,
        "The fewest lesions that would have to become resectable to reach the threshold; null where nothing "
        "reaches it.",
    ]
    stratum_2_obstacles: Annotated[
        list[str],
        "Lesions and regions that are avid, or of unknown avidity, and not wholly resectable.",
    ]


class SiteVolumesRecord(JsonObject):
    """Tumour of one site."""

    lesions: Annotated[int, Limits(minimum=1), "How many lie there."]
    total_tumour_ml: Annotated[Ml, "A voxel of several lesions counts with the first."]
    resectable_tumour_ml: Annotated[Ml | None, "Lower bound; null where nothing is marked."]


class VolumesBySiteRecord(JsonObject):
    """Tumour by site: those that occur."""

    liver: NotRequired[SiteVolumesRecord]
    primary: NotRequired[SiteVolumesRecord]
    node: NotRequired[SiteVolumesRecord]
    bone: NotRequired[SiteVolumesRecord]
    lung: NotRequired[SiteVolumesRecord]
    peritoneum: NotRequired[SiteVolumesRecord]
    other: NotRequired[SiteVolumesRecord]
    not_liver: NotRequired[Annotated[SiteVolumesRecord, "Outside the liver mask; the table is silent."]]
    not_stated: NotRequired[Annotated[SiteVolumesRecord, "Neither the table nor a liver mask says where."]]


class RemnantRecord(JsonObject):
    """The liver that would remain."""

    flr_ml: Annotated[Ml, "Future liver remnant, without any tumour in it."]
    flr_percent: Annotated[float | None, "Of the liver without tumour."]
    sflr_percent: Annotated[float | None, "Of the standard liver for the body surface."]
    limit_percent: Annotated[float | None, "The limit for the liver's state."]
    below_limit: Annotated[bool | None, "Whether the remnant is below its limit."]


class LiverBurdenRecord(JsonObject):
    """Tumour in the liver."""

    liver_ml: Annotated[Ml, "The liver, tumour included."]
    tumour_ml: Annotated[Ml, "Tumour inside the liver."]
    resectable_tumour_ml: Annotated[
        Ml | None,
        "Resectable tumour inside the liver, lower bound; null where none of it is marked.",
    ]
    resectable_fraction: Annotated[Fraction | None, "Resectable over all tumour inside the liver."]
    burden_percent: Annotated[float | None, "Tumour of the liver, by volume."]


class ClosedRecord(JsonObject):
    """Who closed a review, and why."""

    by: str
    reason: str
    recorded_at: str


class FindingRecord(JsonObject):
    """What a person should know."""

    code: Code
    severity: Severity
    message: Sentence
    where: str
    evidence: Annotated[
        str,
        Limits(pattern="^([0-9a-f]{12})?$"),
        "Short hash of what the finding rests on; empty between readings.",
    ]
    closed: Annotated[ClosedRecord | None, "Of a review that somebody closed: it is open no more."]


class ErrorRecord(JsonObject):
    """Why a case failed."""

    code: Annotated[Code, "What kind of failure; docs list them."]
    message: Annotated[Sentence, "What is wrong, and where."]
    hint: Annotated[str, "The next step."]


class LeftRecord(JsonObject):
    """A lesion of which tumour stays under a plan."""

    lesion_id: str
    volume_ml: Annotated[Ml, "What stays of it; unmarked tumour at its upper bound."]
    fdg_avidity: FdgAvidity


class MapShiftRecord(JsonObject):
    """A plan with the borders between liver segments elsewhere."""

    mm: Annotated[float, "How far the cut grows into the segments that stay; negative: it shrinks."]
    resectable_fraction: Fraction | None
    flr_percent: float | None
    stratum: Stratum | None


class PlannedZoneRecord(JsonObject):
    """A lesion that is cut out, or ablated, with a margin."""

    lesion_id: str
    margin_mm: Annotated[float, Limits(minimum=0)]


class PlanRecord(JsonObject):
    """A surgical plan and what it comes to."""

    name: Annotated[str, Limits(min_length=1)]
    title: str
    by: Annotated[str, "Who stated it."]
    notation: Annotated[
        str | None, "Whole segments that are cut out, in the New World terminology; null: none."
    ]
    segments: Annotated[list[str], "What is cut out whole, by the map's names."]
    wedges: list[PlannedZoneRecord]
    ablations: list[PlannedZoneRecord]
    stratum: Stratum | None
    status: Status
    predicates: PredicatesRecord
    volumes: VolumesRecord
    remnant: RemnantRecord
    cuts_through: Annotated[list[str], "Lesions of which some and not all voxels are cut."]
    left: list[LeftRecord]
    map_shift: Annotated[list[MapShiftRecord], "Empty where no segment is cut out."]
    findings: Annotated[list[FindingRecord], "The rule's under this plan, and the plan's own."]


class UnionRecord(JsonObject):
    """A union of liver segments that would do."""

    segments: Annotated[list[int | str], "As a plan in case.toml writes them."]
    ablate: Annotated[list[str], "Lesions that are ablated beside it."]
    resectable_fraction: Fraction
    flr_percent: Percent
    stratum: Stratum | None
    notation: str | None


class SearchRecord(JsonObject):
    """What a search over unions of segments found; not part of a case record."""

    subject: str
    tried: int
    threshold_percent: float
    search: list[UnionRecord]


class ProtocolRecord(JsonObject):
    """Which protocol was applied."""

    id: Annotated[str, "Name of the protocol."]
    version: Annotated[str, "Its version."]
    sha256: Annotated[Sha256, "Of the protocol file's bytes."]


class EnvironmentRecord(JsonObject):
    """What made the record."""

    volstrat: str
    python: str
    platform: str
    libraries: Annotated[
        dict[str, str], "Versions of what took part in the result; of a failed case, of what could have."
    ]


class AdjudicationRecord(JsonObject):
    """Whose masks and marks stand for a subject, by whom and why."""

    stands: Annotated[
        str,
        Limits(pattern="^([A-Z]|table)$"),
        "The reading whose masks and marks stand, or table: the adjudicator's marks on reading A's masks.",
    ]
    adjudicator: Annotated[str | None, "Who decided; null where the readings were not in dispute."]
    reason: Annotated[Sentence, "Why, in the adjudicator's words."]
    decided_at: Annotated[str | None, "When, as the adjudicator wrote it (ISO 8601)."]
    agreement_sha256: Annotated[Sha256, "Of the agreement.json that the decision is about."]


class CaseRecord(JsonObject):
    """One subject: what was read, what was measured, and the stratum."""

    schema: Literal["volstrat.case-record/2"]
    subject: Annotated[
        str, Limits(min_length=1), "What the folder, the manifest or the study calls the subject."
    ]
    visit: Annotated[str | None, "What a study calls the visit; null where it has no visits."]
    status: Annotated[
        Literal[Status, "failed"],
        "assigned: a stratum and nothing to review; review: a stratum and something a person must look at; "
        "not_assessable: no stratum, the findings say why; failed: error says why.",
    ]
    stratum: Annotated[Stratum | None, "null where there is none."]
    predicates: PredicatesRecord | None
    volumes: VolumesRecord | None
    lesions: list[LesionRecord]
    pet_only_regions: list[LesionRecord]
    volumes_by_site: VolumesBySiteRecord | None
    robustness: RobustnessRecord | None
    remnant: RemnantRecord | None
    liver_burden: Annotated[
        LiverBurdenRecord | None, "Tumour in the liver alone, beside the total that the stratum rests on."
    ]
    plans: Annotated[list[PlanRecord], "Surgical plans, in the order stated."]
    chosen_plan: Annotated[str | None, "The plan whose verdict is the case's; null: none."]
    adjudication: Annotated[
        AdjudicationRecord | None, "Of an adjudicated cohort: whose reading this is; else null."
    ]
    findings: list[FindingRecord]
    error: ErrorRecord | None
    protocol: ProtocolRecord
    inputs: list[InputRecord]
    environment: EnvironmentRecord


Part = TypeVar("Part")


def given(part: Part | None) -> Part:
    """Return a part of a record that is null only where the case failed, of a case that did not."""
    assert part is not None
    return part
