"""On which subjects readings differ so that somebody must decide, and which lesions and regions decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    in_a, in_b : mapping or None
        The lesion as each reading has it.
    text : str
        The question in words.
    """

    a: str
    b: str
    kind: str = ""
    in_a: Mapping[str, Any] | None = None
    in_b: Mapping[str, Any] | None = None
    text: str

    @property
    def volume_ml(self) -> float:
        """The larger of its volumes; infinite where nothing could be compared."""
        volumes = [one["volume_ml"] for one in (self.in_a, self.in_b) if one is not None]
        return max(volumes, default=float("inf"))


def adjudication_item(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an adjudicator needs to know of a subject."""
    return {
        "subject": subject["subject"],
        "visit": subject["visit"],
        "stake": subject["stake"]["kind"],
        "not_alike_ml": subject["stake"]["ml"],
        "strata": {r["reading"]: r["stratum"] for r in subject["readings"] if r["source"] != "absent"},
        "attributed_to": subject["attributed_to"],
        "look_at": [question.text for question in questions(subject)],
    }


def adjudication_order(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort by what is at stake, then by the volume not counted alike, then by name."""
    return (
        list(STAKES).index(item["stake"]),
        -(item["not_alike_ml"] or 0.0),
        item["subject"],
        item["visit"] or "",
    )


def questions(subject: Mapping[str, Any]) -> list[Question]:
    """Name every lesion and region on which readings differ, the largest first.

    A lesion that both mark alike is named where contours carry the difference and it is drawn apart.
    """
    found: list[Question] = []
    for pair in subject["pairs"]:
        a, b = pair["a"], pair["b"]
        if pair["outcome"] != "compared":
            found.append(Question(a=a, b=b, text=pair["reason"]))
        contours = "contour" in ((pair["discordance"] or {}).get("attributed_to") or "")
        for kind, rows in (("lesion", pair["lesions"]), ("pet_only_region", pair["pet_only_regions"])):
            for row in rows:
                text = _asked(row, a, b, contours=contours and kind == "lesion")
                if text:
                    found.append(Question(a=a, b=b, kind=kind, in_a=row["a"], in_b=row["b"], text=text))
    return sorted(found, key=lambda question: (-question.volume_ml, question.text))


def _asked(row: Mapping[str, Any], a: str, b: str, *, contours: bool) -> str:
    """Return on what two readings differ of a lesion; "" where that decides nothing."""
    in_a, in_b = row["a"], row["b"]
    if row["kind"] in {"only_a", "only_b"}:
        one, name, other = (in_a, a, b) if in_a else (in_b, b, a)
        what = f"{_ml(one)}, {_place(one)}, {one['resectability']}"
        return f"{one['lesion_id']} in {name}, not in {other} ({what})"
    if row["kind"] == "part":
        return ""
    name = in_a["lesion_id"] if in_a["lesion_id"] == in_b["lesion_id"] else (
        f"{in_a['lesion_id']} in {a} = {in_b['lesion_id']} in {b}"
    )  # fmt: skip
    words = [(_word(in_a, key), _word(in_b, key)) for key in ("resectability", "fdg_avidity")]
    apart = [f"{one} in {a}, {other} in {b}" for one, other in words if one != other]
    if apart:
        return f"{name}: {'; '.join(apart)} ({_ml(in_a)}, {_place(in_a)})"
    if contours and row["dice"] != 1:
        return f"{name}: {_ml(in_a)} in {a}, {_ml(in_b)} in {b} ({_place(in_a)})"
    return ""


def _word(lesion: Mapping[str, Any], key: str) -> str:
    word = str(lesion[key]).replace("_", " ")
    if word == "partial" and lesion["resectable_fraction"] is not None:
        word = f"{100 * lesion['resectable_fraction']:.0f} % resectable"
    return f"FDG {word}" if key == "fdg_avidity" else word


def _ml(lesion: Mapping[str, Any]) -> str:
    return f"{lesion['volume_ml']:.2f} ml"


def _place(lesion: Mapping[str, Any]) -> str:
    x, y, z = lesion["centroid_mm"]
    return f"at {round(x)}, {round(y)}, {round(z)} mm LPS"
