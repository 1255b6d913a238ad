"""Attributes of a PET series' headers, each noted with its value when it is used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import PRIVATE, TAGS, element_name, private_tag, tag_text
from volstrat.dicom.header import plain_text
from volstrat.dicom.times import Moment, parse_date, parse_date_time, parse_offset, parse_time
from volstrat.errors import SuvError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.dicom.header import Header

# UCUM codes of CID 84 "PET Units" as Units (0054,1001) and SUVType (0054,1006) name them.
_UCUM_UNITS: Final = {
    "Bq/ml": ("BQML", ""),
    "g/ml{SUVbw}": ("GML", "BW"),
    "g/ml{SUVlbm}": ("GML", "LBM"),
    "g/ml{SUVlbm(Janma)}": ("GML", "LBMJANMA"),
    "g/ml{SUVlbm(James128)}": ("GML", "LBMJAMES128"),
    "g/ml{SUVibw}": ("GML", "IBW"),
    "cm2/ml{SUVbsa}": ("CM2ML", "BSA"),
    "{counts}": ("CNTS", ""),
}
_SHOWN: Final = 64
_DATE_DIGITS: Final = len("YYYYMMDD")
_ENHANCED_PET: Final = "1.2.840.10008.5.1.4.1.1.130"
_INJECTIONS: Final = "RadiopharmaceuticalInformationSequence"
_OF_INJECTION: Final = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An attribute that went into a factor."""

    attribute: str  # DICOM keyword, or the key of ``case.toml``
    tag: str  # ``(gggg,eeee)``; empty for ``case.toml``
    value: str | float  # as stored; of the earliest frame where frames differ by nature (acquisition times)


