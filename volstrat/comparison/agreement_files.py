"""What a comparison leaves: ``agreement.json``, tables, and the adjudication list."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from volstrat.cohort.columns import csv_cell
from volstrat.comparison.agreement_types import Agreement
from volstrat.terms.wording import NAMED, more_than

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import BinaryIO

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

_VOLUMES = (
    "total_tumour_ml",
    "resectable_tumour_ml",
    "resectable_fraction",
    "fdg_avid_ml",
    "fdg_avid_fraction",
)
_TUMOUR = (
    "dice",
    "surface_dice",
    "tolerance_mm",
    "hd95_mm",
    "mean_surface_distance_mm",
    "volume_difference_ml",
    "volume_similarity",
)
_DETECTION = ("matched", "only_a", "only_b", "split", "merged", "f1")
_LESION = ("lesion_id", "volume_ml", "resectability", "fdg_avidity")
_LESION_PAIR = (
    "matched_by",
    "centroid_distance_mm",
    "dice",
    "surface_dice",
    "hd95_mm",
    "mean_surface_distance_mm",
    "volume_difference_ml",
    "part_of",
)

PAIR_COLUMNS = (
    "subject", "a", "b", "outcome", "stake", "level", "attributed_to",
    *(f"{side}.{key}" for key in ("status", "stratum", "stratum_1_holds", "stratum_2_holds", *_VOLUMES)
      for side in "ab"),
    *_TUMOUR,
    "fdg_avid.dice",
    *(f"lesions.{key}" for key in _DETECTION),
    "not_alike_ml",
    "reason",
)  # fmt: skip
LESION_COLUMNS = (
    "subject", "a", "b", "kind", *(f"{side}.{key}" for key in _LESION for side in "ab"), *_LESION_PAIR
)  # fmt: skip
ADJUDICATION_COLUMNS = ("order", "subject", "stake", "not_alike_ml", "strata", "attributed_to", "look_at")


def agreement_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``agreement.json``."""
    from volstrat.case.typed_json import schema_of

    description = (
        "Two or more readings of the same subjects. Numbers are unrounded; what does not exist is null, with "
        "a reason. `definitions` says what each figure is."
    )
    return schema_of(Agreement, title="volstrat agreement of readings", description=description)


class AgreementFile:
    """Writes ``agreement.json`` subject by subject, so that a large cohort costs no memory.

    Parameters
    ----------
    stream : BinaryIO
        Stays open.
    head : Mapping
        What comes before the subjects.
    """

    def __init__(self, stream: BinaryIO, head: Mapping[str, Any]) -> None:
        self._stream = stream
        self._first = True
        text = _text(head)
        self._stream.write(text[: text.rindex("}")].rstrip().encode() + b',\n  "subjects": [')

    def add(self, subject: Mapping[str, Any]) -> None:
        """Write a subject."""
        lines = _text(subject).replace("\n", "\n    ")
        self._stream.write(f"{'' if self._first else ','}\n    {lines}".encode())
        self._first = False

    def close(self, rest: Mapping[str, Any]) -> None:
        """Write what comes after the subjects."""
        text = _text(rest)
        self._stream.write(f"\n  ],\n{text[text.index('{') + 2 :]}\n".encode())


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


