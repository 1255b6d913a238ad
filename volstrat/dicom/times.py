"""DICOM dates and times (DA, TM, DT of PS3.5 6.2) and the time between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

DAY_S: Final = 86400.0
_TM = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(\.\d{1,6})?)?)?")
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)([+-]\d{4})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time of day, with its date where that is known."""

    seconds: float  # since local midnight
    day: date | None = None
    offset_minutes: int | None = None  # from UTC, where the value states it

    @property
    def clock(self) -> str:
        """The time of day as ``HH:MM:SS``, fractions cut off.

        >>> Moment(seconds=40811.5).clock
        '11:20:11'
        """
        whole = int(self.seconds % DAY_S)
        return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"

    def later_by(self, seconds: float) -> Moment:
        """Return the moment some seconds later, or earlier where negative."""
        days, rest = divmod(self.seconds + seconds, DAY_S)
        day = None if self.day is None else date.fromordinal(self.day.toordinal() + int(days))
        return Moment(seconds=rest, day=day, offset_minutes=self.offset_minutes)

    def in_zone(self, offset_minutes: int | None) -> Moment:
        """Return the same instant on the clock of another zone; unchanged where either is unknown."""
        if offset_minutes is None or self.offset_minutes is None or offset_minutes == self.offset_minutes:
            return self
        moved = self.later_by(60.0 * (offset_minutes - self.offset_minutes))
        return Moment(seconds=moved.seconds, day=moved.day, offset_minutes=offset_minutes)


def parse_date(text: str) -> date | None:
    """Return a DA value (also the older ``YYYY.MM.DD``), or None where it is none."""
    digits = text.replace(".", "")
    if len(digits) != 8 or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def parse_time(text: str) -> float | None:
    """Return a TM value in seconds since midnight, or None where it is none.

    >>> parse_time("112011.50")
    40811.5
    """
    match = _TM.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600 + minutes * 60 + seconds + float(match[4] or 0)


def parse_date_time(text: str) -> Moment | None:
    """Return a DT value, or None where it is none or states no hour."""
    match = _DT.fullmatch(text)
    if match is None:
        return None
    day = parse_date(match[1] + match[2] + match[3])
    seconds = parse_time(match[4])
    if day is None or seconds is None:
        return None
    return Moment(seconds=seconds, day=day, offset_minutes=parse_offset(match[5] or ""))


def parse_offset(text: str) -> int | None:
    """Return a UTC offset ``&ZZXX`` in minutes, or None where it is none."""
    if not re.fullmatch(r"[+-]\d{4}", text):
        return None
    minutes = int(text[1:3]) * 60 + int(text[3:])
    return -minutes if text[0] == "-" else minutes


def seconds_between(start: Moment, end: Moment) -> float:
    """Return the time from start to end, negative where end is earlier.

    Without both dates: the difference of the clocks that is less than 12 hours either way. Offsets from
    UTC count where both moments state one.

    >>> ten_in_uppsala = parse_date_time("20240102100000+0100")
    >>> eight_in_utc = parse_date_time("20240102080000+0000")
    >>> seconds_between(eight_in_utc, ten_in_uppsala)
    3600.0
    """
    end = end.in_zone(start.offset_minutes)
    if start.day is not None and end.day is not None:
        return (end.day - start.day).days * DAY_S + end.seconds - start.seconds
    return (end.seconds - start.seconds + DAY_S / 2) % DAY_S - DAY_S / 2


def seconds_after(start: Moment, end: Moment) -> float:
    """Return the time from start to end where end is known to be the later one.

    Without both dates a clock that went back has passed midnight.
    """
    end = end.in_zone(start.offset_minutes)
    if start.day is not None and end.day is not None:
        return seconds_between(start, end)
    return (end.seconds - start.seconds) % DAY_S
