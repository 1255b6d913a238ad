"""What a sample subject must give: counts from dense arrays, the verdict as stated by hand.

The subjects are made so that the rule's harder parts decide nothing here: lesions never touch,
every avid region holds voxels of exactly one lesion or lies far from all of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sample_phantoms import Grid, Phantom

    Array = np.ndarray[Any, Any]

ATTRIBUTION_DISTANCE_MM = 10.0


def verdict(
    stratum: str | None,
    *,
    status: str = "assigned",
    stratum_2: bool | None,
    avid_disease: str,
    findings: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return what the rule says of a subject, stated by hand."""
    return {
        "status": status,
        "stratum": stratum,
        "predicates": {"stratum_1": {}, "stratum_2": {"holds": stratum_2, "avid_disease": avid_disease}},
        "findings": list(findings),
    }


def measured(phantom: Phantom, stated: dict[str, Any]) -> dict[str, Any]:
    """Add the counts to a verdict.

    Parameters
    ----------
    phantom : Phantom
    stated : dict
        As from `verdict`.
    """
    labels = phantom.labels()
    sizes = [int((labels == number).sum()) for number in range(1, len(phantom.lesions) + 1)]
    must(all(a > b for a, b in pairwise(sizes)), "lesions stand by falling volume")
    must(not touching(labels), "lesions do not touch")
    marked = list(zip(sizes, (lesion.marking for lesion in phantom.lesions), strict=True))
    lower = sum(size for size, marking in marked if kind(marking) == "goes")
    upper = lower + sum(size for size, marking in marked if kind(marking) == "unknown")
    whole = sum(sizes)
    result = {
        **stated,
        "volumes": {
            "total_tumour_ml": ml(whole, phantom.ct),
            "resectable_tumour_ml": ml(lower, phantom.ct),
            "resectable_fraction": lower / whole,
        },
        "lesions": {
            f"L{number}": {"voxels": size, "resectability": marking, "fdg_avidity": avidity(phantom, number)}
            for number, (size, marking) in enumerate(marked, 1)
        },
    }
    result["predicates"]["stratum_1"] = {
        "holds": reaches_70_percent(lower, upper, whole),
        "part_voxels": lower,
        "part_voxels_upper": upper,
        "whole_voxels": whole,
        "unit": "tumour",
    }
    if phantom.pet is not None:
        add_avid(phantom, result)
    return result


def add_avid(phantom: Phantom, result: dict[str, Any]) -> None:
    """Add what the avid mask gives: counts in PET voxels, PET-only regions, the avid fraction."""
    pet, avid, held = phantom.pet_grid(), phantom.avid(), tumour_in_pet(phantom)
    voxels = dict.fromkeys(("goes", "unknown", "stays", "not_avid"), 0)
    pet_only = []
    for region in regions(avid):
        numbers = {number for voxel in region for number in held.get(voxel, ())}
        must(len(numbers) <= 1, "an avid region holds one lesion or none")
        if numbers:
            voxels[kind(phantom.lesions[numbers.pop() - 1].marking)] += len(region)
        else:
            must(far_from_tumour(phantom, region), "a region without tumour is far from all of it")
            pet_only.append(len(region))
    spots = list(zip(sorted(pet_only, reverse=True), phantom.pet_only, strict=True))
    for size, spot in spots:
        voxels[kind(spot.marking)] += size
    whole = int(avid.sum()) - voxels["not_avid"]
    result["predicates"]["stratum_2"].update(
        part_voxels=voxels["goes"],
        part_voxels_upper=voxels["goes"] + voxels["unknown"],
        whole_voxels=whole,
        unit="pet",
    )
    tumour_in_avid = sum(len(numbers) for voxel, numbers in held.items() if avid[voxel])
    result["volumes"].update(
        fdg_avid_ml=ml(whole, pet),
        fdg_avid_resectable_ml=ml(voxels["goes"], pet),
        fdg_avid_fraction=tumour_in_avid / int(phantom.tumour().sum()),
        pet_only_ml=ml(sum(size for size, spot in spots if spot.marking != "not_avid"), pet),
    )
    result["pet_only_regions"] = {
        f"P{number}": {"voxels": size, "fdg_avidity": "not_avid" if spot.marking == "not_avid" else "avid"}
        for number, (size, spot) in enumerate(spots, 1)
    }


