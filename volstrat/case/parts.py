"""Which segments, ROIs or labels of a file play a role: one place that every mask passes, however found.

1. Those chosen in the entry (``segments``, ``rois``).
2. Else those whose name or code fits the role (`volstrat.terms.naming`); a name of another role, of an organ,
   or that denies never plays it.
3. Else, where no name says anything, the role that a person gave the file decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from volstrat.errors import CaseError, PartsAmbiguousError
from volstrat.formats.selection import matching
from volstrat.frozen import frozen
from volstrat.terms.couinaud import segment_said
from volstrat.terms.findings import finding
from volstrat.terms.naming import Said, plain_words, said_by
from volstrat.terms.tracers import other_tracer_in_name
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from volstrat.case.case_file import RoleEntry
    from volstrat.case.entries import RoleMask
    from volstrat.case.input_types import PartRecord
    from volstrat.terms.findings import Finding
    from volstrat.terms.naming import Code
    from volstrat.terms.roles import RoleName

_MARKED = ("resectable", "fdg_avid")
"""Roles that say something of tumour: there a part named like tumour says which tumour."""
_LIVER_WORDS = ("liver", "lever", "leber", "foie", "higado", "fegato", "maksa", "hepa", "lob", "segment")
_WHAT = {
    "tumour": "tumour",
    "resectable": "what can be resected",
    "fdg_avid": "FDG-avid disease",
    "liver": "the liver",
    "remnant": "the liver remnant",
    "reference": "the reference region",
    "cut": "what the plan cuts out",
}


@frozen
class Part:
    """A segment, ROI or label of a mask file."""

    number: int
    name: str  # as the file has it; empty where it has none
    said: Said  # what name and code say
    voxels: int | None = None  # None for a ROI that was not looked at
    is_stem: bool = False  # True where the file's stem gave the name
    couinaud: str | None = None  # the liver segment that name or code says, as in `volstrat.terms.couinaud`

    @property
    def shown(self) -> str:
        """How messages call it."""
        return f"{self.number} {self.name!r}" if self.name else f"label {self.number}"


@frozen
class Choice:
    """The parts of a file that a role takes."""

    parts: tuple[Part, ...]  # all of the file, by number
    taken: frozenset[int]
    left_out: frozenset[int] = frozenset()  # left out on purpose (``leave_out``)
    is_explicit: bool = False  # the entry chose them (``segments``, ``rois``)

    @property
    def named(self) -> frozenset[int]:
        """The parts that file or label table names; a stem is no name of its own."""
        return frozenset(part.number for part in self.parts if part.name and not part.is_stem)


def describe_parts(
    names: Mapping[int, str],
    codes: Mapping[int, Sequence[Code]],
    *,
    stem: str,
    naming: Mapping[str, Sequence[str]],
) -> tuple[Part, ...]:
    """Say what each part is by its name and code; the stem names the one part of a file that has one.

    ``names`` holds every segment, ROI or label, "" where it has no name; ``stem`` is the file's name without
    its ending, ``naming`` the protocol's globs by role.
    """
    parts = [
        Part(
            number=number,
            name=name,
            said=said_by(name, codes.get(number, ()), naming),
            couinaud=segment_said(name, [code for code, _, _ in codes.get(number, ())]),
        )
        for number, name in sorted(names.items())
    ]
    if len(parts) == 1 and parts[0].said.silent and not parts[0].name:
        said, couinaud = said_by(stem, (), naming), parts[0].couinaud or segment_said(stem, ())
        parts = [Part(number=parts[0].number, name=stem, said=said, is_stem=True, couinaud=couinaud)]
    return tuple(parts)


def choose_parts(
    role: str,
    entry: RoleEntry,
    parts: tuple[Part, ...],
    *,
    played: Collection[str] = (),
) -> Choice:
    """Choose the parts of a file that play a role.

    ``played`` is every role that entries of the case give this file. Raises SegmentNotFoundError if
    ``segments``, ``rois`` or ``leave_out`` name what is not there; CaseError if a part is both chosen and
    left out; PartsAmbiguousError, which lists every part, if nothing says which parts play the role.
    """
    where = entry.path.name
    names = {part.number: part.name for part in parts}
    out = frozenset(matching(names, entry.leave_out, where=where)) if entry.leave_out else frozenset[int]()
    if entry.select:
        chosen = frozenset(matching(names, entry.select, where=where))
        if chosen & out:
            both = ", ".join(part.shown for part in parts if part.number in chosen & out)
            msg = f"{where}: {both} is both chosen and left out for {role}."
            raise CaseError(msg, hint="Name it in segments (or rois) or in leave_out, not in both.")
        return Choice(parts=parts, taken=chosen, left_out=out, is_explicit=True)
    there = [part for part in parts if part.number not in out]
    if role == "liver_segments":  # named ones, else every label by its number
        taken: list[Part] | None = [part for part in there if part.couinaud] or there
    elif role == "cut":  # what stays is not cut out, whatever the plan calls its file
        stays = [p for p in there if p.said.role in ("remnant", "reference") or "resectable" in p.said.denied]
        cut = [part for part in there if part.is_stem or part not in stays]
        taken = cut if len(cut) == 1 or not there else None
    else:
        taken = _by_name(role, there, entry, played) or _by_person(role, there, entry)
    if taken is None:
        raise _ambiguous(role, entry, parts)
    return Choice(parts=parts, taken=frozenset(part.number for part in taken), left_out=out)


def _by_name(
    role: str, parts: Sequence[Part], entry: RoleEntry, played: Collection[str]
) -> list[Part] | None:
    """Return the parts whose name or code fits the role; None where none does."""
    fitting = [parts[n] for n in parts_named(role, [part.said for part in parts])]
    if fitting or entry.by_content:
        return fitting or None
    marked = [part for part in parts if part.said.role in _MARKED and part.said.role not in played]
    fitting = [part for part in marked if role in part.said.roles]
    if not fitting and role in _MARKED:
        tumour = [p for p in parts if p.said.tumour and p.said.role in ("tumour", *_MARKED)]
        fitting = [part for part in tumour if role not in part.said.denied | part.said.doubted]
    return fitting or None


def parts_named(role: str, said: Sequence[Said]) -> list[int]:
    """Return which of a file's parts play a role by what they say: those whose first role it is.

    Where one part is called tumour and denies a quality ("tumour, unresectable"), a part that is called
    tumour and has it ("tumour, resectable") is tumour too: the two are halves of one whole.
    """
    fitting = [n for n, one in enumerate(said) if one.role == role]
    if role == "tumour":
        halved = {q for one in said if one.role == "tumour" for q in one.denied if q in _MARKED}
        fitting += [n for n, one in enumerate(said) if one.role in halved and "tumour" in one.roles]
    return sorted(fitting)


def _by_person(role: str, parts: Sequence[Part], entry: RoleEntry) -> list[Part] | None:
    """Return the parts where no name says anything and a person gave the file its role; else None."""
    if entry.by_content:
        return None
    if all(part.said.name_is_silent for part in parts):
        return list(parts) if role == "tumour" or len(parts) <= 1 else None
    if len(parts) == 1 and role not in parts[0].said.denied and _may_be_called(role, parts[0]):
        return list(parts)
    return None


def _may_be_called(role: str, part: Part) -> bool:
    """Tell whether an organ is the natural name of a region: the liver's of a remnant, any of a reference."""
    if part.is_stem:  # no part is called so: a person gave this file the role, and reads its name
        return True
    of_liver = part.said.role == "liver" or any(word in plain_words(part.name) for word in _LIVER_WORDS)
    if role in ("liver", "remnant"):
        return of_liver and part.said.role != "tumour"
    return role == "reference" and (part.said.other or part.said.role == "liver")


