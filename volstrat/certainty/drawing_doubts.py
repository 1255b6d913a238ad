"""Doubts about how tumour was drawn and marked that depend on what was marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.protocol import reaches_percent
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol


def drawing_doubts(
    measured: Measurements, assessment: Assessment, protocol: Protocol, *, at_edge: Sequence[int]
) -> list[Finding]:
    """Say which lesions touch the edge of their image, and whether ablation alone reaches stratum 1.

    Parameters
    ----------
    at_edge : sequence of int
        As `lesions_at_edge`.
    """
    findings = []
    harmless = []
    for lesion in at_edge:
        where = measured.lesions.ids[lesion]
        if _decides(lesion, measured, assessment, protocol):
            found = finding("lesion_at_edge", "decides", severity="review", where=where, lesion=where)
            findings.append(found)
        else:
            harmless.append(where)
    if harmless:
        where = harmless[0] if len(harmless) == 1 else "tumour"
        findings.append(finding("lesion_at_edge", "harmless", where=where, lesions=shown_names(harmless)))
    voxels = assessment.tally_1.voxels
    if assessment.stratum_1.holds and not voxels[Marking.RESECTABLE] and voxels[Marking.ABLATABLE]:
        findings.append(finding("ablation_alone"))
    return findings


def lesions_at_edge(measured: Measurements) -> list[int]:
    """Return the lesions of which a voxel lies in an outermost voxel of a field, by position."""
    lesions = measured.lesions
    touching: set[int] = set()
    for field in measured.masks.tumour_fields:
        last = np.array(field.shape) - 1
        for ends in (lesions.starts, lesions.stops - 1):
            if not ends.size:
                continue
            index = np.rint(field.to_index(lesions.grid.to_mm(lesions.grid.unravel(ends))))
            at_edge = (((index <= 0) | (index >= last)) & (last > 0)).any(axis=1)
            touching |= set(lesions.lesion[at_edge].tolist())
    return sorted(touching)


def _decides(lesion: int, measured: Measurements, assessment: Assessment, protocol: Protocol) -> bool:
    """Tell whether as much again of a lesion, marked alike, would change what can be said of stratum 1."""
    percent = protocol.thresholds.stratum_1_percent
    own = measured.marked.worst_voxels[lesion]
    now, more = np.array(assessment.tally_1.voxels), np.array(assessment.tally_1.voxels) + own
    sure, most = list(protocol.counted), [*protocol.counted, Marking.UNKNOWN]
    return any(
        reaches_percent(int(now[marks].sum()), int(now.sum()), percent)
        != reaches_percent(int(more[marks].sum()), int(more.sum()), percent)
        for marks in (sure, most)
    )
