"""Findings: what a person should know about a case, beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decimal import Decimal

Severity = Literal["info", "warning", "review", "blocking"]

SEVERITIES: tuple[Severity, ...] = ("blocking", "review", "warning", "info")
"""Gravest first."""


def shown_percent(value: float, *marks: float | Decimal) -> str:
    """Round for display, but never onto or over 0, 100 or another mark that the value itself is not.

    Examples
    --------
    >>> shown_percent(69.4, 70), shown_percent(69.996, 70), shown_percent(70, 70), shown_percent(1e-9)
    ('69.4', '69.996', '70.0', '>0')
    """
    every = (0.0, *(float(mark) for mark in marks), 100.0)
    for digits in (1, 2, 3, 4):
        shown = f"{value:.{digits}f}"
        if all((float(shown) > m, float(shown) < m) == (value > m, value < m) for m in every):
            return shown
    near = min(every, key=lambda m: abs(m - value))
    return f"{'<' if value < near else '>'}{near:g}"


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
