"""Which PET voxels round CT tumour are FDG-avid, by a protocol's rule (see `AvidityRule`).

A lesion is detected where the maximum in its region (the tumour grown by the margin; see `lesion_regions`)
reaches the rule's threshold and, for every rule but ``fixed``, SUVpeak does too. Of a detected lesion the
region's voxels that reach the delineation's level are avid. Neither the sphere of SUVpeak alone, nor a hot
neighbour whose uptake lies outside the region, makes a lesion avid.

Limits include equality, within one part in a million, so that 4.1 stored in 32 bits reaches a threshold of
4.1. ``background`` alone asks for more than its limit: a lesion level with its background is not above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import VoxelRuns, sorted_unique
from volstrat.pet.reference import ReferenceUptake, liver_sphere, mask_reference, measure_reference
from volstrat.pet.regions import LesionRegions, lesion_regions
from volstrat.pet.uptake import peak_values, values_at
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.geometry.mask import Mask
    from volstrat.geometry.runs import LabelRuns
    from volstrat.terms.avidity_rules import AvidityRule
    from volstrat.terms.findings import Finding


_RELATIVE_SLACK = 1e-6
_LEAST_SHELL_VOXELS = 5
_SUV_OF_REFERENCE = (0.5, 6.0)  # wide of what healthy liver (about 2) and blood (about 1.5) have


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionDetection:
    """What a rule found for one lesion, with the numbers that decided."""

    lesion_id: str
    label: int  # the lesion's label in the tumour runs
    # None where not assessable: not detected, and the PET field or finite values do not cover the lesion, or
    # its threshold is not known.
    detected: bool | None
    # what the lesion had to reach, in the rule's metric; None where it could not be measured.
    threshold: float | None
    # suv_max, suv_peak: of the lesion's region; the peak only where the rule goes by it.
    suv_max: float | None
    suv_peak: float | None
    avid_voxels: VoxelRuns  # on the PET grid; empty where not detected
    # not detected, and smaller than the rule's ``small_lesion_mm``: PET may not show it.
    below_resolution: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidityResult:
    """What a rule found."""

    rule: AvidityRule
    # avid voxels on the PET grid; None where the rule could not be carried out, which is not "none".
    avid: VoxelRuns | None
    reference: ReferenceUptake | None  # the reference region, for ``liver`` and ``blood_pool``
    # in the order of their labels; empty where the rule could not be carried out.
    lesions: tuple[LesionDetection, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidityInputs:
    """What the rules look at."""

    suv: Image  # SUVbw on the PET grid
    tumour: LabelRuns  # lesions on ``ct_grid``
    ct_grid: VoxelGrid
    lesion_ids: Mapping[int, str]  # the id of each label
    sul_factor: float | None = None  # SUL over SUVbw; None where height, weight or sex is not known
    # reference, liver: on any grid in the same frame of reference.
    reference: Mask | None = None
    liver: Mask | None = None


def evaluate_rules(rules: Sequence[AvidityRule], inputs: AvidityInputs) -> tuple[AvidityResult, ...]:
    """Carry out several rules on one case, a result for each; regions of equal margin are found once.

    A drawn reference region is liver or blood pool, not both: it serves the first of the rules that needs
    one, and every other rule of that name. A rule ``mask`` has nothing to carry out (ValueError).
    """
    if not all(rule.needs_suv for rule in rules):
        msg = 'rule = "mask" is drawn by a reader; it cannot be evaluated on a SUV image.'
        raise ValueError(msg)
    drawn_for = next((rule.rule for rule in rules if rule.rule in ("liver", "blood_pool")), None)
    regions: dict[float, LesionRegions] = {}
    results = []
    for rule in rules:
        if rule.margin_mm not in regions:
            regions[rule.margin_mm] = lesion_regions(
                inputs.tumour, ct_grid=inputs.ct_grid, pet_grid=inputs.suv.grid, margin_mm=rule.margin_mm
            )
        drawn = inputs.reference if rule.rule == drawn_for else None
        results.append(_evaluate(rule, inputs, regions[rule.margin_mm], drawn))
    return tuple(results)


def _evaluate(
    rule: AvidityRule, inputs: AvidityInputs, regions: LesionRegions, drawn: Mask | None
) -> AvidityResult:
    factor = 1.0 if rule.metric == "SUVbw" else inputs.sul_factor
    if factor is None:
        return not_evaluated(rule, "SUL needs the patient's weight, height and sex")
    found = _thresholds(rule, inputs, regions, factor, drawn)
    if isinstance(found, str):
        return not_evaluated(rule, found)
    threshold, reference, findings = found
    lesions = _detect(rule, inputs, regions, threshold, factor)
    avid = VoxelRuns.from_intervals(
        np.concatenate([np.empty(0, np.int64), *(x.avid_voxels.starts for x in lesions)]),
        np.concatenate([np.empty(0, np.int64), *(x.avid_voxels.stops for x in lesions)]),
    )
    non_finite = int((~np.isfinite(values_at(inputs.suv, sorted_unique(regions.voxels)))).sum())
    findings = (*findings, *_findings(rule, lesions, non_finite))
    return AvidityResult(rule=rule, avid=avid, reference=reference, lesions=lesions, findings=findings)


def _thresholds(
    rule: AvidityRule, inputs: AvidityInputs, regions: LesionRegions, factor: float, drawn: Mask | None
) -> tuple[Float64s, ReferenceUptake | None, tuple[Finding, ...]] | str:
    """Find what each lesion must reach (NaN where that cannot be measured), or why nothing can be said."""
    if rule.suv_threshold is not None:
        return np.full(regions.labels.size, rule.suv_threshold), None, ()
    if rule.rule == "background":
        return _shell_thresholds(rule, inputs, regions, factor), None, ()
    voxels = _reference_voxels(rule, inputs, regions, drawn)
    if isinstance(voxels, str):
        return voxels
    reference = measure_reference(inputs.suv, voxels, factor=factor)
    if isinstance(reference, str):
        return reference
    multiplier, sd_count = rule.reference_factors
    threshold = multiplier * reference.suv_mean + sd_count * reference.suv_sd
    measured = finding(
        "avidity_reference",
        "drawn" if drawn is not None else "placed",
        where="reference" if drawn is not None else "liver",
        rule=rule.rule,
        volume_ml=reference.volume_ml,
        metric=rule.metric,
        mean=reference.suv_mean,
        sd=reference.suv_sd,
        threshold=threshold,
    )
    found = [measured]
    if not _SUV_OF_REFERENCE[0] <= reference.suv_mean <= _SUV_OF_REFERENCE[1]:
        mean = reference.suv_mean
        found.append(
            finding("suv_implausible", "reference", severity="review", where="pet", rule=rule.rule, mean=mean)
        )
    return np.full(regions.labels.size, threshold), reference, tuple(found)


def _reference_voxels(
    rule: AvidityRule, inputs: AvidityInputs, regions: LesionRegions, drawn: Mask | None
) -> Int64s | str:
    tumour_voxels = sorted_unique(regions.voxels[regions.is_core])
    grid = inputs.suv.grid
    if drawn is not None:
        return mask_reference(drawn, pet_grid=grid, tumour_voxels=tumour_voxels)
    if rule.rule == "liver" and inputs.liver is not None:
        return liver_sphere(inputs.liver, pet_grid=grid, tumour_voxels=tumour_voxels)
    if rule.rule == "liver":
        return "it needs a liver mask, or a reference mask in healthy liver (a 3 cm sphere in the right lobe)"
    return "it needs a reference mask (a cylinder of 1 x 2 cm in the descending aorta)"


def _shell_thresholds(
    rule: AvidityRule, inputs: AvidityInputs, regions: LesionRegions, factor: float
) -> Float64s:
    """Mean and SD of the shell round each lesion, all lesions' own regions left out."""
    wide = lesion_regions(
        inputs.tumour,
        ct_grid=inputs.ct_grid,
        pet_grid=inputs.suv.grid,
        margin_mm=rule.margin_mm + rule.shell_mm,
        exclusive=False,
    )
    values = values_at(inputs.suv, wide.voxels)
    used = np.isfinite(values) & ~VoxelRuns.from_indices(regions.voxels).contains(wide.voxels)
    lesion, values = wide.lesion[used], values[used] * factor
    count = np.bincount(lesion, minlength=wide.labels.size)
    with np.errstate(invalid="ignore", divide="ignore"):  # an empty shell has no mean
        mean = np.bincount(lesion, values, wide.labels.size) / count
        variance = np.bincount(lesion, (values - mean[lesion]) ** 2, wide.labels.size) / count
    multiplier, sd_count = rule.reference_factors
    threshold = multiplier * mean + sd_count * np.sqrt(variance)
    measurable = (count >= _LEAST_SHELL_VOXELS) & (mean > 0)
    return np.where(measurable, threshold, np.nan)


