"""A case as read: every file the rule needs, masks that share a grid on it, and what reading brought up."""

from __future__ import annotations

import hashlib
from dataclasses import field, replace
from typing import TYPE_CHECKING

from volstrat.case.aligned_masks import read_aligned_masks, union_of
from volstrat.case.entries import EntryReader
from volstrat.case.input_entries import mask_entries, pet_entries, read_closings, read_table_entry
from volstrat.case.pet_inputs import read_pet_inputs
from volstrat.case.unread import unread_findings
from volstrat.errors import MissingRoleError, PlanError, VolstratError
from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.measure import CaseMasks
from volstrat.terms.couinaud import SEGMENTS, segment_named
from volstrat.terms.findings import finding
from volstrat.terms.roles import IMAGE_ROLES
from volstrat.terms.wording import more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from volstrat.case.case_file import CaseSources
    from volstrat.case.entries import RoleMask
    from volstrat.case.input_types import InputRecord
    from volstrat.case.pet_inputs import PetRead
    from volstrat.dicom.identity import PatientMarks
    from volstrat.geometry.mask import Mask
    from volstrat.terms.findings import Closing, Finding
    from volstrat.terms.protocol import Protocol


_NAMED = 4
_MASS_INDEX = (12.0, 50.0)  # kg/m2; a weight in pounds is over it from 23 on
_MARKS = {"PatientID": "PatientID", "PatientBirthDate": "the birth date", "PatientSex": "the sex"}


@frozen(eq=False)
class PlanInputs:
    """Voxels on the tumour's grid."""

    segments: Mapping[str, VoxelRuns] = field(default_factory=dict)  # empty without ``liver_segments``
    # of plans that cut out what a mask draws
    cut_masks: Mapping[str, VoxelRuns] = field(default_factory=dict)


@frozen(eq=False)
class CaseInputs:
    """A case as read: masks on their grids, lesion rows, and what reading them brought up."""

    masks: CaseMasks
    # liver, remnant: on the tumour's grid
    liver: VoxelRuns | None
    remnant: VoxelRuns | None
    plans: PlanInputs
    # weight (kg) and height (cm): what the case states, else what the PET header does
    body_size: tuple[float | None, float | None]
    findings: tuple[Finding, ...]
    inputs: tuple[InputRecord, ...]  # what the record says of each file
    closings: tuple[Closing, ...] = ()  # reviews that somebody closed

    @property
    def without_rows(self) -> CaseMasks:
        """The masks alone, without what the lesion table says."""
        return replace(self.masks, rows=())

    @property
    def rests_on(self) -> str:
        """Hash of the voxels that were read, whatever the tables say; of PET its header too, as SUV does."""
        hashes = [
            str(one["sha256"] if one["role"] in IMAGE_ROLES else one.get("voxels_sha256", one["sha256"]))
            for one in self.inputs
            if one["role"] not in ("lesions", "reviews")
        ]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def read_inputs(case: CaseSources | EntryReader, protocol: Protocol) -> CaseInputs:
    """Read every file the rule needs and put the masks that share a grid onto it.

    A reader keeps what finding the sources scanned. Raises VolstratError if a file cannot be read, or the
    masks do not fit together.
    """
    reader = (case if isinstance(case, EntryReader) else EntryReader(case)).with_naming(protocol.naming)
    sources = reader.sources
    reader.require_all()
    masks = read_aligned_masks(reader, protocol)
    pet = read_pet_inputs(reader, masks, protocol)
    ct, pet_day = (_acquired_on(reader, role) for role in ("ct", "pet"))
    days = None if ct is None or pet_day is None else abs(ct - pet_day)
    of_pet, found = pet_entries(reader, pet, days)
    most_days = protocol.review.max_days_between
    if days is not None and days > most_days:  # in days, without a date
        found.append(finding("studies_far_apart", days=days, limit=most_days))
    found += _patient_findings(reader)
    rows, of_table = read_table_entry(sources)
    closings, of_reviews = read_closings(sources)
    if pet.left_out:  # regions of what plays no FDG role are no regions of this case
        rows = tuple(row for row in rows if not row.lesion_id.startswith("P"))
    reference, liver = (masks.of_role(role)[:1] for role in ("reference", "liver"))
    body_size = _body_size(sources, pet.image)
    found += _body_findings(*body_size, required=protocol.avidity.needs_suv)
    return CaseInputs(
        masks=CaseMasks(
            grid=masks.grid,
            tumour=masks.tumour,
            resectable=masks.united.get("resectable"),
            avid=pet.avid,
            pet_field=pet.field,
            avid_field=pet.avid_field,
            tumour_fields=masks.fields,
            suv=None if pet.fdg is None else pet.fdg.suv,
            sul_factor=None if pet.fdg is None else pet.fdg.sul_factor,
            reference=reference[0].mask if reference else None,
            liver=liver[0].mask if liver else None,
            rows=rows,
        ),
        liver=masks.united.get("liver"),
        remnant=masks.united.get("remnant"),
        plans=_plan_inputs(sources, masks.on_grid),
        body_size=body_size,
        findings=(*unread_findings(sources), *masks.findings, *pet.findings, *found, *reader.findings()),
        inputs=(*mask_entries(sources, masks), *of_pet, *of_table, *of_reviews),
        closings=closings,
    )


