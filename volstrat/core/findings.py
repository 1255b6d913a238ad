"""Findings: what a person should know about a case, beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "review", "blocking"]

SEVERITIES: tuple[Severity, ...] = ("blocking", "review", "warning", "info")
"""Gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Parameters
    ----------
    code : str
        Contract: `docs/findings.md` lists every code.
    severity : {"info", "warning", "review", "blocking"}
        ``review``: a person must look before the stratum is used. ``blocking``: why there is none.
    message : str
        One sentence for a radiologist, with the numbers and the next step where there is one.
    where : str
        Lesion or region id, role, or file relative to the case folder; may be empty.
    """

    code: str
    severity: Severity
    message: str
    where: str = ""
