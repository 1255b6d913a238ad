"""Write a plan, or the choice of one, into ``case.toml``: by hand's own lines, nothing else is touched."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

from volstrat.errors import PlanError

if TYPE_CHECKING:
    from volstrat.case.plan_tables import PlanChoice
    from volstrat.terms.plans import Plan, Zone

_CHOSEN = re.compile(r"^[ \t]*chosen[ \t]*=.*\n?", re.MULTILINE)
_FIRST_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def with_choice(text: str, choice: PlanChoice) -> str:
    """Return a case file in which a plan is chosen, with who, why and when.

    Raises
    ------
    PlanError
        If the file cannot be changed so without changing more of it.
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

    Raises
    ------
    PlanError
        If a plan of that name is there.
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
            lines.append(f"{key} = [{', '.join(map(_zone, zones))}]")
    if plan.outside_liver:
        words = ", ".join(f"{lesion} = {_text(marking.word)}" for lesion, marking in plan.outside_liver)
        lines.append(f"outside_liver = {{ {words} }}")
    return text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def _zone(zone: Zone) -> str:
    parts = [f"lesion = {_text(zone.lesion_id)}"] if zone.lesion_id is not None else []
    if zone.point_mm is not None:
        parts.append(f"point_mm = [{', '.join(repr(x) for x in zone.point_mm)}]")
    if zone.margin_mm is not None:
        parts.append(f"margin_mm = {zone.margin_mm!r}")
    return f"{{ {', '.join(parts)} }}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
