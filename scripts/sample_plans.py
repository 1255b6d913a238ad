"""The sample subject with surgical plans: a liver with eight segments, 24 metastases and a primary.

Everything is worked out here from dense arrays and the words of the contract, without volstrat: what each
plan cuts and ablates, what that makes of every lesion, and the liver that remains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sample_expectations import measured, must, verdict
from sample_files import nifti
from sample_phantoms import OBLIQUE, STRAIGHT, Ellipsoid, Grid, Lesion, Phantom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Array = NDArray[Any]

CT = Grid(shape=(92, 76, 38), spacing_mm=(2.0, 2.0, 3.0), axes=OBLIQUE, origin_mm=(-121.37, -161.83, 911.19))
PET = Grid(shape=(62, 62, 46), spacing_mm=(4.0, 4.0, 4.0), axes=STRAIGHT, origin_mm=(-170.9, -213.3, 899.1))
MIDDLE = (40.0, 36.0, 19.0)

METASTASES = (
    ((32, 47, 27), 15.0),
    ((35, 27, 29), 13.0),
    ((23, 31, 15), 12.0),
    ((16, 46, 24), 11.4),
    ((35, 45, 13), 11.0),
    ((20, 29, 26), 10.6),
    ((28, 17, 13), 10.3),
    ((64, 50, 15), 10.0),
    ((33, 61, 23), 9.3),
    ((50, 31, 9), 9.0),
    ((22, 57, 23), 8.8),
    ((35, 14, 25), 8.6),
    ((35, 28, 12), 8.4),
    ((29, 58, 15), 8.2),
    ((67, 29, 23), 7.9),
    ((10, 44, 15), 7.4),
    ((52, 17, 11), 7.0),
    ((40, 58, 28), 6.7),
    ((26, 19, 24), 6.5),
    ((13, 22, 16), 6.4),
    ((48, 38, 30), 6.1),
    ((61, 43, 26), 5.9),
    ((68, 35, 12), 5.5),
    ((44, 54, 23), 5.3),
)
"""Centre (index) and radius (mm); L3 is the primary, so that those from the third on are L4, L5, ..."""
PRIMARY = ((84, 66, 8), 12.6)
HOT = (1, 9)

CASE = """\
subject = "S16_three_plans"
chosen = "A"

[inputs]
tumour = "tumour.nii.gz"
fdg_avid = "fdg_avid.nii.gz"
pet = { path = "suv.nii.gz", units = "SUVbw" }
liver = "liver.nii.gz"
liver_segments = "liver_segments.nii.gz"

[patient]
weight_kg = 71
height_cm = 175
liver_state = "normal"

[[plans]]
name = "A"
title = "Right hepatectomy, ablation on the left"
by = "surgeon 1"
resect = { segments = [5, 6, 7, 8] }
ablate = [{ lesion = "L9", margin_mm = 5 }, { lesion = "L11", margin_mm = 5 }, { lesion = "L16" }]
outside_liver = { L3 = "resectable" }

[[plans]]
name = "B"
title = "Right trisectionectomy, wedge in segment 3"
by = "surgeon 2"
resect = { segments = [4, 5, 6, 7, 8] }
wedge = [{ lesion = "L9", margin_mm = 10 }]
outside_liver = { L3 = "resectable" }

[[plans]]
name = "C"
title = "Wedges alone"
by = "surgeon 3"
wedge = [
    { lesion = "L2", margin_mm = 5 },
    { lesion = "L9", margin_mm = 5 },
    { lesion = "L10", margin_mm = 5 },
    { lesion = "L11", margin_mm = 5 },
]
outside_liver = { L3 = "resectable" }
"""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A plan as CASE states it, lesions by number."""

    segments: tuple[int, ...] = ()
    wedge: tuple[tuple[int, float], ...] = ()
    ablate: tuple[tuple[int, float], ...] = ()


PLANS = {
    "A": Stated(segments=(5, 6, 7, 8), ablate=((9, 5.0), (11, 5.0), (16, 5.0))),
    "B": Stated(segments=(4, 5, 6, 7, 8), wedge=((9, 10.0),)),
    "C": Stated(wedge=((2, 5.0), (9, 5.0), (10, 5.0), (11, 5.0))),
}


def liver_segments() -> NDArray[np.uint8]:
    """Return an ellipsoid of liver in eight segments: planes, and a ball for the caudate lobe."""
    i, j, k = CT.indices()
    u, v, w = ((x - m) * s for x, m, s in zip((i, j, k), MIDDLE, CT.spacing_mm, strict=True))
    right, above, behind = u < 8, w > 0, v > 4
    segments = np.zeros(CT.shape, dtype=np.uint8)
    for number, where in (
        (5, right & ~behind & ~above),
        (6, right & behind & ~above),
        (7, right & behind & above),
        (8, right & ~behind & above),
        (4, ~right & (u < 34)),
        (2, ~right & (u >= 34) & above),
        (3, ~right & (u >= 34) & ~above),
        (1, (u - 10) ** 2 + (v - 38) ** 2 + (w - 4) ** 2 <= 18**2),
    ):
        segments[where] = number
    segments[(u / 76) ** 2 + (v / 64) ** 2 + (w / 50) ** 2 > 1] = 0
    return segments


