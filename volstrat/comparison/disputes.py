"""On which subjects readings differ so that somebody must decide, and which lesions and regions decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from volstrat.case.record_types import given
from volstrat.comparison.agreement_types import value_in

if TYPE_CHECKING:
    from volstrat.comparison.agreement_types import (
        AdjudicationItem,
        Lesion,
        LesionOfReading,
        Subject,
    )

    Asked = Literal["lesion", "pet_only_region", ""]

STAKES = {
    "trial_entry": "One reading finds the subject ineligible, the other does not",
    "which_stratum": "One reading gives stratum 1, the other stratum 2",
    "no_stratum_in_one": "One reading gives no stratum",
    "not_comparable": "The readings could not be compared",
    "predicates": "Same stratum, but a predicate differs",
    "review": "Same stratum, but one reading calls for a review",
    "voxels": "Same verdict; some voxels are not counted alike",
    "none": "No difference",
}
"""What is at stake, in words."""

NEEDS_ADJUDICATION = ("trial_entry", "which_stratum", "no_stratum_in_one", "not_comparable", "predicates")
"""What makes a subject one that is in dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an adjudicator is asked of a subject: one lesion or region, or why nothing could be compared.

    Parameters
    ----------
    a, b : str
        The two readings.
    kind : str
        "lesion" or "pet_only_region"; "" where the readings could not be compared.
    in_a, in_b : LesionOfReading or None
        The lesion as each reading has it.
    text : str
        The question in words.
    """

    a: str
    b: str
    kind: Asked = ""
    in_a: LesionOfReading | None = None
    in_b: LesionOfReading | None = None
    text: str

    @property
    def volume_ml(self) -> float:
        """The larger of its volumes; infinite where nothing could be compared."""
        volumes = [given(one["volume_ml"]) for one in (self.in_a, self.in_b) if one is not None]
        return max(volumes, default=float("inf"))


def adjudication_item(subject: Subject) -> AdjudicationItem:
    """Return what an adjudicator needs to know of a subject."""
    return {
        "order": 1,  # until all are sorted
        "subject": subject["subject"],
        "visit": subject["visit"],
        "stake": subject["stake"]["kind"],
        "not_alike_ml": subject["stake"]["ml"],
        "strata": {r["reading"]: r["stratum"] for r in subject["readings"] if r["source"] != "absent"},
        "attributed_to": subject["attributed_to"],
        "look_at": [question.text for question in questions(subject)],
    }


def adjudication_order(item: AdjudicationItem) -> tuple[int, float, str, str]:
    """Sort by what is at stake, then by the volume not counted alike, then by name."""
    return (
        list(STAKES).index(item["stake"]),
        -(item["not_alike_ml"] or 0.0),
        item["subject"],
        item["visit"] or "",
    )


def questions(subject: Subject) -> list[Question]:
    """Name every lesion and region on which readings differ, the largest first.

    A lesion that both mark alike is named where contours carry the difference and it is drawn apart.
    """
    found: list[Question] = []
    for pair in subject["pairs"]:
        a, b = pair["a"], pair["b"]
        if pair["outcome"] != "compared":
            found.append(Question(a=a, b=b, text=pair["reason"]))
        contours = "contour" in (value_in(pair["discordance"], "attributed_to") or "")
        of_kind: dict[Asked, list[Lesion]] = {
            "lesion": pair["lesions"],
            "pet_only_region": pair["pet_only_regions"],
        }
        for kind, rows in of_kind.items():
            for row in rows:
                text = _asked(row, a, b, contours=contours and kind == "lesion")
                if text:
                    found.append(Question(a=a, b=b, kind=kind, in_a=row["a"], in_b=row["b"], text=text))
    return sorted(found, key=lambda question: (-question.volume_ml, question.text))


def _asked(row: Lesion, a: str, b: str, *, contours: bool) -> str:
    """Return on what two readings differ of a lesion; "" where that decides nothing."""
    in_a, in_b = row["a"], row["b"]
    if row["kind"] == "part":
        return ""
    if in_a is None or in_b is None:
        one, name, other = (given(in_b), b, a) if in_a is None else (in_a, a, b)
        what = f"{_ml(one)}, {_place(one)}, {one['resectability']}"
        return f"{one['lesion_id']} in {name}, not in {other} ({what})"
    name = in_a["lesion_id"] if in_a["lesion_id"] == in_b["lesion_id"] else (
        f"{in_a['lesion_id']} in {a} = {in_b['lesion_id']} in {b}"
    )  # fmt: skip
    words = [(word(in_a), word(in_b)) for word in (_marking, _avidity)]
    apart = [f"{one} in {a}, {other} in {b}" for one, other in words if one != other]
    if apart:
        return f"{name}: {'; '.join(apart)} ({_ml(in_a)}, {_place(in_a)})"
    if contours and row["dice"] != 1:
        return f"{name}: {_ml(in_a)} in {a}, {_ml(in_b)} in {b} ({_place(in_a)})"
    return ""


def _marking(lesion: LesionOfReading) -> str:
    if lesion["resectability"] == "partial" and lesion["resectable_fraction"] is not None:
        return f"{100 * lesion['resectable_fraction']:.0f} % resectable"
    return lesion["resectability"].replace("_", " ")


def _avidity(lesion: LesionOfReading) -> str:
    return f"FDG {lesion['fdg_avidity'].replace('_', ' ')}"


def _ml(lesion: LesionOfReading) -> str:
    return f"{lesion['volume_ml']:.2f} ml"


def _place(lesion: LesionOfReading) -> str:
    x, y, z = lesion["centroid_mm"]
    return f"at {round(x)}, {round(y)}, {round(z)} mm LPS"