def _detect(
    rule: AvidityRule, inputs: AvidityInputs, regions: LesionRegions, threshold: Float64s, factor: float
) -> tuple[LesionDetection, ...]:
    values = values_at(inputs.suv, regions.voxels) * factor
    peaks = peak_values(inputs.suv, regions.voxels) * factor if rule.suv_threshold is None else None
    volume_mm3 = regions.voxel_counts * inputs.ct_grid.voxel_volume_mm3
    small = (6 * volume_mm3 / np.pi) ** (1 / 3) < rule.small_lesion_mm
    lesions = []
    for a, label in enumerate(regions.labels.tolist()):
        of_lesion = slice(int(regions.bounds[a]), int(regions.bounds[a + 1]))
        value, finite, limit = values[of_lesion], np.isfinite(values[of_lesion]), float(threshold[a])
        suv_max = _highest(value[finite])
        suv_peak = suv_max if peaks is None else _highest(peaks[of_lesion][finite])
        # What is not known is NaN here, and reaches nothing.
        detected = bool(_reaches(rule, np.array([suv_max, suv_peak]), limit).all())
        if rule.percent_of_max is None:
            reached = _reaches(rule, value, limit)
        else:
            reached = value >= suv_max * rule.percent_of_max / 100 * (1 - _RELATIVE_SLACK)
        known = not np.isnan(limit) and bool(regions.covered[a]) and bool(finite.all())
        lesions.append(
            LesionDetection(
                lesion_id=inputs.lesion_ids[label],
                label=label,
                detected=True if detected else (False if known else None),
                threshold=_known(limit),
                suv_max=_known(suv_max),
                suv_peak=None if peaks is None else _known(suv_peak),
                avid_voxels=VoxelRuns.from_indices(regions.voxels[of_lesion][finite & reached & detected]),
                below_resolution=not detected and bool(small[a]),
            )
        )
    return tuple(lesions)


