"""What ``agreement.json`` is: every key, what it holds and what it means, in this one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NotRequired

from volstrat.agreement.discordance import INGREDIENTS, Ingredient, Level
from volstrat.case.input_types import Fraction, Ml, Sha256
from volstrat.case.json_types import JsonObject, Limits
from volstrat.case.record_types import (
    EnvironmentRecord,
    ErrorRecord,
    FindingRecord,
    PredicatesRecord,
    ProtocolRecord,
    VolumesRecord,
)
from volstrat.terms.marks import FdgAvidity, Resectability
from volstrat.terms.outcomes import Status, Stratum

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_ID: Final = "volstrat.agreement/1"

Count = Annotated[int, Limits(minimum=0)]
NotNegative = Annotated[float, Limits(minimum=0)]
Letter = Annotated[str, Limits(pattern="^[A-Z]$")]
Scale = Literal["difference", "log_ratio"]
_ONE = f"({'|'.join(INGREDIENTS)})"
AttributedTo = Annotated[
    str | None,
    Limits(pattern=rf"^{_ONE}(\+{_ONE})*$"),
    "The ingredients that carry the difference, joined by +; null where there is none, or where it could not "
    "be worked out.",
]
LesionKind = Literal["matched", "part", "only_a", "only_b"]
PairOutcome = Literal[
    "compared", "only_in_one", "failed", "different_images", "different_grids", "records_only"
]
SubjectOutcome = Literal[PairOutcome, "partly_compared"]
ReadingKind = Literal["case", "cases", "cohort_output", "records", "manifest", "study", "masks"]
StakeKind = Literal[
    "trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable", "predicates", "review", "voxels",
    "none",
]  # fmt: skip
"""What is at stake between readings, gravest first; `stake_of` says what each is."""


class Estimate(JsonObject):
    """A statistic with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    reason: Annotated[str, "Why value or interval do not exist; empty where both do."]


class MaskAgreement(JsonObject):
    """Two masks of one thing."""

    outcome: Literal["compared", "both_empty", "only_a_empty", "only_b_empty"]
    a_voxels: Count
    b_voxels: Count
    both_voxels: Count
    a_volume_ml: Ml | None
    b_volume_ml: Ml | None
    volume_difference_ml: float | None
    volume_similarity: Fraction | None
    dice: Fraction | None
    tolerance_mm: NotNegative
    surface_dice: Fraction | None
    hd95_mm: NotNegative | None
    mean_surface_distance_mm: NotNegative | None
    mean_distance_a_to_b_mm: NotNegative | None
    mean_distance_b_to_a_mm: NotNegative | None
    a_surface_mm2: NotNegative | None
    b_surface_mm2: NotNegative | None


class LesionOfReading(JsonObject):
    """A lesion as one reading has it."""

    lesion_id: str
    segment: str | None
    volume_ml: Ml | None
    centroid_mm: Annotated[list[float], Limits(length=3)]
    point_mm: Annotated[list[float], Limits(length=3), "Centre of its voxel nearest to the centroid, LPS."]
    max_axial_diameter_mm: NotNegative
    resectability: Resectability
    resectable_fraction: Fraction | None
    fdg_avidity: FdgAvidity


class Lesion(JsonObject):
    """A lesion in both readings, or in one."""

    kind: Annotated[LesionKind, "part: of a lesion that the other reading shows as one (part_of)."]
    a: LesionOfReading | None
    b: LesionOfReading | None
    part_of: str | None
    matched_by: Literal["overlap", "distance"] | None
    centroid_distance_mm: NotNegative | None
    dice: Fraction | None
    volume_difference_ml: float | None
    surface_dice: Fraction | None
    hd95_mm: NotNegative | None
    mean_surface_distance_mm: NotNegative | None


class OutcomeOfReading(JsonObject):
    """What a reading, or a mixture of two, comes to."""

    stratum: Stratum | None
    stratum_1_holds: bool | None
    stratum_2_holds: bool | None
    stratum_1_percent: float | None
    stratum_2_percent: float | None


class Swap(JsonObject):
    """What each reading comes to with one ingredient of the other."""

    ingredient: Ingredient
    a_with_that_of_b: OutcomeOfReading
    b_with_that_of_a: OutcomeOfReading