def _ambiguous(role: str, entry: RoleEntry, parts: tuple[Part, ...]) -> PartsAmbiguousError:
    where = entry.path.name
    held = ", ".join(part.shown for part in parts)
    if all(part.said.silent for part in parts):
        what = "none of them has a name that says which is"
    else:
        what = "by their names none of them is"
    noun = "one part" if len(parts) == 1 else f"{len(parts)} parts"
    msg = f"{where}: holds {noun} ({held}), and {what} {_WHAT.get(role, role)}."
    line = line_of_parts(where, [(part.number, part.name) for part in parts])
    line = f"resect = {{ mask = {line} }}" if role == "cut" else f"{role} = {line}"
    hint = f"Write in case.toml {line} and keep there those that are {_WHAT.get(role, role)}."
    return PartsAmbiguousError(msg, hint=hint)


def line_of_parts(path: str, parts: Sequence[tuple[int, str]]) -> str:
    """Return the entry that would name every part of a file: by name where that tells it, else by number."""
    names = [name for _, name in parts]
    every = (
        f'"{name}"' if name and not {'"', "\\"} & set(name) and names.count(name) == 1 else str(number)
        for number, name in parts
    )
    return f'{{ path = "{path}", segments = [{", ".join(every)}] }}'


def part_findings(
    masks: Sequence[RoleMask],
    counted: Callable[[RoleMask, int], bool],
    apart: Callable[[RoleMask, Sequence[int]], bool],
) -> list[Finding]:
    """Say which parts were left out that a person should know of.

    ``tumour_part_left_out``: name or code says tumour, and it plays no role at all. ``part_unclear``: its
    name says nothing, beside names that fit. ``part_denies_role``: it was chosen, and its name denies the
    role. ``structures_left_out``: its name says something else, an organ mostly; a review where it may say
    where a lesion lies ("Bone" beside "Liver met 1").

    ``counted`` tells whether a part of a file, by number, lies in what is counted as tumour anyway; ``apart``
    whether none of some parts touches what was taken of it.
    """
    findings = []
    named: set[tuple[str, int]] = set()  # a file in two roles: each part once
    for mask in sorted(masks, key=lambda one: one.role != "tumour"):
        role, choice = mask.role, mask.choice
        passed = {*_played(masks, mask.path), *choice.left_out}
        passed |= {number for path, number in named if path == mask.path}
        rest = [part for part in choice.parts if part.number not in passed]
        by_name = not choice.is_explicit and any(not part.said.silent for part in mask.taken)
        open_ones = [part for part in mask.taken if "tumour" in part.said.doubted]
        if open_ones and role == "tumour" and not choice.is_explicit:
            findings.append(_of_parts("part_in_doubt", "", mask, open_ones))
        tumour = [part for part in rest if part.said.tumour and role not in part.said.denied]
        missed = [part for part in tumour if not mask.drawn_on_pet and not counted(mask, part.number)]
        if missed:
            findings.append(_of_parts("tumour_part_left_out", "", mask, missed))
        doubted = [part for part in rest if part.said.doubted and not choice.is_explicit]
        silent = [part for part in rest if by_name and part.said.silent]
        on_pet = tumour if mask.drawn_on_pet and role == "fdg_avid" and by_name else []
        unclear = sorted({*doubted, *silent, *on_pet}, key=lambda part: part.number)
        if unclear:
            findings.append(_of_parts("part_unclear", "", mask, unclear))
        others = [part for part in rest if part not in tumour and part not in unclear]
        others = [part for part in others if not part.said.silent and role not in part.said.denied]
        if others and role in ("tumour", *_MARKED) and not (choice.is_explicit or mask.entry.by_content):
            findings += _structures_left_out(mask, others, apart)
        named |= {(mask.path, part.number) for part in (*tumour, *unclear, *others)}
        denying = [part for part in mask.taken if role in part.said.denied]
        if denying and choice.is_explicit:
            findings.append(_of_parts("part_denies_role", "", mask, denying))
    return findings


