"""From PET values to SUV: one factor, and every attribute that went into it.

SUVbw = C x W / D, with C the activity concentration, W the body weight in grams and D the injected
dose decayed to the time that C is corrected to. Sources: DICOM PS3.3 C.8.9; QIBA, "SUV vendor
neutral pseudo-code".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volstrat.dicom.image_frames import frames_of
from volstrat.dicom.suv.body import (
    PatientFacts,
    height_cm_of,
    lean_mass_james_kg,
    lean_mass_janmahasatian_kg,
    sex_of,
    weight_kg_of,
)
from volstrat.dicom.suv.dose import dose_bq
from volstrat.dicom.suv.suv_header import PetHeader, Source
from volstrat.dicom.suv.suv_times import Decay, decay_of
from volstrat.dicom.tracer import series_tracer
from volstrat.errors import CorruptDataError, SuvError
from volstrat.terms.findings import finding
from volstrat.terms.tracers import TracerSaid, tracer_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.image_frames import Frame
    from volstrat.terms.findings import Finding

LATE_PHASE_MINUTES: Final = 90.0
_EARLY_PHASE_MINUTES: Final = 30.0
_PHILIPS_TOLERANCE: Final = 0.01
_NOTED_DIFFERENCE: Final = 0.01
_SEEN_DIFFERENCE: Final = 0.001  # below it clocks of one header are rounded differently
_SUV_TYPES: Final = {
    "BW": "body weight",
    "LBM": "lean body mass by an unstated formula",
    "LBMJAMES128": "lean body mass (James)",
    "LBMJANMA": "lean body mass (Janmahasatian)",
    "IBW": "ideal body weight by an unstated formula",
    "BSA": "body surface area by an unstated formula",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvFactors:
    """What turns a PET series into SUV."""

    units: str | None  # units (0054,1001)
    # suvbw_factor, sul_janmahasatian_factor, sul_james_factor: each multiplies the rescaled (slope x stored +
    # intercept) value; None where it cannot be known, or where it differs between frames.
    suvbw_factor: float | None
    sul_janmahasatian_factor: float | None
    sul_james_factor: float | None
    decay_reference: str | None  # what the values are decay-corrected to, with the time of day
    # from injection to the earliest acquisition; to the decay reference where that is not known.
    uptake_minutes: float | None
    tracer: TracerSaid  # what the headers say of the tracer
    sources: tuple[Source, ...]  # every attribute used, with its value
    findings: tuple[Finding, ...]
    problem: SuvError | None = None  # why there is no SUVbw; names the attribute
    # SOP instance UID, frame index and SUVbw factor of each frame, where they
    # differ (PET without decay correction); else empty.
    frame_factors: tuple[tuple[str, int, float], ...] = ()

    def required(self) -> Callable[[Frame], float]:
        """Return the SUVbw factor of each frame.

        Raises
        ------
        SuvError
            If SUVbw cannot be known; names the attribute.
        """
        if self.problem is not None:
            raise self.problem
        single = self.suvbw_factor
        if single is not None:
            return lambda frame: single
        by_frame = {(uid, index): factor for uid, index, factor in self.frame_factors}
        return lambda frame: by_frame[frame.file.sop_instance_uid, frame.index]

    def as_json(self) -> dict[str, object]:
        """Return the keys of `volstrat suv --json`."""
        return {
            "units": self.units,
            "suvbw_factor": self.suvbw_factor,
            "sul_janmahasatian_factor": self.sul_janmahasatian_factor,
            "sul_james_factor": self.sul_james_factor,
            "decay_reference": self.decay_reference,
            "uptake_minutes": self.uptake_minutes,
            "tracer": self.tracer.tracer,
            "sources": [
                {"attribute": one.attribute, "tag": one.tag, "value": one.value} for one in self.sources
            ],
            "findings": [
                {"code": one.code, "severity": one.severity, "message": one.message, "where": one.where}
                for one in self.findings
            ],
        }


@dataclass(slots=True, kw_only=True)
class _Result:
    """What is known so far; stays as far as it got where a `SuvError` ends the work."""

    units: str | None = None
    bw_factors: list[float] | None = None
    by_acquisition: list[float] | None = None
    decay_reference: str | None = None
    uptake_minutes: float | None = None


def suv_factors(series: SeriesFiles, *, patient: PatientFacts | None = None) -> SuvFactors:
    """Find the factors that turn a PT series into SUV, from its headers.

    Parameters
    ----------
    series : SeriesFiles
        Of modality PT.
    patient : PatientFacts or None
        What the case itself states.

    Returns
    -------
    SuvFactors
        Where SUVbw cannot be known its factors are None and ``problem`` is the error that says why.

    Raises
    ------
    CorruptDataError
        If an Enhanced file's functional groups are damaged.
    """
    frames = [frame for file in series.files for frame in frames_of(file)]
    header = PetHeader([frame.header for frame in frames])
    findings: list[Finding] = []
    result = _Result()
    problem: SuvError | None = None
    try:
        _body_weight_factors(header, patient or PatientFacts(), result, findings)
    except SuvError as error:
        problem = error
    except CorruptDataError as error:
        problem = SuvError(error.message, hint=error.hint)
    tracer = series_tracer(series)
    if problem is not None and tracer.tracer in ("other", "contradictory"):
        problem = SuvError(f"{problem.message} ({tracer_text(tracer)})", hint="Give the FDG-PET.")
    single = _single(result.bw_factors)
    janmahasatian, james = _lean(header, patient or PatientFacts(), single, findings)
    findings += _series_findings(header, series, result)
    per_frame: tuple[tuple[str, int, float], ...] = ()
    if result.bw_factors and single is None:
        per_frame = tuple(
            (frame.file.sop_instance_uid, frame.index, factor)
            for frame, factor in zip(frames, result.bw_factors, strict=True)
        )
        if len({(uid, index) for uid, index, _ in per_frame}) < len(per_frame):
            msg = "SOPInstanceUID (0008,0018) is missing; slices of different factors cannot be told apart."
            problem = SuvError(msg, hint="Export the PET series again.")
        findings.append(finding("suv_factor_by_frame"))
    return SuvFactors(
        units=result.units,
        suvbw_factor=single,
        sul_janmahasatian_factor=janmahasatian,
        sul_james_factor=james,
        decay_reference=result.decay_reference,
        uptake_minutes=result.uptake_minutes,
        sources=header.sources,
        findings=tuple(findings),
        tracer=tracer,
        problem=problem,
        frame_factors=per_frame,
    )


def _single(factors: Sequence[float] | None) -> float | None:
    if not factors or max(factors) - min(factors) > 1e-12 * max(factors):
        return None
    return factors[0]


def _body_weight_factors(
    header: PetHeader, patient: PatientFacts, result: _Result, findings: list[Finding]
) -> None:
    """Work out the SUVbw factor of each frame by the route that Units asks for."""
    if header.count == 0:
        msg = "The PET series holds no images."
        raise SuvError(msg)
    units = result.units = header.units()
    if units == "GML":
        _describe_decay(header, result)
        result.bw_factors = [_gml_factor(header, patient)] * header.count
    elif units == "CNTS":
        result.bw_factors = _philips_factors(header, patient, result, findings)
    elif units == "BQML":
        result.bw_factors = _concentration_factors(
            header, patient, result, findings, scales=[1.0] * header.count
        )
    else:
        msg = f"Units (0054,1001) is {units!r}, from which SUV cannot be worked out (BQML, GML and CNTS can)."
        raise SuvError(msg, hint="Export the PET in BQML.")


def _concentration_factors(
    header: PetHeader, patient: PatientFacts, result: _Result, findings: list[Finding], *, scales: list[float]
) -> list[float]:
    """Return the SUVbw factors of values that ``scales`` turn into Bq/ml."""
    dose = dose_bq(header, findings)
    weight_kg = weight_kg_of(header, patient)
    decay: Decay = decay_of(header, findings)
    result.decay_reference, result.uptake_minutes = decay.reference, decay.uptake_minutes
    factors = _decayed_factors(decay, decay.elapsed_s, scales, dose, weight_kg)
    if decay.acquired_after_s is not None:
        other = _decayed_factors(decay, (decay.acquired_after_s,) * header.count, scales, dose, weight_kg)
        result.by_acquisition = other
        apart = other[0] / factors[0] - 1
        if decay.is_before_acquisition and apart > _SEEN_DIFFERENCE:
            findings.append(
                finding(
                    "suv_series_time_early",
                    severity="warning" if apart > _NOTED_DIFFERENCE else "info",
                    reference=decay.reference,
                    minutes=(decay.acquired_after_s - decay.elapsed_s[0]) / 60,
                    factor=factors[0],
                    other=other[0],
                    percent=100 * apart,
                )
            )
    return factors


def _decayed_factors(
    decay: Decay, elapsed_s: Sequence[float], scales: Sequence[float], dose_bq: float, weight_kg: float
) -> list[float]:
    grams = 1000.0 * weight_kg
    return [
        scale * grams / (dose_bq * 2.0 ** (-elapsed / decay.half_life_s) if elapsed else dose_bq)
        for scale, elapsed in zip(scales, elapsed_s, strict=True)
    ]


def _describe_decay(header: PetHeader, result: _Result) -> None:
    """Note uptake time and decay reference where SUV does not depend on them."""
    try:
        decay = decay_of(header, [])
    except (SuvError, CorruptDataError):
        return
    result.decay_reference, result.uptake_minutes = decay.reference, decay.uptake_minutes


def _philips_factors(
    header: PetHeader, patient: PatientFacts, result: _Result, findings: list[Finding]
) -> list[float]:
    """Return the factors of Philips' counts: its own SUV factor first, else by way of Bq/ml."""
    to_suv = header.private_numbers("Philips SUV scale factor")
    to_bq = header.private_numbers("Philips activity concentration scale factor")
    if to_suv is None and to_bq is None:
        msg = (
            "Units (0054,1001) is CNTS and neither (7053,xx00) SUV scale factor nor (7053,xx09) activity "
            "concentration scale factor of 'Philips PET Private Group' is there."
        )
        raise SuvError(
            msg, hint="Export the PET in BQML, or keep the private attributes when de-identifying."
        )
    if to_suv is None:
        assert to_bq is not None
        return _concentration_factors(header, patient, result, findings, scales=to_bq)
    if to_bq is None:
        _describe_decay(header, result)
        findings.append(finding("suv_vendor_factor", "unknown"))
        return to_suv
    try:
        other = _concentration_factors(header, patient, result, [], scales=to_bq)
    except (SuvError, CorruptDataError):
        findings.append(finding("suv_vendor_factor", "unknown"))
        return to_suv
    apart = _most_apart(to_suv, other)
    own_reference = result.decay_reference
    if result.by_acquisition is not None and _most_apart(to_suv, result.by_acquisition) < apart:
        apart, own_reference = _most_apart(to_suv, result.by_acquisition), "AcquisitionTime"
    if apart <= _PHILIPS_TOLERANCE:
        findings.append(finding("suv_vendor_factor", "known", reference=own_reference))
        result.decay_reference = own_reference
    if apart > _PHILIPS_TOLERANCE:
        findings.append(finding("suv_factors_differ", share=apart, factor=to_suv[0]))
    return to_suv


