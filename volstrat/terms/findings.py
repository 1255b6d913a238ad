"""Findings: what a person should know about a case, beside its numbers."""

from __future__ import annotations

from volstrat.frozen import frozen
from volstrat.terms.catalogue import CATALOGUE, Severity

__all__ = ["SEVERITIES", "Closed", "Closing", "Finding", "Severity", "finding", "sentence"]

SEVERITIES: tuple[Severity, ...] = ("blocking", "review", "warning", "info")
"""Gravest first."""


@frozen
class Closed:
    """Who closed a review, why and when."""

    by: str
    reason: str
    recorded_at: str


@frozen
class Closing:
    """A row of ``reviews.csv``: what was closed, and what it rested on then.

    Parameters
    ----------
    line : str
        File and line, for messages.
    """

    code: str
    where: str
    evidence: str
    by: str
    reason: str
    recorded_at: str
    line: str = ""


@frozen
class Finding:
    """One finding.

    Parameters
    ----------
    code : str
        One of `volstrat.terms.catalogue`; another is refused.
    severity : {"info", "warning", "review", "blocking"}
        ``review``: a person must look before the stratum is used. ``blocking``: why there is none.
    message : str
        One sentence for a radiologist, with the numbers and the next step where there is one.
    where : str
        Lesion or region id, role, or file relative to the case folder; may be empty.
    evidence : str
        Short hash of what the finding rests on; a closing holds the one it was made for.
    closed : Closed or None
        Of a review that a person closed.
    """

    code: str
    severity: Severity
    message: str
    where: str = ""
    evidence: str = ""
    closed: Closed | None = None

    @property
    def open_review(self) -> bool:
        """Whether a person must look before the stratum is used, and none has said so."""
        return self.severity == "review" and self.closed is None

    def __post_init__(self) -> None:
        if self.code not in CATALOGUE:
            msg = (
                f"{self.code!r} has no entry in volstrat.terms.catalogue: add one, then run "
                "scripts/make_findings_doc.py."
            )
            raise ValueError(msg)


def finding(
    code: str, form: str = "", *, severity: Severity | None = None, where: str = "", **fields: object
) -> Finding:
    """Make a finding from its entry in the catalogue.

    Parameters
    ----------
    code : str
    form : str
        Which of the entry's sentences, where it has several.
    severity : {"info", "warning", "review", "blocking"}, optional
        The entry's own where none is given.
    where : str
    **fields
        What the sentence names in braces.

    Examples
    --------
    >>> finding("resectable_outside_tumour", where="resectable", volume="1.25").message
    'Some resectable area lies outside tumour (1.25 ml); it is ignored.'
    """
    message = sentence(code, form, **fields)
    return Finding(code=code, severity=severity or CATALOGUE[code].severity, message=message, where=where)


def sentence(code: str, form: str = "", **fields: object) -> str:
    """Return a sentence of the catalogue, or the part of one, with its fields filled in."""
    return CATALOGUE[code].forms[form].format(**fields)
