"""Differences of two values in words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.cases import Found

_NAMES = ("lesion_id", "subject", "code", "role", "name", "number", "shift_mm")
_LONGEST = 300


def changes(before: Found, now: Found) -> Iterator[tuple[str, str, str]]:
    """Yield (case, place, what changed) of everything that differs between two sets."""
    for file in sorted({*before, *now}):
        old, new = before.get(file, {}), now.get(file, {})
        for line in sorted({*old, *new}):
            if line not in old or line not in new:
                yield line, file, f"is new: {_shown(new[line])}" if line in new else "is gone"
            else:
                for place, told in differing(old[line], new[line]):
                    yield line, f"{file}{place}", told


def differing(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON values
    """Yield (place, what changed) of two JSON values."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            at = f"{place}{key}" if key.startswith("[") else f"{place}.{key}"
            if key not in new:
                yield at, f"is gone: {_shown(old[key])}"
            elif key not in old:
                yield at, f"is new: {_shown(new[key])}"
            else:
                yield from differing(old[key], new[key], at)
        if set(old) == set(new) and list(old) != list(new):
            yield place, "stands in another order"
    elif old != new or type(old) is not type(new):
        yield place, f"{_shown(old)} -> {_shown(new)}"


def grouped(found: Iterator[tuple[str, str, str]], *, most: int | None) -> Iterator[str]:
    """Yield lines, what is alike together: a heading, and the first few places (None: all)."""
    groups: dict[str, list[str]] = {}
    for case, place, told in found:
        groups.setdefault(re.sub(r"\[[^\]]*\]", "[]", place), []).append(f"{case}: {place} {told}")
    for place, lines in groups.items():
        yield f"{place}: {len(lines)} {'change' if len(lines) == 1 else 'changes'}"
        yield from (f"    {line}" for line in lines[:most])
        if most is not None and len(lines) > most:
            yield f"    and {len(lines) - most} more (--all)"


def _by_name(values: list[Any]) -> dict[str, Any]:
    """Return a list's members under what names them, so that one that is added moves no other."""
    named: dict[str, Any] = {}
    for n, value in enumerate(values):
        keys = [str(value[k]) for k in _NAMES if k in value] if isinstance(value, dict) else []
        name = f"[{' '.join(keys) or n}]"
        while name in named:
            name = f"{name[:-1]}']"
        named[name] = value
    return named


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