def _structures_left_out(
    mask: RoleMask, parts: Sequence[Part], apart: Callable[[RoleMask, Sequence[int]], bool]
) -> list[Finding]:
    """Name parts called like something else: those that may be lesions, and those that hardly are.

    Where an organ of the file holds or touches tumour, its organs are organs; where none does, their names
    may say where lesions lie. A name that only denies ("unresectable") speaks of disease.
    """
    every = [part for part in mask.choice.parts if part.number not in mask.choice.taken]
    organs = [part.number for part in every if part.said.other or part.said.role == "liver"]
    lesions: list[Part] = []
    if mask.role == "tumour":
        is_apart = bool(organs) and apart(mask, organs)
        lesions = [p for p in parts if p.said.role is None and (is_apart or not p.said.other)]
    rest = [part for part in parts if part not in lesions]
    findings = [_of_parts("structures_left_out", "site", mask, lesions)] if lesions else []
    return [*findings, *([_of_parts("structures_left_out", "other", mask, rest)] if rest else [])]


def _of_parts(code: str, form: str, mask: RoleMask, parts: Sequence[Part]) -> Finding:
    """Make a finding about parts of a file, with every field that a sentence about parts names."""
    shown = [part.shown for part in parts]
    tracers = dict.fromkeys(filter(None, (other_tracer_in_name(part.name) for part in parts)))
    denied = " and ".join(tracers) if mask.role == "fdg_avid" else ""
    return finding(
        code,
        form,
        severity="review" if form == "site" else None,
        where=mask.role,
        name=mask.name,
        parts=shown_names(shown) if form == "other" else ", ".join(shown),
        is_are="is" if len(parts) == 1 else "are",
        it_them="it" if len(parts) == 1 else "them",
        role=mask.role,
        numbers=", ".join(str(part.number) for part in parts),
        what=denied or f"that it is not {_WHAT.get(mask.role, mask.role)}",
    )


def _played(masks: Iterable[RoleMask], path: str) -> dict[int, str]:
    """Return the role that each part of a file plays anywhere in the case."""
    return {number: mask.role for mask in masks if mask.path == path for number in mask.choice.taken}


def parts_entry(mask: RoleMask, masks: Sequence[RoleMask]) -> list[PartRecord]:
    """List a file's parts as the record does: number, name, voxels, and the role each plays or None."""
    elsewhere = _played(masks, mask.path) | dict.fromkeys(mask.choice.taken, mask.role)
    return [
        {
            "number": part.number,
            "name": part.name or None,
            "voxels": part.voxels,
            "role": cast("RoleName | None", elsewhere.get(part.number)),
        }
        for part in mask.choice.parts
    ]
