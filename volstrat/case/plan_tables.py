"""Surgical plans in ``case.toml``, ``[[plans]]`` and ``chosen``: read, and written beside what is there."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.toml_file import TomlTable, is_number
from volstrat.errors import PlanError
from volstrat.terms.couinaud import SEGMENTS, segment_named
from volstrat.terms.marks import Marking
from volstrat.terms.plans import Plan, Zone
from volstrat.terms.policies import LARGEST_MARGIN_MM

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.case.case_file import RoleEntry

    Entries = Callable[[object], tuple[RoleEntry, ...]]
    """Makes entries of what a plan names as its mask."""

_KEYS = ("name", "title", "by", "resect", "wedge", "ablate", "outside_liver")
_WORDS = {marking.word: marking for marking in Marking}
_CHOSEN = re.compile(r"^[ \t]*chosen[ \t]*=.*\n?", re.MULTILINE)
_FIRST_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


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

    Raises CaseError for an unknown key, a value of the wrong kind, or two plans of one name.
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

    Raises CaseError if it is none of the plans.
    """
    if value is None:
        return None
    table = {"plan": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(table.get("plan"), str):
        msg = f"{name}: chosen must be the name of a plan."
        raise PlanError(msg, hint='Write chosen = "A" at the top of the file, before any table.')
    keys = ("plan", "by", "reason", "recorded_at")
    texts = _table(table, name, "chosen.", known=keys)
    choice = PlanChoice(**{key: texts.text(key) for key in keys})
    names = [stated.plan.name for stated in plans]
    if choice.plan not in names:
        there = ", ".join(map(repr, names)) or "none"
        msg = f"{name}: chosen is {choice.plan!r}, which is no plan; the plans are {there}."
        raise PlanError(msg, hint="Choose one of them, or leave chosen out.")
    return choice


def _plan(values: dict[str, Any], number: int, entries: Entries, name: str) -> StatedPlan:
    table = _table(values, name, f"plans[{number}].", known=_KEYS)
    plan_name = table.text("name")
    if not plan_name.strip():
        table.refuse(f"plan number {number} has no name.", 'Write name = "A" below its [[plans]].')
    where = f"plan {plan_name!r}"
    table.path = f"{where}."
    resect = values.get("resect", {})
    if not isinstance(resect, dict):
        hint = "Write resect = { segments = [5, 6, 7, 8] }."
        table.refuse(f"{where}: resect must be a table.", hint)
    _table(resect, name, f"{where}: resect.", known=("segments", "mask"))
    mask = resect.get("mask")
    return StatedPlan(
        plan=Plan(
            name=plan_name,
            title=table.text("title"),
            by=table.text("by"),
            segments=_segments(resect.get("segments", []), where, table),
            wedges=_zones(values.get("wedge", []), f"{where}: wedge", name),
            ablations=_zones(values.get("ablate", []), f"{where}: ablate", name),
            outside_liver=_outside(values.get("outside_liver", {}), where, table),
        ),
        masks=() if mask is None else entries(mask),
    )


def _table(values: dict[str, Any], name: str, path: str, *, known: tuple[str, ...]) -> TomlTable:
    """Return a table of a plan: an unknown key is a fault of the case file, a wrong value of the plan."""
    table = TomlTable(values, name, path, known=known)
    table.error = PlanError
    return table


def _segments(value: object, where: str, plan: TomlTable) -> tuple[str, ...]:
    found = []
    for item in value if isinstance(value, list) else [value]:
        text = str(item) if isinstance(item, str | int) and not isinstance(item, bool) else ""
        segment = segment_named(text)
        if segment is None:
            said = f"{where}: {item!r} is no liver segment; there are {', '.join(SEGMENTS)}."
            plan.refuse(said, 'Write segments = [4, 5] or segments = ["4a", "V"].')
        found.append(segment)
    return tuple(found)


def _zones(value: object, where: str, name: str) -> tuple[Zone, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_zone(item, where, name) for item in items)


def _zone(values: object, where: str, name: str) -> Zone:
    example = '{ lesion = "L3", margin_mm = 10 }'
    if not isinstance(values, dict):
        msg = f"{name}: {where} must be a list of tables."
        raise PlanError(msg, hint=f"Write {where.rsplit(' ', maxsplit=1)[-1]} = [{example}].")
    table = _table(values, name, f"{where}.", known=("lesion", "point_mm", "margin_mm"))
    if ("lesion" in values) == ("point_mm" in values):
        hint = f"Write {example}, or a point in the lesion, in mm."
        table.refuse(f"{where} needs either lesion or point_mm.", hint)
    table.path = f"{where}: "
    lesion, point = values.get("lesion"), values.get("point_mm")
    if lesion is not None and not isinstance(lesion, str):
        table.refuse(f"{where}: lesion must be a text.", 'Write lesion = "L3".')
    if point is not None and not (isinstance(point, list) and len(point) == 3 and all(map(is_number, point))):
        hint = "Write point_mm = [x, y, z]: mm to the left, back and head."
        table.refuse(f"{where}: point_mm must be three numbers.", hint)
    hint = "Give millimetres, or leave it out: then the protocol's margin counts."
    return Zone(
        lesion_id=lesion,
        point_mm=None if point is None else (float(point[0]), float(point[1]), float(point[2])),
        margin_mm=table.number("margin_mm", 0, LARGEST_MARGIN_MM, hint),
    )


def _outside(value: object, where: str, plan: TomlTable) -> tuple[tuple[str, Marking], ...]:
    if not isinstance(value, dict):
        hint = 'Write outside_liver = { L1 = "resectable" }.'
        plan.refuse(f"{where}: outside_liver must be a table.", hint)
    for lesion, word in value.items():
        if not isinstance(word, str) or word not in _WORDS:
            words = ", ".join(reversed(_WORDS))
            said = f"{where}: outside_liver.{lesion} is {word!r}; it must be one of {words}."
            plan.refuse(said, f'Write outside_liver = {{ {lesion} = "resectable" }}.')
    return tuple((lesion, _WORDS[word]) for lesion, word in value.items())


def with_choice(text: str, choice: PlanChoice) -> str:
    """Return a case file in which a plan is chosen, with who, why and when.

    Raises PlanError if the file cannot be changed so without changing more of it.
    """
    said = {"plan": choice.plan, "by": choice.by, "reason": choice.reason, "recorded_at": choice.recorded_at}
    line = "chosen = { " + ", ".join(f"{k} = {_text(v)}" for k, v in said.items() if v) + " }\n"
    table = _FIRST_TABLE.search(text)
    top = text[: table.start()] if table else text
    changed = line + _CHOSEN.sub("", top, count=1) + text[len(top) :]
    before, now = tomllib.loads(text.lstrip("\ufeff")), tomllib.loads(changed.lstrip("\ufeff"))
    if before | {"chosen": now["chosen"]} != now or now["chosen"]["plan"] != choice.plan:
        msg = "case.toml: the choice cannot be written without changing other lines."
        raise PlanError(msg, hint=f"Write {line.strip()} at its top by hand.")
    return changed


def with_plan(text: str, plan: Plan) -> str:
    """Return a case file with one plan more, at its end.

    Raises PlanError if a plan of that name is there.
    """
    before = tomllib.loads(text.lstrip("\ufeff"))
    if plan.name in [one.get("name") for one in before.get("plans", [])]:
        msg = f"A plan called {plan.name!r} is there already."
        raise PlanError(msg, hint="Give it another name.")
    lines = ["", "[[plans]]", f"name = {_text(plan.name)}"]
    lines += [f"{key} = {_text(value)}" for key, value in (("title", plan.title), ("by", plan.by)) if value]
    if plan.segments:
        named = ", ".join(s if s.isdigit() else _text(s) for s in plan.segments)
        lines.append(f"resect = {{ segments = [{named}] }}")
    for key, zones in (("wedge", plan.wedges), ("ablate", plan.ablations)):
        if zones:
            lines.append(f"{key} = [{', '.join(map(_zone_line, zones))}]")
    if plan.outside_liver:
        words = ", ".join(f"{lesion} = {_text(marking.word)}" for lesion, marking in plan.outside_liver)
        lines.append(f"outside_liver = {{ {words} }}")
    return text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def _zone_line(zone: Zone) -> str:
    parts = [f"lesion = {_text(zone.lesion_id)}"] if zone.lesion_id is not None else []
    if zone.point_mm is not None:
        parts.append(f"point_mm = [{', '.join(repr(x) for x in zone.point_mm)}]")
    if zone.margin_mm is not None:
        parts.append(f"margin_mm = {zone.margin_mm!r}")
    return f"{{ {', '.join(parts)} }}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
