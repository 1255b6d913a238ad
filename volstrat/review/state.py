"""What the page is told: one JSON value for the verdict, the table and the geometry of the pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.case.record_types import PREDICATES
from volstrat.pictures.key_slices import first_look, words_by_name
from volstrat.pictures.planes import PLANES, Plane
from volstrat.pictures.projections import VIEWS
from volstrat.pictures.scene import AVID
from volstrat.pictures.slices import WINDOWS
from volstrat.report.report_figures import criterion_bar, sign
from volstrat.review.mark_table import token_of
from volstrat.review.places import body_box
from volstrat.show.styles import AVID_COLOUR, PLAN_STYLES, STYLES
from volstrat.show.verdict_words import (
    change_texts,
    headline,
    margin_text,
    remnant_text,
    status_line,
    still_to_mark,
)
from volstrat.show.words import AVIDITY, SEVERITIES

if TYPE_CHECKING:
    from volstrat.case.record_types import CaseRecord, LesionRecord
    from volstrat.geometry.array_types import Float64s
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.projections import RotatingProjection
    from volstrat.pictures.scene import Scene
    from volstrat.review.reviewed import Reviewed
    from volstrat.review.session import ReviewSession
    from volstrat.terms.marks import LesionRow

_KEPT = 16
_BAR_WIDTH = 310.0
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")
_TITLES = {"stratum_1": "Stratum 1, tumour:", "stratum_2": "Stratum 2, FDG-avid:"}


def mark_of(session: ReviewSession, reviewed: Reviewed | None) -> str:
    """Return what tells one state of a session from another; cheap."""
    return "|".join(
        (
            str(session.reading),
            str(0 if reviewed is None else reviewed.version),
            str(session.showing.shown) if session.showing.scene is not None else "",
            str(session.showing.rotation is not None),
            session.stage,
            session.changed_input() if reviewed is not None else "",
            str(session.error),
        )
    )


class States:
    """Tells the page its state, and of what it has already only the rest."""

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._built: dict[str, tuple[tuple[object, ...], dict[str, Any]]] = {}

    def since(self, known: str) -> dict[str, Any]:
        """Return all that the page shows but the pictures.

        ``known`` is `mark_of` the state that the page has, "" for none: of lesions only those that changed
        since are told then, and images only where they did.
        """
        session = self._session
        # First what is told, so that the mark is of these rows, whatever another thread changes meanwhile.
        reading, reviewed = session.reading, session.reviewed
        mark, signed, scene = mark_of(session, reviewed), session.signed, session.showing.scene
        error = session.error
        state: dict[str, Any] = {
            "mark": mark,
            "stage": session.stage,
            "subject": session.place.name if reviewed is None else reviewed.bare.sources.subject,
            "reader": session.options.reader,
            "read_only": session.options.read_only,
            "blind": session.options.blind,
            "table": session.table_name,
            "changed_input": session.changed_input() if reviewed is not None else "",
            "error": None if error is None else {"message": error.message, "hint": error.hint},
            "version": 0,
            "problem": "",
            "strangers": [],
            "masked": False,
            "planned": False,
            "verdict": None,
            "reading": reading,
            "notices": [session.notice] if session.notice else [],
            "warnings": [*session.showing.problems, *(() if scene is None else scene.notices)],
            "signed": None if signed is None else {"by": signed.by, "at": signed.at, "hash": signed.text},
            "note": next((e.text for e in reversed(session.events) if e.kind == "note"), ""),
            "key_images": sum(e.kind == "key_image" for e in session.events),
        }
        if known.split("|")[:1] != [str(reading)]:
            state["signs"] = {word: sign(word) for word in STYLES}
            state["styles"] = {word: asdict(style) for word, style in STYLES.items()}
            state["plan_styles"] = {x: {"colour": c, "dash": dash} for x, (c, dash) in PLAN_STYLES.items()}
            state["avid_colour"] = AVID_COLOUR
        if known.split("|")[2:4] != mark.split("|")[2:4]:
            state["images"] = None if scene is None else _images(scene, session)
        rows: list[dict[str, Any]] = []
        if reviewed is not None:
            rows = self._rows_of(reviewed)
            state |= _case(reviewed, {row["id"] for row in rows})
        before = self._rows.get("|".join(known.split("|")[:2]))
        self._rows["|".join(mark.split("|")[:2])] = rows
        while len(self._rows) > _KEPT:
            self._rows.pop(next(iter(self._rows)))
        if before is not None and len(before) == len(rows):
            pairs = zip(rows, before, strict=True)
            state["changed"] = [row for row, old in pairs if row is not old and row != old]
        else:
            state["lesions"] = rows
        return state

    def _rows_of(self, reviewed: Reviewed) -> list[dict[str, Any]]:
        """Return the table's rows; those of which nothing changed are the ones that were built before."""
        record, session, built = (reviewed.result or reviewed.bare).record, self._session, self._built
        words = words_by_name(record)
        rows = []
        for lesion in (*record["lesions"], *record["pet_only_regions"]):
            name = lesion["lesion_id"]
            others, misfit = reviewed.others.get(name, ()), reviewed.misfits.get(name, "")
            row = reviewed.rows.get(name)
            place = (session.sites.get(name), session.segments.get(name), session.points.get(name))
            rests_on = (lesion, words[name], row, misfit, others, place, record["chosen_plan"])
            known = built.get(name)
            if known is None or known[0] != rests_on:
                known = built[name] = (rests_on, _row(lesion, words[name], row, session, reviewed))
            rows.append(known[1])
        return rows


