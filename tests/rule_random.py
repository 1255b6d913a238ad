"""Random small cases for the rule's tests, and the same case stored in other ways."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np

from tests.oracle_rule import Oracle, OracleCase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Affine = NDArray[np.float64]
    Turn = tuple[tuple[int, ...], tuple[int, ...]]

TURNS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]
"""All 48 ways to store a grid: order of axes, and the direction of each."""


def marked_case(seed: int, *, identity: bool = True) -> OracleCase:
    """Return a random case whose PET-only regions have rows as well.

    With ``identity`` a lesion may be no tumour, and a region may belong to a lesion.
    """
    rng = np.random.default_rng(seed)
    case = random_case(rng)
    if identity and rng.random() < 0.15:
        name = str(rng.choice(sorted(case.lesions)))
        case.table = {**case.table, name: ("not_tumour", case.table.get(name, (None, None))[1])}
    mark_pet_only(rng, case, list(Oracle(case).pet_only))
    if not identity:
        case.belongs_to = {}
    return case


def random_case(rng: np.random.Generator) -> OracleCase:
    """Return a small random case: 1-4 lesions, any markings, avid blobs on another grid."""
    shape = tuple(int(n) for n in rng.integers(4, 8, 3))
    spacing = rng.choice([0.8, 1.0, 1.5, 2.5], 3)
    oblique = rng.random() < 0.5
    turn = _turn(rng, oblique=oblique)
    affine = _affine(turn, spacing, rng.uniform(-200, 200, 3))
    lesions = _random_lesions(rng, shape)
    resectable = None
    if rng.random() < 0.6:
        resectable = _blob(rng, shape) | _blob(rng, shape)
        if rng.random() < 0.3:
            resectable |= lesions["L1"]
    avid = avid_affine = field_shape = field_affine = None
    centre = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    if rng.random() < 0.85:
        avid_shape = tuple(int(n) for n in rng.integers(3, 7, 3))
        on_lattice = rng.random() < 0.5
        steps = rng.choice([1.0, 2.0, 3.0], 3) * (spacing if on_lattice else rng.choice([0.7, 1.3, 1.9]))
        base = turn if on_lattice else _turn(rng, oblique=bool(rng.random() < 0.5))
        avid_affine = _affine(base, steps, np.zeros(3))
        corner = centre - avid_affine[:3, :3] @ (np.array(avid_shape) / 2 + rng.uniform(-1.5, 1.5, 3))
        if on_lattice:  # centres and faces fall together: ties
            index = np.round(2 * np.linalg.solve(affine[:3, :3], corner - affine[:3, 3])) / 2
            corner = affine[:3, :3] @ index + affine[:3, 3]
        avid_affine[:3, 3] = corner
        avid = np.zeros(avid_shape, dtype=bool)
        for _ in range(int(rng.integers(0, 4))):
            avid |= _blob(rng, avid_shape, most=3)
        if rng.random() < 0.6:
            field_shape, field_affine = (avid.shape[0], avid.shape[1], avid.shape[2]), avid_affine
    if rng.random() < 0.4 and field_shape is None:
        field_shape = (5, 5, 5)
        steps = rng.uniform(1.5, 4.0, 3)
        field_affine = _affine(_turn(rng, oblique=True), steps, np.zeros(3))
        field_affine[:3, 3] = centre - field_affine[:3, :3] @ np.array([2.0, 2.0, 2.0])
    table = _random_table(rng, lesions)
    ablation_counts = bool(rng.random() < 0.8)
    if not ablation_counts:  # where unknown meets ablatable the word is "unknown", though it cannot go
        resectable = _blob(rng, shape) if resectable is None else resectable
        table = {i: ("unresectable" if w == "unknown" else w, call) for i, (w, call) in table.items()}
    return OracleCase(
        affine=affine,
        lesions=lesions,
        resectable=resectable,
        table=table,
        avid=avid,
        avid_affine=avid_affine,
        field_shape=field_shape,
        field_affine=field_affine,
        distance_mm=float(rng.choice([0.5, 1.0, 2.0, 4.0])),
        whole_lesion_percent=Fraction(int(rng.choice([60, 75, 95]))),
        stratum_1_percent=Fraction(int(rng.choice([30, 50, 70, 90]))),
        ablation_counts=ablation_counts,
    )


def _random_lesions(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Bools]:
    numbers = rng.choice(np.arange(1, 12), int(rng.integers(1, 5)), replace=False)
    numbers[0] = 1
    lesions: dict[str, Bools] = {}
    taken = np.zeros(shape, dtype=bool)
    overlapping = rng.random() < 0.4
    for number in sorted({int(n) for n in numbers}):
        blob = _blob(rng, shape, most=3)
        if not overlapping:
            blob &= ~taken
        if blob.any():
            lesions[f"L{number}"] = blob
            taken |= blob
    if "L1" not in lesions:
        lesions["L1"] = _blob(rng, shape)
    return lesions


def _random_table(
    rng: np.random.Generator, lesions: Mapping[str, Bools]
) -> dict[str, tuple[str | None, str | None]]:
    table: dict[str, tuple[str | None, str | None]] = {}
    told, sure, decided = rng.random(), rng.random(), rng.random() < 0.4
    for name in lesions:
        word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""]))
        call = str(rng.choice(["", "", "avid", "not_avid"]))
        if rng.random() < sure:
            word = "resectable"
        if decided and rng.random() < 0.5:  # what stratum 2 needs: what cannot go is cold
            word, call = "unresectable", "not_avid"
        if rng.random() < told or decided:
            table[name] = (word or None, call or None)
    return table


def mark_pet_only(rng: np.random.Generator, case: OracleCase, names: list[str]) -> None:
    """Mark or dismiss some of a case's PET-only regions, in place."""
    rows, owners = dict(case.table), {}
    for name in names:
        if rng.random() < 0.6:
            word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""])) or None
            rows[name] = (word, "not_avid" if rng.random() < 0.3 else None)
        elif rng.random() < 0.4:
            owners[name] = str(rng.choice(sorted(case.lesions)))
    case.table, case.belongs_to = rows, owners


