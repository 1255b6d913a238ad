"""``case.toml``: which file plays which role."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.toml_file import TomlTable, is_number, read_toml
from volstrat.errors import CaseError
from volstrat.formats.walk import relative_name
from volstrat.frozen import FrozenDict, frozen
from volstrat.terms.roles import ROLES, ROLES_OF_SEVERAL, entry_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from volstrat.case.plan_tables import PlanChoice, StatedPlan
    from volstrat.terms.policies import LiverState


@frozen
class RoleEntry:
    """One file (or folder of DICOM) in a role."""

    path: Path  # absolute, or relative to where the program runs
    # names of segments or ROIs, numbers, or globs (in this order); empty leaves it to what they are called
    # (see `volstrat.case.parts`)
    select: tuple[str | int, ...] = ()
    leave_out: tuple[str | int, ...] = ()  # parts that are left out on purpose, named in the same way
    by_content: bool = False  # True where no person gave the file its role: names of its parts did
    threshold: float | None = None  # keep values at or above it
    instances: Literal["labels", "components"] | None = None
    resample: bool = False  # allow nearest-neighbour resampling onto the tumour's grid
    assume_registered: bool = False  # accept another frame of reference
    units: Literal["SUVbw"] | None = None  # says that an image without DICOM headers is SUV
    series: str | None = None  # which series, where a folder holds several: its UID or what messages call it
    tracer: Literal["FDG"] | None = None  # says the tracer of a PET whose header does not
    name: str | None = None  # what an image is called where several can be shown: a phase, a tracer


@frozen
class Patient:
    """Facts about the patient that no image needs to give."""

    weight_kg: float | None = None
    height_cm: float | None = None
    sex: Literal["M", "F"] | None = None
    liver_state: LiverState | None = None


@frozen
class CaseSources:
    """Which files play which role in one case."""

    folder: Path
    subject: str
    entries: Mapping[str, tuple[RoleEntry, ...]]
    patient: Patient = field(default_factory=Patient)
    assume_same_patient: bool = False  # a person vouches for files whose headers name different patients
    plans: tuple[StatedPlan, ...] = ()
    choice: PlanChoice | None = None  # which plan a person chose
    told_by: str = "names"  # how the roles were found: or "case.toml", "dicom", "manifest", "study", "arrays"
    visit: str | None = None  # what a study calls it

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", FrozenDict(self.entries))

    def relative(self, path: Path) -> str:
        """Return a path as the record has it: relative to the case folder."""
        return relative_name(path, self.folder)

    def with_entries(self, entries: Mapping[str, tuple[RoleEntry, ...]]) -> CaseSources:
        """Return the same case, some of its roles played by other files."""
        return replace(self, entries={**self.entries, **entries})

    def only(self, role: str) -> RoleEntry | None:
        """Return the one entry of a role, or None where the case has none."""
        found = self.entries.get(role, ())
        return found[0] if found else None


def case_name(subject: str, visit: str | None) -> str:
    """Return what a cohort calls a case: the subject, and the visit where a study has visits.

    >>> case_name("P01", None), case_name("P01", "baseline")
    ('P01', 'P01 baseline')
    """
    return subject if visit is None else f"{subject} {visit}"


def parse_case_file(data: bytes, *, folder: Path, name: str = "case.toml") -> CaseSources:
    """Parse ``case.toml``; every key it does not know is refused with its path.

    Raises CaseError for invalid TOML, an unknown key or role, or a value of the wrong kind.
    """
    document = read_toml(data, name=name, error=CaseError)
    known = ("subject", "inputs", "patient", "assume_same_patient", "plans", "chosen")
    case = TomlTable(document, name, known=known)
    subject = document.get("subject", folder.resolve().name)
    if not isinstance(subject, str) or not subject.strip():
        hint = 'Write subject = "S001", or leave it out: then the folder names it.'
        case.refuse("subject must be a text that is not empty.", hint)
    inputs = document.get("inputs", {})
    if not isinstance(inputs, dict):
        hint = 'Write [inputs] on a line of its own, and below it tumour = "FILE".'
        case.refuse("inputs must be a table, [inputs].", hint)
    TomlTable(inputs, name, "inputs.", known=ROLES)
    entries = {role: role_entries(role, value, folder, name) for role, value in inputs.items()}
    plans: tuple[StatedPlan, ...] = ()
    choice: PlanChoice | None = None
    if "plans" in document or "chosen" in document:
        from volstrat.case.plan_tables import plan_choice, stated_plans  # most cases do without

        plans = stated_plans(
            document.get("plans", []), lambda mask: role_entries("cut", mask, folder, name), name
        )
        choice = plan_choice(document.get("chosen"), plans, name)
        masks = tuple(dict.fromkeys(mask for stated in plans for mask in stated.masks))
        if masks:
            entries["cut"] = masks
    return CaseSources(
        folder=folder,
        subject=subject,
        entries=entries,
        patient=_patient(document.get("patient", {}), case),
        assume_same_patient=case.flag("assume_same_patient"),
        plans=plans,
        choice=choice,
        told_by="case.toml",
    )


def role_entries(role: str, value: object, folder: Path, name: str) -> tuple[RoleEntry, ...]:
    """Return the entries of one role as ``case.toml`` writes them; paths relative to ``folder``.

    Raises CaseError for an unknown key or a value of the wrong kind.
    """
    items = value if isinstance(value, list) else [value]
    if not items:
        msg = f"{name}: inputs.{role} is an empty list."
        raise CaseError(msg, hint="Remove the line, or name a file.")
    if len(items) > 1 and role not in ROLES_OF_SEVERAL:
        msg = f"{name}: inputs.{role} names {len(items)} files; this role takes one."
        raise CaseError(msg, hint="Keep the one that is meant.")
    return tuple(_entry(role, item, folder, name) for item in items)


def _entry(role: str, value: object, folder: Path, name: str) -> RoleEntry:
    where = f"inputs.{role}"
    values = {"path": value} if isinstance(value, str) else value
    if not isinstance(values, dict):
        msg = f"{name}: {where} must be a path, a table with path, or a list of these."
        raise CaseError(msg, hint=f'Write {role} = "FILE".')
    table = TomlTable(values, name, f"{where}.", known=entry_keys(role))
    path = values.get("path")
    if not isinstance(path, str) or not path:
        table.refuse(f"{where} needs path, a text.", f'Write {role} = {{ path = "FILE", ... }}.')
    if "segments" in values and "rois" in values:
        hint = "Keep segments for SEG, NRRD and label maps, rois for RTSTRUCT."
        table.refuse(f"{where} has both segments and rois; it takes one of them.", hint)
    threshold = values.get("threshold")
    if threshold is not None and not (is_number(threshold) and threshold > 0):
        said = f"{where}.threshold must be a number above 0: every voxel reaches 0."
        table.refuse(said, "Write threshold = 0.5, without quotes.")
    return RoleEntry(
        path=path_named(path, folder),
        select=_selection(table, "segments" if "segments" in values else "rois"),
        leave_out=_selection(table, "leave_out"),
        threshold=None if threshold is None else float(threshold),
        instances=table.choice("instances", "labels", "components"),
        resample=table.flag("resample"),
        assume_registered=table.flag("assume_registered"),
        units=table.choice("units", "SUVbw"),
        series=table.text("series") if "series" in values else None,
        tracer=table.choice("tracer", "FDG"),
        name=table.text("name") if "name" in values else None,
    )


def path_named(text: str, folder: Path) -> Path:
    """Return the path that a text names: one name may be written in two ways (Unicode NFC and NFD).

    Where nothing is there, the path stays as written, and reading it says so.
    """
    path = folder / Path(text)
    if text.isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        if not (found / part).exists():
            try:
                same = [name for name in os.listdir(found) if _composed(name) == _composed(part)]  # noqa: PTH208
            except OSError:
                return path
            if len(same) != 1:
                return path
            part = same[0]  # noqa: PLW2901 - as the disk writes it
        found /= part
    return found


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _selection(table: TomlTable, key: str) -> tuple[str | int, ...]:
    """Return the parts that a key names, as a list or alone."""
    if key not in table.values:
        return ()
    value = table.values[key]
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
        said = f"{table.path}{key} must be a list of names or whole numbers, at least one."
        table.refuse(said, f'Write {key} = ["Liver metastasis*", 3].')
    return tuple(items)


def _patient(values: object, case: TomlTable) -> Patient:
    if not isinstance(values, dict):
        hint = "Write [patient] on a line of its own, and below it weight_kg = 71."
        case.refuse("patient must be a table, [patient].", hint)
    known = ("weight_kg", "height_cm", "sex", "liver_state")
    table = TomlTable(values, case.name, "patient.", known=known)
    return Patient(
        weight_kg=table.number("weight_kg", 2, 500, "Correct it, or leave weight_kg out."),
        height_cm=table.number("height_cm", 40, 260, "Correct it, or leave height_cm out."),
        sex=table.choice("sex", "M", "F"),
        liver_state=table.choice("liver_state", "normal", "chemotherapy", "fibrosis", "cirrhosis"),
    )
