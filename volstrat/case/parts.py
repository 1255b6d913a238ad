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
    """A segment, ROI or label of a mask file.

    Parameters
    ----------
    number : int
    name : str
        As the file has it; empty where it has none.
    said : Said
        What name and code say.
    voxels : int or None
        None for a ROI that was not looked at.
    is_stem : bool
        True where the file's stem gave the name.
    couinaud : str or None
        The liver segment that name or code says, as in `volstrat.terms.couinaud`.
    """

    number: int
    name: str
    said: Said
    voxels: int | None = None
    is_stem: bool = False
    couinaud: str | None = None

    @property
    def shown(self) -> str:
        """How messages call it."""
        return f"{self.number} {self.name!r}" if self.name else f"label {self.number}"


@frozen
class Choice:
    """The parts of a file that a role takes.

    Parameters
    ----------
    parts : tuple of Part
        All of the file, by number.
    taken : frozenset of int
    left_out : frozenset of int
        Left out on purpose (``leave_out``).
    is_explicit : bool
        The entry chose them (``segments``, ``rois``).
    """

    parts: tuple[Part, ...]
    taken: frozenset[int]
    left_out: frozenset[int] = frozenset()
    is_explicit: bool = False

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

    Parameters
    ----------
    names : mapping of int to str
        Every segment, ROI or label; "" where it has no name.
    codes : mapping of int to sequence of Code
    stem : str
        The file's name without its ending.
    naming : mapping of role to globs
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

    Parameters
    ----------
    role : str
    entry : RoleEntry
        ``by_content`` where no person gave the file this role.
    parts : tuple of Part
    played : collection of str
        Every role that entries of the case give this file.

    Raises
    ------
    SegmentNotFoundError
        If ``segments``, ``rois`` or ``leave_out`` name what is not there.
    CaseError
        If a part is both chosen and left out.
    PartsAmbiguousError
        If nothing says which parts play the role; lists every part.
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
        cut = [part for part in there if part.is_stem or not _stays(part)]
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
    fitting = parts_named(role, [part.said for part in parts])
    if not fitting and not entry.by_content:
        fitting = [
            n
            for n, part in enumerate(parts)
            if role in part.said.roles and part.said.role in _MARKED and part.said.role not in played
        ]
    if not fitting and not entry.by_content and role in _MARKED:
        fitting = [
            n
            for n, part in enumerate(parts)
            if part.said.tumour
            and role not in part.said.denied | part.said.doubted
            and part.said.role in ("tumour", *_MARKED)
        ]
    return [parts[n] for n in fitting] or None


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


def _stays(part: Part) -> bool:
    """Tell whether a name says that this is not cut out: a remnant, a reference, "unresectable"."""
    return part.said.role in ("remnant", "reference") or "resectable" in part.said.denied


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
    every = ", ".join(f'"{part.name}"' if _is_unique(part, parts) else str(part.number) for part in parts)
    line = f'{{ path = "{where}", segments = [{every}] }}'
    line = f"resect = {{ mask = {line} }}" if role == "cut" else f"{role} = {line}"
    hint = f"Write in case.toml {line} and keep there those that are {_WHAT.get(role, role)}."
    return PartsAmbiguousError(msg, hint=hint)


def _is_unique(part: Part, parts: Sequence[Part]) -> bool:
    has_quote = '"' in part.name or "\\" in part.name
    return bool(part.name) and not has_quote and sum(one.name == part.name for one in parts) == 1


@frozen
class PlayedFile:
    """A file in a role, with the parts it takes there."""

    role: str
    path: str
    name: str
    choice: Choice
    drawn_on_pet: bool = False
    by_content: bool = False


def part_findings(
    files: Sequence[PlayedFile],
    counted: Callable[[PlayedFile, int], bool],
    apart: Callable[[PlayedFile, Sequence[int]], bool],
) -> list[Finding]:
    """Say which parts were left out that a person should know of.

    ``tumour_part_left_out``: name or code says tumour, and it plays no role at all. ``part_unclear``: its
    name says nothing, beside names that fit. ``part_denies_role``: it was chosen, and its name denies the
    role. ``structures_left_out``: its name says something else, an organ mostly; a review where it may say
    where a lesion lies ("Bone" beside "Liver met 1").

    Parameters
    ----------
    files : sequence of PlayedFile
    counted : callable
        Tells whether a part of a file, by number, lies in what is counted as tumour anyway.
    apart : callable
        Tells whether none of some parts of a file, by number, touches what was taken of it.
    """
    findings = []
    named: set[tuple[str, int]] = set()  # a file in two roles: each part once
    for file in sorted(files, key=lambda one: one.role != "tumour"):
        played = _played(files, file.path)
        rest = [
            part
            for part in file.choice.parts
            if part.number not in played
            and part.number not in file.choice.left_out
            and (file.path, part.number) not in named
        ]
        if file.role == "tumour" and not file.choice.is_explicit:
            open_ones = [
                p for p in file.choice.parts if p.number in file.choice.taken and "tumour" in p.said.doubted
            ]
            if open_ones:
                findings.append(_of_parts("part_in_doubt", file, open_ones))
        tumour = [part for part in rest if part.said.tumour and file.role not in part.said.denied]
        missed = [] if file.drawn_on_pet else [part for part in tumour if not counted(file, part.number)]
        if missed:
            findings.append(_of_parts("tumour_part_left_out", file, missed))
        doubted = [part for part in rest if part.said.doubted and not file.choice.is_explicit]
        silent = [part for part in rest if part.said.silent] if _chose_by_name(file.choice) else []
        on_pet = (
            tumour if file.drawn_on_pet and file.role == "fdg_avid" and _chose_by_name(file.choice) else []
        )
        unclear = sorted({*doubted, *silent, *on_pet}, key=lambda part: part.number)
        if unclear:
            findings.append(_unclear(file, unclear))
        others = [part for part in rest if part not in tumour and part not in unclear]
        others = [part for part in others if not part.said.silent and file.role not in part.said.denied]
        if others and file.role in ("tumour", *_MARKED) and not (file.choice.is_explicit or file.by_content):
            findings += _structures_left_out(file, others, apart)
        named |= {(file.path, part.number) for part in (*tumour, *unclear, *others)}
        denying = [part for part in file.choice.parts if part.number in file.choice.taken]
        denying = [part for part in denying if file.role in part.said.denied]
        if denying and file.choice.is_explicit:
            findings.append(_denying(file, denying))
    return findings