class DiscordanceOfPair(JsonObject):
    """Why two readings differ."""

    level: Annotated[Level | None, "The gravest level at which the readings differ."]
    attributed_to: AttributedTo
    carried_by: Annotated[
        list[list[Ingredient]], "The smallest sets of ingredients that carry the difference both ways."
    ]
    differing: list[Ingredient]
    same: list[Ingredient]
    swaps: list[Swap]


class ResectableAgreement(JsonObject):
    """What two readings take for resectable."""

    a_voxels: Count
    b_voxels: Count
    both_voxels: Count
    a_volume_ml: Ml | None
    b_volume_ml: Ml | None
    volume_difference_ml: float | None
    dice: Fraction | None


class NotCompared(JsonObject):
    """Why two avid masks were not compared."""

    outcome: Literal["not_compared"]
    reason: str
    dice: None


class Detection(JsonObject):
    """Lesions found by both or by one."""

    matched: Count
    only_a: Count
    only_b: Count
    split: Count
    merged: Count
    f1: Fraction | None


class Pair(JsonObject):
    """Two readings of a subject."""

    a: Letter
    b: Letter
    outcome: PairOutcome
    reason: str
    tumour: MaskAgreement | None
    resectable: ResectableAgreement | None
    fdg_avid: MaskAgreement | NotCompared | None
    lesions: list[Lesion]
    pet_only_regions: Annotated[list[Lesion], "Avid regions that belong to no lesion, side by side."]
    detection: Detection | None
    not_alike_ml: Ml | None
    discordance: DiscordanceOfPair | None
    discordance_reason: str
    findings: list[FindingRecord]


class Stake(JsonObject):
    """What is at stake for a subject."""

    kind: StakeKind
    rank: Count
    ml: Ml | None


class SubjectReading(JsonObject):
    """What a reading's record says of a subject."""

    reading: Letter
    source: Literal["measured", "record", "absent"]
    status: Literal[Status, "failed"] | None
    stratum: Stratum | None
    predicates: Annotated[PredicatesRecord | None, "As in the case record."]
    volumes: Annotated[VolumesRecord | None, "As in the case record."]
    error: ErrorRecord | None
    protocol: ProtocolRecord | None
    lesions: int | None
    sha256: Annotated[
        Sha256 | None, "Of all that the reading holds of the subject: its input files, and its record."
    ]


class Subject(JsonObject):
    """A subject in all readings."""

    subject: Annotated[str, Limits(min_length=1)]
    visit: Annotated[str | None, "What a study calls the visit; null where it has no visits."]
    outcome: SubjectOutcome
    reason: str
    stake: Stake
    attributed_to: AttributedTo
    readings: list[SubjectReading]
    pairs: list[Pair]
    findings: list[FindingRecord]


class ConcordancePair(JsonObject):
    """Two readings' words over subjects."""

    a: Letter
    b: Letter
    subjects: Count
    table: list[list[Count]]
    agreement: Estimate
    kappa: Estimate
    ac1: Annotated[Estimate, "Of the two alone, over the same subjects."]


class Concordance(JsonObject):
    """Agreement of words over subjects."""

    treatment: Annotated[str, "What became of readings without such a word."]
    categories: list[str]
    subjects: Count
    agreement: Estimate
    ac1: Estimate
    pairs: list[ConcordancePair]
    without: dict[str, Count]


class Reading(JsonObject):
    """What was compared."""

    reading: Letter
    label: str
    reader: Annotated[str, "Whose reading it is: the lesion table that was named, else its folder."]
    kind: ReadingKind
    subjects: Count
    protocol: ProtocolRecord


class Settings(JsonObject):
    """What the comparison was asked for."""

    surface_tolerance_mm: NotNegative
    match_distance_mm: NotNegative
    resample: bool


class AsRatio(JsonObject):
    """Limits of agreement as ratios of b to a."""

    bias: float | None
    lower_limit: float | None
    upper_limit: float | None


class LeftOut(JsonObject):
    """A subject that Bland and Altman's analysis cannot take, with both values."""

    subject: str
    a: float | None
    b: float | None


