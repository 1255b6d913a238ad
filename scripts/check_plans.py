"""Hold surgical plans to their dense second implementation on many random phantoms, and time the search.

    python scripts/check_plans.py [PHANTOMS]

The suite does the same with a few dozen. Prints how many phantoms differ (exit 1 where one does), and how
long the search takes on the sample with 24 metastases after it is measured, in processor time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def timed_search(ablations: int) -> tuple[int, float]:
    """Return how many unions do on the sample's 24 metastases, and the search's processor time in ms."""
    from volstrat.case.assess import plan_book
    from volstrat.case.discovery import open_case
    from volstrat.case.inputs import read_inputs
    from volstrat.case.protocol_files import load_protocol
    from volstrat.plans.union_search import search_plans
    from volstrat.rule.measure import measure_case

    protocol = load_protocol(None).protocol
    case = open_case(ROOT / "sample_data" / "S16_three_plans", naming=protocol.naming)
    inputs = read_inputs(case, protocol)
    measured = measure_case(inputs.masks, protocol)
    best, found = float("inf"), 0
    for _ in range(5):
        start = time.process_time()
        found = len(search_plans(plan_book(case.sources, inputs, measured, protocol), ablations=ablations))
        best = min(best, 1000 * (time.process_time() - start))
    return found, best


def main() -> int:
    """Compare the phantoms and print the timings."""
    from tests.plan_random import compared

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    wrong = []
    for seed in range(count):
        seen, wanted = compared(seed)
        if seen != wanted:
            wrong.append(seed)
    print(f"{count} phantoms, {len(wrong)} differ {wrong[:10]}")
    for ablations in (0, 1, 3, 5):
        found, ms = timed_search(ablations)
        print(f"search with {ablations} ablations: {found} unions in {ms:.0f} ms of processor time")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
