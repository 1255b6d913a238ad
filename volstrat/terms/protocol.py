"""The protocol: every choice that the trial's registry entry leaves open, as a field.

A protocol is data. `protocol_from_mapping` builds one from parsed TOML; fields that a file does not
name keep the defaults here, which are those of the packaged ``pantodon.toml``.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from volstrat.errors import ProtocolError
from volstrat.frozen import FrozenDict, frozen
from volstrat.terms.avidity_rules import Avidity
from volstrat.terms.marks import Marking
from volstrat.terms.policies import (
    FRACTION_PERCENT,
    PlanPolicy,
    RemnantPolicy,
    ReportPolicy,
    VolumeErrorPolicy,
    require,
    require_number,
)


@frozen
class Thresholds:
    """Percentages that the predicates must reach; decimals are exact.

    Of 1 and less none is taken: "0.7" is a fraction by mistake, and 0.7 % of the tumour is nearly none of it.
    """

    stratum_1_percent: Decimal = Decimal(70)
    stratum_2_percent: Decimal = Decimal(100)

    def __post_init__(self) -> None:
        for name in ("stratum_1_percent", "stratum_2_percent"):
            require_number(
                f"thresholds.{name}",
                getattr(self, name),
                above=FRACTION_PERCENT,
                at_most=100,
                what="a percentage {} (70, not 0.7)",
            )


@frozen
class Review:
    """What calls for a person: choices whose other setting gives another stratum; days between CT and PET."""

    open_choices: tuple[str, ...] = ("avidity.also_check", "pet_only_in_total")
    max_days_between: int = 60
    pet_shift_mm: tuple[float, ...] = (-10.0, -5.0, 5.0, 10.0)

    def __post_init__(self) -> None:
        require(
            all(math.isfinite(shift) and shift for shift in self.pet_shift_mm),
            f"review.pet_shift_mm is {list(self.pet_shift_mm)}; each must be a number of mm, not 0.",
        )
        require_number("review.max_days_between", self.max_days_between, at_least=0)
        known = ("avidity.also_check", "pet_only_in_total", "both_fit", "ablation_counts", "exclusion_b")
        for choice in self.open_choices:
            require(
                choice in known,
                f"review.open_choices: {choice!r} is not a choice that can be tried ({', '.join(known)}).",
            )


_NAMING = {
    "fdg_avid": """
        fdg*; *fdg avid*; *fdg-avid*; avid*; *pet avid*; *pet-avid*; *pet positi*; *fdg positi*;
        *fdg-positi*; *fdg upptag*; *fdg-upptag*; *fdg uptake*; *hypermetabol*
    """,
    "resectable": """
        resectable*; *resectab*; can be resected*; *debulk*; *resektabel*; *resekterbar*; *resezierbar*;
        *resektabl*; *resecable*; *resecabil*; *ressecav*; *resekoita*; operable*; operabel*; opererbar*
    """,
    "remnant": "flr*; *remnant*; future liver*; *leverrest*; restleber*; restlever*",
    "reference": "reference*; referen*; blood pool*; blodpool*; blutpool*; aorta*",
    "liver": """
        liver; lever; leber; foie; higado; figado; fegato; maksa; whole liver; hela levern; ganze leber;
        liver parenchyma; leverparenkym; liver-gtv*; liver - gtv*; liver minus*; liver without*;
        lever minus*; lever utan*; leber ohne*
    """,
    "tumour": """
        *tumour*; *tumor*; *tumeur*; *metasta*; *lesion*; *läsion*; *laesi*; *leesio*; *gtv*; *primary*;
        *primär*; *neoplas*; *cancer*; *carcinom*; *karzinom*; *karcinom*; *malign*; *svulst*; *kasvain*;
        *etapesak*; *raumforderung*; *nodul*; mass; mass *; * mass; met; met *; mets*; met[0-9]*; * met;
        * mets; * met [0-9]*; * met[0-9]*; liver met*; lever met*; levermet*; livermet*; hcc*; pnet*; nets
    """,
}
NAMING: Mapping[str, tuple[str, ...]] = FrozenDict(
    {role: tuple(" ".join(globs.split()).split("; ")) for role, globs in _NAMING.items()}
)
"""Globs on names of segments, ROIs and labels, in several languages; a name plays the first role it fits."""


@frozen
class Protocol:
    """Every open choice of the rule and of how it is measured.

    See ``pantodon.toml`` for each field's reason, and ``docs/rule.md`` for its meaning.
    """

    id: str = "pantodon"
    version: str = "1"
    thresholds: Thresholds = field(default_factory=Thresholds)
    both_fit: Literal["stratum_1", "stratum_2"] = "stratum_1"
    ablation_counts: bool = True
    exclusion_b: Literal["not_all_resectable", "none_resectable"] = "not_all_resectable"
    tumour_scope: Literal["all", "liver"] = "all"
    pet_only_in_total: bool = False
    connectivity: Literal[26, 18, 6] = 26
    minimum_voxels: int = 1
    attribution_distance_mm: float = 10.0
    whole_lesion_percent: Decimal = Decimal(95)
    geometry_tolerance_mm: float = 0.1
    avidity: Avidity = field(default_factory=Avidity)
    volume_error: VolumeErrorPolicy = field(default_factory=VolumeErrorPolicy)
    boundary_shift_mm: tuple[float, ...] = (-1.0, -0.5, 0.5, 1.0)
    remnant: RemnantPolicy = field(default_factory=RemnantPolicy)
    plans: PlanPolicy = field(default_factory=PlanPolicy)
    review: Review = field(default_factory=Review)
    report: ReportPolicy = field(default_factory=ReportPolicy)
    naming: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NAMING)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.naming) - set(NAMING))
        require(not unknown, f"naming: unknown role {''.join(unknown[:1])!r} ({', '.join(NAMING)}).")
        # A role that is not named keeps its patterns and its place.
        naming = self.naming if set(NAMING) <= set(self.naming) else {**NAMING, **self.naming}
        object.__setattr__(self, "naming", FrozenDict(naming))
        require_number("minimum_voxels", self.minimum_voxels, at_least=1)
        require_number("attribution_distance_mm", self.attribution_distance_mm, at_least=0)
        require_number("geometry_tolerance_mm", self.geometry_tolerance_mm, at_least=0, at_most=1)
        require(
            all(math.isfinite(shift) for shift in self.boundary_shift_mm),
            f"boundary_shift_mm is {list(self.boundary_shift_mm)}; each must be a number of mm.",
        )
        require_number("whole_lesion_percent", self.whole_lesion_percent, above=50, at_most=100)

    @property
    def counted(self) -> tuple[Marking, ...]:
        """The markings that count as resectable for certain."""
        return (Marking.ABLATABLE, Marking.RESECTABLE) if self.ablation_counts else (Marking.RESECTABLE,)


def reaches_percent(part: int, whole: int, percent: Decimal) -> bool:
    """Tell whether ``part / whole >= percent / 100``, in integers.

    The decimal percent is written as a ratio of integers, so exactly 70 % passes and no rounding
    can decide.
    """
    numerator, denominator = percent.as_integer_ratio()
    return part * 100 * denominator >= whole * numerator


def protocol_from_mapping(data: Mapping[str, object], *, where: str = "protocol") -> Protocol:
    """Build a protocol from parsed TOML (numbers with a point as `Decimal`).

    Raises ProtocolError for an unknown key (named with its path), a wrong type or an impossible value.
    """
    built = _build(Protocol, data, path="", where=where)
    assert isinstance(built, Protocol)
    return built


def _build(kind: type, data: Mapping[str, object], *, path: str, where: str) -> object:
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            msg = f"{where}: unknown key {path + key!r}."
            raise ProtocolError(msg, hint=f"Known here: {', '.join(known)}.")
    values = {key: _convert(hints[key], value, path + key, where) for key, value in data.items()}
    try:
        return kind(**values)
    except ProtocolError as error:
        # What a table checks of itself names it already.
        msg = f"{where}: {path}{error.message.removeprefix(path)}"
        raise ProtocolError(msg, hint=error.hint) from error


_PLAIN: dict[object, tuple[str, str]] = {
    Decimal: ("number", "a number"),
    float: ("number", "a number"),
    int: ("integer", "a whole number"),
    bool: ("boolean", "true or false"),
    str: ("string", "a text"),
}
"""Types of plain fields: what a schema calls them, and a sentence."""


def _convert(hint: Any, value: Any, path: str, where: str) -> object:  # noqa: ANN401 - what TOML gives
    origin, arguments = get_origin(hint), get_args(hint)
    expected = _PLAIN[hint][1] if hint in _PLAIN else "a list" if origin is tuple else "a table"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _build(hint, value, path=f"{path}.", where=where)
    if origin in (Union, types.UnionType):
        inner = next(a for a in arguments if a is not type(None))
        return None if value is None else _convert(inner, value, path, where)
    if origin is Literal:
        if value in arguments and type(value) is type(arguments[0]):
            return value
        expected = f"one of {', '.join(str(a) for a in arguments)}"
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], v, f"{path}[{n}]", where) for n, v in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {k: _convert(arguments[1], v, f"{path}.{k}", where) for k, v in value.items()}
    if hint in (Decimal, float) and type(value) in (int, float, Decimal):
        value = hint(str(value))
    if type(value) is hint:
        return value
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    msg = f"{where}: {path} is {shown}; it must be {expected}."
    raise ProtocolError(msg)


def protocol_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a protocol file, from the fields themselves."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "volstrat protocol",
        **_schema_of(Protocol),
    }


def _schema_of(hint: object) -> dict[str, object]:
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        fields = {f.name: _schema_of(hints[f.name]) for f in dataclasses.fields(hint)}
        return {"type": "object", "additionalProperties": False, "properties": fields}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _schema_of(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    return {"type": _PLAIN[hint][0]}
