"""Where lesions lie: the liver segment that holds most of each."""

from __future__ import annotations

from pathlib import Path

from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.protocol_files import load_protocol
from volstrat.review.places import segments_of

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


def test_a_lesion_lies_in_the_segment_that_holds_most_of_it() -> None:
    """Counted voxel by voxel beside it; the primary, L3, lies in none, and without a map nothing is said."""
    result = assess_case(open_case(SAMPLES / "S16_three_plans"), load_protocol(None))
    lesions, segments = result.measured.lesions, result.inputs.plans.segments
    expected = {}
    for n, name in enumerate(lesions.ids):
        own = set(lesions.of(n).indices().tolist())
        shares = {s: len(own & set(voxels.indices().tolist())) for s, voxels in segments.items()}
        if any(shares.values()):
            expected[name] = max(shares, key=lambda s: shares[s])
    found = segments_of(lesions, segments)
    assert found == expected
    assert (found["L1"], "L3" in found) == ("7", False)
    assert segments_of(lesions, {}) == {}