def _turn(rng: np.random.Generator, *, oblique: bool) -> Affine:
    if oblique:
        q, r = np.linalg.qr(rng.standard_normal((3, 3)))
        turned: Affine = q * np.sign(np.diag(r))
        return turned
    order = list(permutations(range(3)))[int(rng.integers(6))]
    turned = np.eye(3)[:, order] * rng.choice([-1.0, 1.0], 3)
    return turned


def _affine(turn: Affine, spacing: NDArray[np.float64], origin: NDArray[np.float64]) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = origin
    return affine


def _blob(rng: np.random.Generator, shape: tuple[int, ...], *, most: int = 4) -> Bools:
    """Return a box, sometimes with holes and specks."""
    size = [int(rng.integers(1, min(most, n) + 1)) for n in shape]
    low = [int(rng.integers(0, n - s + 1)) for n, s in zip(shape, size, strict=True)]
    blob = np.zeros(shape, dtype=bool)
    blob[tuple(slice(a, a + s) for a, s in zip(low, size, strict=True))] = True
    if rng.random() < 0.3:
        holed = blob & (rng.random(shape) < 0.8)
        blob = holed if holed.any() else blob
    return blob


def stored(affine: Affine, voxels: Bools, turn: Turn) -> tuple[Affine, Bools]:
    """Store the same image with its axes in another order and direction."""
    order, flips = turn
    moved = affine.copy()
    moved[:3, :3] = affine[:3, list(order)]
    turned = voxels.transpose(order)
    for axis, flip in enumerate(flips):
        if flip < 0:
            moved[:3, 3] += moved[:3, axis] * (turned.shape[axis] - 1)
            moved[:3, axis] *= -1
            turned = np.flip(turned, axis)
    return moved, turned


def restored(case: OracleCase, *, ct: int | None, pet: int | None) -> OracleCase:
    """Return the case with the CT's masks, the PET's, or both stored another way."""
    again = replace(case)
    if ct is not None:
        again.affine = stored(case.affine, next(iter(case.lesions.values())), TURNS[ct])[0]
        again.lesions = {i: stored(case.affine, v, TURNS[ct])[1] for i, v in case.lesions.items()}
        if case.resectable is not None:
            again.resectable = stored(case.affine, case.resectable, TURNS[ct])[1]
    if pet is not None and case.avid is not None and case.avid_affine is not None:
        again.avid_affine, again.avid = stored(case.avid_affine, case.avid, TURNS[pet])
        if case.field_affine is case.avid_affine:
            again.field_affine = again.avid_affine
            again.field_shape = again.avid.shape
    return again
