"""Whether a result comes out again, whether its trail is whole, and its seal."""

from __future__ import annotations

from volstrat.verify.result_folder import TrailState, check_output_trail
from volstrat.verify.verify_run import Verification, lock_output, verify_output

__all__ = ["TrailState", "Verification", "check_output_trail", "lock_output", "verify_output"]
