"""What can be drawn of a case: images in patient order, lesions and regions as voxels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.case.entries import EntryReader
from volstrat.errors import GridMismatchError, VolstratError
from volstrat.geometry.alignment import check_frame_of_reference
from volstrat.geometry.runs import VoxelRuns
from volstrat.pictures.cross_sections import Sections, box_corners
from volstrat.pictures.drawn_volumes import CtReading, Volume, boxes_meet
from volstrat.pictures.planes import PatientView
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import CaseSources
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.plans.carry_out import PlanOutcome
    from volstrat.rule.measure import Measurements

AVID = "avid"
"""Name of the shapes that FDG-avid voxels make, whatever they belong to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """Voxels that are drawn under a name: a lesion, a PET-only region, or an avid region.

    ``box_mm`` is (2, 3): the lowest and highest LPS coordinate of any voxel's outer corner.
    """

    name: str
    grid: VoxelGrid
    voxels: VoxelRuns
    box_mm: NDArray[np.float64]

    @classmethod
    def of(cls, name: str, grid: VoxelGrid, voxels: VoxelRuns) -> Shape:
        """Return a shape with its box."""
        index = grid.unravel(voxels.indices())
        low, high = index.min(axis=0) - 0.5, index.max(axis=0) + 0.5
        corners = grid.to_mm(box_corners(np.stack((low, high))))
        return cls(
            name=name, grid=grid, voxels=voxels, box_mm=np.stack((corners.min(axis=0), corners.max(axis=0)))
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A case to be drawn."""

    ct: Volume | None
    pet: Volume | None
    # Lesions in the record's order, then PET-only regions, then an ``AVID`` one for each avid region.
    shapes: tuple[Shape, ...]
    mask_grid: VoxelGrid  # of the tumour mask; planes follow it where there is no image
    notices: tuple[str, ...] = ()  # what a person should know about the pictures
    planned: tuple[Shape, ...] = ()  # what a surgical plan leaves, cuts and ablates (see `planned_shapes`)
    base: Volume | None = field(init=False)
    grid: VoxelGrid = field(init=False)
    # sections, planned_sections: what planes show of the shapes, and of what is planned
    sections: Sections = field(init=False)
    planned_sections: Sections = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", Sections(self.shapes))
        object.__setattr__(self, "planned_sections", Sections(self.planned))
        base = self.ct or self.pet
        object.__setattr__(self, "base", base)
        view = PatientView.of(self.mask_grid) if base is None else base.view
        object.__setattr__(self, "grid", view.grid)


def shapes_of(measured: Measurements) -> tuple[Shape, ...]:
    """Return the shapes of a measured case."""
    lesions = measured.lesions
    shapes = [
        Shape.of(name, lesions.grid, voxels) for name, voxels in zip(lesions.ids, lesions.each(), strict=True)
    ]
    attribution = measured.attribution
    if attribution is not None and attribution.voxels.size:
        shapes += [
            Shape.of(f"P{n + 1}", attribution.grid, VoxelRuns.from_indices(voxels))
            for n, voxels in enumerate(attribution.each_alone())
        ]
        shapes += [
            Shape.of(AVID, attribution.grid, VoxelRuns.from_indices(voxels))
            for voxels in attribution.each_region()
        ]
    return tuple(shapes)


def planned_shapes(outcome: PlanOutcome) -> tuple[Shape, ...]:
    """Return what a surgical plan leaves of the liver, cuts and ablates, under the names of `PLAN_STYLES`."""
    sets: dict[str, VoxelRuns] = {
        "plan:remnant": outcome.remnant_voxels,
        "plan:cut": outcome.regions.cut,
        "plan:ablated": outcome.regions.ablated,
    }
    grid = outcome.measured.lesions.grid
    return tuple(Shape.of(name, grid, voxels) for name, voxels in sets.items() if voxels)


def build_scene(result: CaseResult, ct_reading: CtReading | None = None) -> Scene:
    """Put what can be drawn of a case together, with what there is so far of a CT that is being read.

    Without one the CT is read now. An image that cannot be read is no failure: it is a notice, and the rest
    is drawn.
    """
    masks, sources = result.inputs.masks, result.sources
    read = CtReading(sources).ended() if ct_reading is None else ct_reading
    ct, pet = read.volume, None
    notices = [read.problem] if read.problem else []
    if ct is not None:
        notices += _frame_notices(ct, sources, masks.grid)
    if masks.suv is not None:
        pet = Volume.pet(masks.suv, unit="SUV")
    elif sources.only("pet") is not None:
        pet = _read_unscaled_pet(sources, notices)
        if any(one["role"] == "pet" and one.get("tracer") == "other" for one in result.inputs.inputs):
            notices.append("The PET is of another tracer than FDG: it is shown, and nothing of it counts.")
    shapes = shapes_of(result.measured)
    notices += _misfits(ct, pet, shapes)
    return Scene(ct=ct, pet=pet, shapes=shapes, mask_grid=masks.grid, notices=tuple(notices))


def planned_scene(result: CaseResult) -> Scene:
    """Put a case together with what its chosen plan leaves, cuts and ablates."""
    scene = build_scene(result)
    chosen = None if result.decision is None else result.decision.chosen
    return scene if chosen is None else replace(scene, planned=planned_shapes(chosen))


def _frame_notices(ct: Volume, sources: CaseSources, mask_grid: VoxelGrid) -> list[str]:
    entry = sources.only("ct")
    name = "The CT" if entry is None else entry.path.name
    try:
        check_frame_of_reference(ct.view.grid, mask_grid, name=name, other="the tumour mask")
    except GridMismatchError as error:
        return [f"{error.message} The pictures may not fit the contours."]
    return []


def _read_unscaled_pet(sources: CaseSources, notices: list[str]) -> Volume | None:
    entry = sources.only("pet")
    assert entry is not None
    try:
        volume = Volume.pet(EntryReader(sources).image("pet", entry), unit="")
    except (VolstratError, MemoryError) as error:
        notices.append(f"The PET cannot be shown: {error or 'it does not fit into memory.'}")
        return None
    notices.append("The PET's values are not SUV; its scale is relative.")
    return volume


def _misfits(ct: Volume | None, pet: Volume | None, shapes: Sequence[Shape]) -> list[str]:
    """Say where pictures and contours do not lie in one place."""
    notices = []
    if ct is not None and pet is not None and not boxes_meet(ct.box_mm(), pet.box_mm()):
        notices.append("CT and PET do not overlap: the PET is not shown on the CT, only in its projection.")
    for volume in (ct, pet):
        if volume is not None:
            own = volume.box_mm()
            outside = [s.name for s in shapes if s.name != AVID and not boxes_meet(own, s.box_mm)]
            if outside:
                notices.append(f"Outside the field of the {volume.kind}: {shown_names(outside)}.")
    return notices