def suv_max(phantom: Phantom) -> dict[int, float]:
    """Return the highest SUV of each hot lesion's avid region, by lesion number."""
    suv, held = phantom.suv(), tumour_in_pet(phantom)
    found: dict[int, float] = {}
    for region in regions(phantom.avid()):
        for number in {number for voxel in region for number in held.get(voxel, ())}:
            found[number] = max(int(suv[voxel]) for voxel in region) / 16
    return found


def ml(voxels: int, grid: Grid) -> float:
    """Return a volume in ml, to six decimals."""
    return round(voxels * grid.voxel_ml, 6)


def kind(marking: str) -> str:
    """Return what a marking means for the counts: ablatable counts as resectable."""
    return {"resectable": "goes", "ablatable": "goes", "unresectable": "stays"}.get(marking, marking)


def avidity(phantom: Phantom, number: int) -> str:
    """Return a lesion's avidity: "not_avid" needs a PET field over every voxel centre of it."""
    if phantom.pet is None:
        return "not_assessed"
    if phantom.lesions[number - 1].spill_mm is not None:
        return "avid"
    index = np.stack(
        phantom.pet.to_index(*phantom.ct.to_mm(*np.nonzero(phantom.labels() == number))), axis=-1
    )
    covered = (index > -0.5) & (index < np.array(phantom.pet.shape) - 0.5)
    return "not_avid" if covered.all() else "not_assessed"


def reaches_70_percent(lower: int, upper: int, whole: int) -> bool | None:
    """Compare whole numbers: exactly 70 % holds; None where unknown markings decide."""
    if lower * 100 >= whole * 70:
        return True
    return None if upper * 100 >= whole * 70 else False


def tumour_in_pet(phantom: Phantom) -> dict[tuple[int, int, int], list[int]]:
    """By PET voxel (also outside the grid), the lesion of each tumour voxel centre that lies in it."""
    pet, labels = phantom.pet_grid(), phantom.labels()
    where = np.nonzero(labels)
    index = np.stack(pet.to_index(*phantom.ct.to_mm(*where)), axis=-1)
    # Within 0.001 mm of a face a centre belongs to the higher side in patient axes; PET axes point there.
    must(np.array_equal(pet.axes, np.eye(3)), "PET lies straight in the patient")
    voxels = np.floor(index + 0.5 + 0.001 / np.array(pet.spacing_mm)).astype(int)
    held: dict[tuple[int, int, int], list[int]] = {}
    for (i, j, k), number in zip(voxels.tolist(), labels[where].tolist(), strict=True):
        held.setdefault((i, j, k), []).append(number)
    return held


def touching(labels: Array) -> bool:
    """Say whether two lesions meet at a face, an edge or a corner."""
    padded = np.pad(labels, 1)
    for shift in np.ndindex(3, 3, 3):
        beside = padded[tuple(slice(s, s + n) for s, n in zip(shift, labels.shape, strict=True))]
        if ((labels > 0) & (beside > 0) & (labels != beside)).any():
            return True
    return False


def regions(volume: Array) -> Iterator[list[tuple[int, int, int]]]:
    """Yield 26-connected pieces as lists of voxels, by flood fill."""
    left = {(i, j, k) for i, j, k in np.argwhere(volume).tolist()}
    while left:
        piece, edge = [], [left.pop()]
        while edge:
            i, j, k = edge.pop()
            piece.append((i, j, k))
            around = {(i + a, j + b, k + c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)}
            edge += around & left
            left -= around
        yield piece


def far_from_tumour(phantom: Phantom, region: list[tuple[int, int, int]]) -> bool:
    """Say whether every tumour voxel is more than the attribution distance (and 1 mm) away."""
    i, j, k = np.array(region).T
    ours = np.stack(phantom.pet_grid().to_mm(i, j, k), axis=-1)
    theirs = np.stack(phantom.ct.to_mm(*np.nonzero(phantom.labels())), axis=-1)
    nearest = min(float(np.sqrt(((theirs - point) ** 2).sum(axis=1)).min()) for point in ours)
    return nearest > ATTRIBUTION_DISTANCE_MM + 1


def must(holds: bool, what: str) -> None:
    """Stop where a phantom is not what its story needs."""
    if not holds:
        message = f"make_sample_data: not so: {what}"
        raise SystemExit(message)
