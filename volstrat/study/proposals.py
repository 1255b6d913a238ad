"""Which file would play which role in a recognised tree: one candidate is proposed, several are left open."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.entries import EntryReader
from volstrat.case.lesion_table import read_bytes
from volstrat.case.parts import parts_named
from volstrat.errors import VolstratError
from volstrat.study.patterns import PathPattern
from volstrat.study.slicer_scene import scene_files
from volstrat.terms.naming import NAMED_ROLES, said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import ROLE_OF_STEM
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from volstrat.case.parts import Part
    from volstrat.study.layouts import Source
    from volstrat.study.patterns import Match
    from volstrat.study.recognise import Recognised

LOOKED_INTO = 5
"""Subjects whose files are opened."""

_IMAGE_WORDS = {"ct": r"ct|ctres|ldct|cect", "pet": r"pet|pt|suv|suvbw"}
_FEWEST_LETTERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file, or some parts of one, that could play a role.

    Parameters
    ----------
    patterns : tuple of str
        Several are one entry each, united.
    segments : tuple of str
        Names that say the role; empty where the file as a whole plays it.
    holds : str
        What the first subject's file holds, for the table.
    unites : bool
        Every file that fits is meant, not one.
    units : str
        "SUVbw" where the tree says that a PET's values are SUV.
    """

    patterns: tuple[str, ...]
    segments: tuple[str, ...] = ()
    holds: str = ""
    unites: bool = False
    units: str = ""

    def value(self, above: str = "") -> object:
        """Return the entry as a study file writes it: a list where every file that fits is meant.

        Parameters
        ----------
        above : str
            The way from the study file to the tree, with a slash at its end.
        """
        paths = [above + pattern for pattern in self.patterns]
        more: dict[str, object] = {"segments": list(self.segments)} if self.segments else {}
        if self.units:
            more["units"] = self.units
        entries = [{"path": path, **more} if more else path for path in paths]
        return entries if self.unites else entries[0]


@dataclass(slots=True)
class Proposals:
    """What the study file would say, and what only a person can settle.

    Parameters
    ----------
    entries : dict of role to Candidate
    unclear : list of str
        What must be settled, each with the line that would.
    notes : list of str
    files : dict of case to dict of role to str
        What the folders of the first cases say themselves.
    """

    entries: dict[str, Candidate] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, dict[str, str]] = field(default_factory=dict)


def propose(tree: Path, found: Recognised) -> Proposals:
    """Say which file would play which role."""
    candidates: dict[str, dict[Candidate, None]] = {}
    result = Proposals()
    for source in found.layout.sources:
        for role, candidate in _candidates(tree, found, source, result):
            candidates.setdefault(role, {})[candidate] = None
    for role, those in candidates.items():
        if len(those) == 1:
            (result.entries[role],) = those
        else:
            listed = "; ".join(_line(role, one) for one in those)
            result.unclear.append(
                f"{len(those)} candidates for {role}. Keep the line that is meant: {listed}"
            )
    _note_missing(tree, found, result)
    if found.layout.needs and "tumour" not in result.entries:
        result.unclear.append(found.layout.needs)
    elif found.layout.sources and "tumour" not in candidates:
        result.unclear.append(
            'No file says that it holds tumour: write tumour = "PATH" with {subject} in it.'
        )
    if found.layout.drawn_by:
        result.notes.append(
            f"What {found.layout.drawn_by} drew nobody has checked: look at it before it counts."
        )
    return result


def _line(role: str, candidate: Candidate) -> str:
    return f"{role} = {toml_value(candidate.value())}"


def toml_value(value: object) -> str:
    """Write an entry as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _candidates(
    tree: Path, found: Recognised, source: Source, result: Proposals
) -> Iterable[tuple[str, Candidate]]:
    """Yield the roles that a source's files could play, with the pattern of each."""
    pattern = found.pattern(source.pattern)
    files = {m: pattern.files(tree, subject=m.subject, visit=m.visit) for m in found.matches[:LOOKED_INTO]}
    if not any(files.values()):
        return
    if source.gives == "scene":
        yield from _of_scenes(tree, pattern, files, result)
    elif source.gives == "named":
        yield from _by_name(pattern, files)
    elif source.gives == "liver_segments":
        yield "liver_segments", Candidate(patterns=(pattern.text,), holds="one file a segment", unites=True)
    elif source.gives in ("labels", "dataset_labels"):
        for general in _general(pattern, files):
            for role, candidate in _by_parts(tree, general, found.matches[:LOOKED_INTO], result):
                yield role, candidate if source.gives == "dataset_labels" else replace(candidate, segments=())
    else:
        name = "" if source.gives != "channel" else _channel_name(tree, pattern.text)
        image = _role_of_channel(name) if source.gives == "channel" else source.gives
        if image is None:
            result.notes.append(f"{pattern.text}: dataset.json does not say that it is CT or PET; left out.")
            return
        for general in _general(pattern, files):
            yield image, Candidate(patterns=(general,), units=_units(image, name))


