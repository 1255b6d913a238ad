"""When a PET was corrected for decay to, and how long after the injection that was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import element_name
from volstrat.dicom.times import DAY_S, Moment, parse_date_time, parse_time, seconds_after, seconds_between
from volstrat.errors import SuvError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.dicom.suv.suv_header import PetHeader
    from volstrat.terms.findings import Finding

F18_HALF_LIFE_S: Final = (6570.0, 6600.0)
MAX_UPTAKE_S: Final = 4 * 3600.0
_CLOCK_SLACK_S: Final = 1.0  # clocks of one header are rounded differently
_PRIVATE_SLACK_S: Final = 60.0
_DISPUTED_S: Final = 60.0
_RESTORE: Final = "Take the times from the original series; de-identification may have shifted one of them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """How far the dose has decayed at the time that values are corrected to."""

    half_life_s: float
    elapsed_s: tuple[float, ...]  # for each frame: from injection to what its values are corrected to
    reference: str  # what that is
    uptake_minutes: float | None  # from injection to the earliest acquisition, else to the reference
    # values corrected to one time: from injection to the earliest acquisition.
    acquired_after_s: float | None = None
    # SeriesTime is the reference, and lies before the earliest acquisition.
    is_before_acquisition: bool = False


def decay_of(header: PetHeader, findings: list[Finding]) -> Decay:
    """Find the decay from injection to the reference time; ``findings`` is extended by contradictions.

    A time, half-life or decay correction that is missing or implausible is a SuvError.
    """
    correction = header.text("DecayCorrection")
    if not correction:
        correction = {"YES": "REFERENCE", "NO": "NONE"}.get(header.text("DecayCorrected"), "")
    if not correction:
        msg = f"{element_name('DecayCorrection')} is missing."
        raise SuvError(msg, hint="SUV needs to know to what time values are corrected.")
    listed = header.is_corrected_for("DECY")
    if listed is not None and listed is (correction == "NONE"):
        findings.append(
            finding(
                "pet_decay_contradictory",
                "listed" if listed else "not_listed",
                attribute=element_name("DecayCorrection"),
                correction=correction,
                other_attribute=element_name("CorrectedImage"),
            )
        )
    half_life_s = _half_life_s(header, is_needed=correction != "ADMIN")
    if correction == "ADMIN":
        return _to_administration(header, half_life_s, findings)
    if correction == "NONE":
        return _uncorrected(header, half_life_s, findings)
    if correction == "START":
        moment, label = _start_reference(header, half_life_s)
    elif correction == "REFERENCE":
        moment, label = _stated_reference(header)
    else:
        msg = f"{element_name('DecayCorrection')} is {correction!r}; START, ADMIN or NONE was expected."
        raise SuvError(msg, hint="Correct the header at the source.")
    elapsed = _uptake_s(header, moment, label, findings)
    acquired = _earliest(header.acquisition_moments())
    after = None
    if acquired is not None:
        header.note_acquisition(acquired[0])
        after = elapsed + _within_a_scan_s(moment, acquired[1])
    return Decay(
        half_life_s=half_life_s,
        elapsed_s=(elapsed,) * header.count,
        reference=f"{label} {moment.clock}",
        uptake_minutes=(elapsed if after is None else after) / 60,
        acquired_after_s=after,
        is_before_acquisition=label == "SeriesTime"
        and after is not None
        and after > elapsed + _CLOCK_SLACK_S,
    )


def _half_life_s(header: PetHeader, *, is_needed: bool) -> float:
    half_life = header.injection_number("RadionuclideHalfLife")
    low, high = F18_HALF_LIFE_S
    name = element_name("RadionuclideHalfLife")
    if half_life is None:
        if not is_needed:
            return low  # multiplies no elapsed time
        msg = f"{name} is missing."
        raise SuvError(msg, hint="SUV needs the half-life in seconds (F-18: 6586.2).")
    if not low <= half_life <= high:
        msg = f"{name} is {half_life:g} s; F-18 of FDG has 6586.2 s ({low:g} to {high:g} is taken)."
        raise SuvError(msg, hint="Check that this is the FDG-PET.")
    return half_life


def _to_administration(header: PetHeader, half_life_s: float, findings: list[Finding]) -> Decay:
    """Values are corrected to the injection: the dose needs no decay, the times only describe."""
    uptake = None
    earliest = _earliest(header.acquisition_moments())
    if earliest is not None and _injection_moment(header, []) is not None:
        header.note_acquisition(earliest[0])
        uptake = _uptake_s(header, earliest[1], "AcquisitionTime", findings) / 60
    return Decay(
        half_life_s=half_life_s,
        elapsed_s=(0.0,) * header.count,
        reference="administration",
        uptake_minutes=uptake,
    )


def _uncorrected(header: PetHeader, half_life_s: float, findings: list[Finding]) -> Decay:
    """Each frame's values are those at its own mean decay time."""
    acquired, durations = header.acquisition_moments(), header.frame_durations_s()
    earliest = _earliest(acquired)
    if earliest is None or None in acquired:
        msg = f"{element_name('AcquisitionTime')} is missing."
        raise SuvError(msg, hint="PET without decay correction needs it for every frame.")
    if None in durations:
        msg = f"{element_name('ActualFrameDuration')} is missing or not above 0."
        raise SuvError(msg, hint="PET without decay correction needs it for every frame.")
    header.note_acquisition(earliest[0])
    header.note_duration(earliest[0])
    first = _uptake_s(header, earliest[1], "AcquisitionTime", findings)
    elapsed = [
        first + _within_a_scan_s(earliest[1], moment) + _mean_decay_time_s(duration, half_life_s)
        for moment, duration in zip(acquired, durations, strict=True)
        if moment is not None and duration is not None
    ]
    return Decay(
        half_life_s=half_life_s,
        elapsed_s=tuple(elapsed),
        reference=f"none: each frame's mean decay time, from AcquisitionTime {earliest[1].clock}",
        uptake_minutes=first / 60,
    )


