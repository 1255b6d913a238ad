"""The liver that remains: its share of the functional liver, and whether that is enough.

Counts on runs decide; the surgeon's plan is the ``remnant`` mask. What comes out informs the reader
and never decides a stratum. Formulas and sources: ``docs/method.md``, "Liver remnant".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from volstrat.frozen import frozen
from volstrat.terms.findings import finding, sentence
from volstrat.terms.wording import shown_percent

if TYPE_CHECKING:
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.terms.catalogue.entry import Severity
    from volstrat.terms.findings import Finding
    from volstrat.terms.policies import LiverState, RemnantPolicy

WEIGHT_KG = (20.0, 350.0)
HEIGHT_CM = (100.0, 250.0)
"""Adults outside these are more likely typing errors: metres for centimetres, grams for kilograms."""
_OUTSIDE_SHARE = 0.1
"""Of a remnant: beyond it, what lies outside the liver is no ragged edge."""


@frozen
class LiverBurden:
    """Tumour in the liver alone, beside the total that the stratum rests on."""

    liver_ml: float  # of the liver mask as drawn, tumour in it included
    tumour_ml: float  # tumour within the liver mask
    resectable_tumour_ml: float | None  # the part of it marked resectable; None where none of it is marked

    @property
    def burden_percent(self) -> float | None:
        """Tumour as a share of the liver; None where the liver mask is empty."""
        return 100 * self.tumour_ml / self.liver_ml if self.liver_ml else None

    @property
    def resectable_fraction(self) -> float | None:
        """Resectable share of the liver's tumour, 0 to 1; None where it holds none, or none is marked."""
        if self.resectable_tumour_ml is None or not self.tumour_ml:
            return None
        return self.resectable_tumour_ml / self.tumour_ml


@frozen
class LiverRemnant:
    """The future liver remnant."""

    flr_ml: float  # remnant without the tumour in it
    flr_percent: float | None  # of the liver without tumour, on the same images; None without a liver mask
    sflr_percent: float | None  # of the standard liver for the body's surface; None without weight and height
    limit_percent: float | None  # for the liver's state; None where the state is not known
    below_limit: bool | None  # None where nothing can be compared, or the state is unknown and would decide


def body_surface_m2(weight_kg: float, height_cm: float, *, formula: str = "mosteller") -> float:
    """Body surface area: Mosteller (1987) ``sqrt(W H / 3600)`` or DuBois (1916).

    Raises ValueError if the formula is another word.

    >>> body_surface_m2(80, 180), round(body_surface_m2(80, 180, formula="dubois"), 4)
    (2.0, 1.9964)
    """
    if formula == "mosteller":
        return math.sqrt(weight_kg * height_cm / 3600)
    if formula == "dubois":
        return 0.007184 * math.pow(weight_kg, 0.425) * math.pow(height_cm, 0.725)
    msg = f"formula must be mosteller or dubois, not {formula!r}."
    raise ValueError(msg)


def standard_liver_ml(surface_m2: float, *, formula: str = "vauthey") -> float:
    """Liver volume expected for a body surface: Vauthey (2002) or Urata (1995).

    Raises ValueError if the formula is another word.

    >>> round(standard_liver_ml(2.0), 2), round(standard_liver_ml(2.0, formula="urata"), 1)
    (1740.15, 1414.8)
    """
    if formula == "vauthey":
        return -794.41 + 1267.28 * surface_m2
    if formula == "urata":
        return 706.2 * surface_m2 + 2.4
    msg = f"formula must be vauthey or urata, not {formula!r}."
    raise ValueError(msg)


def measure_liver_burden(
    *,
    liver: VoxelRuns,
    tumour: VoxelRuns,
    resectable: VoxelRuns,
    unmarked: VoxelRuns,
    voxel_volume_mm3: float,
) -> LiverBurden:
    """Count the tumour, and its resectable part, within the liver mask; all on one grid.

    Of ``resectable`` only what is tumour counts; ``unmarked`` is tumour of unknown marking.
    """
    inside = tumour.intersection(liver)
    ml = voxel_volume_mm3 / 1000
    marked = not inside or bool(inside.difference(unmarked))
    return LiverBurden(
        liver_ml=liver.count * ml,
        tumour_ml=inside.count * ml,
        resectable_tumour_ml=inside.intersection(resectable).count * ml if marked else None,
    )


