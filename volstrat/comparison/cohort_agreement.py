"""Agreement over all subjects: volumes, fractions, strata."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, cast

from volstrat.agreement.concordance import concordance
from volstrat.agreement.discordance import LEVELS
from volstrat.agreement.estimate import CONFIDENCE
from volstrat.agreement.reliability import (
    LIMITS_Z,
    REPEATABILITY_FACTOR,
    bland_altman,
    intraclass_correlation,
    within_subject_variation,
)
from volstrat.case.case_file import case_name
from volstrat.case.record_types import PREDICATES, PredicateName, given
from volstrat.comparison.agreement_types import LesionOfReading, Subject, SubjectReading, value_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from volstrat.comparison.agreement_types import CohortAgreement as CohortRecord
    from volstrat.comparison.pair import Settings
    from volstrat.terms.policies import VolumeErrorPolicy

STRATA = ("stratum_1", "stratum_2", "ineligible")
NO_STRATUM = "none"
"""The answer of a reading that gives no stratum."""

_ANSWERED = (
    "A reading that gives no stratum counts as the answer none; subjects that failed or are absent in a "
    "reading are left out."
)
_GIVEN = "Subjects without a stratum in a reading are left out, and counted in `without`."
_PREDICATE = "Subjects that failed or are absent in a reading are left out."

_QUANTITIES: tuple[tuple[str, Literal["difference", "log_ratio"]], ...] = (
    ("total_tumour_ml", "log_ratio"),
    ("resectable_fraction", "difference"),
    ("resectable_tumour_ml", "log_ratio"),
    ("fdg_avid_ml", "log_ratio"),
    ("fdg_avid_fraction", "difference"),
)
"""Volumes are compared as ratios, since their error grows with them; fractions as differences."""

_APART = {"different_images"}
"""Readings of two images say nothing about how readers agree."""


class CohortAgreement:
    """Takes subjects one by one and keeps what the statistics need of each.

    ``names`` are the readings', ``volume_error`` gives the protocol's classes of diameter.
    """

    def __init__(self, names: Sequence[str], volume_error: VolumeErrorPolicy) -> None:
        self._names = tuple(names)
        self._volume_error = volume_error
        self._subjects: list[str] = []
        self._volumes: list[list[tuple[float, float]]] = [[] for _ in volume_error.diameter_from_mm]
        self._values: dict[str, list[list[float | None]]] = {name: [] for name, _ in _QUANTITIES}
        self._strata: list[list[str | None]] = []
        self._answers: list[list[str | None]] = []
        self._predicates: dict[PredicateName, list[list[str | None]]] = {name: [] for name in PREDICATES}
        self._outcomes: Counter[str] = Counter()
        self._attributed: dict[str, Counter[str]] = {level: Counter() for level in LEVELS}
        self._lesions: Counter[str] = Counter()
        self._markings: dict[Literal["resectability", "fdg_avidity"], Counter[tuple[str, str]]]
        self._markings = {"resectability": Counter(), "fdg_avidity": Counter()}
        self._absent: Counter[str] = Counter()

    def add(self, subject: Subject) -> None:
        """Take up one subject."""
        readings = subject["readings"]
        self._outcomes[subject["outcome"]] += 1
        for reading in readings:
            self._absent[reading["reading"]] += reading["source"] == "absent"
        for pair in subject["pairs"]:
            found = pair["discordance"]
            if found is not None and found["level"] is not None:
                self._attributed[found["level"]][found["attributed_to"] or ""] += 1
            for lesion in pair["lesions"]:
                self._lesions[lesion["kind"]] += 1
                a, b = lesion["a"], lesion["b"]
                if a is not None and b is not None:
                    self._add_lesion(a, b)
                    for key, counted in self._markings.items():
                        counted[a[key], b[key]] += 1
        if {pair["outcome"] for pair in subject["pairs"]} & _APART:
            return
        self._subjects.append(case_name(subject["subject"], subject["visit"]))
        for name, _ in _QUANTITIES:
            self._values[name].append([value_in(r["volumes"], name) for r in readings])
        self._strata.append([r["stratum"] for r in readings])
        self._answers.append([_answer(r) for r in readings])
        for name, words in self._predicates.items():
            words.append([_word(r, name) for r in readings])

    def _add_lesion(self, a: LesionOfReading, b: LesionOfReading) -> None:
        """Put the two volumes of a lesion to those of its size: the mean of both diameters."""
        diameter = (a["max_axial_diameter_mm"] + b["max_axial_diameter_mm"]) / 2
        size = bisect_right(self._volume_error.diameter_from_mm, diameter) - 1
        self._volumes[size].append((given(a["volume_ml"]), given(b["volume_ml"])))

    def _wcv_by_diameter(self) -> list[dict[str, Any]]:
        edges = self._volume_error.diameter_from_mm
        found = []
        for n, (volumes, wcv_percent) in enumerate(
            zip(self._volumes, self._volume_error.wcv_percent, strict=True)
        ):
            own = within_subject_variation(volumes or [[None, None]]).wcv
            found.append(
                {
                    "diameter_from_mm": edges[n],
                    "diameter_to_mm": edges[n + 1] if n + 1 < len(edges) else None,
                    "lesions": len(volumes),
                    "wcv_percent": asdict(own.scaled(100)),
                    "protocol_wcv_percent": wcv_percent,
                }
            )
        return found

    def as_json(self) -> CohortRecord:
        """Return ``cohort`` of ``agreement.json``."""
        found = {
            "subjects": sum(self._outcomes.values()),
            "outcomes": dict(sorted(self._outcomes.items())),
            "absent": {name: self._absent[name] for name in self._names},
            "quantities": [self._quantity(name, scale) for name, scale in _QUANTITIES],
            "strata": self._concordance(self._answers, (*STRATA, NO_STRATUM), _ANSWERED),
            "strata_given": self._concordance(self._strata, STRATA, _GIVEN),
            "predicates": {
                name: self._concordance(words, ("holds", "fails", "unknown"), _PREDICATE)
                for name, words in self._predicates.items()
            },
            "attributed_to": {
                level: dict(sorted(counts.items())) for level, counts in self._attributed.items()
            },
            "wcv_by_diameter": self._wcv_by_diameter(),
            "lesions": {kind: self._lesions[kind] for kind in ("matched", "part", "only_a", "only_b")},
            "markings": {
                key: [{"a": a, "b": b, "lesions": count} for (a, b), count in sorted(table.items())]
                for key, table in self._markings.items()
            },
        }
        return cast("CohortRecord", found)

    def _quantity(self, name: str, scale: Literal["difference", "log_ratio"]) -> dict[str, Any]:
        table, is_ratio = self._values[name], scale == "log_ratio"
        pairs = []
        for first, second in combinations(range(len(self._names)), 2):
            found = bland_altman([row[first] for row in table], [row[second] for row in table], scale=scale)
            figures = asdict(found)
            values = {key: figures[key]["value"] for key in ("bias", "lower_limit", "upper_limit")}
            ratios = {key: None if value is None else math.exp(value) for key, value in values.items()}
            figures["as_ratio"] = ratios if is_ratio else None
            figures["left_out"] = self._left_out(table, first, second, positive=is_ratio)
            pairs.append({"a": self._names[first], "b": self._names[second], **figures})
        rows = table or [[None] * len(self._names)]  # so that readers are counted where there is no subject
        reliability = {"raw": asdict(intraclass_correlation(rows))}
        if is_ratio:
            logs = [[math.log(v) if v is not None and v > 0 else None for v in row] for row in rows]
            reliability["log"] = asdict(intraclass_correlation(logs))
        return {
            "quantity": name,
            "scale": scale,
            "bland_altman": pairs,
            "icc": reliability,
            "within_subject": asdict(within_subject_variation(rows)),
        }

    def _left_out(
        self, table: Sequence[Sequence[float | None]], first: int, second: int, *, positive: bool
    ) -> list[dict[str, Any]]:
        """Name the subjects without two values (above zero, of a ratio), the worst first."""
        found: list[dict[str, Any]] = [
            {"subject": subject, "a": row[first], "b": row[second]}
            for subject, row in zip(self._subjects, table, strict=True)
            if any(value is None or (positive and value <= 0) for value in (row[first], row[second]))
        ]
        # One with a value missing comes after any with two.
        apart = [-1.0 if None in (one["a"], one["b"]) else abs(one["b"] - one["a"]) for one in found]
        order = sorted(range(len(found)), key=lambda n: (-apart[n], found[n]["subject"]))
        return [found[n] for n in order]

    def _concordance(
        self, ratings: Sequence[Sequence[str | None]], categories: Iterable[str], treatment: str
    ) -> dict[str, Any]:
        found = concordance(ratings or [[None] * len(self._names)], tuple(categories))
        figures = {"treatment": treatment, **asdict(found)}
        figures["without"] = {
            name: sum(row[n] is None for row in ratings) for n, name in enumerate(self._names)
        }
        for pair in figures["pairs"]:
            pair["a"], pair["b"] = self._names[pair.pop("first")], self._names[pair.pop("second")]
        return figures


def _answer(reading: SubjectReading) -> str | None:
    """Return what a reading answers: a stratum or that there is none; None where it failed or is absent."""
    if reading["source"] == "absent" or reading["error"] is not None:
        return None
    return reading["stratum"] or NO_STRATUM


def _word(reading: SubjectReading, predicate: PredicateName) -> str | None:
    if reading["predicates"] is None:
        return None
    holds = reading["predicates"][predicate]["holds"]
    return "unknown" if holds is None else "holds" if holds else "fails"


def definitions(settings: Settings) -> dict[str, str]:
    """Say in words what each figure is: files are read years later, by people without this program."""
    return {
        "confidence": f"All intervals are {CONFIDENCE:.0%}.",
        "dice": "2 |A and B| / (|A| + |B|) in voxels; null where both are empty, 0 where one is.",
        "volume_similarity": "1 - |A - B| / (A + B) in voxels.",
        "surface_dice": (
            f"Share of both surfaces' area within {settings.surface_tolerance_mm:g} mm of the other "
            "surface (Nikolov et al., arXiv 1809.04430)."
        ),
        "hd95_mm": (
            "The larger of the two directed 95th percentiles of surface distance, weighted by surface area."
        ),
        "mean_surface_distance_mm": "Area-weighted mean distance over both surfaces together.",
        "lesions": (
            "Matched one to one by falling Dice, then by centroids no farther apart than "
            f"{settings.match_distance_mm:g} mm. A lesion of which half lies in one that has its partner "
            "already is a part of that one."
        ),
        "not_alike_ml": (
            "Volume of the voxels that one reading calls resectable tumour, other tumour or no tumour, and "
            "the other something else."
        ),
        "attributed_to": (
            "The smallest set of ingredients that carries the difference both ways: put into A it makes A's "
            "outcome B's, put into B it makes B's outcome A's. The outcome is the stratum where that "
            "differs, else the predicates, else the counts (`level`)."
        ),
        "bland_altman": (
            f"B - A, or ln(B / A); limits {LIMITS_Z:g} SD either side (Bland and Altman 1986, 1999)."
        ),
        "icc": (
            "ICC(2,1) absolute agreement and ICC(3,1) consistency, of single readings (McGraw and Wong 1996)."
        ),
        "within_subject": (
            f"wCV = sqrt(mean(s^2 / m^2)); RC = {REPEATABILITY_FACTOR:g} wSD. Readers are the repeats, so "
            "this is reproducibility between readers."
        ),
        "strata": (
            "Raw agreement with Wilson's interval; Cohen's kappa (Fleiss, Cohen and Everitt 1969); Gwet's "
            'AC1 (2008); intervals end at 1. `strata` takes "no stratum" for an answer, `strata_given` '
            "leaves such subjects out."
        ),
        "wcv_by_diameter": (
            "wCV of the volumes of one lesion in two readings, pooled over every two readings, by the mean "
            "of both axial diameters; beside it the protocol's volume error."
        ),
    }
