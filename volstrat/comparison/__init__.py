"""Two or more readings of the same subjects: do they agree, on what do they differ, who must decide."""

from __future__ import annotations

from volstrat.comparison.agreement_types import agreement_schema
from volstrat.comparison.compare_run import ComparisonResult, compare_readings
from volstrat.comparison.consensus import ConsensusResult, write_consensus
from volstrat.comparison.final_cohort import adjudicate
from volstrat.comparison.pair import Settings

__all__ = [
    "ComparisonResult",
    "ConsensusResult",
    "Settings",
    "adjudicate",
    "agreement_schema",
    "compare_readings",
    "write_consensus",
]