def _reaches(rule: AvidityRule, values: Float64s, limit: float) -> Bools:
    if rule.rule == "background":  # level with the background is not above it
        return values > limit * (1 + _RELATIVE_SLACK)
    return values >= limit * (1 - _RELATIVE_SLACK)


def _highest(values: Float64s) -> float:
    return float(values.max()) if values.size else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def not_evaluated(rule: AvidityRule, why: str) -> AvidityResult:
    """Return the result of a rule that could not be carried out, with the finding that says why."""
    reason = finding("avidity_rule_not_evaluated", where="pet", rule=rule.title, reason=why)
    return AvidityResult(rule=rule, avid=None, reference=None, lesions=(), findings=(reason,))


def _findings(rule: AvidityRule, lesions: tuple[LesionDetection, ...], non_finite: int) -> Iterator[Finding]:
    yield finding("pet_only_not_searched", where="pet", margin_mm=rule.margin_mm)
    small = [x.lesion_id for x in lesions if x.below_resolution]
    if small:
        yield finding(
            "small_lesion_not_assessable",
            where=", ".join(small),
            lesions=_listed(small),
            limit_mm=rule.small_lesion_mm,
        )
    no_background = [x.lesion_id for x in lesions if x.threshold is None]
    if no_background:
        yield finding(
            "background_not_measurable",
            where=", ".join(no_background),
            lesions=_listed(no_background),
            least_voxels=_LEAST_SHELL_VOXELS,
            shell_mm=rule.shell_mm,
        )
    if non_finite:
        yield finding("suv_not_finite", "voxels", where="pet", voxels=non_finite)


def _listed(ids: list[str]) -> str:
    shown = ", ".join(ids[:8])
    more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
    return f"{'Lesion' if len(ids) == 1 else 'Lesions'} {shown}{more}"