class PetHeader:
    """The headers of all frames of a PET series, one at least.

    Attributes that belong to the series must be the same in every frame; a difference is a
    `SuvError` that names the attribute.
    """

    def __init__(self, headers: Sequence[Header]) -> None:
        self._headers = list(headers)
        self._sources: dict[tuple[str, str], Source] = {}
        self.count = len(self._headers)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What was used so far."""
        return tuple(self._sources.values())

    def note(self, attribute: str, value: str | float, tag: str = "") -> None:
        """Note a value, where there is one, as used; of a date nothing, of a date with a time the time."""
        if value == "" or attribute.endswith("Date"):
            return
        if isinstance(value, str):
            value = value[_DATE_DIGITS if attribute.endswith("DateTime") else 0 : _SHOWN]
        if attribute in TAGS:
            tag = tag_text(TAGS[attribute])
        self._sources.setdefault((attribute, tag), Source(attribute=attribute, tag=tag, value=value))

    def text(self, keyword: str) -> str:
        """Return an attribute of the series; empty where absent."""
        values = {plain_text(value) for value in {header.stored(keyword) for header in self._headers}}
        if len(values) > 1:
            shown = "" if "Date" in keyword else f": {' and '.join(map(repr, sorted(values)[:2]))}"
            msg = f"{element_name(keyword)} differs within the series{shown}."
            raise SuvError(msg, hint="Keep one acquisition in the folder.")
        (value,) = values
        self.note(keyword, value)
        return value

    def number(self, keyword: str) -> float | None:
        """Return a number of the series; None where absent."""
        return _number(self.text(keyword), element_name(keyword))

    def units(self) -> str:
        """Return Units (0054,1001), of Enhanced files from their real world value mapping; required."""
        units = self.text("Units") or self._mapped_units()[0]
        if not units:
            msg = "Units (0054,1001) is missing."
            raise SuvError(msg, hint="Export the PET in BQML.")
        return units

    def suv_type(self) -> str:
        """Return SUVType (0054,1006); empty where absent."""
        return self.text("SUVType") or self._mapped_units()[1]

    def _mapped_units(self) -> tuple[str, str]:
        keyword = "MeasurementUnitsCodeSequence"
        codes = {item.text("CodeValue") for header in self._headers for item in header.items(keyword)[:1]}
        if len(codes) != 1:
            return "", ""
        code = codes.pop()
        self.note(keyword, code)
        return _UCUM_UNITS.get(code, (code, ""))

    def _injection(self) -> Header | None:
        first = self._headers[0].items(_INJECTIONS)
        if len({header.stored(_INJECTIONS) for header in self._headers}) > 1:
            # Writers may encode the same item in two ways.
            if any(_said(header.items(_INJECTIONS)) != _said(first) for header in self._headers):
                msg = f"{element_name(_INJECTIONS)} differs within the series."
                raise SuvError(msg, hint="Keep one acquisition in the folder.")
        if len(first) > 1:
            msg = f"{element_name(_INJECTIONS)} lists {len(first)} injections."
            raise SuvError(msg, hint="SUV of a dual-tracer scan must be worked out at the source.")
        return first[0] if first else None

    def injection_text(self, keyword: str) -> str:
        """Return an attribute of the injection; empty where absent."""
        item = self._injection()
        if item is None:
            return self.text(keyword)
        value = item.text(keyword)
        self.note(keyword, value)
        return value

    def injection_number(self, keyword: str) -> float | None:
        """Return a number of the injection; None where absent."""
        return _number(self.injection_text(keyword), element_name(keyword))

    def is_enhanced(self) -> bool:
        """Tell whether this is an Enhanced PET, which states its dose in MBq (PS3.3 C.8.22.4)."""
        return self._headers[0].text("SOPClassUID") == _ENHANCED_PET

    def is_corrected_for(self, what: str) -> bool | None:
        """Tell whether every frame's CorrectedImage lists a correction (ATTN, DECY); None where absent."""
        corrected = {header.texts("CorrectedImage") for header in self._headers} - {()}
        return all(what in one for one in corrected) if corrected else None

    def _private(self, name: str) -> list[tuple[str, str]]:
        """Return text and tag of a private attribute in each frame; both empty where absent."""
        places = [(header.elements, private_tag(header.elements, name)) for header in self._headers]
        return [("", "") if tag is None else (plain_text(held[tag]), tag_text(tag)) for held, tag in places]

    def private_numbers(self, name: str) -> list[float] | None:
        """Return a private number of every frame; None where it is not above zero in all of them."""
        numbers = []
        for text, tag in self._private(name):
            value = _number(text, f"{name} {tag}")
            if value is None or value <= 0:
                return None
            numbers.append(value)
            self.note(PRIVATE[name][0], text, tag)
        return numbers

    def private_moment(self, name: str) -> tuple[Moment, str] | None:
        """Return a private DateTime of the series and its tag; None where absent or no time."""
        found = self._private(name)
        if len({text for text, _ in found}) > 1:
            msg = f"{name} of {PRIVATE[name][0]!r} differs within the series."
            raise SuvError(msg, hint="Keep one acquisition in the folder.")
        text, tag = found[0]
        moment = parse_date_time(text)
        if moment is None:
            return None
        self.note(PRIVATE[name][0], text[_DATE_DIGITS:], tag)
        return self.in_zone(moment), tag

    def zone(self) -> int | None:
        """Return the offset from UTC of the header's times in minutes; None where unknown."""
        return parse_offset(self._headers[0].text("TimezoneOffsetFromUTC"))

    def in_zone(self, moment: Moment) -> Moment:
        """Return a moment on the clock that the header's times are told by, where both zones are known."""
        if moment.offset_minutes is not None and self.zone() is not None:
            self.note_frame("TimezoneOffsetFromUTC", 0)
        return moment.in_zone(self.zone())

    def series_moment(self) -> Moment | None:
        """Return SeriesDate and SeriesTime; None where there is no time."""
        text = self.text("SeriesTime")
        return _moment(text, self.text("SeriesDate"), "SeriesTime") if text else None

    def acquisition_moments(self) -> list[Moment | None]:
        """Return when each frame's acquisition started; None where its header does not say."""
        stated = [
            (
                header.text("AcquisitionDate"),
                header.text("AcquisitionTime"),
                header.text("FrameAcquisitionDateTime") or header.text("AcquisitionDateTime"),
            )
            for header in self._headers
        ]
        moments = {one: self._acquisition_moment(*one) for one in dict.fromkeys(stated)}
        return [moments[one] for one in stated]

    def _acquisition_moment(self, day: str, time: str, date_time: str) -> Moment | None:
        if time:
            return _moment(time, day, "AcquisitionTime")
        moment = parse_date_time(date_time)
        return self.in_zone(moment) if moment else None

    def frame_numbers(self, keyword: str) -> list[float | None]:
        """Return a number of each frame that may differ between frames; None where absent."""
        return [_number(header.text(keyword), element_name(keyword)) for header in self._headers]

    def frame_durations_s(self) -> list[float | None]:
        """Return how long each frame was acquired, in seconds; None where absent or not above zero."""
        stated_ms = [
            (header.doubles("FrameAcquisitionDuration") or header.numbers("ActualFrameDuration"))[:1]
            for header in self._headers
        ]
        return [ms[0] / 1000 if ms and 0 < ms[0] < math.inf else None for ms in stated_ms]

    def note_acquisition(self, index: int) -> None:
        """Note what says when a frame's acquisition started."""
        for keyword in ("AcquisitionTime", "FrameAcquisitionDateTime", "AcquisitionDateTime"):
            if self._headers[index].text(keyword):
                self.note_frame(keyword, index)
                return

    def note_duration(self, index: int) -> None:
        """Note what says how long a frame was acquired."""
        enhanced_ms = self._headers[index].doubles("FrameAcquisitionDuration")
        if enhanced_ms:
            self.note("FrameAcquisitionDuration", enhanced_ms[0])
        else:
            self.note_frame("ActualFrameDuration", index)

    def note_frame(self, keyword: str, index: int) -> None:
        """Note the value that one frame has for an attribute."""
        self.note(keyword, self._headers[index].text(keyword))


def _said(injections: list[Header]) -> list[list[str]]:
    return [[item.text(keyword) for keyword in _OF_INJECTION] for item in injections]


def _number(text: str, name: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text.partition("\\")[0])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"{name} is {text[:_SHOWN]!r}, which is no number."
        raise SuvError(msg, hint="Correct the header at the source.")
    return number


def _moment(time: str, day: str, keyword: str) -> Moment:
    seconds = parse_time(time)
    if seconds is None:
        msg = f"{element_name(keyword)} is {time[:_SHOWN]!r}, which is no time."
        raise SuvError(msg, hint="Correct the header at the source.")
    return Moment(seconds=seconds, day=parse_date(day))
