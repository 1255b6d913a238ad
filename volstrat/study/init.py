"""`volstrat init`: look at a tree, say what is in it, and write the study file; nothing is guessed.

A role with one candidate is proposed; one with several is left open, and all are listed. What can be resected
is never proposed by anything but a file that says so.
"""

from __future__ import annotations

import json
import shlex
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat import __version__
from volstrat.case.discovery import open_case
from volstrat.errors import MissingRoleError, OutputError, UsageError, VolstratError
from volstrat.formats.walk import relative_name
from volstrat.store.output import write_atomically
from volstrat.store.seal import refuse_sealed
from volstrat.study.layouts import LAYOUTS, Recognised, below_with_layout, by_layout, recognise
from volstrat.study.proposals import LOOKED_INTO, Proposals, propose, toml_value
from volstrat.terms.roles import ROLES
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from pathlib import Path

_MARKINGS = ("resectable", "lesions", "plans")


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `volstrat init` found and wrote."""

    path: Path  # the study file
    text: str  # for a person: layout, subjects, roles, what is unclear, the next command
    is_clear: bool  # nothing must be settled or marked first


def init_study(tree: Path, path: Path | None = None) -> Initialised:
    """Look at a tree and write its study file: to a path, or to ``study.toml`` in the tree.

    Raises UsageError if the tree has no layout that is known, or nobody in it; OutputError if the study file
    is there already, or cannot be written.
    """
    path = tree / "study.toml" if path is None else path
    if path.exists() or path.is_symlink():
        msg = f"{path}: is there already, and stays as it is."
        raise OutputError(msg, hint="Name another with -o, or remove it.")
    refuse_sealed(path.parent)
    found = recognise(tree)
    if found is None:
        raise _nothing(tree)
    proposals = propose(tree, found)
    _look_into_folders(found, proposals)
    if not _says_what_is_resectable(found, proposals):
        tables = "reads/{subject}_{visit}.csv" if found.subject.has("visit") else "reads/{subject}.csv"
        proposals.unclear.append(
            "Nothing says what can be resected, so no case can get a stratum yet: mark the lesions (volstrat "
            f'review, or tables that lesions = "{tables}" names below [layout.inputs]).'
        )
    write_atomically(path, _study_text(tree, path, found, proposals).encode())
    return Initialised(path=path, text=_screen(tree, path, found, proposals), is_clear=not proposals.unclear)


def _nothing(tree: Path) -> UsageError:
    names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
    msg = f"{tree.resolve().name or tree}: no subject was found in it, by any layout that volstrat knows."
    if below := below_with_layout(tree):
        commands = " or ".join(f"volstrat init {shlex.quote(str(one))}" for one in below)
        return UsageError(msg, hint=f"There is one below it: {commands}.")
    above = by_layout(tree.resolve().parent)
    if above is not None and any(tree.resolve() in (m.path, *m.path.parents) for m in above.matches):
        command = f"volstrat init {shlex.quote(str(tree.resolve().parent))}"
        return UsageError(msg, hint=f"It is one subject; name the folder that holds it: {command}.")
    return UsageError(
        msg,
        hint=f"Known are case folders (a tumour mask or case.toml in each), folders of DICOM, {names}. Name "
        "the folder that holds all subjects, or write a study file by hand (docs/studies.md).",
    )


def _says_what_is_resectable(found: Recognised, proposals: Proposals) -> bool:
    """Tell whether a mask, a table or plans say what can be resected, in every case that was looked into."""
    if any(role in proposals.entries for role in _MARKINGS):
        return True
    return not found.layout.sources and all(set(_MARKINGS) & set(one) for one in proposals.files.values())


def _look_into_folders(found: Recognised, proposals: Proposals) -> None:
    """Take down what the first subjects' own folders say, where they do; what is wrong there is unclear."""
    for match in () if found.layout.sources else found.matches[:LOOKED_INTO]:
        try:
            sources = open_case(match.path).sources
        except MissingRoleError as error:
            line = f'tumour = "{found.subject.text}/FILE"'
            proposals.unclear.append(
                f"{match.name}: {error.message} Where the file has one name in every case, write {line} "
                f"below [layout.inputs]. {error.hint}"
            )
        except VolstratError as error:
            proposals.unclear.append(f"{match.name}: {error}")
        else:
            files = {role: [entry.path for entry in entries] for role, entries in sources.entries.items()}
            proposals.files[match.name] = {"plans": ""} if sources.plans else {}
            for role, paths in files.items():
                names = ", ".join(relative_name(path, match.path) for path in paths)
                proposals.files[match.name][role] = names


def _study_text(tree: Path, path: Path, found: Recognised, proposals: Proposals) -> str:
    """Return the study file: what is clear as lines, what is not as comments."""
    above = relative_name(tree, path.parent)
    head = "" if above == "." else f"{above}/"
    major, minor = __version__.split(".")[:2]
    lines = [
        *(f"# {found.layout.name}, known by {found.by}: {len(found.matches)} cases.", "", "[study]"),
        f"id = {json.dumps(tree.resolve().name or 'study', ensure_ascii=False)}",
        f'volstrat = ">={major}.{minor},<{major}.{int(minor) + 1}"',
        *("", "[layout]", f"subject = {toml_value(head + found.subject.text)}", "", "[layout.inputs]"),
    ]
    if not found.layout.sources:
        lines.append("# Each case's own folder says the rest: case.toml, file names, or DICOM.")
    for role in ROLES:
        if role in proposals.entries:
            lines.append(f"{role} = {toml_value(proposals.entries[role].value(head))}")
    lines += [f"# Unclear: {one}" for one in proposals.unclear]
    return "\n".join(lines) + "\n"


def _screen(tree: Path, path: Path, found: Recognised, proposals: Proposals) -> str:
    """Say on one screen what was found, what is unclear, and what to run next."""
    number = len(found.matches)
    lines = [
        f"{tree.resolve().name}: {found.layout.name}, known by {found.by}.",
        f"{number} {'case' if number == 1 else 'cases'}"
        + (f", the first {LOOKED_INTO}:" if number > LOOKED_INTO else ":"),
        "",
        *_table(tree, found, proposals),
        "",
    ]
    for title, entries in (("Unclear", proposals.unclear), ("Note", proposals.notes)):
        for one in dict.fromkeys(entries):
            lines += textwrap.wrap(
                f"{title}: {one}", 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
    lines += ["", f"Written: {path}", f"Next:    volstrat batch {shlex.quote(str(path))} -o results"]
    return "\n".join(lines)


def _table(tree: Path, found: Recognised, proposals: Proposals) -> list[str]:
    """Return a line for each role of the first cases: file and parts."""
    rows = [("case", "role", "file", "holds")]
    for match in found.matches[:LOOKED_INTO]:
        name, files = match.name, dict(proposals.files.get(match.name, {}))
        holds: dict[str, str] = {}
        for role, candidate in proposals.entries.items():
            paths = candidate.files(match, tree)
            files[role] = shown_names([relative_name(file, tree) for file in paths]) if paths else "not there"
            holds[role] = candidate.holds if paths else ""
        for role in (*(r for r in ROLES if r in files), *(("nothing",) if not files else ())):
            rows.append((name, role, files.get(role, ""), holds.get(role, "")))
            name = ""
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
