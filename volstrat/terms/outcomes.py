"""The words that an assessment ends in."""

from __future__ import annotations

from typing import Literal

Status = Literal["assigned", "review", "not_assessable"]
"""Of a case that was assessed; one that failed has the word ``failed`` in its record."""
Stratum = Literal["stratum_1", "stratum_2", "ineligible"]
AvidDisease = Literal["observed", "not_observed", "not_assessed"]
SiteSource = Literal["table", "liver_mask"]
"""Who says where a lesion lies."""