def _case(reviewed: Reviewed, known: set[str]) -> dict[str, Any]:
    """Return what is told of a case that has been read; ``known``: the ids of its rows."""
    told: dict[str, Any] = {
        "version": reviewed.version,
        "problem": reviewed.problem,
        "strangers": [
            {"id": i, "message": message, "token": token_of(reviewed.table.rows.get(i))}
            for i, message in reviewed.misfits.items()
            if i not in known
        ],
        "masked": reviewed.bare.inputs.masks.resectable is not None,
        "planned": bool(reviewed.bare.sources.plans or reviewed.bare.inputs.plans.segments),
    }
    if reviewed.result is not None:
        told["verdict"] = {**_verdict(reviewed.record), "following": reviewed.flips is None}
    return told


def _verdict(record: CaseRecord) -> dict[str, Any]:
    return {
        "stratum": record["stratum"] or "none",
        "title": headline(record),
        "status": status_line(record),
        "needs_person": record["status"] != "assigned",
        "bars": [
            {"title": _TITLES[key], **criterion_bar(record, key, width=_BAR_WIDTH)} for key in PREDICATES
        ],
        "margin": margin_text(record),
        "remnant": remnant_text(record["remnant"]),
        "changes": change_texts(record),
        "to_mark": still_to_mark(record),
        "findings": [{**f, "word": SEVERITIES[f["severity"]]} for f in record["findings"]],
    }


def _row(
    lesion: LesionRecord, word: str, row: LesionRow | None, session: ReviewSession, reviewed: Reviewed
) -> dict[str, Any]:
    name = lesion["lesion_id"]
    source = "mask" if word not in ("unknown", "dismissed") else ""
    if reviewed.record["chosen_plan"] is not None and lesion["site"] == "liver":
        source = "plan"  # in the liver a chosen plan stands over all else
    elif row is not None and row.word:
        source = "table"
    return {
        "id": name,
        "site": session.sites.get(name, ""),
        "segment": session.segments.get(name, ""),
        "region": name.startswith("P"),
        "volume_ml": lesion["volume_ml"],
        "axial_mm": lesion["max_axial_diameter_mm"],
        "longest_mm": lesion["max_diameter_mm"],
        "suv_max": lesion["suv_max"],
        "avidity": AVIDITY[lesion["fdg_avidity"]],
        "word": word,
        "share": lesion["resectable_fraction"],
        "marked": "" if row is None else row.word,
        "site_word": lesion["site"] or "",
        "site_source": lesion["site_source"] or "",
        "dismissed": lesion["dismissed"],
        "near": lesion["near"],
        "belongs_to": lesion["belongs_to"] or "",
        "called": "" if row is None else row.fdg_avidity or "",
        "reason": "" if row is None else row.reason,
        "by": "" if row is None else row.reader,
        "at": "" if row is None else row.recorded_at,
        "source": source,
        "token": token_of(row),
        "misfit": reviewed.misfits.get(name, ""),
        "others": [{"reader": who, "word": word} for who, word in reviewed.others.get(name, ())],
        "point_mm": session.points.get(name),
        "box_mm": lesion["bounding_box_mm"],
    }


def _images(scene: Scene, session: ReviewSession) -> dict[str, Any]:
    """Say where the planes lie in the patient, so that the page can follow a point from one to another."""
    base, projections, rotation = scene.base, session.showing.projections, session.showing.rotation
    reviewed = session.reviewed
    middle = scene.grid.to_mm((np.array(scene.grid.shape) - 1) / 2)
    return {
        "base": "masks" if base is None else base.kind,
        "unit": "" if scene.pet is None else scene.pet.unit,
        "pet": scene.pet is not None,
        "ct": scene.ct is not None,
        "avid": any(s.name == AVID for s in scene.shapes),
        "windows": WINDOWS,
        "suv_max": 10.0 if reviewed is None else first_look(scene, reviewed.bare.record).suv_max,
        "middle_mm": middle.tolist(),
        "body_mm": None if scene.ct is None else body_box(scene.ct),
        "planes": {name: _plane(Plane(name=name, grid=scene.grid, index=0)) for name in PLANES},
        "projections": {}
        if projections is None
        else {name: {**_plane(projections.plane(name)), "box": projections.box(name)} for name in _PROJECTED},
        "views": [] if rotation is None else [view_geometry(rotation, n) for n in range(VIEWS)],
    }


def _axes(corner: Float64s, right: Float64s, down: Float64s, through: Float64s) -> dict[str, Any]:
    told = {"corner_mm": corner, "right": right, "down": down, "through": through}
    return {name: value.tolist() for name, value in told.items()}


def _plane(plane: Plane) -> dict[str, Any]:
    return {
        "count": plane.count,
        "size_mm": plane.size_mm,
        "step_mm": plane.grid.spacing_mm[plane.normal],
        **_axes(plane.corner_mm, plane.right, plane.down, plane.grid.directions[:, plane.normal]),
    }


def view_geometry(rotation: RotatingProjection, view: int) -> dict[str, Any]:
    """Say where a view from round the patient lies."""
    axes = _axes(rotation.corner_mm(view), *rotation.axes(view))
    return {**axes, "box": [0.0, 0.0, *rotation.size_mm]}
