"""UIDs that come from content: the same content has the same UID, other content another.

An archive drops what comes under a UID that it knows; so a UID must never be used for other content. A
lesion's tracking UID goes with its identity, not with its exact voxels: a contour that was corrected is still
of the same tissue.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from volstrat.rule.measure import Measurements

_CELL_MM: Final = 20.0
"""Where segments have no name and no number of their own, tissue is told by the place of its centroid."""


def content_uid(*parts: bytes | str) -> str:
    """Return a UID (PS3.5 B.2: 2.25 and 128 bits) that stands for these parts in this order.

    >>> content_uid("SEG", b"voxels") == content_uid("SEG", b"voxels") != content_uid("SEG", b"other")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


def tracking_uids(measured: Measurements, space: str) -> list[str]:
    """Return the tracking UID of each lesion.

    Parameters
    ----------
    measured : Measurements
    space : str
        UID of the frame of reference, else of the study: a lesion is one there.
    """
    named = _names_of_labels(measured)
    identities: list[str] = []
    taken: dict[str, int] = {}
    for n, lesion_id in enumerate(measured.lesions.ids):
        number = int(lesion_id[1:])
        if number in named:
            identity = f"label {number}" if not named[number] else f"segment {named[number]}"
        else:
            cell = np.floor(measured.measures.centroid_mm[n] / _CELL_MM).astype(int)
            identity = "place " + " ".join(map(str, cell.tolist()))
        rank = taken[identity] = taken.get(identity, -1) + 1
        identities.append(identity if rank == 0 else f"{identity} and {rank}")
    return [content_uid("lesion", space, identity) for identity in identities]


def _names_of_labels(measured: Measurements) -> dict[int, str]:
    """Return the name of each label that is a lesion by itself, as `find_lesions` tells lesions apart."""
    entries = measured.masks.tumour
    undecided = {label for e in entries if e.instances is None for label in e.mask.labels}
    return {
        label: entry.mask.names.get(label, "")
        for entry in entries
        if entry.instances == "labels" or (entry.instances is None and len(undecided) > 1)
        for label in entry.mask.labels
    }