def _stated_reference(header: PetHeader) -> tuple[Moment, str]:
    """Return DecayCorrectionDateTime, which Enhanced PET states."""
    moment = parse_date_time(header.text("DecayCorrectionDateTime"))
    if moment is None:
        msg = f"{element_name('DecayCorrectionDateTime')} is missing or no time."
        raise SuvError(msg, hint="SUV needs to know to what time values are corrected.")
    return header.in_zone(moment), "DecayCorrectionDateTime"


def _start_reference(header: PetHeader, half_life_s: float) -> tuple[Moment, str]:
    """Return the start of the scan that values are corrected to, and which attribute says so."""
    acquired = header.acquisition_moments()
    earliest = _earliest(acquired)
    if earliest is not None:
        header.note_acquisition(earliest[0])
    for name in ("Siemens decay correction DateTime", "GE scan DateTime"):
        private = header.private_moment(name)
        if private is not None:
            moment, tag = private
            label = f"{name} {tag}"
            return (_checked_private(moment, label, earliest[1]) if earliest else moment), label
    series = header.series_moment()
    if series is not None and (earliest is None or _within_a_scan_s(earliest[1], series) <= _CLOCK_SLACK_S):
        return series, "SeriesTime"
    if earliest is None:
        msg = f"{element_name('SeriesTime')} and {element_name('AcquisitionTime')} are missing."
        raise SuvError(msg, hint="SUV needs the start of the scan.")
    return _derived_reference(header, acquired, earliest[1], half_life_s)


def _checked_private(moment: Moment, label: str, earliest: Moment) -> Moment:
    """Refuse a private reference time that was shifted against the acquisition; drop a date that was."""
    clock = Moment(seconds=moment.seconds)
    lead = seconds_between(clock, earliest)
    if not -_PRIVATE_SLACK_S <= lead <= MAX_UPTAKE_S:
        msg = (
            f"{label} is {moment.clock}, and the earliest AcquisitionTime (0008,0032) {earliest.clock}: "
            "the scan cannot have started then."
        )
        raise SuvError(msg, hint=_RESTORE)
    if moment.day is None or earliest.day is None or abs(seconds_between(moment, earliest)) > DAY_S:
        return clock
    return moment


def _derived_reference(
    header: PetHeader, acquired: list[Moment | None], earliest: Moment, half_life_s: float
) -> tuple[Moment, str]:
    """Work out the start of a post-processed series, whose SeriesTime is later than its acquisition."""
    offsets = header.frame_numbers("FrameReferenceTime")
    first = [
        at
        for at, moment in enumerate(acquired)
        if moment is not None and abs(_within_a_scan_s(earliest, moment)) <= _CLOCK_SLACK_S
    ]
    known = [(offset, at) for at in first if (offset := offsets[at]) is not None]
    if not known:
        msg = (
            f"{element_name('SeriesTime')} is missing or later than the acquisition, and "
            f"{element_name('FrameReferenceTime')} is missing: the decay reference time is not known."
        )
        raise SuvError(msg, hint="Export the original PET series.")
    offset_ms, at = min(known)
    header.note_frame("FrameReferenceTime", at)
    if offset_ms == 0:  # not set
        return earliest, "AcquisitionTime"
    duration = header.frame_durations_s()[at]
    if duration is None:
        msg = f"{element_name('ActualFrameDuration')} is missing or not above 0."
        raise SuvError(msg, hint="It takes it to find the start of the scan from FrameReferenceTime.")
    header.note_duration(at)
    moment = acquired[at]
    assert moment is not None
    shift = _mean_decay_time_s(duration, half_life_s) - offset_ms / 1000
    return moment.later_by(shift), "AcquisitionTime and FrameReferenceTime"


