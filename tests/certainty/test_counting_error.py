"""The error of counting voxels: against simulation, against figures known beforehand, and its findings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from volstrat.certainty.counting_error import (
    _by_overlap,
    _by_series,
    counting_error_percent,
    counting_findings,
    equivalent_diameter_mm,
    small_lesions,
)

Spacing = tuple[float, float, float]
THICK: Spacing = (0.8, 0.8, 5.0)
THIN: Spacing = (0.8, 0.8, 1.5)
PET: Spacing = (4.0, 4.0, 4.0)


def counted_mm3(diameter: float, spacing: Spacing, rng: np.random.Generator) -> float:
    """Voxel centres inside a sphere at a random place, times the voxel's volume."""
    centre = rng.random(3)
    axes = []
    for step, offset in zip(spacing, centre, strict=True):
        reach = math.ceil(diameter / step) + 1
        axes.append((np.arange(-reach, reach + 1) - offset) * step)
    squared = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return float((squared <= diameter**2 / 4).sum() * math.prod(spacing))


@pytest.mark.parametrize(
    ("spacing", "diameter", "percent", "within"),
    [
        # Known beforehand from simulation; "within" is half a unit of the last digit given, or 3 %.
        (THICK, 5, 46, 1.5),
        (THICK, 10, 11, 0.5),
        (THICK, 20, 2.7, 0.15),
        (THIN, 5, 3.7, 0.15),
        (THIN, 10, 0.9, 0.05),
        (PET, 8, 26, 0.8),
        (PET, 10, 9, 0.5),
        (PET, 20, 5, 0.7),
    ],
)
def test_known_figures_come_out(spacing: Spacing, diameter: float, percent: float, within: float) -> None:
    """Standard deviation over the place on the lattice, in percent of the sphere's volume."""
    assert counting_error_percent(diameter, spacing) == pytest.approx(percent, abs=within)


@pytest.mark.parametrize(
    ("spacing", "diameter"),
    [(THICK, 7.3), (THICK, 24.0), (THIN, 6.0), ((0.7, 1.1, 2.9), 12.5), (PET, 11.0), (PET, 3.0)],
)
def test_simulation_agrees(spacing: Spacing, diameter: float) -> None:
    """Mean and spread of 1,500 random places; the error of the spread is 1.8 % (one SD)."""
    rng = np.random.default_rng(12)
    volume = math.pi / 6 * diameter**3
    relative = np.array([counted_mm3(diameter, spacing, rng) for _ in range(1500)]) / volume
    expected = counting_error_percent(diameter, spacing)
    assert 100 * relative.std() == pytest.approx(expected, rel=0.08)
    assert 100 * (relative.mean() - 1) == pytest.approx(0, abs=4 * expected / math.sqrt(1500))


@pytest.mark.parametrize("spacing", [THICK, THIN, PET, (0.98, 0.98, 3.0)])
@pytest.mark.parametrize("radius", [9.7, 14.2, 17.5])
def test_both_sums_are_one(spacing: Spacing, radius: float) -> None:
    """The finite sum and the cut-off series differ by under 3 % of the error (6 % of its square)."""
    assert _by_series(radius, spacing) == pytest.approx(_by_overlap(radius, spacing), rel=0.06)


def test_the_order_of_axes_does_not_matter() -> None:
    """A sphere has none."""
    assert counting_error_percent(9.0, (0.8, 0.8, 5.0)) == pytest.approx(
        counting_error_percent(9.0, (5.0, 0.8, 0.8)), rel=1e-9
    )


def test_scaling_sphere_and_voxel_together_changes_nothing() -> None:
    """Only their ratio counts."""
    assert counting_error_percent(9.0, THIN) == pytest.approx(counting_error_percent(18.0, (1.6, 1.6, 3.0)))


def test_a_sphere_within_one_voxel_is_there_or_not() -> None:
    """Counted as one voxel with probability p = V / v, else as none: SD / V = sqrt((1 - p) / p)."""
    p = math.pi / 6 * 0.9**3
    assert counting_error_percent(0.9, (1.0, 1.0, 1.0)) == pytest.approx(100 * math.sqrt((1 - p) / p))


@pytest.mark.parametrize(("diameter", "spacing"), [(0.0, THIN), (-1.0, THIN), (5.0, (0.8, 0.0, 1.0))])
def test_lengths_that_are_not_positive_are_refused(diameter: float, spacing: Spacing) -> None:
    """No sphere, or no voxel."""
    with pytest.raises(ValueError, match="above 0"):
        counting_error_percent(diameter, spacing)


def test_the_equivalent_sphere_has_the_volume() -> None:
    """36 pi mm3 is a radius of 3 mm."""
    assert equivalent_diameter_mm(36 * math.pi) == pytest.approx(6.0)


def test_lesions_below_ten_voxels_are_small() -> None:
    """Nine are, ten are not."""
    assert small_lesions([9, 10, 11, 1]) == [0, 3]


def test_small_lesions_are_named_with_their_share() -> None:
    """9 + 1 of 200 voxels are 5 %."""
    (finding,) = counting_findings(["L1", "L2", "L3"], [9, 190, 1], (0.8, 0.8, 1.0))
    assert (finding.code, finding.severity) == ("small_lesions", "info")
    assert "2 lesions" in finding.message
    assert "(L1, L3)" in finding.message
    assert "5 %" in finding.message
    assert "stratum" not in finding.message


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [(True, "warning", "would change the stratum"), (False, "info", "would not change the stratum")],
)
def test_what_leaving_them_out_would_do_is_said(changes: bool, severity: str, words: str) -> None:
    """Where the caller has tried it."""
    (finding,) = counting_findings(["L1", "L2"], [3, 90], (0.8, 0.8, 1.0), changes_stratum=changes)
    assert finding.severity == severity
    assert words in finding.message
    assert "1 lesion has" in finding.message


@pytest.mark.parametrize(("slice_mm", "codes"), [(3.0, []), (3.01, ["thick_slices"])])
def test_slices_beyond_three_millimetres_are_thick(slice_mm: float, codes: list[str]) -> None:
    """Whichever axis they lie along."""
    for spacing in ((0.8, 0.8, slice_mm), (slice_mm, 0.8, 0.8)):
        assert [f.code for f in counting_findings(["L1"], [500], spacing)] == codes


def test_thick_slices_say_what_they_do_to_a_small_lesion() -> None:
    """11 % at 10 mm, as above."""
    (finding,) = counting_findings(["L1"], [500], THICK)
    assert "5 mm" in finding.message
    assert "11 %" in finding.message


def test_no_lesions_have_no_findings_of_size() -> None:
    """And no division by nothing."""
    assert counting_findings([], [], (0.8, 0.8, 1.0)) == ()
