"""Which file would play which role in a recognised tree: one candidate is proposed, several are left open."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from os.path import commonprefix
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.parsers import expat

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.entries import EntryReader
from volstrat.case.lesion_table import read_bytes
from volstrat.case.parts import parts_named
from volstrat.errors import InputFileError, VolstratError
from volstrat.study.patterns import PathPattern
from volstrat.terms.naming import NAMED_ROLES, said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import ROLE_OF_STEM
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from volstrat.case.parts import Part
    from volstrat.study.layouts import Recognised, Source
    from volstrat.study.patterns import Match

LOOKED_INTO = 5
"""Subjects whose files are opened."""

_IMAGE_WORDS = {"ct": r"ct|ctres|ldct|cect", "pet": r"pet|pt|suv|suvbw"}
_FEWEST_LETTERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file, or some parts of one, that could play a role."""

    patterns: tuple[str, ...]  # several are one entry each, united
    segments: tuple[str, ...] = ()  # names that say the role; empty where the file as a whole plays it
    holds: str = ""  # what the first subject's file holds, for the table
    unites: bool = False  # every file that fits is meant, not one
    units: str = ""  # "SUVbw" where the tree says that a PET's values are SUV

    def files(self, match: Match, tree: Path) -> list[Path]:
        """Return what there is of one subject."""
        return [path for text in self.patterns for path in PathPattern(text=text).files_of(match, tree)]

    def value(self, above: str = "") -> object:
        """Return the entry as a study file writes it: a list where every file that fits is meant.

        ``above`` is the way from the study file to the tree, with a slash at its end.
        """
        paths = [above + pattern for pattern in self.patterns]
        more: dict[str, object] = {"segments": list(self.segments)} if self.segments else {}
        if self.units:
            more["units"] = self.units
        entries = [{"path": path, **more} if more else path for path in paths]
        return entries if self.unites else entries[0]


@dataclass(slots=True)
class Proposals:
    """What the study file would say, and what only a person can settle."""

    entries: dict[str, Candidate] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)  # what must be settled, each with the line that would
    notes: list[str] = field(default_factory=list)
    # what the folders of the first cases say themselves
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
            listed = "; ".join(f"{role} = {toml_value(one.value())}" for one in those)
            said = f"{len(those)} candidates for {role}. Keep the line that is meant: {listed}"
            result.unclear.append(said)
    _note_missing(tree, found, result)
    layout = found.layout
    if layout.needs and "tumour" not in result.entries:
        result.unclear.append(layout.needs)
    elif layout.sources and "tumour" not in candidates:
        said = 'No file says that it holds tumour: write tumour = "PATH" with {subject} in it.'
        result.unclear.append(said)
    if layout.drawn_by:
        said = f"What {layout.drawn_by} drew nobody has checked: look at it before it counts."
        result.notes.append(said)
    return result


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
    files = {match: pattern.files_of(match, tree) for match in found.matches[:LOOKED_INTO]}
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
        image = _role_of_image(name) if source.gives == "channel" else source.gives
        if image is None:
            result.notes.append(f"{pattern.text}: dataset.json does not say that it is CT or PET; left out.")
            return
        for general in _general(pattern, files):
            suv = image == "pet" and _has_word(name, r"suv|suvbw")
            yield image, Candidate(patterns=(general,), units="SUVbw" if suv else "")


def _channel_name(tree: Path, pattern: str) -> str:
    """Return what nnU-Net's ``dataset.json`` calls a channel (``_0000`` is channel 0), if anything."""
    number = re.search(r"_(\d{4})\.", pattern)
    try:
        described = json.loads(read_bytes(tree / "dataset.json"))
        names = described.get("channel_names") or described.get("modality") or {}
        return str(names.get(str(int(number[1] if number else 0)), ""))
    except (VolstratError, ValueError, AttributeError):
        return ""


def _role_of_image(name: str) -> str | None:
    """Return the role that the name of a channel, a volume or a file says: CT or PET."""
    return next((role for role, words in _IMAGE_WORDS.items() if _has_word(name, words)), None)


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
    start = commonprefix(names)  # noqa: RUF071 - letters are meant, not parts of paths
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
    return _role_of_image(plain)


def _by_parts(
    tree: Path, general: str, matches: Sequence[Match], result: Proposals
) -> Iterable[tuple[str, Candidate]]:
    """Yield the roles that the names of a file's parts say."""
    pattern = PathPattern(text=general)
    read: list[tuple[Part, ...]] = []
    for match in matches:
        for path in pattern.files_of(match, tree):
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
    """Return the segments, ROIs or labels of a file, by name and by what their names say."""
    entry = RoleEntry(path=path)
    sources = CaseSources(folder=path.parent, subject="", entries={"tumour": (entry,)}, told_by="study")
    return EntryReader(sources).parts(entry)


def _of_scenes(
    tree: Path, pattern: PathPattern, files: dict[Match, list[Path]], result: Proposals
) -> Iterable[tuple[str, Candidate]]:
    """Yield what scenes name: segmentations by their parts, volumes by their names."""
    head = pattern.text.rpartition("/")[0]
    volumes: dict[tuple[str, str], None] = {}
    drawn: dict[str, None] = {}
    for match, scenes in files.items():
        if len(scenes) > 1:
            names = ", ".join(path.name for path in scenes)
            result.notes.append(f"{match.subject}: {len(scenes)} scenes: {names}; all are looked at.")
        for scene in scenes:
            try:
                shown = _scene_files(scene)
            except VolstratError as error:
                result.notes.append(f"{match.subject}: {error.message}")
                continue
            for is_drawn, name, path in shown:
                general = f"{head}/{_general_name(path, match)}"
                role = _role_of_image(name)
                if is_drawn:
                    drawn[general] = None
                elif role is not None:
                    volumes[role, general] = None
    for image, general in volumes:
        yield image, Candidate(patterns=(general,))
    for general in drawn:
        yield from _by_parts(tree, general, tuple(files), result)


def _scene_files(path: Path) -> list[tuple[bool, str, str]]:
    """Return the files that a 3D Slicer scene shows: whether one is drawn, what it is called, its path."""
    nodes: list[tuple[bool, str, str]] = []
    stored: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag in ("Volume", "LabelMapVolume", "Segmentation"):
            named = (
                part.split(":", 1) for part in attributes.get("references", "").split(";") if ":" in part
            )
            storage = attributes.get("storageNodeRef") or dict(named).get("storage", "")
            nodes.append((tag != "Volume", attributes.get("name", ""), storage))
        elif "Storage" in tag and attributes.get("fileName"):
            stored[attributes.get("id", "")] = unquote(attributes["fileName"]).replace("\\", "/")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(read_bytes(path), True)
    except (expat.ExpatError, ValueError) as error:
        msg = f"{path.name}: is no scene of 3D Slicer that can be read ({error})."
        raise InputFileError(msg, hint="Save the scene again in 3D Slicer.") from error
    return [(drawn, name, stored[at].removeprefix("./")) for drawn, name, at in nodes if at in stored]


def _no_entities(*_: object) -> None:
    """Refuse entities: a scene has none, and they can be made to swell."""
    msg = "it declares entities"
    raise ValueError(msg)


def _note_missing(tree: Path, found: Recognised, result: Proposals) -> None:
    """Name the subjects that lack a file that others have: they would fail by it."""
    for role, candidate in result.entries.items():
        names = [match.name for match in found.matches if not candidate.files(match, tree)]
        if names:
            said = f"{role}: not there for {shown_names(names)}, which would fail. Add it, or drop the line."
            result.unclear.append(said)
