"""Whether a result comes out again, whether its trail is whole, and its seal."""

from __future__ import annotations

from volstrat.verify.sealing import lock_output, unlock_output
from volstrat.verify.trail_check import TrailState, check_output_trail
from volstrat.verify.verify_run import Verification, verify_output

__all__ = [
    "TrailState",
    "Verification",
    "check_output_trail",
    "lock_output",
    "unlock_output",
    "verify_output",
]
