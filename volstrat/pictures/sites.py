"""What the masks call the lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.rule.measure import Measurements


def lesion_sites(measured: Measurements) -> Mapping[str, str]:
    """Return the segment, ROI or label names behind lesions, by lesion id.

    Lesions that are components of one segment carry its name; where several segments were pooled, none
    is known.
    """
    entries = measured.masks.tumour
    undecided = {label for e in entries if e.instances is None for label in e.mask.labels}
    labelled: dict[int, str] = {}
    pooled: list[str] = []
    for entry in entries:
        if entry.instances == "labels" or (entry.instances is None and len(undecided) > 1):
            labelled.update({n: name for n, name in entry.mask.names.items() if name})
        else:
            pooled += [entry.mask.names.get(n, "") for n in entry.mask.labels]
    common = pooled[0] if len(pooled) == 1 else ""
    last = max(
        (n for e in entries for n in e.mask.labels if n in labelled or e.instances == "labels"), default=0
    )
    return {i: labelled.get(int(i[1:]), common if int(i[1:]) > last else "") for i in measured.lesions.ids}