def _body_size(sources: CaseSources, pet: PetRead | None) -> tuple[float | None, float | None]:
    weight_kg, height_cm = (None, None) if pet is None else pet.body_size
    patient = sources.patient
    return (
        weight_kg if patient.weight_kg is None else patient.weight_kg,
        height_cm if patient.height_cm is None else patient.height_cm,
    )


def _body_findings(weight_kg: float | None, height_cm: float | None, *, required: bool) -> list[Finding]:
    """Say where weight and height are hardly one person's: pounds, most often, or a slip."""
    if not weight_kg or not height_cm:
        return []
    index = weight_kg / (height_cm / 100) ** 2
    if _MASS_INDEX[0] <= index <= _MASS_INDEX[1]:
        return []
    found = finding(
        "body_size_implausible", "mass_index", weight_kg=weight_kg, height_cm=height_cm, index=index
    )
    return [replace(found, severity="review", where="pet") if required else found]


def _plan_inputs(sources: CaseSources, read: Iterable[tuple[RoleMask, Mask]]) -> PlanInputs:
    """Return what plans need, of the files read and put on the tumour's grid."""
    if sources.plans and "liver" not in sources.entries:
        msg = "case.toml: there are plans but no liver mask, so that neither cut nor remnant can be measured."
        raise MissingRoleError(msg, hint='Write [inputs] liver = "FILE".')
    segments: dict[str, VoxelRuns] = {}
    for r, mask in read:
        if r.role == "liver_segments":
            for segment, voxels in _named_segments(r, mask):
                segments[segment] = segments[segment].union(voxels) if segment in segments else voxels
    cuts = {r.entry: mask for r, mask in read if r.role == "cut"}
    cut_masks = {
        stated.plan.name: union_of(cuts[entry] for entry in stated.masks if entry in cuts)
        for stated in sources.plans
        if stated.masks
    }
    return PlanInputs(segments={s: segments[s] for s in SEGMENTS if s in segments}, cut_masks=cut_masks)


def _named_segments(r: RoleMask, mask: Mask) -> list[tuple[str, VoxelRuns]]:
    """Return the Couinaud segments of a mask, by name or code of its parts, else by its numbers 1 to 8.

    Where some parts are named as segments, others are none.
    """
    by_part = {part.number: part.couinaud for part in r.choice.parts}
    named = [(by_part.get(n) or segment_named(mask.names.get(n) or ""), n) for n in mask.labels]
    if not any(segment for segment, _ in named):
        named = [(str(n) if 1 <= n <= 8 else None, n) for _, n in named]
        strange = [str(n) for segment, n in named if segment is None]
        if strange:
            msg = (
                f"{r.name}: label {', '.join(strange)} is no liver segment; labels are 1 to 8, or have "
                "names (liver_segment_5, Segment IVa)."
            )
            raise PlanError(msg, hint="Give the map of Couinaud segments as liver_segments.")
    return [(segment, mask.runs.of(n)) for segment, n in named if segment is not None]


def _patient_findings(reader: EntryReader) -> list[Finding]:
    """Say where PatientID, birth date or sex differ among the DICOM files that the case has read or found.

    What a header leaves blank is equal to anything.
    """
    if not reader.has_dicom:
        return []
    from volstrat.dicom.identity import differing

    seen = _named_marks(reader)
    keywords = differing(seen)
    if not keywords:
        return []
    names, assumed = list(seen.values()), reader.sources.assume_same_patient
    more = f" {more_than(len(names), _NAMED)}" if len(names) > _NAMED else ""
    return [
        finding(
            "patients_differ",
            "assumed" if assumed else "refused",
            severity="warning" if assumed else None,
            keywords=shown_names([_MARKS[keyword] for keyword in keywords], last=" and "),
            files=shown_names(names[:_NAMED], last=" and ") + more,
        )
    ]


def _named_marks(reader: EntryReader) -> dict[PatientMarks, str]:
    """Return the different marks, each with one of the files that carry it."""
    seen: dict[PatientMarks, str] = {}
    sources = reader.sources
    for folder in reader.library.scanned():
        for series in folder.series:
            for patient in {file.patient: None for file in series.files}:
                seen.setdefault(patient, f"{series.name} ({sources.relative(series.paths[0].parent)})")
        for structures in (*folder.segmentations, *folder.structure_sets):
            seen.setdefault(structures.patient, sources.relative(structures.path))
    return seen


def _acquired_on(reader: EntryReader, role: str) -> int | None:
    """Return the day on which an image was taken, as a number; None where its header says none."""
    entry = reader.sources.only(role)
    if entry is None or not reader.reads_from_dicom(entry):
        return None
    try:
        acquired_on = reader.series(role, entry).acquired_on
    except VolstratError:
        return None  # what is wrong with it is said where it is read
    return None if acquired_on is None else acquired_on.toordinal()
