"""Where two records of one subject part: the steps from a file's bytes to a count, in their order."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.lesion_table import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.terms.protocol import Protocol

Step = Literal["input_bytes", "header", "protocol", "version", "library", "count"]
STEPS: tuple[Step, ...] = ("input_bytes", "header", "protocol", "version", "library", "count")

_GRID = ("shape", "spacing_mm", "origin_mm", "directions", "frame_of_reference_uid")
_MOST_COUNTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not what it was.

    Parameters
    ----------
    step : str
        One of ``STEPS``.
    role : str
        Which input, e.g. "tumour"; empty where it is none.
    path : str
        The input's file, relative to the case folder.
    what : str
        The field, library or key of the record.
    old, new : object
        JSON values.
    """

    step: Step
    role: str = ""
    path: str = ""
    what: str
    old: Any
    new: Any

    def as_json(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDifferences:
    """A subject whose record does not come out again; the first step that differs comes first."""

    subject: str
    differences: tuple[Difference, ...]

    @property
    def first(self) -> Difference:
        """The first step that differs: what comes later may follow from it."""
        return self.differences[0]


def record_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return every difference between two records of one subject, the first step first.

    Parameters
    ----------
    old, new : Mapping
        Case records.
    """
    found = [
        *_inputs(old.get("inputs", ()), new.get("inputs", ()), failed=bool(old["error"] or new["error"])),
        *_protocol(old, new),
        *environment_differences(old["environment"], new["environment"]),
        *_form(old, new),
        *_counts(old, new),
    ]
    return sorted(found, key=lambda difference: STEPS.index(difference.step))


def _inputs(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], *, failed: bool
) -> Iterator[Difference]:
    """Compare inputs by role and path; the record of a failed case may list none."""
    before = {(entry["role"], entry["path"]): entry for entry in old}
    now = {(entry["role"], entry["path"]): entry for entry in new}
    for key in sorted({*before, *now}):
        one, other = before.get(key), now.get(key)
        if one is None or other is None:
            if not (failed and not (old and new)):  # a failed case may list none at all
                yield Difference(
                    step="input_bytes",
                    role=key[0],
                    path=key[1],
                    what="file",
                    old=None if one is None else one["sha256"],
                    new=None if other is None else other["sha256"],
                )
            continue
        yield from input_differences(one, other)


def input_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Say of one file whether its voxels or only its header changed."""
    place = {"role": old["role"], "path": old["path"]}
    header = list(_header(old, new, place))
    histories = [entry.get("history_sha256") for entry in (old, new)]
    if histories[0] != histories[1]:
        yield Difference(
            step="input_bytes", **place, what=f"sha256 of {HISTORY}", old=histories[0], new=histories[1]
        )
    if old["sha256"] == new["sha256"]:
        yield from header  # nothing of this file: its image, or how it is read
        return
    hashes = [entry.get("voxels_sha256") for entry in (old, new)]
    voxels_same = None not in hashes and hashes[0] == hashes[1]
    if not voxels_same:
        counts = [sum(s["voxels"] for s in entry["segments"]) for entry in (old, new)]
        if None in hashes and header:  # an image whose voxels are not hashed apart from its header
            yield from header
            return
        if None not in hashes and counts[0] != counts[1]:
            yield Difference(step="input_bytes", **place, what="voxels", old=counts[0], new=counts[1])
        untold = None in hashes and old["grid"] is not None
        what = "sha256 (no hash of the voxels alone: voxels or header cannot be told)" if untold else "sha256"
        yield Difference(step="input_bytes", **place, what=what, old=old["sha256"], new=new["sha256"])
    yield from header
    if voxels_same and not header:
        yield Difference(
            step="header", **place, what="sha256 (voxels and grid are the same)", old=old["sha256"],
            new=new["sha256"],
        )  # fmt: skip


def _header(old: Mapping[str, Any], new: Mapping[str, Any], place: Mapping[str, str]) -> Iterator[Difference]:
    for key in _GRID:
        one, other = ((entry["grid"] or {}).get(key) for entry in (old, new))
        if one != other and None not in (old["grid"], new["grid"]):
            yield Difference(step="header", **place, what=f"grid.{key}", old=one, new=other)
    names = [{s["number"]: s["name"] for s in entry["segments"]} for entry in (old, new)]
    for number in sorted({*names[0], *names[1]}):
        one, other = names[0].get(number), names[1].get(number)
        if one != other and number in names[0] and number in names[1]:
            yield Difference(step="header", **place, what=f"segment {number} name", old=one, new=other)
    attributes = [
        {s["attribute"]: s["value"] for s in (entry.get("suv") or {}).get("sources", ())}
        for entry in (old, new)
    ]
    for name in sorted({*attributes[0], *attributes[1]}):
        one, other = attributes[0].get(name), attributes[1].get(name)
        if one != other:
            yield Difference(step="header", **place, what=name, old=one, new=other)
    tracers = [entry.get("tracer") for entry in (old, new)]
    if tracers[0] != tracers[1]:
        yield Difference(step="header", **place, what="tracer", old=tracers[0], new=tracers[1])


def _protocol(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for key in ("id", "version", "sha256"):
        one, other = old["protocol"][key], new["protocol"][key]
        if one != other:
            yield Difference(step="protocol", what=f"protocol.{key}", old=one, new=other)


def environment_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return what versions changed: volstrat's own, Python's and the libraries'."""
    found = []
    if old["volstrat"] != new["volstrat"]:
        found.append(Difference(step="version", what="volstrat", old=old["volstrat"], new=new["volstrat"]))
    for key in ("python", "platform"):
        if old[key] != new[key]:
            found.append(Difference(step="library", what=key, old=old[key], new=new[key]))
    names = sorted({*old["libraries"], *new["libraries"]})
    for name in names:
        one, other = old["libraries"].get(name), new["libraries"].get(name)
        if one != other:
            found.append(Difference(step="library", what=name, old=one, new=other))
    return found


def _form(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Say where the records are of two forms: they are then compared by the keys that both have."""
    one, other = old.get("schema"), new.get("schema")
    if one != other:
        yield Difference(step="version", what="form of the record", old=one, new=other)


def _counts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Compare all that follows from the rest: verdict first, then numbers, a dozen at most."""
    elsewhere = {"schema", "inputs", "protocol", "environment", "findings", "subject"}
    shared = old.get("schema") != new.get("schema")
    keys = [key for key in old if key not in elsewhere and not (shared and key not in new)]
    found = [
        Difference(step="count", what=what, old=one, new=other)
        for key in keys
        for what, one, other in _leaves(old.get(key), new.get(key), key, shared=shared)
    ]
    codes = [sorted({f["code"] for f in record["findings"]}) for record in (old, new)]
    if codes[0] != codes[1]:
        found.append(Difference(step="count", what="findings", old=codes[0], new=codes[1]))
    elif not found and old.get("findings") != new.get("findings"):
        found.append(Difference(step="count", what="findings", old=old["findings"], new=new["findings"]))
    return found[:_MOST_COUNTS]


def value_differences(old: Any, new: Any, path: str) -> list[Difference]:  # noqa: ANN401 - any JSON value
    """Return a dozen at most of the values in which two JSON values differ."""
    found = (
        Difference(step="count", what=what, old=one, new=other)
        for what, one, other in _leaves(old, new, path, shared=False)
    )
    return list(islice(found, _MOST_COUNTS))


def _leaves(
    old: Any,  # noqa: ANN401 - any JSON value
    new: Any,  # noqa: ANN401 - any JSON value
    path: str,
    *,
    shared: bool,
) -> Iterator[tuple[str, Any, Any]]:
    """Yield every value that differs, with its dotted path; of objects, ``shared``: keys of both alone."""
    if old == new and type(old) is type(new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [k for k in old if k in new] if shared else [*old, *(k for k in new if k not in old)]:
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}", shared=shared)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(one, other, f"{path}[{n}]", shared=shared)
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


def _fields(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - any dataclass
    for field in fields(old):
        one, other = getattr(old, field.name), getattr(new, field.name)
        if is_dataclass(one) and type(one) is type(other):
            yield from _fields(one, other, f"{path}{field.name}.")
        elif one != other:
            yield f"{path}{field.name}", one, other


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's value
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
