"""What plans need of a case's files: the liver's segments by name, and what a plan cuts out as drawn."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from volstrat.errors import MissingRoleError, PlanError
from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns
from volstrat.terms.couinaud import SEGMENTS, segment_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from volstrat.case.aligned_masks import ReadEntry
    from volstrat.case.case_file import CaseSources
    from volstrat.case.parts import Part
    from volstrat.geometry.mask import Mask


@frozen(eq=False)
class PlanInputs:
    """Voxels on the tumour's grid.

    Parameters
    ----------
    segments : mapping of segment name to VoxelRuns
        Empty without ``liver_segments``.
    cut_masks : mapping of plan name to VoxelRuns
        Of plans that cut out what a mask draws.
    """

    segments: Mapping[str, VoxelRuns] = field(default_factory=dict)
    cut_masks: Mapping[str, VoxelRuns] = field(default_factory=dict)


def plan_inputs(sources: CaseSources, read: Iterable[tuple[ReadEntry, Mask]]) -> PlanInputs:
    """Return what plans need, of the files read and put on the tumour's grid.

    Raises
    ------
    MissingRoleError
        If there are plans and no liver mask.
    PlanError
        If the map of segments has a label that is no segment.
    """
    if sources.plans and "liver" not in sources.entries:
        msg = "case.toml: there are plans but no liver mask, so that neither cut nor remnant can be measured."
        raise MissingRoleError(msg, hint='Write [inputs] liver = "FILE".')
    segments: dict[str, VoxelRuns] = {}
    masks = []
    for entry, mask in read:
        if entry.role == "liver_segments":
            for segment, voxels in _named_segments(mask, entry.read.choice.parts, file_name=entry.name):
                segments[segment] = segments[segment].union(voxels) if segment in segments else voxels
        elif entry.role == "cut":
            masks.append((entry.entry, mask.voxels()))
    cut_masks = {}
    for stated in sources.plans:
        voxels = VoxelRuns.empty()
        for entry_of_mask, drawn in masks:
            if entry_of_mask in stated.masks:
                voxels = voxels.union(drawn)
        if stated.masks:
            cut_masks[stated.plan.name] = voxels
    return PlanInputs(segments={s: segments[s] for s in SEGMENTS if s in segments}, cut_masks=cut_masks)


def _named_segments(mask: Mask, parts: Iterable[Part], *, file_name: str) -> list[tuple[str, VoxelRuns]]:
    """Return the Couinaud segments of a mask, by name or code of its parts, else by its numbers 1 to 8.

    Where some parts are named as segments, others are none.

    Raises
    ------
    PlanError
        If no name says a segment and a number is not 1 to 8.
    """
    by_part = {part.number: part.couinaud for part in parts}
    named = [(by_part.get(n) or segment_named(mask.names.get(n) or ""), n) for n in mask.labels]
    if not any(segment for segment, _ in named):
        named = [(str(n) if 1 <= n <= 8 else None, n) for _, n in named]
        strange = [str(n) for segment, n in named if segment is None]
        if strange:
            msg = (
                f"{file_name}: label {', '.join(strange)} is no liver segment; labels are 1 to 8, or have "
                "names (liver_segment_5, Segment IVa)."
            )
            raise PlanError(msg, hint="Give the map of Couinaud segments as liver_segments.")
    return [(segment, mask.runs.of(n)) for segment, n in named if segment is not None]
