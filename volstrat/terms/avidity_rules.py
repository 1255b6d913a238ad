"""What "FDG-avid" means, as data: no guideline fixes it for neuroendocrine tumours (docs/rule.md).

A rule detects, then delineates. `AvidityRule` holds one rule; `Avidity` is a protocol's ``avidity`` table:
the rule in force and the others that are tried beside it.
"""

from __future__ import annotations

from typing import Literal

from volstrat.frozen import frozen
from volstrat.terms.policies import FRACTION_PERCENT, require, require_number

RuleName = Literal["mask", "fixed", "liver", "blood_pool", "background"]

_MOST_SUV = 30.0
"""A threshold beyond it is a percentage of the maximum that stands in the wrong place."""
_REFERENCE_DEFAULTS: dict[str, tuple[float, float]] = {
    "liver": (1.5, 2.0),
    "blood_pool": (2.0, 2.0),
    "background": (1.0, 2.0),
}
_WORDS = {
    "rule": ("mask", *_REFERENCE_DEFAULTS, "fixed"),
    "metric": ("SUVbw", "SUL"),
    "delineation": ("detector", "percent_of_max"),
}
_BOUNDS: dict[str, dict[str, float]] = {
    "suv_threshold": {"above": 0.0, "at_most": _MOST_SUV},
    "percent_of_max": {"above": FRACTION_PERCENT, "at_most": 100.0},
    "multiplier": {"above": 0.0},
    "sd_count": {"at_least": 0.0},
    "margin_mm": {"at_least": 0.0, "at_most": 100.0},
    "shell_mm": {"above": 0.0, "at_most": 100.0},
    "small_lesion_mm": {"at_least": 0.0},
}


@frozen
class AvidityRule:
    """One rule for what counts as FDG-avid.

    Raises ProtocolError if a value is impossible, missing, or given for a rule that does not use it.
    """

    # ``mask``: a reader drew it. The others search a SUV image inside CT tumour grown by ``margin_mm``:
    # ``fixed`` takes voxels of at least ``suv_threshold``; the rest detect lesion by lesion, where SUVpeak (1
    # cm3) is at least ``multiplier`` x mean + ``sd_count`` x SD of a reference region: ``liver`` (PERCIST
    # 1.0, Wahl 2009: 1.5 and 2; 3 cm sphere in the healthy right lobe), ``blood_pool`` (PERCIST 1.0 where the
    # liver is diseased: 2.0 and 2; descending aorta), ``background`` (1.0 and 2; a shell round the lesion:
    # volstrat's own figures for what a reader of a NETPET score, Chan 2017, judges by eye as above
    # background).
    rule: RuleName = "mask"
    # what SUV means here. Only ``fixed`` depends on it: the others compare a lesion with a region of the same
    # image.
    metric: Literal["SUVbw", "SUL"] = "SUVbw"
    suv_threshold: float | None = None  # only for ``fixed``, and required there
    # which voxels of a detected lesion are avid: those that reach the detector's threshold, or
    # ``percent_of_max`` of the lesion's maximum (41 and 50 are usual; overestimates at low contrast)
    delineation: Literal["detector", "percent_of_max"] = "detector"
    percent_of_max: float | None = None  # only for that delineation, and required there
    margin_mm: float = 5.0  # how far round CT tumour a rule searches: room for breathing and for PET's blur
    # multiplier, sd_count: None stands for the rule's own figures, as above
    multiplier: float | None = None
    sd_count: float | None = None
    shell_mm: float = 10.0  # thickness of the ``background`` shell, which begins where the margin ends
    # a lesion of smaller equivalent diameter that is not detected may be too small for PET to show
    small_lesion_mm: float = 10.0

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            value = getattr(self, name)
            require(value in known, f"{name} is {value!r}; it must be one of {', '.join(known)}.")
        by_percent, by_reference = self.delineation == "percent_of_max", self.rule in _REFERENCE_DEFAULTS
        for name, of, used, required in (
            ("suv_threshold", 'rule = "fixed"', self.rule == "fixed", True),
            ("percent_of_max", 'delineation = "percent_of_max"', by_percent, True),
            ("multiplier", "a rule with a reference region", by_reference, False),
            ("sd_count", "a rule with a reference region", by_reference, False),
        ):
            given = getattr(self, name) is not None
            require(used or not given, f"{name} is given but belongs to {of}.")
            require(given or not (used and required), f"{name} is missing; {of} needs it.")
        require(
            not by_percent or self.rule != "mask",
            'delineation = "percent_of_max" only delineates; it needs a rule that detects, not "mask".',
        )
        for name, bounds in _BOUNDS.items():
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name), **bounds, what="a number {}")

    @property
    def needs_suv(self) -> bool:
        """True where the rule reads a SUV image; ``mask`` does not."""
        return self.rule != "mask"

    @property
    def reference_factors(self) -> tuple[float, float]:
        """How many times the mean, and how many SD, of the reference region a lesion must reach.

        Raises ProtocolError if the rule has no reference region.
        """
        require(self.rule in _REFERENCE_DEFAULTS, f'rule = "{self.rule}" has no reference region.')
        multiplier, sd_count = _REFERENCE_DEFAULTS[self.rule]
        return (
            multiplier if self.multiplier is None else self.multiplier,
            sd_count if self.sd_count is None else self.sd_count,
        )

    @property
    def title(self) -> str:
        """The rule in a few words, for findings and pages."""
        if self.rule == "mask":
            return "mask"
        if self.rule == "fixed":
            detects = f"fixed {self.metric} {self.suv_threshold:g}"
        else:
            multiplier, sd_count = self.reference_factors
            detects = f"{self.rule} {multiplier:g} x mean + {sd_count:g} SD"
        by_percent = self.delineation == "percent_of_max"
        return f"{detects}, {self.percent_of_max:g} % of max" if by_percent else detects


@frozen
class Avidity(AvidityRule):
    """The protocol's ``avidity`` table: the rule in force, and rules that are tried beside it."""

    # where one of these would give another stratum, a ``review`` finding says so
    also_check: tuple[AvidityRule, ...] = ()
    # SUVmax from which a lesion that a reader calls not avid must be looked at again
    look_again_suv: float = 5.0
