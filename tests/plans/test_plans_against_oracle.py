"""Plans and the search against a dense second implementation, on random phantoms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.oracle_plans import search
from tests.plan_random import book_of, compared, random_plan
from tests.rule_cases import protocol_of
from volstrat.plans.union_search import search_plans


@pytest.mark.parametrize("first", range(0, 48, 12))
def test_plans_equal_the_dense_oracle(first: int) -> None:
    """Cut, markings, strata, what stays, remnant and moved borders, to the voxel.

    Oblique, anisotropic grids; overlapping lesions and zones; segments in two, in none, beyond the liver.
    """
    for seed in range(first, first + 12):
        seen, wanted = compared(seed)
        assert seen == wanted, f"seed {seed}"


def test_the_search_equals_brute_force() -> None:
    """Every union, the empty and the whole one included, judged voxel by voxel; 0 to 2 lesions ablated."""
    found = 0
    for seed in range(24):
        this = random_plan(seed)
        if len(this.segments) > 4:
            continue
        rng = np.random.default_rng(seed)
        ablations, flr = int(rng.integers(0, 3)), float(rng.choice([0, 20, 40]))
        margin_mm = float(rng.choice([0.5, 2.0, 5.0]))
        protocol = protocol_of(this.case)
        protocol = replace(protocol, plans=replace(protocol.plans, ablation_margin_mm=margin_mm))
        book = book_of(this.case, this.liver, this.segments, protocol)
        got = search_plans(book, ablations=ablations, flr_percent=flr)
        wanted = search(
            this.case,
            liver=this.liver,
            segments=this.segments,
            ablations=ablations,
            margin_mm=margin_mm,
            flr_percent=flr,
        )
        seen = [(c.segments, c.ablate, c.resectable_fraction, c.flr_percent) for c in got]
        assert sorted(seen) == sorted(wanted), f"seed {seed}"
        assert [c.flr_percent for c in got] == sorted((c.flr_percent for c in got), reverse=True)
        found += len(got)
    assert found > 5  # the phantoms do hold answers
