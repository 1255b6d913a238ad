"""What the page is told: one JSON value for the verdict, the table and the geometry of the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.case.record_types import PREDICATES, given
from volstrat.pictures.key_slices import first_look, words_by_name
from volstrat.pictures.planes import PLANES, Plane
from volstrat.pictures.scene import AVID
from volstrat.pictures.slices import WINDOWS
from volstrat.report.report_figures import predicate_bar, sign
from volstrat.review.mark_table import token_of
from volstrat.show.styles import STYLES
from volstrat.show.verdict_words import (
    change_texts,
    counted_text,
    criterion_text,
    headline,
    margin_text,
    remnant_text,
    share_text,
    status_line,
)
from volstrat.show.words import AVIDITY, MET, SEVERITIES

if TYPE_CHECKING:
    from volstrat.case.record_types import CaseRecord, LesionRecord
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.projections import Projections
    from volstrat.pictures.scene import Scene
    from volstrat.review.session import Reviewed, ReviewSession
    from volstrat.terms.marks import LesionRow

_BAR_WIDTH = 310.0
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")
_TITLES = {"stratum_1": "Stratum 1, tumour:", "stratum_2": "Stratum 2, FDG-avid:"}


def state_of(session: ReviewSession) -> dict[str, Any]:
    """Return all that the page shows but the pictures."""
    reading = session.reading  # before the lesions: never newer than they are
    reviewed, error = session.reviewed, session.error
    scene, projections = session.scene, session.projections
    images = None
    if scene is not None and projections is not None and reviewed is not None:
        images = _images(scene, projections, reviewed.bare.record)
    state: dict[str, Any] = {
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
        "lesions": [],
        "masked": False,
        "verdict": None,
        "reading": reading,
        "signs": {word: sign(word) for word in STYLES},
        "images": images,
        "notices": [*session.notices, *(() if scene is None else scene.notices)],
    }
    if reviewed is not None:
        state |= _case(session, reviewed)
    state["mark"] = "|".join(
        (
            str(reading),
            str(state["version"]),
            state["stage"],
            state["changed_input"],
            str(error),
            str(images is not None),
        )
    )
    return state


def _case(session: ReviewSession, reviewed: Reviewed) -> dict[str, Any]:
    record = (reviewed.result or reviewed.bare).record
    words = words_by_name(record)
    rows = [_row(x, words, session, reviewed) for x in (*record["lesions"], *record["pet_only_regions"])]
    known = {row["id"] for row in rows}
    strangers = [
        {"id": i, "message": message, "token": token_of(reviewed.table.rows.get(i))}
        for i, message in reviewed.misfits.items()
        if i not in known
    ]
    case_json: dict[str, Any] = {
        "version": reviewed.version,
        "problem": reviewed.problem,
        "strangers": strangers,
        "lesions": rows,
        "masked": reviewed.bare.inputs.masks.resectable is not None,
    }
    if reviewed.result is not None:
        case_json["verdict"] = _verdict(record)
    return case_json


def _verdict(record: CaseRecord) -> dict[str, Any]:
    predicates = given(record["predicates"])
    return {
        "stratum": record["stratum"] or "none",
        "title": headline(record),
        "status": status_line(record),
        "needs_person": record["status"] != "assigned",
        "bars": [
            {
                "title": _TITLES[key],
                "share": share_text(predicates[key]),
                "met": MET[predicates[key]["holds"]],
                "told": criterion_text(record, key),
                "counted": counted_text(predicates[key]),
                "svg": predicate_bar(record, key, width=_BAR_WIDTH),
            }
            for key in PREDICATES
        ],
        "margin": margin_text(record),
        "remnant": remnant_text(record["remnant"]),
        "changes": change_texts(record),
        "findings": [
            {"severity": f["severity"], "word": SEVERITIES[f["severity"]], "message": f["message"]}
            for f in record["findings"]
        ],
    }


def _row(
    lesion: LesionRecord, words: dict[str, str], session: ReviewSession, reviewed: Reviewed
) -> dict[str, Any]:
    name = lesion["lesion_id"]
    row: LesionRow | None = reviewed.table.rows.get(name)
    in_table = row is not None and row.resectability is not None
    return {
        "id": name,
        "site": session.sites.get(name, ""),
        "region": name.startswith("P"),
        "volume_ml": lesion["volume_ml"],
        "axial_mm": lesion["max_axial_diameter_mm"],
        "longest_mm": lesion["max_diameter_mm"],
        "suv_max": lesion["suv_max"],
        "avidity": AVIDITY[lesion["fdg_avidity"]],
        "word": words[name],
        "share": lesion["resectable_fraction"],
        "marked": row.resectability.word if row is not None and row.resectability is not None else "",
        "called": "" if row is None else row.fdg_avidity or "",
        "reason": "" if row is None else row.reason,
        "by": "" if row is None else row.reader,
        "at": "" if row is None else row.recorded_at,
        "source": "table" if in_table else "mask" if words[name] not in ("unknown", "dismissed") else "",
        "token": token_of(row),
        "misfit": reviewed.misfits.get(name, ""),
        "others": [{"reader": who, "word": word} for who, word in reviewed.others.get(name, ())],
        "point_mm": session.points.get(name),
    }


def _images(scene: Scene, projections: Projections, record: CaseRecord) -> dict[str, Any]:
    """Say where the planes lie in the patient, so that the page can follow a point from one to another."""
    base = scene.base
    look = first_look(scene, record)
    middle = scene.grid.to_mm((np.array(scene.grid.shape) - 1) / 2)
    return {
        "base": "masks" if base is None else base.kind,
        "unit": "" if scene.pet is None else scene.pet.unit,
        "pet": scene.pet is not None,
        "ct": scene.ct is not None,
        "avid": any(s.name == AVID for s in scene.shapes),
        "windows": {name: list(window) for name, window in WINDOWS.items()},
        "suv_max": look.suv_max,
        "middle_mm": middle.tolist(),
        "planes": {name: _plane(Plane(name=name, grid=scene.grid, index=0)) for name in PLANES},
        "projections": {
            name: {**_plane(projections.plane(name)), "box": list(projections.box(name))}
            for name in _PROJECTED
        },
    }


def _plane(plane: Plane) -> dict[str, Any]:
    axis = plane.grid.directions[:, plane.normal]
    return {
        "count": plane.count,
        "size_mm": list(plane.size_mm),
        "corner_mm": plane.corner_mm.tolist(),
        "right": plane.right.tolist(),
        "down": plane.down.tolist(),
        "through": axis.tolist(),
        "step_mm": plane.grid.spacing_mm[plane.normal],
    }
