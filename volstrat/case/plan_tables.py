"""Surgical plans in ``case.toml``: ``[[plans]]`` and ``chosen``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.toml_keys import refuse_unknown, text_in
from volstrat.errors import PlanError
from volstrat.terms.couinaud import SEGMENTS, segment_named
from volstrat.terms.marks import Marking
from volstrat.terms.plans import Plan, Zone
from volstrat.terms.policies import LARGEST_MARGIN_MM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from volstrat.case.case_file import RoleEntry

    Entries = Callable[[object], tuple[RoleEntry, ...]]
    """Makes entries of what a plan names as its mask."""

_KEYS = ("name", "title", "by", "resect", "wedge", "ablate", "outside_liver")
_WORDS = {marking.word: marking for marking in Marking}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPlan:
    """A plan as ``case.toml`` states it, and the masks that it cuts out."""

    plan: Plan
    masks: tuple[RoleEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChoice:
    """Which plan a person chose, and what they said of it."""

    plan: str
    by: str = ""
    reason: str = ""
    recorded_at: str = ""


def stated_plans(value: object, entries: Entries, name: str) -> tuple[StatedPlan, ...]:
    """Return the plans of a case file.

    Raises
    ------
    CaseError
        For an unknown key, a value of the wrong kind, or two plans of one name.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        msg = f"{name}: plans must be a list of tables."
        raise PlanError(msg, hint="Write [[plans]] on a line of its own before each plan.")
    plans = tuple(_plan(item, n, entries, name) for n, item in enumerate(value, start=1))
    names = [stated.plan.name for stated in plans]
    for plan_name in names:
        if names.count(plan_name) > 1:
            msg = f"{name}: {names.count(plan_name)} plans are called {plan_name!r}."
            raise PlanError(msg, hint="Give each plan a name of its own.")
    return plans


def plan_choice(value: object, plans: tuple[StatedPlan, ...], name: str) -> PlanChoice | None:
    """Return which plan is chosen: the name alone, or a table with who, why and when.

    Raises
    ------
    CaseError
        If it is none of the plans.
    """
    if value is None:
        return None
    table = {"plan": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(table.get("plan"), str):
        msg = f"{name}: chosen must be the name of a plan."
        raise PlanError(msg, hint='Write chosen = "A" at the top of the file, before any table.')
    keys = ("plan", "by", "reason", "recorded_at")
    refuse_unknown(table, keys, "chosen.", name)
    choice = PlanChoice(**{key: text_in(table, key, "chosen.", name, error=PlanError) for key in keys})
    names = [stated.plan.name for stated in plans]
    if choice.plan not in names:
        there = ", ".join(map(repr, names)) or "none"
        msg = f"{name}: chosen is {choice.plan!r}, which is no plan; the plans are {there}."
        raise PlanError(msg, hint="Choose one of them, or leave chosen out.")
    return choice


def _plan(table: Mapping[str, Any], number: int, entries: Entries, name: str) -> StatedPlan:
    where = f"plans[{number}]"
    refuse_unknown(table, _KEYS, f"{where}.", name)
    plan_name = text_in(table, "name", f"{where}.", name, error=PlanError)
    if not plan_name.strip():
        msg = f"{name}: plan number {number} has no name."
        raise PlanError(msg, hint='Write name = "A" below its [[plans]].')
    where = f"plan {plan_name!r}"
    resect = table.get("resect", {})
    if not isinstance(resect, dict):
        msg = f"{name}: {where}: resect must be a table."
        raise PlanError(msg, hint="Write resect = { segments = [5, 6, 7, 8] }.")
    refuse_unknown(resect, ("segments", "mask"), f"{where}: resect.", name)
    mask = resect.get("mask")
    return StatedPlan(
        plan=Plan(
            name=plan_name,
            title=text_in(table, "title", f"{where}.", name, error=PlanError),
            by=text_in(table, "by", f"{where}.", name, error=PlanError),
            segments=_segments(resect.get("segments", []), where, name),
            wedges=_zones(table.get("wedge", []), "wedge", where, name),
            ablations=_zones(table.get("ablate", []), "ablate", where, name),
            outside_liver=_outside(table.get("outside_liver", {}), where, name),
        ),
        masks=() if mask is None else entries(mask),
    )


def _segments(value: object, where: str, name: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    found = []
    for item in items:
        text = str(item) if isinstance(item, str | int) and not isinstance(item, bool) else ""
        segment = segment_named(text)
        if segment is None:
            msg = f"{name}: {where}: {item!r} is no liver segment; there are {', '.join(SEGMENTS)}."
            raise PlanError(msg, hint='Write segments = [4, 5] or segments = ["4a", "V"].')
        found.append(segment)
    return tuple(found)


def _zones(value: object, key: str, where: str, name: str) -> tuple[Zone, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_zone(item, f"{where}: {key}", name) for item in items)


def _zone(table: object, where: str, name: str) -> Zone:
    example = '{ lesion = "L3", margin_mm = 10 }'
    if not isinstance(table, dict):
        msg = f"{name}: {where} must be a list of tables."
        raise PlanError(msg, hint=f"Write {where.rsplit(' ', maxsplit=1)[-1]} = [{example}].")
    refuse_unknown(table, ("lesion", "point_mm", "margin_mm"), f"{where}.", name)
    if ("lesion" in table) == ("point_mm" in table):
        msg = f"{name}: {where} needs either lesion or point_mm."
        raise PlanError(msg, hint=f"Write {example}, or a point in the lesion, in mm.")
    lesion = table.get("lesion")
    if lesion is not None and not isinstance(lesion, str):
        msg = f"{name}: {where}: lesion must be a text."
        raise PlanError(msg, hint='Write lesion = "L3".')
    point = table.get("point_mm")
    if point is not None and not (
        isinstance(point, list) and len(point) == 3 and all(map(_is_number, point))
    ):
        msg = f"{name}: {where}: point_mm must be three numbers."
        raise PlanError(msg, hint="Write point_mm = [x, y, z]: mm to the left, back and head.")
    margin = table.get("margin_mm")
    if margin is not None and not (_is_number(margin) and 0 <= margin <= LARGEST_MARGIN_MM):
        msg = f"{name}: {where}: margin_mm is {margin!r}; it must lie between 0 and {LARGEST_MARGIN_MM:g}."
        raise PlanError(msg, hint="Give millimetres, or leave it out: then the protocol's margin counts.")
    return Zone(
        lesion_id=lesion,
        point_mm=None if point is None else (float(point[0]), float(point[1]), float(point[2])),
        margin_mm=None if margin is None else float(margin),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _outside(value: object, where: str, name: str) -> tuple[tuple[str, Marking], ...]:
    if not isinstance(value, dict):
        msg = f"{name}: {where}: outside_liver must be a table."
        raise PlanError(msg, hint='Write outside_liver = { L1 = "resectable" }.')
    for lesion, word in value.items():
        if word not in _WORDS:
            words = ", ".join(reversed(_WORDS))
            msg = f"{name}: {where}: outside_liver.{lesion} is {word!r}; it must be one of {words}."
            raise PlanError(msg, hint=f'Write outside_liver = {{ {lesion} = "resectable" }}.')
    return tuple((lesion, _WORDS[word]) for lesion, word in value.items())
