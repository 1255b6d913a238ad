"""Reviews that a person closed: findings with the hash of what they rest on, and rows that hold it.

A closing stands as long as its finding rests on the same evidence; when that changes it lapses, and when the
evidence returns it stands again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.terms.catalogue import CATALOGUE
from volstrat.terms.findings import Closed, finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Closing, Finding

_EVIDENCE_DIGITS = 12


def with_evidence(findings: Iterable[Finding], rests_on: str) -> list[Finding]:
    """Give findings the short hash of what they say and rest on.

    ``rests_on`` is what may change without a word of the finding changing: voxels, and marks that count.
    """
    return [replace(one, evidence=_evidence(one, rests_on)) for one in findings]


def _evidence(one: Finding, rests_on: str) -> str:
    basis = "\0".join((one.code, one.where, one.message, one.evidence, rests_on))
    return hashlib.sha256(basis.encode("utf-8", "surrogateescape")).hexdigest()[:_EVIDENCE_DIGITS]


def marks_of(measured: Measurements) -> str:
    """Return what a table says, as far as the rule goes by it."""
    rows = sorted(measured.rows.items())
    return "\n".join(
        f"{i} {row.word} {row.fdg_avidity or ''} {row.belongs_to}" for i, row in rows if row.says_something
    )


def closed_by(findings: Sequence[Finding], closings: Sequence[Closing]) -> list[Finding]:
    """Close the reviews that somebody closed, and say which closings lapse.

    Where two readers give different reasons the review stays open until one of their rows is left.
    """
    done: list[Finding] = []
    extra: list[Finding] = []
    for one in findings:
        rows = [c for c in closings if (c.code, c.where, c.evidence) == (one.code, one.where, one.evidence)]
        said = sorted({(row.by, row.reason) for row in rows})
        if one.severity != "review" or not rows:
            done.append(one)
        elif len({reason for _, reason in said}) > 1:
            readers = " and ".join(by or "somebody" for by, _ in said)
            done.append(one)
            extra.append(finding("closed_differently", where=one.where, review=one.code, readers=readers))
        else:
            last = max(rows, key=lambda row: row.recorded_at)
            done.append(
                replace(one, closed=Closed(by=last.by, reason=last.reason, recorded_at=last.recorded_at))
            )
    extra += [lapsed for row in closings if (lapsed := _lapsed(row, findings)) is not None]
    return [*done, *with_evidence(dict.fromkeys(extra), "")]


def _lapsed(row: Closing, findings: Sequence[Finding]) -> Finding | None:
    """Say why a closing does not stand; None where it does."""
    same = [one for one in findings if (one.code, one.where) == (row.code, row.where)]
    fits = [one for one in same if one.evidence == row.evidence]
    at = f"{row.code} of {row.where}" if row.where else row.code
    if any(one.severity == "review" for one in fits):
        return None
    if any(one.severity == "blocking" for one in same):
        return finding("review_lapsed", "blocking", severity="warning", where=row.where, at=at, row=row.line)
    if any(one.severity == "review" for one in same):
        return finding("review_lapsed", "changed", where=row.where, at=at, by=row.by, row=row.line)
    if row.code not in CATALOGUE:
        return finding("review_lapsed", "no_code", severity="warning", where=row.where, at=at, row=row.line)
    return finding("review_lapsed", "gone", severity="info", where=row.where, at=at, by=row.by, row=row.line)