def _most_apart(some: Sequence[float], others: Sequence[float]) -> float:
    return max(abs(one / two - 1) for one, two in zip(some, others, strict=True))


def _gml_factor(header: PetHeader, patient: PatientFacts) -> float:
    """Return the factor from values that are already SUV of the type in SUVType (0054,1006)."""
    # PS3.3 C.8.9.1: without SUVType, GML means body weight.
    kind = header.suv_type() or "BW"
    if kind == "BW":
        return 1.0
    if kind in ("LBMJANMA", "LBMJAMES128"):
        weight_kg = weight_kg_of(header, patient)
        height_cm, sex = height_cm_of(header, patient), sex_of(header, patient)
        lean = lean_mass_janmahasatian_kg if kind == "LBMJANMA" else lean_mass_james_kg
        return weight_kg / lean(weight_kg=weight_kg, height_cm=height_cm, sex=sex)
    meaning = _SUV_TYPES.get(kind, "a type that is not known")
    msg = f"SUVType (0054,1006) is {kind}: SUV by {meaning}, which cannot be turned into SUVbw."
    raise SuvError(msg, hint="Export the PET as BQML or as SUVbw.")


def _lean(
    header: PetHeader, patient: PatientFacts, bw_factor: float | None, findings: list[Finding]
) -> tuple[float | None, float | None]:
    """Return the factors of SUL by Janmahasatian and by James."""
    if bw_factor is None:
        return None, None
    try:
        weight_kg = weight_kg_of(header, patient)
        height_cm, sex = height_cm_of(header, patient), sex_of(header, patient)
    except SuvError as error:
        findings.append(_no_lean(error.message))
        return None, None
    janmahasatian = lean_mass_janmahasatian_kg(weight_kg=weight_kg, height_cm=height_cm, sex=sex)
    try:
        james = lean_mass_james_kg(weight_kg=weight_kg, height_cm=height_cm, sex=sex)
    except SuvError as error:
        findings.append(_no_lean(error.message))
        return bw_factor * janmahasatian / weight_kg, None
    return bw_factor * janmahasatian / weight_kg, bw_factor * james / weight_kg


def _no_lean(reason: str) -> Finding:
    return finding("sul_not_available", reason=reason)


def _series_findings(header: PetHeader, series: SeriesFiles, result: _Result) -> list[Finding]:
    """Say what makes the series a doubtful one to measure uptake on."""
    findings = []
    stated = series.attenuation_corrected  # of the file; legacy converted files say it of their frames
    if stated is False or (stated is None and header.is_corrected_for("ATTN") is False):
        findings.append(finding("pet_not_attenuation_corrected"))
    uptake = result.uptake_minutes
    if uptake is not None and uptake > LATE_PHASE_MINUTES:
        findings.append(finding("pet_late_phase", uptake_minutes=uptake))
    if uptake is not None and uptake < _EARLY_PHASE_MINUTES:
        findings.append(finding("pet_early_phase", uptake_minutes=uptake))
    return findings
