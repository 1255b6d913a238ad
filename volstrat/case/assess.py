"""One case: from its folder to its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.case.discovery import open_case, subject_of
from volstrat.case.entries import EntryReader
from volstrat.case.inputs import read_inputs
from volstrat.case.record import failure_record, success_record
from volstrat.case.record_types import CaseRecord
from volstrat.certainty.verdict import Verdict, reach_verdict
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.measure import Measurements, measure_case, remark_case
from volstrat.rule.remnant import (
    LiverBurden,
    LiverRemnant,
    measure_liver_burden,
    measure_remnant,
)
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_percent

_MOSTLY_PERCENT = 50

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.inputs import CaseInputs
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.certainty.case_memo import CaseMemo
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.protocol import Protocol


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseResult:
    """A case that was measured: its record and the objects behind it."""

    sources: CaseSources
    inputs: CaseInputs
    measured: Measurements
    verdict: Verdict
    record: CaseRecord


def run_case(folder: Path, protocol: LoadedProtocol, *, lesions: str | None = None) -> CaseRecord:
    """Measure and stratify one case folder; a case that fails gives a record that says why.

    Parameters
    ----------
    folder : Path
    protocol : LoadedProtocol
    lesions : str or None
        Lesion table to use instead of the case's own (see `find_sources`).
    """
    try:
        case = open_case(folder, lesions=lesions, naming=protocol.protocol.naming)
        return assess_case(case, protocol).record
    except Exception as error:
        return failure_record(subject=subject_of(folder), error=error, protocol=protocol)


def assess_case(
    case: CaseSources | EntryReader,
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None = None,
    with_flips: bool = True,
) -> CaseResult:
    """Read, measure and stratify a case.

    Parameters
    ----------
    case : CaseSources or EntryReader
        A reader keeps what finding the sources scanned.
    protocol : LoadedProtocol
    memo : CaseMemo or None
        Where what marks do not change is kept for `reassess_case` to find.
    with_flips : bool
        As `reach_verdict`.

    Raises
    ------
    VolstratError
        If the inputs cannot be read or do not fit together.
    """
    inputs = read_inputs(case, protocol.protocol)
    sources = case.sources if isinstance(case, EntryReader) else case
    measured = measure_case(inputs.masks, protocol.protocol)
    return _concluded(sources, inputs, measured, protocol, memo=memo, with_flips=with_flips)


def reassess_case(
    result: CaseResult,
    rows: Mapping[str, LesionRow],
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None = None,
    with_flips: bool = True,
) -> CaseResult:
    """Stratify a case again with another lesion table; no file is read, and no geometry measured, again.

    The record's inputs stay those that were read.

    Parameters
    ----------
    result : CaseResult
    rows : mapping of lesion or region id to LesionRow
        The whole table.
    protocol : LoadedProtocol
        The one that the result was made under.
    memo : CaseMemo or None
        Of the same case, as `assess_case` kept it.
    with_flips : bool
        As `reach_verdict`.

    Raises
    ------
    LesionTableError
        If a row does not fit the case.
    """
    measured = remark_case(result.measured, rows)
    return _concluded(result.sources, result.inputs, measured, protocol, memo=memo, with_flips=with_flips)


def _concluded(
    sources: CaseSources,
    inputs: CaseInputs,
    measured: Measurements,
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None,
    with_flips: bool,
) -> CaseResult:
    """Apply the rule to what was measured."""
    remnant, liver, findings = _liver(sources, inputs, measured, protocol.protocol)
    verdict = reach_verdict(
        measured,
        protocol.protocol,
        findings=(*inputs.findings, *findings),
        memo=memo,
        with_flips=with_flips,
    )
    record = success_record(
        subject=sources.subject,
        visit=sources.visit,
        measured=measured,
        verdict=verdict,
        protocol=protocol,
        inputs=inputs.inputs,
        remnant=remnant,
        liver=liver,
        liver_mask=inputs.liver,
    )
    return CaseResult(sources=sources, inputs=inputs, measured=measured, verdict=verdict, record=record)


def _liver(
    sources: CaseSources, inputs: CaseInputs, measured: Measurements, protocol: Protocol
) -> tuple[LiverRemnant | None, LiverBurden | None, tuple[Finding, ...]]:
    """Measure the tumour in the liver, and the liver that would remain, where their masks are given."""
    marked = measured.marked
    tumour = marked.voxels()
    sure = np.isin(marked.worst, protocol.counted)
    resectable = VoxelRuns.from_intervals(marked.starts[sure], marked.stops[sure])
    unknown = marked.worst == Marking.UNKNOWN
    size = measured.lesions.grid.voxel_volume_mm3
    burden = remnant = None
    findings: tuple[Finding, ...] = ()
    if inputs.liver is not None:
        burden = measure_liver_burden(
            liver=inputs.liver,
            tumour=tumour,
            resectable=resectable,
            unmarked=VoxelRuns.from_intervals(marked.starts[unknown], marked.stops[unknown]),
            voxel_volume_mm3=size,
        )
        share = burden.burden_percent
        if share is not None and share > _MOSTLY_PERCENT:
            percent = shown_percent(share, _MOSTLY_PERCENT)
            findings = (finding("liver_mostly_tumour", where="liver", percent=percent),)
    if inputs.remnant is not None:
        patient, header = sources.patient, inputs.body_size
        remnant, of_remnant = measure_remnant(
            remnant=inputs.remnant,
            tumour=tumour,
            resectable=resectable,
            voxel_volume_mm3=size,
            policy=protocol.remnant,
            liver=inputs.liver,
            weight_kg=patient.weight_kg if patient.weight_kg is not None else header[0],
            height_cm=patient.height_cm if patient.height_cm is not None else header[1],
            liver_state=patient.liver_state,
        )
        findings = (*findings, *of_remnant)
    return remnant, burden, findings
