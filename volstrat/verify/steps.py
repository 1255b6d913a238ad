"""Where two records of one subject part: the steps from a file's bytes to a count, in their order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.lesion_table import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from volstrat.case.input_types import InputRecord
    from volstrat.case.record_types import CaseRecord, EnvironmentRecord
    from volstrat.terms.protocol import Protocol

    Pair = tuple[str, Any, Any]

Step = Literal["input_bytes", "header", "protocol", "version", "library", "count"]
STEPS: tuple[Step, ...] = ("input_bytes", "header", "protocol", "version", "library", "count")

_GRID = ("shape", "spacing_mm", "origin_mm", "directions", "frame_of_reference_uid")
_COMPARED_APART = {"schema", "inputs", "protocol", "environment", "findings", "subject"}
_MOST_COUNTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not what it was; ``old`` and ``new`` are JSON values."""

    step: Step
    role: str = ""  # which input, e.g. "tumour"; empty where it is none
    path: str = ""  # the input's file, relative to the case folder
    what: str  # the field, library or key of the record
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDifferences:
    """A subject whose record does not come out again; the first step that differs comes first."""

    subject: str
    differences: tuple[Difference, ...]

    @property
    def first(self) -> Difference:
        """The first step that differs: what comes later may follow from it."""
        return self.differences[0]


def in_order(subject: str, found: Iterable[Difference]) -> SubjectDifferences:
    """Return a subject's differences, the first step first."""
    return SubjectDifferences(subject=subject, differences=tuple(sorted(found, key=_rank)))


def input_changed(subject: str, what: str, old: object, new: object) -> SubjectDifferences:
    """Say one thing of what was read for a subject."""
    found = Difference(step="input_bytes", what=what, old=old, new=new)
    return SubjectDifferences(subject=subject, differences=(found,))


def changed(step: Step, pairs: Iterable[Pair], *, role: str = "", path: str = "") -> Iterator[Difference]:
    """Yield those of some things, each with its old and its new value, whose values differ."""
    for what, old, new in pairs:
        if old != new:
            yield Difference(step=step, role=role, path=path, what=what, old=old, new=new)


def _rank(difference: Difference) -> int:
    return STEPS.index(difference.step)


def _pairs(
    old: Mapping[str, object], new: Mapping[str, object], keys: Sequence[str] = (), within: str = ""
) -> list[Pair]:
    """Return what two objects hold under some keys; under all of them where none is named."""
    return [(f"{within}{key}", old.get(key), new.get(key)) for key in keys or sorted({*old, *new})]


def record_differences(old: CaseRecord, new: CaseRecord) -> list[Difference]:
    """Return every difference between two records of one subject, the first step first.

    Records of two forms are compared by the keys that both have.
    """
    protocols = _pairs(old["protocol"], new["protocol"], ("id", "version", "sha256"), "protocol.")
    found = [
        *_inputs(old, new),
        *changed("protocol", protocols),
        *environment_differences(old["environment"], new["environment"]),
        *changed("version", [("form of the record", old.get("schema"), new.get("schema"))]),
        *_counts(old, new),
    ]
    return sorted(found, key=_rank)


def _inputs(old: CaseRecord, new: CaseRecord) -> Iterator[Difference]:
    before, now = ({(one["role"], one["path"]): one for one in record["inputs"]} for record in (old, new))
    failed = bool(old["error"] or new["error"])
    silent = failed and not (before and now)  # a failed case may list none at all
    for key in sorted({*before, *now}):
        one, other = before.get(key), now.get(key)
        if one is not None and other is not None:
            yield from input_differences(one, other)
        elif not silent:
            hashes = [None if entry is None else entry["sha256"] for entry in (one, other)]
            yield from changed("input_bytes", [("file", hashes[0], hashes[1])], role=key[0], path=key[1])


def input_differences(old: InputRecord, new: InputRecord) -> Iterator[Difference]:
    """Say of one file whether its voxels or only its header changed."""
    role, path = old["role"], old["path"]
    history = (f"sha256 of {HISTORY}", old.get("history_sha256"), new.get("history_sha256"))
    yield from changed("input_bytes", [history], role=role, path=path)
    header = list(changed("header", _header(old, new), role=role, path=path))
    told_apart = "voxels_sha256" in old and "voxels_sha256" in new
    same_voxels = told_apart and old["voxels_sha256"] == new["voxels_sha256"]
    if old["sha256"] == new["sha256"] or (header and (same_voxels or not told_apart)):
        yield from header  # of the same bytes: its image, or how it is read
        return
    if same_voxels:
        what = "sha256 (voxels and grid are the same)"
        yield from changed("header", [(what, old["sha256"], new["sha256"])], role=role, path=path)
        return
    what = "sha256"
    if not told_apart and old["grid"] is not None:
        what = "sha256 (no hash of the voxels alone: voxels or header cannot be told)"
    found: list[Pair] = [(what, old["sha256"], new["sha256"])]
    if told_apart:
        counts = [sum(segment["voxels"] for segment in entry["segments"]) for entry in (old, new)]
        found.insert(0, ("voxels", counts[0], counts[1]))
    yield from changed("input_bytes", found, role=role, path=path)
    yield from header


