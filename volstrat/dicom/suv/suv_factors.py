"""From PET values to SUV: one factor, and every attribute that went into it.

SUVbw = C x W / D, with C the activity concentration, W the body weight in grams and D the injected
dose decayed to the time that C is corrected to. Sources: DICOM PS3.3 C.8.9; QIBA, "SUV vendor
neutral pseudo-code".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import element_name
from volstrat.dicom.image_frames import frames_of
from volstrat.dicom.suv.body import (
    PatientFacts,
    dose_bq,
    height_cm_of,
    lean_mass_james_kg,
    lean_mass_janmahasatian_kg,
    sex_of,
    weight_kg_of,
)
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

_LATE_PHASE_MINUTES: Final = 90.0
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
        """Return the SUVbw factor of each frame, or raise the SuvError that names the attribute."""
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
            "sources": [asdict(one) for one in self.sources],
            "findings": [
                {"code": one.code, "severity": one.severity, "message": one.message, "where": one.where}
                for one in self.findings
            ],
        }


def suv_factors(series: SeriesFiles, *, patient: PatientFacts | None = None) -> SuvFactors:
    """Find the factors that turn a PT series into SUV, from its headers and what the case itself states.

    Where SUVbw cannot be known its factors are None and ``problem`` is the error that says why. Damaged
    functional groups of an Enhanced file are a CorruptDataError.
    """
    return _Conversion(series, patient or PatientFacts()).factors()


class _Conversion:
    """One series on its way to SUV; what is known stays as far as it got where a `SuvError` ends the work."""

    def __init__(self, series: SeriesFiles, patient: PatientFacts) -> None:
        self._series, self._patient = series, patient
        self._frames = [frame for file in series.files for frame in frames_of(file)]
        self._header = PetHeader([frame.header for frame in self._frames])
        self._findings: list[Finding] = []
        self._units: str | None = None
        self._by_acquisition: list[float] | None = None
        self._decay_reference: str | None = None
        self._uptake_minutes: float | None = None

    def factors(self) -> SuvFactors:
        bw_factors: list[float] = []
        problem: SuvError | None = None
        try:
            bw_factors = self._body_weight_factors()
        except SuvError as error:
            problem = error
        except CorruptDataError as error:
            problem = SuvError(error.message, hint=error.hint)
        tracer = series_tracer(self._series)
        if problem is not None and tracer.tracer in ("other", "contradictory"):
            problem = SuvError(f"{problem.message} ({tracer_text(tracer)})", hint="Give the FDG-PET.")
        single = None
        if bw_factors and max(bw_factors) - min(bw_factors) <= 1e-12 * max(bw_factors):
            single = bw_factors[0]
        janmahasatian, james = (None, None) if single is None else self._lean(single)
        self._say_what_is_doubtful()
        per_frame: tuple[tuple[str, int, float], ...] = ()
        if bw_factors and single is None:
            per_frame = tuple(
                (frame.file.sop_instance_uid, frame.index, factor)
                for frame, factor in zip(self._frames, bw_factors, strict=True)
            )
            if len({(uid, index) for uid, index, _ in per_frame}) < len(per_frame):
                name = element_name("SOPInstanceUID")
                msg = f"{name} is missing; slices of different factors cannot be told apart."
                problem = SuvError(msg, hint="Export the PET series again.")
            self._findings.append(finding("suv_factor_by_frame"))
        return SuvFactors(
            units=self._units,
            suvbw_factor=single,
            sul_janmahasatian_factor=janmahasatian,
            sul_james_factor=james,
            decay_reference=self._decay_reference,
            uptake_minutes=self._uptake_minutes,
            sources=self._header.sources,
            findings=tuple(self._findings),
            tracer=tracer,
            problem=problem,
            frame_factors=per_frame,
        )

    def _body_weight_factors(self) -> list[float]:
        """Work out the SUVbw factor of each frame by the route that Units asks for."""
        header = self._header
        if header.count == 0:
            msg = "The PET series holds no images."
            raise SuvError(msg)
        units = self._units = header.units()
        if units == "GML":
            self._describe_decay()
            return [self._gml_factor()] * header.count
        if units == "CNTS":
            return self._philips_factors()
        if units == "BQML":
            return self._concentration_factors([1.0] * header.count)
        msg = f"Units (0054,1001) is {units!r}, from which SUV cannot be worked out (BQML, GML and CNTS can)."
        raise SuvError(msg, hint="Export the PET in BQML.")

    def _concentration_factors(self, scales: list[float]) -> list[float]:
        """Return the SUVbw factors of values that ``scales`` turn into Bq/ml."""
        header = self._header
        dose = dose_bq(header, self._findings)
        grams = 1000.0 * weight_kg_of(header, self._patient)
        decay = self._note_decay(self._findings)

        def factors(elapsed_s: Sequence[float]) -> list[float]:
            return [
                scale * grams / (dose * 2.0 ** (-elapsed / decay.half_life_s) if elapsed else dose)
                for scale, elapsed in zip(scales, elapsed_s, strict=True)
            ]

        found = factors(decay.elapsed_s)
        if decay.acquired_after_s is not None:
            other = self._by_acquisition = factors((decay.acquired_after_s,) * header.count)
            apart = other[0] / found[0] - 1
            if decay.is_before_acquisition and apart > _SEEN_DIFFERENCE:
                early = finding(
                    "suv_series_time_early",
                    severity="warning" if apart > _NOTED_DIFFERENCE else "info",
                    reference=decay.reference,
                    minutes=(decay.acquired_after_s - decay.elapsed_s[0]) / 60,
                    factor=found[0],
                    other=other[0],
                    percent=100 * apart,
                )
                self._findings.append(early)
        return found

    def _note_decay(self, findings: list[Finding]) -> Decay:
        decay = decay_of(self._header, findings)
        self._decay_reference, self._uptake_minutes = decay.reference, decay.uptake_minutes
        return decay

    def _describe_decay(self) -> None:
        """Note uptake time and decay reference where SUV does not depend on them."""
        with suppress(SuvError, CorruptDataError):
            self._note_decay([])

    def _philips_factors(self) -> list[float]:
        """Return the factors of Philips' counts: its own SUV factor first, else by way of Bq/ml."""
        to_suv = self._header.private_numbers("Philips SUV scale factor")
        to_bq = self._header.private_numbers("Philips activity concentration scale factor")
        if to_suv is None and to_bq is None:
            msg = (
                "Units (0054,1001) is CNTS and neither (7053,xx00) SUV scale factor nor (7053,xx09) activity "
                "concentration scale factor of 'Philips PET Private Group' is there."
            )
            hint = "Export the PET in BQML, or keep the private attributes when de-identifying."
            raise SuvError(msg, hint=hint)
        if to_suv is None:
            assert to_bq is not None
            return self._concentration_factors(to_bq)
        other = None
        if to_bq is None:
            self._describe_decay()
        else:
            said = list(self._findings)  # of a way that only checks nothing is said
            with suppress(SuvError, CorruptDataError):
                other = self._concentration_factors(to_bq)
            self._findings = said
        if other is None:
            self._findings.append(finding("suv_vendor_factor", "unknown"))
            return to_suv
        apart, reference = _most_apart(to_suv, other), self._decay_reference
        if self._by_acquisition is not None and _most_apart(to_suv, self._by_acquisition) < apart:
            apart, reference = _most_apart(to_suv, self._by_acquisition), "AcquisitionTime"
        if apart <= _PHILIPS_TOLERANCE:
            self._findings.append(finding("suv_vendor_factor", "known", reference=reference))
            self._decay_reference = reference
        else:
            self._findings.append(finding("suv_factors_differ", share=apart, factor=to_suv[0]))
        return to_suv

    def _gml_factor(self) -> float:
        """Return the factor from values that are already SUV of the type in SUVType (0054,1006)."""
        # PS3.3 C.8.9.1: without SUVType, GML means body weight.
        kind = self._header.suv_type() or "BW"
        if kind == "BW":
            return 1.0
        if kind in ("LBMJANMA", "LBMJAMES128"):
            lean = lean_mass_janmahasatian_kg if kind == "LBMJANMA" else lean_mass_james_kg
            weight_kg, height_cm, sex = self._body()
            return weight_kg / lean(weight_kg=weight_kg, height_cm=height_cm, sex=sex)
        meaning = _SUV_TYPES.get(kind, "a type that is not known")
        msg = f"SUVType (0054,1006) is {kind}: SUV by {meaning}, which cannot be turned into SUVbw."
        raise SuvError(msg, hint="Export the PET as BQML or as SUVbw.")

    def _body(self) -> tuple[float, float, str]:
        header, patient = self._header, self._patient
        return weight_kg_of(header, patient), height_cm_of(header, patient), sex_of(header, patient)

    def _lean(self, bw_factor: float) -> tuple[float | None, float | None]:
        """Return the factors of SUL by Janmahasatian and by James."""
        factors: list[float | None] = [None, None]
        try:
            weight_kg, height_cm, sex = self._body()
            for at, lean in enumerate((lean_mass_janmahasatian_kg, lean_mass_james_kg)):
                lean_kg = lean(weight_kg=weight_kg, height_cm=height_cm, sex=sex)
                factors[at] = bw_factor * lean_kg / weight_kg
        except SuvError as error:
            self._findings.append(finding("sul_not_available", reason=error.message))
        return factors[0], factors[1]

    def _say_what_is_doubtful(self) -> None:
        """Say what makes the series a doubtful one to measure uptake on."""
        stated = (
            self._series.attenuation_corrected
        )  # of the file; legacy converted files say it of their frames
        if stated is False or (stated is None and self._header.is_corrected_for("ATTN") is False):
            self._findings.append(finding("pet_not_attenuation_corrected"))
        minutes = self._uptake_minutes
        if minutes is not None and minutes > _LATE_PHASE_MINUTES:
            self._findings.append(finding("pet_late_phase", uptake_minutes=minutes))
        if minutes is not None and minutes < _EARLY_PHASE_MINUTES:
            self._findings.append(finding("pet_early_phase", uptake_minutes=minutes))


def _most_apart(some: Sequence[float], others: Sequence[float]) -> float:
    return max(abs(one / two - 1) for one, two in zip(some, others, strict=True))
