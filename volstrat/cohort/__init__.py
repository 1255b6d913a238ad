"""Many cases: discovery, workers, resuming, tables, shards and clusters."""

from __future__ import annotations

from volstrat.cohort.cohort_run import CohortResult, run_cohort
from volstrat.cohort.merge import merge_cohorts
from volstrat.cohort.tasks import Limits, Progress, Shard, parse_shard

__all__ = ["CohortResult", "Limits", "Progress", "Shard", "merge_cohorts", "parse_shard", "run_cohort"]
