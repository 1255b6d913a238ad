"""The subjects of a study: what its pattern finds, and each one's files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import CaseSources, role_entries
from volstrat.case.discovery import CasePlace, subject_of
from volstrat.errors import AmbiguousRoleError, DuplicateSubjectError, UsageError, VolstratError
from volstrat.formats.walk import relative_name
from volstrat.store.output import STATE_FOLDER
from volstrat.study.patterns import PathPattern, unescaped
from volstrat.study.study_file import entry_patterns, is_study_file, read_study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from volstrat.case.case_file import RoleEntry
    from volstrat.study.patterns import Match
    from volstrat.study.study_file import Study


def find_study_cases(
    study: Study, *, reader: str | None = None, skip: Path | None = None
) -> Iterator[CasePlace]:
    """Yield every subject (and visit) of a study once, in the order of names, with a reader's lesion tables.

    ``skip`` is a folder in which nothing is looked for (the output). Raises UsageError if the pattern fits
    nothing, or the study has no such reader.
    """
    table = None if reader is None else study.table_of(reader)
    below = f"{study.subject.text}/"
    folders = "tumour" not in study.inputs or any(p.text.startswith(below) for _, p in entry_patterns(study))
    found: dict[str, list[Match]] = {}  # by what a cohort calls a subject and its visit
    is_output: dict[Path, bool] = {}
    for match in study.subject.matches(study.path.parent):
        if not _passed_over(match, study.path.parent, skip, is_output) and (
            match.path.is_dir() or not folders
        ):
            found.setdefault(match.name, []).append(match)
    if not found:
        root = study.path.resolve().parent.name or "/"
        msg = f"{study.name}: layout.subject is {study.subject.text!r}; nothing below {root} fits it."
        hint = "Correct the pattern; paths are relative to the study file."
        if "tumour" not in study.inputs:
            hint += " A pattern of files needs a tumour below [layout.inputs]."
        raise UsageError(msg, hint=hint)
    for matches in sorted(found.values(), key=lambda those: (those[0].subject, those[0].visit or "")):
        yield _case(study, matches, table)


def one_case(
    source: Path,
    *,
    subject: str | None = None,
    visit: str | None = None,
    lesions: str | None = None,
    reader: str | None = None,
) -> CasePlace:
    """Return one case: a case folder, or the named subject (and visit) of a study file.

    Neither is asked of a case folder, nor where the study has one case only. Of a study, ``lesions`` is the
    reader whose lesion tables to take (of a case folder `CasePlace.open` takes it); ``reader`` is who marks
    now: the same, but a study that names no readers asks nobody. Raises UsageError, with every candidate, if
    no case or several fit, or the study has no such reader; VolstratError if the study file cannot be used.
    """
    if not is_study_file(source):
        if subject is not None or visit is not None:
            msg = f"{source.name}: is no study file; --subject and --visit choose from one."
            raise UsageError(msg, hint="Name the case folder itself.")
        if not source.is_dir():
            msg = f"{source.name}: is neither a case folder nor a study file (.toml)."
            raise UsageError(msg)
        return CasePlace(folder=source, subject=subject_of(source))
    study = read_study(source)
    table = lesions if lesions is not None else reader if study.readers else None
    cases = list(find_study_cases(study, reader=table))
    fitting = [case for case in cases if subject in (None, case.subject) and visit in (None, case.visit)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = " ".join(name for name in (subject, visit) if name)
    listed = ", ".join(case.name for case in (fitting or cases)) or "none"
    if not fitting:
        what = f"no case is called {wanted!r}; there are" if cases else "it has no cases:"
    else:
        what = f"{len(fitting)} cases" + (f" of {wanted}:" if wanted else ":")
    msg = f"{study.name}: {what} {listed}."
    raise UsageError(msg, hint="Choose one with --subject (and --visit).")


def _passed_over(match: Match, root: Path, skip: Path | None, is_output: dict[Path, bool]) -> bool:
    """Tell whether a match is, or lies in, the output of a run; ``is_output`` remembers folders looked at."""
    for folder in (match.path, *match.path.parents):
        if folder == root:
            break
        if folder not in is_output:
            is_output[folder] = (folder / STATE_FOLDER).is_dir()
        if is_output[folder]:
            return True
    return skip is not None and match.path.resolve().is_relative_to(skip.resolve())


def _case(study: Study, matches: list[Match], table: PathPattern | None) -> CasePlace:
    base, paths = study.path.parent, [match.path for match in matches]
    subject, visit = matches[0].subject, matches[0].visit
    place = CasePlace(
        subject=subject,
        visit=visit,
        folder=paths[0] if paths[0].is_dir() and "tumour" not in study.inputs else base,
    )
    if len(paths) > 1:
        named = [p.relative_to(base).as_posix() if p.is_relative_to(base) else str(p) for p in paths]
        called = subject if visit is None else f"{subject}, visit {visit},"
        msg = f"{study.name}: {called} is in {len(paths)} places: {', '.join(named)}."
        hint = "Make layout.subject tell them apart, or remove all but one."
        return replace(place, problem=DuplicateSubjectError(msg, hint=hint))
    try:
        given = {role: _entries(study, role, value, subject, visit) for role, value in study.inputs.items()}
        if table is not None:
            text = _one_path(study, "lesions", table, subject, visit)
            given["lesions"] = role_entries("lesions", text, base, study.name)
    except VolstratError as error:
        return replace(place, problem=error)
    if "tumour" not in given:
        return replace(place, given=given)
    sources = CaseSources(folder=base, subject=subject, entries=given, told_by="study", visit=visit)
    return replace(place, folder=base, sources=sources)


def _entries(
    study: Study,
    role: str,
    value: Any,  # noqa: ANN401 - a value of TOML
    subject: str,
    visit: str | None,
) -> tuple[RoleEntry, ...]:
    """Return a role's entries for one subject: the places filled, each path the one file that fits."""
    filled = []
    for item in value if isinstance(value, list) else [value]:
        text = item["path"] if isinstance(item, dict) else item
        pattern = PathPattern(text=text, where=f"{study.name}: layout.inputs.{role}")
        if isinstance(value, list):  # a list unites: all that fits is meant
            found = pattern.files(study.path.parent, subject=subject, visit=visit)
            paths = [relative_name(path, study.path.parent) for path in found]
        else:
            paths = []
        for path in paths or [_one_path(study, role, pattern, subject, visit)]:
            filled.append({**item, "path": path} if isinstance(item, dict) else path)
    return role_entries(role, filled, study.path.parent, study.name)


def _one_path(study: Study, role: str, pattern: PathPattern, subject: str, visit: str | None) -> str:
    """Return the one path that fits a pattern; where none does, the path as it would be."""
    base = study.path.parent
    found = pattern.files(base, subject=subject, visit=visit)
    if len(found) > 1:
        names = ", ".join(relative_name(path, base) for path in found)
        msg = f"{subject}: {len(found)} candidates for {role}: {names}."
        raise AmbiguousRoleError(msg, hint=f"Make layout.inputs.{role} in {study.name} fit one of them.")
    if found:
        return relative_name(found[0], base)
    return unescaped(pattern.filled(subject=subject, visit=visit))