class WcvOfClass(JsonObject):
    """How far readings of one lesion scatter, of the lesions of one size, beside what the protocol takes."""

    diameter_from_mm: NotNegative
    diameter_to_mm: Annotated[float | None, "Excluded; null: no end."]
    lesions: Annotated[int, Limits(minimum=0), "Lesions matched between two readings."]
    wcv_percent: Annotated[Estimate, "Of this study."]
    protocol_wcv_percent: Annotated[float, "What the volume error of the protocol is."]


class BlandAltman(JsonObject):
    """Bias and limits of agreement of two readings."""

    a: Letter
    b: Letter
    scale: Scale
    subjects: Count
    excluded: Count
    sd: NotNegative | None
    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate
    as_ratio: AsRatio | None
    left_out: Annotated[
        list[LeftOut], "Worst first: what one reading has and the other has not, the larger first."
    ]


class Icc(JsonObject):
    """Intraclass correlations."""

    subjects: Count
    readers: Count
    excluded: Count
    icc_2_1: Estimate
    icc_3_1: Estimate


class Iccs(JsonObject):
    """Intraclass correlations of values and, where all are positive, of their logarithms."""

    raw: Icc
    log: NotRequired[Icc]


class WithinSubject(JsonObject):
    """Repeatability over readings."""

    subjects: Count
    readers: Count
    excluded: Count
    subjects_with_cv: Count
    wsd: Estimate
    wcv: Estimate
    rc: Estimate
    rc_percent: Estimate


class Quantity(JsonObject):
    """Agreement of one measured quantity."""

    quantity: str
    scale: Scale
    bland_altman: list[BlandAltman]
    icc: Iccs
    within_subject: WithinSubject


class ConcordanceOfPredicates(JsonObject):
    """Agreement of both predicates."""

    stratum_1: Concordance
    stratum_2: Concordance


class Attributions(JsonObject):
    """How often each ingredient carries a difference, by level."""

    stratum: dict[str, Count]
    predicates: dict[str, Count]
    counts: dict[str, Count]


class MarkingPair(JsonObject):
    """How many matched lesions two readings mark so."""

    a: str
    b: str
    lesions: Count


class MarkingPairs(JsonObject):
    """Markings of matched lesions."""

    resectability: list[MarkingPair]
    fdg_avidity: list[MarkingPair]


class CohortAgreement(JsonObject):
    """Agreement over all subjects."""

    subjects: Count
    outcomes: dict[str, Count]
    absent: dict[str, Count]
    quantities: list[Quantity]
    strata: Annotated[Concordance, 'With "none", no stratum, as an answer.']
    strata_given: Annotated[Concordance, "Of the subjects with a stratum alone."]
    predicates: ConcordanceOfPredicates
    attributed_to: Attributions
    wcv_by_diameter: list[WcvOfClass]
    lesions: dict[str, Count]
    markings: MarkingPairs


class AdjudicationItem(JsonObject):
    """A subject for the adjudicator."""

    order: Annotated[int, Limits(minimum=1)]
    subject: str
    visit: str | None
    stake: StakeKind
    not_alike_ml: Ml | None
    strata: dict[str, Stratum | None]
    attributed_to: AttributedTo
    look_at: list[str]


class Agreement(JsonObject):
    """Two or more readings of the same subjects."""

    schema: Literal["volstrat.agreement/1"]
    readings: Annotated[list[Reading], Limits(min_items=2)]
    settings: Settings
    definitions: dict[str, str]
    subjects: Annotated[list[Subject], Limits(min_items=1)]
    readings_sha256: Annotated[dict[str, Sha256], "Of each reading: one hash over its subjects' `sha256`."]
    cohort: CohortAgreement
    adjudication: list[AdjudicationItem]
    findings: list[FindingRecord]
    environment: EnvironmentRecord


def value_in(part: Mapping[str, Any] | None, key: str) -> Any:  # noqa: ANN401 - a column's value
    """Return the value of a key of a part that may not be there; None without it."""
    return None if part is None else part.get(key)


def agreement_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``agreement.json``."""
    from volstrat.case.typed_json import schema_of

    description = (
        "Two or more readings of the same subjects. Numbers are unrounded; what does not exist is null, with "
        "a reason. `definitions` says what each figure is."
    )
    return schema_of(Agreement, title="volstrat agreement of readings", description=description)
