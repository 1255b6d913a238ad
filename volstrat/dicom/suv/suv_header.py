"""Attributes of a PET series' headers, each noted with its value when it is used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import PRIVATE, TAGS, element_name, private_tag, tag_text
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An attribute that went into a factor."""

    attribute: str  # DICOM keyword, or the key of ``case.toml``
    tag: str  # ``(gggg,eeee)``; empty for ``case.toml``
    value: str | float  # as stored; of the earliest frame where frames differ by nature (acquisition times)


class PetHeader:
    """The headers of all frames of a PET series.

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

    def note(self, attribute: str, tag: str, value: str | float) -> None:
        """Note a value as used; of a date nothing, of a date with a time the time."""
        if attribute.endswith("Date"):
            return
        if attribute.endswith("DateTime"):
            value = str(value)[_DATE_DIGITS:]
        self._sources.setdefault((attribute, tag), Source(attribute=attribute, tag=tag, value=value))

    def text(self, keyword: str) -> str:
        """Return an attribute of the series; empty where absent."""
        tag = TAGS[keyword]
        stored = {header.elements.get(tag, b"") for header in self._headers}
        if len(stored) > 1:
            values = {value.strip(b" \0").decode("latin-1") for value in stored}
            if len(values) > 1:
                shown = "" if "Date" in keyword else f": {' and '.join(map(repr, sorted(values)[:2]))}"
                msg = f"{element_name(keyword)} differs within the series{shown}."
                raise SuvError(msg, hint="Keep one acquisition in the folder.")
        value = self._headers[0].text(tag) if self._headers else ""
        if value:
            self.note(keyword, tag_text(tag), value[:_SHOWN])
        return value

    def number(self, keyword: str) -> float | None:
        """Return a number of the series; None where absent."""
        return _number(self.text(keyword), element_name(keyword))

    def units(self) -> str:
        """Return Units (0054,1001), of Enhanced files from their real world value mapping.

        Raises
        ------
        SuvError
            If there are none.
        """
        units = self.text("Units") or self._mapped_units()[0]
        if not units:
            msg = "Units (0054,1001) is missing."
            raise SuvError(msg, hint="Export the PET in BQML.")
        return units

    def suv_type(self) -> str:
        """Return SUVType (0054,1006); empty where absent."""
        return self.text("SUVType") or self._mapped_units()[1]

    def _mapped_units(self) -> tuple[str, str]:
        tag = TAGS["MeasurementUnitsCodeSequence"]
        codes = {item.text(TAGS["CodeValue"]) for header in self._headers for item in header.items(tag)[:1]}
        if len(codes) != 1:
            return "", ""
        code = codes.pop()
        self.note("MeasurementUnitsCodeSequence", tag_text(tag), code)
        return _UCUM_UNITS.get(code, (code, ""))

    def _injection(self) -> Header | None:
        tag = TAGS["RadiopharmaceuticalInformationSequence"]
        stored = {header.elements.get(tag, b"") for header in self._headers}
        first = self._headers[0].items(tag) if self._headers else []
        if len(stored) > 1:  # writers may encode the same item in two ways
            for header in self._headers:
                items = header.items(tag)
                if len(items) != len(first) or any(
                    _differ(one, two) for one, two in zip(items, first, strict=True)
                ):
                    msg = "RadiopharmaceuticalInformationSequence (0054,0016) differs within the series."
                    raise SuvError(msg, hint="Keep one acquisition in the folder.")
        if len(first) > 1:
            msg = f"RadiopharmaceuticalInformationSequence (0054,0016) lists {len(first)} injections."
            raise SuvError(msg, hint="SUV of a dual-tracer scan must be worked out at the source.")
        return first[0] if first else None

    def injection_text(self, keyword: str) -> str:
        """Return an attribute of the injection; empty where absent."""
        item = self._injection()
        value = item.text(TAGS[keyword]) if item else self.text(keyword)
        if value and item:
            self.note(keyword, tag_text(TAGS[keyword]), value[:_SHOWN])
        return value

    def injection_number(self, keyword: str) -> float | None:
        """Return a number of the injection; None where absent."""
        return _number(self.injection_text(keyword), element_name(keyword))

    def is_enhanced(self) -> bool:
        """Tell whether this is an Enhanced PET, which states its dose in MBq (PS3.3 C.8.22.4)."""
        return self._headers[0].text(TAGS["SOPClassUID"]) == _ENHANCED_PET

    def is_corrected_for(self, what: str) -> bool | None:
        """Tell whether every frame's CorrectedImage lists a correction (ATTN, DECY); None where absent."""
        corrected = {header.texts(TAGS["CorrectedImage"]) for header in self._headers} - {()}
        return all(what in one for one in corrected) if corrected else None

    def private_numbers(self, name: str) -> list[float] | None:
        """Return a private number of every frame; None where it is not above zero in all of them."""
        numbers = []
        for header in self._headers:
            tag = private_tag(header.elements, name)
            value = _number(header.text(tag), f"{name} {tag_text(tag)}") if tag is not None else None
            if value is None or value <= 0:
                return None
            numbers.append(value)
            assert tag is not None
            self.note(PRIVATE[name][0], tag_text(tag), header.text(tag))
        return numbers or None

    def private_moment(self, name: str) -> tuple[Moment, str] | None:
        """Return a private DateTime of the series and its tag; None where absent or no time.

        Raises
        ------
        SuvError
            If it differs between frames.
        """
        texts = set()
        tag: int | None = None
        for header in self._headers:
            tag = private_tag(header.elements, name)
            texts.add(header.text(tag) if tag is not None else "")
        if len(texts) > 1:
            msg = f"{name} of {PRIVATE[name][0]!r} differs within the series."
            raise SuvError(msg, hint="Keep one acquisition in the folder.")
        text = texts.pop() if texts else ""
        moment = parse_date_time(text)
        if moment is None or tag is None:
            return None
        self.note(PRIVATE[name][0], tag_text(tag), text[_DATE_DIGITS:])
        return self.in_zone(moment), tag_text(tag)

    def zone(self) -> int | None:
        """Return the offset from UTC of the header's times in minutes; None where unknown."""
        return parse_offset(self._headers[0].text(TAGS["TimezoneOffsetFromUTC"]))

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
        cache: dict[tuple[str, str, str], Moment | None] = {}
        moments = []
        for header in self._headers:
            date_time = header.text(TAGS["FrameAcquisitionDateTime"]) or header.text(
                TAGS["AcquisitionDateTime"]
            )
            key = (header.text(TAGS["AcquisitionDate"]), header.text(TAGS["AcquisitionTime"]), date_time)
            if key not in cache:
                cache[key] = self._acquisition_moment(*key)
            moments.append(cache[key])
        return moments

    def _acquisition_moment(self, day: str, time: str, date_time: str) -> Moment | None:
        if time:
            return _moment(time, day, "AcquisitionTime")
        moment = parse_date_time(date_time)
        return self.in_zone(moment) if moment else None

    def frame_numbers(self, keyword: str) -> list[float | None]:
        """Return a number of each frame that may differ between frames; None where absent."""
        tag, name = TAGS[keyword], element_name(keyword)
        return [_number(header.text(tag), name) for header in self._headers]

    def frame_durations_s(self) -> list[float | None]:
        """Return how long each frame was acquired, in seconds; None where absent or not above zero."""
        durations: list[float | None] = []
        for header in self._headers:
            enhanced = header.doubles(TAGS["FrameAcquisitionDuration"])
            milliseconds = enhanced[0] if enhanced else header.number(TAGS["ActualFrameDuration"])
            if milliseconds is None or not 0 < milliseconds < math.inf:
                durations.append(None)
            else:
                durations.append(milliseconds / 1000)
        return durations

    def note_acquisition(self, index: int) -> None:
        """Note what says when a frame's acquisition started."""
        if self._headers[index].text(TAGS["AcquisitionTime"]):
            self.note_frame("AcquisitionTime", index)
            self.note_frame("AcquisitionDate", index)
        elif self._headers[index].text(TAGS["FrameAcquisitionDateTime"]):
            self.note_frame("FrameAcquisitionDateTime", index)
        else:
            self.note_frame("AcquisitionDateTime", index)

    def note_duration(self, index: int) -> None:
        """Note what says how long a frame was acquired."""
        enhanced = self._headers[index].doubles(TAGS["FrameAcquisitionDuration"])
        if enhanced:
            tag = TAGS["FrameAcquisitionDuration"]
            self.note("FrameAcquisitionDuration", tag_text(tag), enhanced[0])
        else:
            self.note_frame("ActualFrameDuration", index)

    def note_frame(self, keyword: str, index: int) -> None:
        """Note the value that one frame has for an attribute."""
        header, tag = self._headers[index], TAGS[keyword]
        value = header.text(tag)
        if value:
            self.note(keyword, tag_text(tag), value[:_SHOWN])


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


def _differ(one: Header, other: Header) -> bool:
    keywords = (
        "RadionuclideTotalDose",
        "RadionuclideHalfLife",
        "RadiopharmaceuticalStartTime",
        "RadiopharmaceuticalStartDateTime",
    )
    return any(one.text(TAGS[keyword]) != other.text(TAGS[keyword]) for keyword in keywords)