class Table:
    """A CSV file, row by row.

    Parameters
    ----------
    stream : BinaryIO
        Stays open.
    columns : sequence of str
    """

    def __init__(self, stream: BinaryIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._write(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row; columns it does not name stay empty."""
        self._write([csv_cell(row.get(column)) for column in self._columns])

    def _write(self, cells: Iterable[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._stream.write(text.getvalue().encode())


def pair_rows(subject: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield a row of ``agreement.csv`` for every two readings of a subject."""
    readings = {r["reading"]: r for r in subject["readings"]}
    for pair in subject["pairs"]:
        found = pair["discordance"] or {}
        row = {
            "subject": subject["subject"],
            "a": pair["a"],
            "b": pair["b"],
            "outcome": pair["outcome"],
            "stake": subject["stake"]["kind"],
            "level": found.get("level"),
            "attributed_to": found.get("attributed_to"),
            "not_alike_ml": pair["not_alike_ml"],
            "fdg_avid.dice": (pair["fdg_avid"] or {}).get("dice"),
            "reason": pair["reason"] or None,
        }
        row |= {key: (pair["tumour"] or {}).get(key) for key in _TUMOUR}
        row |= {f"lesions.{key}": (pair["detection"] or {}).get(key) for key in _DETECTION}
        for side in "ab":
            reading = readings[pair[side]]
            predicates = reading["predicates"]
            row |= {f"{side}.{key}": reading[key] for key in ("status", "stratum")}
            row |= {f"{side}.{key}": (reading["volumes"] or {}).get(key) for key in _VOLUMES}
            for name in ("stratum_1", "stratum_2"):
                row[f"{side}.{name}_holds"] = predicates and predicates[name]["holds"]
        yield row


def lesion_rows(subject: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield a row of ``agreement_lesions.csv`` for every lesion, matched or not."""
    for pair in subject["pairs"]:
        for lesion in pair["lesions"]:
            row = {"subject": subject["subject"], "a": pair["a"], "b": pair["b"], "kind": lesion["kind"]}
            row |= {key: lesion[key] for key in _LESION_PAIR}
            for side in "ab":
                row |= {f"{side}.{key}": (lesion[side] or {}).get(key) for key in _LESION}
            yield row


def adjudication_item(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an adjudicator needs to know of a subject."""
    return {
        "subject": subject["subject"],
        "stake": subject["stake"]["kind"],
        "not_alike_ml": subject["stake"]["ml"],
        "strata": {r["reading"]: r["stratum"] for r in subject["readings"] if r["source"] != "absent"},
        "attributed_to": subject["attributed_to"],
        "look_at": questions(subject),
    }


def adjudication_order(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort by what is at stake, then by the volume not counted alike, then by name."""
    return (
        list(STAKES).index(item["stake"]),
        -(item["not_alike_ml"] or 0.0),
        item["subject"],
    )


def questions(subject: Mapping[str, Any]) -> list[str]:
    """Name the lesions on which readings differ, the largest first."""
    found: list[tuple[float, str]] = []
    for pair in subject["pairs"]:
        a, b = pair["a"], pair["b"]
        if pair["outcome"] != "compared":
            found.append((float("inf"), pair["reason"]))
        for lesion in pair["lesions"]:
            found += _lesion_questions(lesion, a, b)
    texts = [text for _, text in sorted(found, key=lambda x: (-x[0], x[1]))]
    more = more_than(len(texts), NAMED)
    return [*texts[:NAMED], more] if more else texts


def _lesion_questions(lesion: Mapping[str, Any], a: str, b: str) -> list[tuple[float, str]]:
    in_a, in_b = lesion["a"], lesion["b"]
    if lesion["kind"] in {"only_a", "only_b"}:
        one, name, other = (in_a, a, b) if in_a else (in_b, b, a)
        what = f"{_ml(one)}, {_place(one)}, {one['resectability']}"
        text = f"{one['lesion_id']} in {name}, not in {other} ({what})"
        return [(one["volume_ml"], text)]
    if lesion["kind"] == "part":
        return []
    size = max(in_a["volume_ml"], in_b["volume_ml"])
    name = in_a["lesion_id"] if in_a["lesion_id"] == in_b["lesion_id"] else (
        f"{in_a['lesion_id']} in {a} = {in_b['lesion_id']} in {b}"
    )  # fmt: skip
    found = []
    for key in ("resectability", "fdg_avidity"):
        if in_a[key] != in_b[key]:
            words = [_word(one, key) for one in (in_a, in_b)]
            found.append(
                (size, f"{name}: {words[0]} in {a}, {words[1]} in {b} ({_ml(in_a)}, {_place(in_a)})")
            )
    return found


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
