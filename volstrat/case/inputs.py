"""A case as read: every file the rule needs, masks that share a grid on it, and what reading brought up."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.aligned_masks import AlignedMasks, read_aligned_masks
from volstrat.case.entries import EntryReader
from volstrat.case.input_entries import mask_entry, pet_entries, read_closings, read_table_entry
from volstrat.case.one_patient import days_between_images, patient_findings, time_findings
from volstrat.case.parts import parts_entry
from volstrat.case.pet_inputs import read_pet_inputs
from volstrat.case.plan_inputs import PlanInputs, plan_inputs
from volstrat.case.unread import unread_findings
from volstrat.frozen import frozen
from volstrat.rule.measure import CaseMasks
from volstrat.terms.roles import IMAGE_ROLES

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources
    from volstrat.case.input_types import InputRecord
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.terms.findings import Closing, Finding
    from volstrat.terms.protocol import Protocol


@frozen(eq=False)
class CaseInputs:
    """A case as read: masks on their grids, lesion rows, and what reading them brought up.

    Parameters
    ----------
    masks : CaseMasks
    liver, remnant : VoxelRuns or None
        On the tumour's grid.
    plans : PlanInputs
    body_size : tuple of float or None
        Weight (kg) and height (cm) as the PET header says.
    findings : tuple of Finding
    inputs : tuple of InputRecord
        What the record says of each file.
    closings : tuple of Closing
        Reviews that somebody closed.
    """

    masks: CaseMasks
    liver: VoxelRuns | None
    remnant: VoxelRuns | None
    plans: PlanInputs
    body_size: tuple[float | None, float | None]
    findings: tuple[Finding, ...]
    inputs: tuple[InputRecord, ...]
    closings: tuple[Closing, ...] = ()

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

    Parameters
    ----------
    case : CaseSources or EntryReader
        A reader keeps what finding the sources scanned.
    protocol : Protocol

    Raises
    ------
    VolstratError
        If a file cannot be read, or the masks do not fit together.
    """
    reader = (case if isinstance(case, EntryReader) else EntryReader(case)).with_naming(protocol.naming)
    sources = reader.sources
    reader.require_all()
    masks = read_aligned_masks(reader, protocol)
    pet = read_pet_inputs(
        sources, reader, masks.of_role("fdg_avid"), grid=masks.grid, base=masks.base, protocol=protocol
    )
    days = days_between_images(sources, reader)
    of_pet, found = pet_entries(sources, reader, pet, days)
    found += time_findings(days, protocol.review.max_days_between)
    found += patient_findings(sources, reader)
    rows, of_table = read_table_entry(sources)
    closings, of_reviews = read_closings(sources)
    if pet.left_out:  # regions of what plays no FDG role are no regions of this case
        rows = tuple(row for row in rows if not row.lesion_id.startswith("P"))
    reference, liver = (masks.of_role(role)[:1] for role in ("reference", "liver"))
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
            reference=reference[0].read.mask if reference else None,
            liver=liver[0].read.mask if liver else None,
            rows=rows,
        ),
        liver=masks.united.get("liver"),
        remnant=masks.united.get("remnant"),
        plans=_for_plans(sources, masks),
        body_size=(None, None) if pet.image is None else pet.image.body_size,
        findings=(*unread_findings(sources), *masks.findings, *pet.findings, *found, *reader.findings()),
        inputs=(*_mask_entries(sources, masks), *of_pet, *of_table, *of_reviews),
        closings=closings,
    )


def _for_plans(sources: CaseSources, masks: AlignedMasks) -> PlanInputs:
    if sources.plans or "liver_segments" in sources.entries:
        return plan_inputs(sources, masks.on_grid)
    return PlanInputs()


def _mask_entries(sources: CaseSources, masks: AlignedMasks) -> list[InputRecord]:
    """Say of every mask file what was used of it, and all of its parts."""
    used = {(r.role, r.entry): r for r in masks.used}
    return [
        mask_entry(sources, used.get((r.role, r.entry), r), parts_entry(file, masks.files))
        for r, file in zip(masks.as_read, masks.files, strict=True)
    ]