def _header(old: InputRecord, new: InputRecord) -> Iterator[Pair]:
    """Yield what the headers of a file say, as it was and as it is."""
    if old["grid"] is not None and new["grid"] is not None:
        yield from _pairs(old["grid"], new["grid"], _GRID, "grid.")
    names = [{s["number"]: s["name"] for s in entry["segments"]} for entry in (old, new)]
    for number in sorted(names[0].keys() & names[1].keys()):
        yield f"segment {number} name", names[0][number], names[1][number]
    used = [[] if "suv" not in entry else entry["suv"]["sources"] for entry in (old, new)]
    attributes = [{source["attribute"]: source["value"] for source in some} for some in used]
    yield from _pairs(attributes[0], attributes[1])
    yield from _pairs(old, new, ("tracer",))


def environment_differences(old: EnvironmentRecord, new: EnvironmentRecord) -> list[Difference]:
    """Return what versions changed: volstrat's own, Python's and the libraries'."""
    libraries = [*_pairs(old, new, ("python", "platform")), *_pairs(old["libraries"], new["libraries"])]
    return [*changed("version", _pairs(old, new, ("volstrat",))), *changed("library", libraries)]


def _counts(old: CaseRecord, new: CaseRecord) -> list[Difference]:
    """Compare all that follows from the rest: verdict first, then numbers, a dozen at most."""
    one, other = ({k: v for k, v in record.items() if k not in _COMPARED_APART} for record in (old, new))
    found = value_differences(one, other, both=old.get("schema") != new.get("schema"))
    codes = [sorted({f["code"] for f in record["findings"]}) for record in (old, new)]
    told: list[Pair] = [("findings", codes[0], codes[1])]
    if codes[0] == codes[1] and not found:
        told = [("findings", old["findings"], new["findings"])]
    return [*found, *changed("count", told)][:_MOST_COUNTS]


def value_differences(old: object, new: object, path: str = "", *, both: bool = False) -> list[Difference]:
    """Return a dozen at most of the values in which two JSON values differ.

    With ``both``, objects are compared by the keys that both of them have.
    """
    leaves = (
        Difference(step="count", what=what, old=one, new=other)
        for what, one, other in _leaves(old, new, path, both=both)
    )
    return list(islice(leaves, _MOST_COUNTS))


def _leaves(old: object, new: object, path: str, *, both: bool) -> Iterator[Pair]:
    """Yield every value that differs, with its dotted path."""
    if old == new and type(old) is type(new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        dot = f"{path}." if path else ""
        for key in [k for k in old if k in new] if both else {**old, **new}:
            yield from _leaves(old.get(key), new.get(key), f"{dot}{key}", both=both)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(one, other, f"{path}[{n}]", both=both)
    elif isinstance(old, list) and isinstance(new, list):
        yield f"{path} (how many)", len(old), len(new)
    else:
        yield path, old, new


def protocol_differences(old: Protocol, new: Protocol) -> list[Difference]:
    """Return the fields in which two protocols differ."""
    return [
        Difference(step="protocol", what=what, old=_plain(one), new=_plain(other))
        for what, one, other in _fields(old, new, "")
    ]


def _fields(old: Any, new: Any, path: str) -> Iterator[Pair]:  # noqa: ANN401 - any dataclass
    for field in fields(old):
        one, other = getattr(old, field.name), getattr(new, field.name)
        if is_dataclass(one) and type(one) is type(other):
            yield from _fields(one, other, f"{path}{field.name}.")
        elif one != other:
            yield f"{path}{field.name}", one, other


def _plain(value: object) -> object:
    """Return a protocol's value as JSON values."""
    return json.loads(json.dumps(value, default=_named))


def _named(value: Any) -> object:  # noqa: ANN401 - what JSON does not know: a number, or a dataclass
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return asdict(value)