def _within_a_scan_s(start: Moment, end: Moment) -> float:
    """Return the time between two moments of one scan, by their clocks where the dates were shifted apart.

    De-identification moves one date and not the other; no scan takes half a day.
    """
    apart = seconds_between(start, end)
    if abs(apart) <= DAY_S / 2:
        return apart
    return seconds_between(replace(start, day=None), end)


def _earliest(moments: list[Moment | None]) -> tuple[int, Moment] | None:
    """Return the earliest moment and whose it is, across midnight too."""
    known = [(at, moment) for at, moment in enumerate(moments) if moment is not None]
    if not known:
        return None
    return min(known, key=lambda one: _within_a_scan_s(known[0][1], one[1]))


def _injection_moment(header: PetHeader, findings: list[Finding]) -> tuple[Moment, str] | None:
    """Return when the tracer was injected, and which attribute says so."""
    stated = header.injection_text("RadiopharmaceuticalStartDateTime")
    date_time = parse_date_time(stated)
    text = header.injection_text("RadiopharmaceuticalStartTime")
    seconds = parse_time(text) if text else None
    if date_time is not None:
        date_time = header.in_zone(date_time)
        if seconds is not None:
            apart = abs(seconds_between(Moment(seconds=date_time.seconds), Moment(seconds=seconds)))
            if apart > _DISPUTED_S:
                findings.append(
                    finding(
                        "injection_time_disputed",
                        "two_times",
                        first=date_time.clock,
                        second=Moment(seconds=seconds).clock,
                        minutes=apart / 60,
                    )
                )
        return date_time, element_name("RadiopharmaceuticalStartDateTime")
    if seconds is not None:
        return Moment(seconds=seconds), element_name("RadiopharmaceuticalStartTime")
    if text or stated:
        name = "RadiopharmaceuticalStartTime" if text else "RadiopharmaceuticalStartDateTime"
        msg = f"{element_name(name)} holds what is no time."
        raise SuvError(msg, hint="Correct the header at the source.")
    return None


def _uptake_s(header: PetHeader, until: Moment, label: str, findings: list[Finding]) -> float:
    """Return the time from injection until a moment.

    No injection time, one after the moment or more than 4 hours before it, is a SuvError.
    """
    injected = _injection_moment(header, findings)
    if injected is None:
        msg = f"{element_name('RadiopharmaceuticalStartTime')} is missing."
        raise SuvError(msg, hint="SUV needs the time of injection.")
    moment, name = injected
    findings += _zone_finding(header, (moment, name), (until, label))
    elapsed = seconds_after(moment, until)
    if 0 <= elapsed <= MAX_UPTAKE_S:
        return elapsed
    hours = f"{elapsed / 3600:.1f} h"
    if (moment.day is None or until.day is None) and elapsed > DAY_S / 2:
        hours = f"{(elapsed - DAY_S) / 3600:.1f} h (or {elapsed / 3600:.1f} h past midnight)"
    msg = f"{name} {moment.clock} is {hours} before {label} {until.clock}; 0 to 4 h was expected."
    raise SuvError(msg, hint=_RESTORE)


def _zone_finding(header: PetHeader, *moments: tuple[Moment, str]) -> Iterator[Finding]:
    """Say where one time states its zone, and nothing tells the zone of the other."""
    zoned = [(moment.offset_minutes, name) for moment, name in moments if moment.offset_minutes is not None]
    if len(zoned) != 1 or header.zone() is not None or header.injection_text("RadiopharmaceuticalStartTime"):
        return  # StartTime is told on the clock of the other times; it has been compared
    minutes, name = zoned[0]
    yield finding(
        "injection_time_disputed",
        "zone",
        attribute=name,
        offset=f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
        zone_attribute=element_name("TimezoneOffsetFromUTC"),
    )


def _mean_decay_time_s(duration_s: float, half_life_s: float) -> float:
    """Return when, within a frame, activity equals the frame's mean.

    ``(1/lambda) ln(lambda T / (1 - exp(-lambda T)))``: just before the middle of the frame.
    """
    rate = math.log(2.0) / half_life_s
    return math.log(rate * duration_s / -math.expm1(-rate * duration_s)) / rate