def _structures_left_out(
    file: PlayedFile, parts: Sequence[Part], apart: Callable[[PlayedFile, Sequence[int]], bool]
) -> list[Finding]:
    """Name parts called like something else: those that may be lesions, and those that hardly are.

    Where an organ of the file holds or touches tumour, its organs are organs; where none does, their names
    may say where lesions lie. A name that only denies ("unresectable") speaks of disease.
    """
    every = [part for part in file.choice.parts if part.number not in file.choice.taken]
    organs = [part.number for part in every if part.said.other or part.said.role == "liver"]
    lesions = [part for part in parts if part.said.role is None and not part.said.other]
    if file.role != "tumour":
        lesions = []
    elif organs and apart(file, organs):
        lesions = [part for part in parts if part.said.role is None]
    findings = []
    if lesions:
        findings.append(
            finding(
                "structures_left_out",
                "site",
                severity="review",
                where=file.role,
                name=file.name,
                parts=", ".join(part.shown for part in lesions),
                is_are="is" if len(lesions) == 1 else "are",
                role=file.role,
                numbers=", ".join(str(part.number) for part in lesions),
            )
        )
    rest = [part for part in parts if part not in lesions]
    if rest:
        findings.append(
            finding(
                "structures_left_out",
                "other",
                where=file.role,
                name=file.name,
                parts=shown_names([part.shown for part in rest]),
                is_are="is" if len(rest) == 1 else "are",
                role=file.role,
            )
        )
    return findings


def _denying(file: PlayedFile, parts: Sequence[Part]) -> Finding:
    tracers = {}
    if file.role == "fdg_avid":
        tracers = dict.fromkeys(filter(None, (other_tracer_in_name(part.name) for part in parts)))
    return finding(
        "part_denies_role",
        where=file.role,
        name=file.name,
        parts=", ".join(part.shown for part in parts),
        is_are="is" if len(parts) == 1 else "are",
        role=file.role,
        what=" and ".join(tracers) or f"that it is not {_WHAT.get(file.role, file.role)}",
    )


def _played(files: Iterable[PlayedFile], path: str) -> dict[int, str]:
    """Return the role that each part of a file plays anywhere in the case."""
    return {number: file.role for file in files if file.path == path for number in file.choice.taken}


def _chose_by_name(choice: Choice) -> bool:
    named = (part for part in choice.parts if part.number in choice.taken and not part.said.silent)
    return not choice.is_explicit and next(named, None) is not None


def _of_parts(code: str, file: PlayedFile, parts: Sequence[Part]) -> Finding:
    return finding(
        code,
        where=file.role,
        name=file.name,
        parts=", ".join(part.shown for part in parts),
        is_are="is" if len(parts) == 1 else "are",
        it_them="it" if len(parts) == 1 else "them",
        role=file.role,
        numbers=", ".join(str(part.number) for part in parts),
    )


def _unclear(file: PlayedFile, parts: Sequence[Part]) -> Finding:
    return finding(
        "part_unclear",
        where=file.role,
        name=file.name,
        parts=", ".join(part.shown for part in parts),
        role=file.role,
        numbers=", ".join(str(part.number) for part in parts),
    )


def parts_entry(file: PlayedFile, files: Sequence[PlayedFile]) -> list[PartRecord]:
    """List a file's parts as the record does: number, name, voxels, and the role each plays or None."""
    elsewhere = _played(files, file.path) | dict.fromkeys(file.choice.taken, file.role)
    return [
        {
            "number": part.number,
            "name": part.name or None,
            "voxels": part.voxels,
            "role": cast("RoleName | None", elsewhere.get(part.number)),
        }
        for part in file.choice.parts
    ]