def _channel_name(tree: Path, pattern: str) -> str:
    """Return what nnU-Net's ``dataset.json`` calls a channel (``_0000`` is channel 0), if anything."""
    number = re.search(r"_(\d{4})\.", pattern)
    try:
        described = json.loads(read_bytes(tree / "dataset.json"))
        names = described.get("channel_names") or described.get("modality") or {}
        return str(names.get(str(int(number[1] if number else 0)), ""))
    except (VolstratError, ValueError, AttributeError):
        return ""


def _role_of_channel(name: str) -> str | None:
    """Return the role that a channel's name says."""
    return next((role for role, words in _IMAGE_WORDS.items() if _has_word(name, words)), None)


def _units(role: str, name: str) -> str:
    """Return the units that the name of a PET says: SUV, or nothing."""
    return "SUVbw" if role == "pet" and _has_word(name, r"suv|suvbw") else ""


def _has_word(name: str, words: str) -> bool:
    return re.search(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)", name.lower()) is not None


def _general(pattern: PathPattern, files: dict[Match, list[Path]]) -> list[str]:
    """Return the patterns that a source's files have, the names in their last part written out.

    What stands for ``*`` in a name may be the visit, the subject, or a word of its own: what holds of most
    subjects is taken (a subject and a visit may both be called "01").
    """
    head, _, last = pattern.text.rpartition("/")
    if "*" not in last and "?" not in last:
        return [pattern.text]
    every = {(m, path): _general_names(path.name, last, m) for m, paths in files.items() for path in paths}
    holds = Counter(name for names in every.values() for name in names)
    names = dict.fromkeys(max(names, key=lambda name: holds[name]) for names in every.values())
    return [f"{head}/{name}" if head else name for name in names]


def _general_names(name: str, last: str, match: Match) -> list[str]:
    """Return the patterns that a name may have: with a place for the visit, for the subject, with neither.

    >>> from pathlib import Path
    >>> from volstrat.study.patterns import Match
    >>> match = Match(path=Path(), subject="01", visit="01")
    >>> _general_names("sub-01_ses-01_ct.nii", "sub-{subject}_*ct.nii", match)
    ['sub-{subject}_ses-{visit}_ct.nii', 'sub-{subject}_ses-{subject}_ct.nii', 'sub-{subject}_ses-01_ct.nii']
    """
    places = {"{subject}": match.subject, "{visit}": match.visit or ""}
    tokens = re.split(r"(\{subject\}|\{visit\}|\*|\?)", last)
    kinds = {"*": "(.*)", "?": "(.)"} | {place: f"({re.escape(value)})" for place, value in places.items()}
    fit = re.fullmatch("".join(kinds.get(token, f"({re.escape(token)})") for token in tokens), name)
    texts = list(fit.groups()) if fit else [name]
    if fit is None:
        tokens = ["*"]
    found: dict[str, None] = {}
    for order in (("{visit}", "{subject}"), ("{subject}", "{visit}"), ()):
        pieces = []
        for token, text in zip(tokens, texts, strict=True):
            general = text
            for place in order if token in ("*", "?") else ():
                general = general.replace(places[place], place) if places[place] else general
            pieces.append(token if token in places else general)
        found["".join(pieces)] = None
    return list(found)


def _general_name(name: str, match: Match) -> str:
    for place, value in (("{visit}", match.visit), ("{subject}", match.subject)):
        if value:
            name = name.replace(value, place)
    return name


def _by_name(pattern: PathPattern, files: dict[Match, list[Path]]) -> Iterable[tuple[str, Candidate]]:
    """Yield the roles that files' own names say; several regions of tumour are one role, united."""
    stems: dict[str, dict[str, None]] = {}
    for general in _general(pattern, files):
        role = _role_of_stem(_stem_of_name(general))
        if role is not None:
            stems.setdefault(role, {})[general] = None
    for role, names in stems.items():
        if role == "tumour" and len(names) > 1:
            common = _common_pattern([*names], files, role)
            if common is not None:
                yield role, Candidate(patterns=(common,), holds=f"{len(names)} regions", unites=True)
                continue
        for name in names:
            yield role, Candidate(patterns=(name,))


def _common_pattern(names: Sequence[str], files: dict[Match, list[Path]], role: str) -> str | None:
    """Return one pattern that fits all of a role's files and no other of them; None where there is none.

    By the letters that all begin with ("Met *"), else by a word that all have and that says the role
    ("1_lesion_segment_VI", "2_lesion_segment_II").
    """
    head, _, first = names[0].rpartition("/")
    ending = first.partition(".")[2]
    start = _common_start(names)
    patterns = [f"{start}*.{ending}"] if len(start[len(head) :].strip("/{}_-. ")) >= _FEWEST_LETTERS else []
    words = [re.split(r"[\W_]+", _stem_of_name(name)) for name in names]
    shared = [word for word in words[0] if all(word in one for one in words)]
    patterns += [f"{head}/*{word}*.{ending}".lstrip("/") for word in shared if _role_of_stem(word) == role]
    meant = {path.name for paths in files.values() for path in paths if _role_of_stem(path.name) == role}
    every = {path.name for paths in files.values() for path in paths}
    for pattern in patterns:
        glob = re.sub(r"\{\w+\}", "*", pattern.rpartition("/")[2])
        if {name for name in every if fnmatchcase(name, glob)} <= meant:
            return pattern
    return None


