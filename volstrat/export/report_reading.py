"""Read what an SR of volstrat says: markings come back from where they went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volstrat.errors import FormatError, InputFileError
from volstrat.export import coded as c

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

_GROUP: Final = ("125007", "DCM")
_IDENTIFIER: Final = ("112039", "DCM")
_UNIQUE_IDENTIFIER: Final = ("112040", "DCM")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLesion:
    """A lesion as an SR has it."""

    lesion_id: str
    tracking_uid: str
    volume_ml: float
    resectability: str
    fdg_avidity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What an SR of volstrat says of a case."""

    lesions: dict[str, ReportedLesion]
    stratum: str
    status: str


def read_report(path: Path) -> ReadReport:
    """Read an SR that volstrat wrote.

    Raises
    ------
    InputFileError
        If the file cannot be read as DICOM.
    FormatError
        If it is no SR of volstrat.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(path)
    except (OSError, InvalidDicomError) as error:
        msg = f"{path.name}: cannot be read as DICOM."
        raise InputFileError(msg, hint="Name an SR that `volstrat export` wrote.") from error
    words = {code[0]: word for word, code in c.RESECTABILITY_WORDS.items()}
    avidities = {code[0]: word for word, code in c.AVIDITY_WORDS.items()}
    strata = {code[0]: word for word, code in c.STRATUM_WORDS.items()}
    statuses = {code[0]: word for word, code in c.STATUS_WORDS.items()}
    lesions, stratum, status = {}, "", ""
    for group in _groups(dataset):
        said = {key: item for item in group.get("ContentSequence", []) if (key := _name(item))}
        codes = {key: _value_code(item) for key, item in said.items() if item.ValueType == "CODE"}
        if c.STRATUM[:2] in codes:
            stratum = strata.get(codes[c.STRATUM[:2]], "")
            status = statuses.get(codes.get(c.CASE_STATUS[:2], ""), "")
        elif c.RESECTABILITY[:2] in codes:
            volume = said[c.VOLUME[:2]].MeasuredValueSequence[0].NumericValue
            name = str(said[_IDENTIFIER].TextValue)
            lesions[name] = ReportedLesion(
                lesion_id=name,
                tracking_uid=str(said[_UNIQUE_IDENTIFIER].UID),
                volume_ml=float(volume),
                resectability=words[codes[c.RESECTABILITY[:2]]],
                fdg_avidity=avidities[codes[c.FDG_AVIDITY[:2]]],
            )
    if not stratum:
        msg = f"{path.name}: is no report of volstrat's."
        raise FormatError(msg, hint="Name an SR that `volstrat export` wrote.")
    return ReadReport(lesions=lesions, stratum=stratum, status=status)


def _groups(item: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    for one in item.get("ContentSequence", []):
        found += [one] if _name(one) == _GROUP else _groups(one)
    return found


def _name(item: Dataset) -> tuple[str, str] | None:
    names = item.get("ConceptNameCodeSequence")
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else None


def _value_code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)