def measure_remnant(
    *,
    remnant: VoxelRuns,
    tumour: VoxelRuns,
    voxel_volume_mm3: float,
    policy: RemnantPolicy,
    liver: VoxelRuns | None = None,
    to_resect: VoxelRuns | None = None,
    weight_kg: float | None = None,
    height_cm: float | None = None,
    liver_state: LiverState | None = None,
) -> tuple[LiverRemnant, tuple[Finding, ...]]:
    """Measure the future liver remnant and set it beside its limit.

    Tumour is no functional liver, whether it stays or goes: all of it is taken off the remnant, as it
    is off the liver. Where both shares are known, the lower one is compared: their denominators are
    not interchangeable, and the limits come from studies of either.

    Parameters
    ----------
    remnant, tumour : VoxelRuns
        On one grid.
    liver : VoxelRuns, optional
        Of the same grid; the remnant outside it is not counted.
    to_resect : VoxelRuns, optional
        Tumour that can be resected: most of it in what is to remain is a finding.

    Returns
    -------
    LiverRemnant, tuple of Finding
        Weight or height that cannot be an adult's is a finding and gives no standardised share.
    """
    ml = voxel_volume_mm3 / 1000
    findings: list[Finding] = []
    if liver is not None:
        findings += _liver_findings(remnant, liver, tumour, ml)
        remnant = remnant.intersection(liver)
    going = to_resect if liver is None or to_resect is None else to_resect.intersection(liver)
    if going and 2 * going.intersection(remnant).count > going.count:
        percent = 100 * going.intersection(remnant).count / going.count
        findings.append(finding("remnant_holds_resectable", where="remnant", percent=percent))
    functional = remnant.difference(tumour)
    whole = None if liver is None else liver.difference(tumour).count
    standard, size_findings = _standard_liver(weight_kg, height_cm, policy)
    flr_percent = 100 * functional.count / whole if whole else None
    sflr_percent = 100 * functional.count * ml / standard if standard else None
    limit, below = _compare((flr_percent, sflr_percent), liver_state, policy)
    if not functional:  # nothing is below every limit, whatever it is compared with
        below = True
    result = LiverRemnant(
        flr_ml=functional.count * ml,
        flr_percent=flr_percent,
        sflr_percent=sflr_percent,
        limit_percent=limit,
        below_limit=below,
    )
    return result, (*findings, *size_findings, *_limit_findings(result, liver_state, policy))


def _compare(
    shares: tuple[float | None, float | None], state: LiverState | None, policy: RemnantPolicy
) -> tuple[float | None, bool | None]:
    """Limit for the state, and whether the lowest known share is below it."""
    known = [share for share in shares if share is not None]
    limits = policy.limits_percent
    if state is not None:
        return limits[state], min(known) < limits[state] if known else None
    verdicts = {min(known) < limit for limit in limits.values()} if known else set()
    return None, verdicts.pop() if len(verdicts) == 1 else None


def _standard_liver(
    weight_kg: float | None, height_cm: float | None, policy: RemnantPolicy
) -> tuple[float | None, list[Finding]]:
    if weight_kg is None or height_cm is None:
        return None, []
    if not (WEIGHT_KG[0] <= weight_kg <= WEIGHT_KG[1] and HEIGHT_CM[0] <= height_cm <= HEIGHT_CM[1]):
        found = finding("body_size_implausible", "not_an_adult", weight_kg=weight_kg, height_cm=height_cm)
        return None, [found]
    surface = body_surface_m2(weight_kg, height_cm, formula=policy.body_surface)
    volume = standard_liver_ml(surface, formula=policy.liver_volume)
    if volume > 0:
        return volume, []
    return None, [finding("body_size_implausible", "no_volume", surface_m2=surface)]


def _liver_findings(remnant: VoxelRuns, liver: VoxelRuns, tumour: VoxelRuns, ml: float) -> list[Finding]:
    found = []
    outside = remnant.difference(liver).count
    if outside:
        severity: Severity = "review" if outside > _OUTSIDE_SHARE * remnant.count else "warning"
        found.append(
            finding("remnant_outside_liver", severity=severity, where="remnant", volume_ml=outside * ml)
        )
    if tumour and not tumour.intersection(liver):
        found.append(finding("liver_without_tumour", where="liver"))
    return found


def _limit_findings(remnant: LiverRemnant, state: LiverState | None, policy: RemnantPolicy) -> list[Finding]:
    limits = policy.limits_percent
    marks = limits.values() if state is None else [limits[state]]
    shares = [
        sentence("remnant_below_limit", "share", percent=shown_percent(value, *marks), whole=name)
        for value, name in (
            (remnant.flr_percent, "liver without tumour"),
            (remnant.sflr_percent, "standard liver for the body surface"),
        )
        if value is not None
    ]
    on, measured = "remnant", " and ".join(shares)
    if not shares and remnant.flr_ml:
        return [finding("remnant_not_compared", where=on, volume_ml=remnant.flr_ml)]
    if not shares:
        return [finding("remnant_below_limit", "nothing", where=on)]
    if remnant.below_limit is None:
        return [finding("liver_state_missing", where=on, shares=measured)]
    if not remnant.below_limit:
        return []
    if state is None:
        return [finding("remnant_below_limit", "any_limit", where=on, shares=measured)]
    limit = limits[state]
    found = finding(
        "remnant_below_limit", "limit", where=on, shares=measured, limit_percent=limit, liver_state=state
    )
    return [found]