def _common_start(names: Sequence[str]) -> str:
    """Return the letters that all names begin with."""
    low, high = min(names), max(names)
    return low[: next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


def _stem_of_name(pattern: str) -> str:
    """Return the last part of a pattern without its ending."""
    return pattern.rpartition("/")[2].partition(".")[0]


def _role_of_stem(stem: str) -> str | None:
    plain = stem.lower().partition(".")[0].replace("{subject}", "").replace("{visit}", "").strip("_- ")
    if labelled := re.search(r"(?:^|_)label-([^_]+)", plain):  # BIDS: what the mask is of
        return said_by(labelled[1], (), NAMING).role
    if plain in ROLE_OF_STEM:
        return ROLE_OF_STEM[plain]
    said = said_by(plain.replace("-", " "), (), NAMING)
    if said.role in NAMED_ROLES:
        return said.role
    if plain.endswith("mask"):
        return None
    return next((role for role, words in _IMAGE_WORDS.items() if _has_word(plain, words)), None)


def _by_parts(
    tree: Path, general: str, matches: Sequence[Match], result: Proposals
) -> Iterable[tuple[str, Candidate]]:
    """Yield the roles that the names of a file's parts say."""
    pattern = PathPattern(text=general, where="layout")
    read: list[tuple[Part, ...]] = []
    for match in matches:
        for path in pattern.files(tree, subject=match.subject, visit=match.visit):
            try:
                read.append(parts_of(path))
            except VolstratError as error:
                result.notes.append(f"{match.subject}: {error.message}")
    if not any(read):
        return
    by_role: dict[str, dict[str, None]] = {}
    for parts in read:
        for role in NAMED_ROLES:
            for n in parts_named(role, [part.said for part in parts]):
                by_role.setdefault(role, {})[parts[n].name] = None
    shown = shown_names(["no name" if part.is_stem else part.shown for part in read[0]])
    for role, names in by_role.items():
        yield role, Candidate(patterns=(general,), segments=tuple(names), holds=shown_names([*names]))
    if by_role:
        return
    if all(part.said.silent or part.is_stem for parts in read for part in parts):
        yield "tumour", Candidate(patterns=(general,), holds=shown)
        result.unclear.append(
            f"{general}: its labels have no names. As tumour every one is taken; if only some are, write "
            f"tumour = {{ path = {json.dumps(general)}, segments = [...] }} with their numbers."
        )
    else:
        result.unclear.append(f"{general}: holds {shown}; by their names none of them is tumour.")


def parts_of(path: Path) -> tuple[Part, ...]:
    """Return the segments, ROIs or labels of a file, by name and by what their names say.

    Raises
    ------
    VolstratError
    """
    entry = RoleEntry(path=path)
    sources = CaseSources(folder=path.parent, subject="", entries={"tumour": (entry,)}, told_by="study")
    return EntryReader(sources).parts(entry)


def _of_scenes(
    tree: Path, pattern: PathPattern, files: dict[Match, list[Path]], result: Proposals
) -> Iterable[tuple[str, Candidate]]:
    """Yield what scenes name: segmentations by their parts, volumes by their names."""
    head = pattern.text.rpartition("/")[0]
    volumes: dict[str, dict[str, None]] = {}
    drawn: dict[str, None] = {}
    for match, scenes in files.items():
        if len(scenes) > 1:
            names = ", ".join(path.name for path in scenes)
            result.notes.append(f"{match.subject}: {len(scenes)} scenes: {names}; all are looked at.")
        for scene in scenes:
            try:
                shown = scene_files(scene)
            except VolstratError as error:
                result.notes.append(f"{match.subject}: {error.message}")
                continue
            for file in shown:
                general = f"{head}/{_general_name(file.path, match)}"
                if file.kind == "segmentation":
                    drawn[general] = None
                    continue
                role = next((r for r, words in _IMAGE_WORDS.items() if _has_word(file.name, words)), None)
                if role is not None:
                    volumes.setdefault(role, {})[general] = None
    for image, patterns in volumes.items():
        for one in patterns:
            yield image, Candidate(patterns=(one,))
    matches = tuple(files)
    for general in drawn:
        yield from _by_parts(tree, general, matches, result)


def _note_missing(tree: Path, found: Recognised, result: Proposals) -> None:
    """Name the subjects that lack a file that others have: they would fail by it."""
    for role, candidate in result.entries.items():
        lacking = [
            match.subject if match.visit is None else f"{match.subject} {match.visit}"
            for match in found.matches
            if not any(
                PathPattern(text=text, where="layout").files(tree, subject=match.subject, visit=match.visit)
                for text in candidate.patterns
            )
        ]
        if lacking:
            result.unclear.append(
                f"{role}: not there for {shown_names(lacking)}, which would fail. Add it, or drop the line."
            )
