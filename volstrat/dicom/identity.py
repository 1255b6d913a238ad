"""Are two DICOM files of one patient? Compared in memory, and never kept.

PatientID and birth date are turned into marks that are worth something in this process alone: a keyed hash
whose key is drawn anew each time the program starts. No value, and no mark, is ever written or shown.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import TAGS
from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENT_ID: Final = 0x00100020
BIRTH_DATE: Final = 0x00100030
IDENTITY_TAGS: Final = frozenset({PATIENT_ID, BIRTH_DATE})

_KEY: Final = os.urandom(16)


@frozen
class PatientMarks:
    """What tells one patient from another, unreadable; empty where a header does not say."""

    # patient_id, birth_date: keyed hashes.
    patient_id: bytes = b""
    birth_date: bytes = b""
    sex: str = ""  # "M" or "F"; empty for anything else


def taken_marks(elements: dict[int, bytes]) -> PatientMarks:
    """Take PatientID and birth date out of a header's elements and return their marks."""
    patient_id, birth_date = elements.pop(PATIENT_ID, b""), elements.pop(BIRTH_DATE, b"")
    sex = elements.get(TAGS["PatientSex"], b"").strip(b" \0").upper()
    return PatientMarks(
        patient_id=_mark(patient_id.strip(b" \0").upper()),
        birth_date=_mark(bytes(byte for byte in birth_date if chr(byte).isdigit())),
        sex=sex.decode("ascii") if sex in (b"M", b"F") else "",
    )


def _mark(value: bytes) -> bytes:
    return hashlib.blake2b(value, key=_KEY, digest_size=16).digest() if value else b""


def differing(marks: Iterable[PatientMarks]) -> tuple[str, ...]:
    """Return the keywords in which files that state them differ: none for one patient."""
    several = list(marks)
    keywords = (("PatientID", "patient_id"), ("PatientBirthDate", "birth_date"), ("PatientSex", "sex"))
    return tuple(
        keyword for keyword, name in keywords if len({getattr(one, name) for one in several} - {b"", ""}) > 1
    )


def short_uid(study_uid: str, uid: str) -> str:
    """Return what stands for a UID where people must tell series apart: eight hex digits, salted.

    >>> short_uid("1.2.3", "1.2.3.4")
    '63290e01'
    """
    return hashlib.sha256(f"{study_uid}\n{uid}".encode()).hexdigest()[:8]
