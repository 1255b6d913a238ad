"""The tables of a comparison: their columns, with types, units and meanings, and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volstrat.case.record_types import PREDICATES
from volstrat.cohort.columns import unit_of
from volstrat.comparison.agreement_types import AdjudicationItem, LesionOfReading, Subject, value_in
from volstrat.comparison.subject import Question, questions
from volstrat.store.tables import TableColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Row = dict[str, Any]

_VOLUMES = {
    "total_tumour_ml": "Tumour",
    "resectable_tumour_ml": "Resectable tumour, lower bound",
    "resectable_fraction": "Resectable over total",
    "fdg_avid_ml": "FDG-avid volume",
    "fdg_avid_fraction": "Part of the tumour that lies in avid voxels",
}
_TUMOUR = {
    "dice": "Dice of the tumour masks",
    "surface_dice": "Surface Dice of the tumour masks",
    "tolerance_mm": "Tolerance of the surface Dice",
    "hd95_mm": "Larger of the two 95th percentiles of distance between the surfaces",
    "mean_surface_distance_mm": "Mean distance between the surfaces",
    "volume_difference_ml": "Tumour in b less tumour in a",
    "volume_similarity": "1 - |A - B| / (A + B) in voxels",
}
_DETECTION = {
    "matched": "Lesions in both",
    "only_a": "Lesions in a alone",
    "only_b": "Lesions in b alone",
    "split": "Lesions of a that b draws as several",
    "merged": "Lesions of b that a draws as several",
    "f1": "F1 of the lesions found",
}
_POINT = {f"{axis}_mm": f"LPS {axis} of a point in it, as the lesion table has it" for axis in "xyz"}
_LESION = {
    "lesion_id": "Id",
    **_POINT,
    "segment": "Segment, ROI or label that it is",
    "volume_ml": "Volume",
    "resectability": "Marking",
    "fdg_avidity": "FDG avidity",
}
_LESION_PAIR = {
    "matched_by": "What matched the two: overlap or distance",
    "centroid_distance_mm": "Between the centroids",
    "dice": "Dice",
    "surface_dice": "Surface Dice",
    "hd95_mm": "Larger 95th percentile of distance between the surfaces",
    "mean_surface_distance_mm": "Mean distance between the surfaces",
    "volume_difference_ml": "b less a",
    "part_of": "Of a part: the lesion of the other reading that it lies in",
}
_TEXT = {
    "lesion_id", "segment", "resectability", "fdg_avidity", "matched_by", "part_of", "status", "stratum"
}  # fmt: skip
ANSWERS = ("stands", "adjudicator", "reason", "decided_at")
"""What the adjudicator fills in."""


def _column(name: str, description: str, kind: str = "") -> TableColumn:
    key = name.rsplit(".", maxsplit=1)[-1]
    kind = kind or ("text" if key in _TEXT else "number")
    unit = "1" if key in {"dice", "surface_dice", "volume_similarity", "f1"} else unit_of(key)
    return TableColumn(name=name, kind=kind, unit=unit, description=f"{description}.")


def _sides(keys: Mapping[str, str], kind: str = "") -> Iterator[TableColumn]:
    for key, text in keys.items():
        for side in "ab":
            yield _column(f"{side}.{key}", f"{text}, in reading {side}", kind)


_NAMES = (
    _column("subject", "What folder, manifest or study calls the subject", "text"),
    _column("visit", "What a study calls the visit", "text"),
)
_PAIR = (
    _column("a", "Letter of the first of the two readings", "text"),
    _column("b", "Letter of the second", "text"),
    _column("a.reader", "Folder or reader that reading a is of", "text"),
    _column("b.reader", "Folder or reader that reading b is of", "text"),
)

PAIR_COLUMNS: tuple[TableColumn, ...] = (
    *_NAMES,
    *_PAIR,
    _column("outcome", "Whether the two were compared", "text"),
    _column("stake", "What is at stake for the subject", "text"),
    _column("level", "Gravest level at which the two differ", "text"),
    _column("attributed_to", "What carries the difference, joined by +", "text"),
    *_sides({"status": "Status", "stratum": "Stratum"}),
    *_sides(
        {"stratum_1_holds": "Predicate of stratum 1", "stratum_2_holds": "Predicate of stratum 2"}, "boolean"
    ),
    *_sides(_VOLUMES),
    *(_column(key, text) for key, text in _TUMOUR.items()),
    _column("fdg_avid.dice", "Dice of the avid masks on the PET grid"),
    *(
        _column(f"lesions.{key}", text, "number" if key == "f1" else "integer")
        for key, text in _DETECTION.items()
    ),
    _column("not_alike_ml", "Volume of the voxels that the two do not count alike"),
    _column("reason", "Why the two were not compared", "text"),
)
"""``agreement.csv``: a row for every two readings of a subject."""

LESION_COLUMNS: tuple[TableColumn, ...] = (
    *_NAMES,
    *_PAIR,
    _column("what", "lesion, or pet_only_region", "text"),
    _column("kind", "matched, part, only_a or only_b", "text"),
    *_sides(_LESION),
    *(_column(key, text) for key, text in _LESION_PAIR.items()),
)
"""``agreement_lesions.csv``: a row for every lesion and PET-only region of every two readings."""

ADJUDICATION_COLUMNS: tuple[TableColumn, ...] = (
    _column("order", "Place in the list, what is most at stake first", "integer"),
    *_NAMES,
    _column("stake", "What is at stake", "text"),
    _column("attributed_to", "What carries the difference, joined by +", "text"),
    _column("not_alike_ml", "Largest volume that two readings do not count alike"),
    *_PAIR,
    *_sides({"status": "Status", "stratum": "Stratum"}),
    _column("what", "lesion, or pet_only_region; empty where nothing could be compared", "text"),
    *_sides(_LESION),
    _column("look_at", "On what the readings differ, in words", "text"),
    _column("stands", "To fill in: the reading that stands, or table", "text"),
    _column("adjudicator", "To fill in: who decides", "text"),
    _column("reason", "To fill in: why", "text"),
    _column("decided_at", "To fill in: when (ISO 8601)", "text"),
    _column("agreement_sha256", "Hash of the agreement.json that this is about", "text"),
)
"""``adjudication.csv``: for each subject in dispute a row for every lesion and region that decides."""

TABLES: Mapping[str, tuple[TableColumn, ...]] = {
    "agreement": PAIR_COLUMNS,
    "agreement_lesions": LESION_COLUMNS,
    "adjudication": ADJUDICATION_COLUMNS,
}


def pair_rows(subject: Subject, readers: Mapping[str, str]) -> Iterator[Row]:
    """Yield a row of ``agreement.csv`` for every two readings of a subject."""
    readings = {r["reading"]: r for r in subject["readings"]}
    for pair in subject["pairs"]:
        row = _pair(subject, pair["a"], pair["b"], readers) | {
            "outcome": pair["outcome"],
            "stake": subject["stake"]["kind"],
            "level": value_in(pair["discordance"], "level"),
            "attributed_to": value_in(pair["discordance"], "attributed_to"),
            "not_alike_ml": pair["not_alike_ml"],
            "fdg_avid.dice": value_in(pair["fdg_avid"], "dice"),
            "reason": pair["reason"] or None,
        }
        row |= {key: value_in(pair["tumour"], key) for key in _TUMOUR}
        row |= {f"lesions.{key}": value_in(pair["detection"], key) for key in _DETECTION}
        for side in "ab":
            reading = readings[value_in(pair, side)]
            row |= {f"{side}.{key}": value_in(reading["volumes"], key) for key in _VOLUMES}
            for name in PREDICATES:
                row[f"{side}.{name}_holds"] = value_in(value_in(reading["predicates"], name), "holds")
        yield row


def lesion_rows(subject: Subject, readers: Mapping[str, str]) -> Iterator[Row]:
    """Yield a row of ``agreement_lesions.csv`` for every lesion and region, matched or not."""
    for pair in subject["pairs"]:
        for what, found in (("lesion", pair["lesions"]), ("pet_only_region", pair["pet_only_regions"])):
            for lesion in found:
                row = _pair(subject, pair["a"], pair["b"], readers) | {"what": what, "kind": lesion["kind"]}
                row |= {key: value_in(lesion, key) for key in _LESION_PAIR}
                yield row | _both(lesion["a"], lesion["b"])


def adjudication_rows(subject: Subject, item: AdjudicationItem, readers: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of ``adjudication.csv`` of a subject in dispute, without order and hash.

    One for every lesion and region that decides, at least one; ``item`` is the subject's entry of the list.
    """
    first = subject["pairs"][0]
    for one in questions(subject) or [Question(a=first["a"], b=first["b"], text="")]:
        row = _pair(subject, one.a, one.b, readers) | _both(one.in_a, one.in_b)
        row |= {key: item[key] for key in ("stake", "attributed_to", "not_alike_ml")}
        yield row | {"what": one.kind or None, "look_at": one.text or None}


def _pair(subject: Subject, a: str, b: str, readers: Mapping[str, str]) -> Row:
    """Return what rows say of two readings; a table leaves out what it has no column for."""
    row: Row = {"subject": subject["subject"], "visit": subject["visit"], "a": a, "b": b}
    readings = {r["reading"]: r for r in subject["readings"]}
    for side, name in (("a", a), ("b", b)):
        row[f"{side}.reader"] = readers[name]
        row |= {f"{side}.{key}": value_in(readings[name], key) for key in ("status", "stratum")}
    return row


def _both(in_a: LesionOfReading | None, in_b: LesionOfReading | None) -> Row:
    row: Row = {}
    for side, lesion in (("a", in_a), ("b", in_b)):
        point = dict(zip(_POINT, value_in(lesion, "point_mm") or (), strict=False))
        row |= {f"{side}.{key}": point.get(key, value_in(lesion, key)) for key in _LESION}
    return row
