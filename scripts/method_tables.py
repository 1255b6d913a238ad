"""Print the accuracy tables of docs/method.md, from simulation with fixed seeds (a minute or two)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from shape_phantoms import Solid, alone, any_turn, ball, cuboid, ellipsoid
from volstrat.certainty.counting_error import counting_error_percent
from volstrat.certainty.volume_error import resectable_fraction_interval, wcv_percent
from volstrat.geometry.boundary_shift import boundary_shift
from volstrat.terms.policies import VolumeErrorPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SPACINGS = ((0.8, 0.8, 1.0), (0.8, 0.8, 1.5), (0.8, 0.8, 3.0), (0.8, 0.8, 5.0), (4.0, 4.0, 4.0))
DIAMETERS = (6, 10, 15, 20, 30, 50)
SHIFTS = (-1.0, -0.5, 0.5, 1.0)
PLACES = 20


def _name(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{step:g}" for step in spacing)


def _solids(diameter: float) -> dict[str, Callable[[np.random.Generator], Solid]]:
    d = diameter
    return {
        "sphere": lambda _: ball(d),
        "ellipsoid 1.5 : 1 : 0.75": lambda rng: ellipsoid((1.5 * d, d, 0.75 * d), any_turn(rng)),
        "disc 1.4 : 1.4 : 0.5": lambda rng: ellipsoid((1.4 * d, 1.4 * d, 0.5 * d), any_turn(rng)),
        "cuboid 1.2 : 1 : 0.8": lambda rng: cuboid((1.2 * d, d, 0.8 * d), any_turn(rng)),
    }


def boundary_table() -> None:
    """Print the error of the relative volume change over places, turns and the four shifts."""
    for kind in _solids(1):
        print(f"\n{kind}, error of the volume change in % of it, mean (largest):\n")
        print("| voxel, mm | " + " | ".join(f"{d} mm" for d in DIAMETERS) + " |")
        print("|---" * (len(DIAMETERS) + 1) + "|")
        for spacing in SPACINGS:
            cells = []
            for diameter in DIAMETERS:
                rng = np.random.default_rng(diameter)
                errors = []
                for _ in range(PLACES):
                    solid = _solids(diameter)[kind](rng)
                    grid, runs = alone(solid, spacing, rng)
                    volumes = boundary_shift(grid, runs, (0.0, *SHIFTS))
                    if volumes.size and volumes[0, 0] > 0:
                        true = np.array([solid.shifted_mm3(s) / solid.volume_mm3 - 1 for s in SHIFTS])
                        errors.append((volumes[1:, 0] / volumes[0, 0] - 1) / true - 1)
                cells.append(f"{100 * np.mean(errors):+.1f} ({100 * np.abs(errors).max():.1f})")
            print(f"| {_name(spacing)} | " + " | ".join(cells) + " |")


def counting_table() -> None:
    """Print the standard deviation of a counted sphere."""
    print("\nCounting error (one standard deviation), %:\n")
    print("| voxel, mm | " + " | ".join(f"{d} mm" for d in DIAMETERS) + " |")
    print("|---" * (len(DIAMETERS) + 1) + "|")
    for spacing in SPACINGS:
        cells = [f"{counting_error_percent(d, spacing):.2g}" for d in DIAMETERS]
        print(f"| {_name(spacing)} | " + " | ".join(cells) + " |")


def _covered(lesions: int, resectable: int, wcv: tuple[float, ...], rho: float, subjects: int) -> float:
    policy = VolumeErrorPolicy(wcv_percent=wcv, correlation=rho)
    rng = np.random.default_rng(lesions)
    hits = 0
    for _ in range(subjects):
        diameter = np.clip(rng.lognormal(math.log(18), 0.7, lesions), 4, 120)
        truth = diameter**3
        sigma = np.sqrt(np.log1p([(wcv_percent(d, policy) / 100) ** 2 for d in diameter]))
        noise = math.sqrt(rho) * rng.standard_normal() + math.sqrt(1 - rho) * rng.standard_normal(lesions)
        seen = truth * np.exp(sigma * noise - sigma**2 / 2)
        part = np.where(np.arange(lesions) < resectable, seen, 0.0)
        found = resectable_fraction_interval(
            list(seen), list(part), list(diameter), policy=policy, threshold_percent=70
        )
        assert found is not None
        hits += found.lo <= truth[:resectable].sum() / truth.sum() <= found.hi
    return 100 * hits / subjects


def coverage_table() -> None:
    """Print how often the 95 % interval holds the truth, when the errors are as assumed."""
    print("\nCoverage of the 95 % interval, %, 3,000 subjects a cell (standard error 0.4):\n")
    rows = {
        "default classes": VolumeErrorPolicy().wcv_percent,
        "60 % below 35 mm, else 10 %": (60.0, 60.0, 10.0, 10.0, 10.0),
        "60 % for all": (60.0,) * 5,
    }
    sizes = ((2, 1), (5, 2), (10, 5), (30, 20), (60, 10))
    print("| wCV | correlation | " + " | ".join(f"{r} of {n} lesions" for n, r in sizes) + " |")
    print("|---" * (len(sizes) + 2) + "|")
    for name, wcv in rows.items():
        for rho in (0.0, 0.3, 0.8):
            cells = [f"{_covered(n, r, wcv, rho, 3000):.1f}" for n, r in sizes]
            print(f"| {name} | {rho} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    coverage_table()
    counting_table()
    boundary_table()