def phantom() -> Phantom:
    """Return the lesions, L1, L2, ... by falling volume, and PET."""
    bodies = [*METASTASES[:2], PRIMARY, *METASTASES[2:]]
    lesions = tuple(
        Lesion(
            shape=Ellipsoid((float(c[0]), float(c[1]), float(c[2])), (r, r, r)),
            spill_mm=2.0 if number in HOT else None,
        )
        for number, (c, r) in enumerate(bodies, 1)
    )
    return Phantom(ct=CT, pet=PET, lesions=lesions)


def within(voxels: Bools, distance_mm: float) -> Bools:
    """Return the voxels whose centre lies within a distance (and 0.001 mm) of a voxel centre of a set."""
    held = np.argwhere(voxels)
    reach = [int(distance_mm / s) + 1 for s in CT.spacing_mm]
    low = np.maximum(held.min(axis=0) - reach, 0)
    high = np.minimum(held.max(axis=0) + reach + 1, CT.shape)
    near = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 3)
    steps = CT.affine[:3, :3]
    nearest = np.full(len(near), np.inf)
    for voxel in held:
        nearest = np.minimum(nearest, (((near - voxel) @ steps.T) ** 2).sum(axis=1))
    found = np.zeros(voxels.shape, dtype=bool)
    found[tuple(near[np.sqrt(nearest) <= distance_mm + 0.001].T)] = True
    return found


def outcome(plan: Stated, labels: Array, segments: Array) -> dict[str, Any]:
    """Return what a plan comes to, voxel by voxel."""
    liver = segments > 0
    nothing = np.zeros(labels.shape, dtype=bool)
    cut = nothing | np.isin(segments, plan.segments)
    for number, margin_mm in plan.wedge:
        cut |= within(labels == number, margin_mm) & liver
    zones = nothing.copy()
    for number, margin_mm in plan.ablate:
        zones |= within(labels == number, margin_mm)
    goes = (cut | zones) & (labels > 0)
    goes |= labels == 3  # the primary, which every plan resects
    words, left = [], {}
    for number in range(1, int(labels.max()) + 1):
        mine = labels == number
        share = int((mine & cut).sum()), int((mine & zones & ~cut).sum()), int(mine.sum())
        must(number == 3 or share[0] in (0, share[2]), "no cut runs through a lesion")
        words.append("resectable" if share[0] or number == 3 else "ablatable" if share[1] else "unresectable")
        must(words[-1] != "ablatable" or share[1] == share[2], "an ablation takes the lesion whole")
        stays = int((mine & ~goes).sum())
        if stays:
            left[f"L{number}"] = round(stays * CT.voxel_ml, 6)
    remnant = liver & ~cut & ~zones & (labels == 0)
    return {
        "words": words,
        "resectable_fraction": int(goes.sum()) / int((labels > 0).sum()),
        "flr_percent": 100 * int(remnant.sum()) / int((liver & (labels == 0)).sum()),
        "left": left,
    }


def sample() -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the subject's files, and the keys of the record that it must show."""
    bare, segments = phantom(), liver_segments()
    labels = bare.labels()
    for number in range(1, len(bare.lesions) + 1):
        inside = set(segments[labels == number].tolist())
        must(
            inside == {0} if number == 3 else len(inside) == 1 and 0 not in inside, f"L{number} in a segment"
        )
    found = {name: outcome(plan, labels, segments) for name, plan in PLANS.items()}
    marked = tuple(
        replace(lesion, marking=word) for lesion, word in zip(bare.lesions, found["A"]["words"], strict=True)
    )
    chosen = replace(bare, lesions=marked)
    expected = measured(
        chosen, verdict("stratum_1", stratum_2=True, avid_disease="observed", findings=("both_strata_hold",))
    )
    expected["chosen_plan"] = "A"
    # A takes all avid disease and leaves enough liver; B leaves too little; C leaves L1, which is avid.
    strata = {"A": "stratum_1", "B": "stratum_1", "C": "ineligible"}
    notations = {"A": "H5678", "B": "H45678", "C": None}
    expected["plans"] = {
        name: {
            "stratum": strata[name],
            "notation": notations[name],
            "resectable_fraction": found[name]["resectable_fraction"],
            "flr_percent": found[name]["flr_percent"],
            "left": found[name]["left"],
            "below_limit": found[name]["flr_percent"] < 25,
        }
        for name in PLANS
    }
    must(found["A"]["flr_percent"] > 30 and found["B"]["flr_percent"] < 25, "B leaves too little, A enough")
    must(found["A"]["resectable_fraction"] > 0.8 and found["C"]["resectable_fraction"] < 0.6, "clear shares")
    files = {
        "case.toml": CASE.encode(),
        "tumour.nii.gz": nifti(bare.tumour(), CT.affine),
        "liver.nii.gz": nifti((segments > 0).astype(np.uint8), CT.affine),
        "liver_segments.nii.gz": nifti(segments, CT.affine),
        "fdg_avid.nii.gz": nifti(bare.avid(), PET.affine),
        "suv.nii.gz": nifti(bare.suv(), PET.affine, slope=1 / 16),
    }
    return files, expected
