"""What SUV needs to know of the patient: injected dose, weight, height and sex, and lean body mass.

Sources: Janmahasatian, Clin Pharmacokinet 2005; James, 1976.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from volstrat.dicom.attributes import element_name
from volstrat.errors import SuvError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from volstrat.dicom.suv.suv_header import PetHeader
    from volstrat.terms.findings import Finding

_LEAST_DOSE_BQ: Final = 1e6  # 1 MBq; the smallest clinical FDG doses are tens of MBq
_LARGEST_DOSE_BQ: Final = 5e9  # 5 GBq, ten times the largest FDG doses
_FDG_MBQ: Final = (20.0, 1000.0)  # from whole-body scanners' lowest doses to above any that is given


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """Facts that a case states itself; they stand before the DICOM header's."""

    weight_kg: float | None = None
    height_cm: float | None = None
    sex: Literal["M", "F"] | None = None


def dose_bq(header: PetHeader, findings: list[Finding]) -> float:
    """Return the injected dose in Bq; a classic PET states it so (PS3.3 C.8.9.2), an Enhanced in MBq.

    A dose that is missing, or none in its unit, is a SuvError. ``findings`` is extended where an Enhanced PET
    states its dose in Bq, and by a dose that nobody gives of FDG.
    """
    dose, name = header.injection_number("RadionuclideTotalDose"), element_name("RadionuclideTotalDose")
    if dose is None:
        msg = f"{name} is missing."
        raise SuvError(msg, hint="SUV needs the injected dose in Bq.")
    if dose <= 0:
        msg = f"{name} is {dose:g}; the injected dose in Bq was expected."
        raise SuvError(msg, hint="Correct the dose at the source.")
    if header.is_enhanced():
        if dose < _LEAST_DOSE_BQ:
            dose *= 1e6
        else:
            findings.append(finding("pet_dose_in_bq", dose_bq=dose))
    if dose < _LEAST_DOSE_BQ:
        guess = "MBq or mCi" if dose < 1e4 else "kBq or uCi"
        msg = f"{name} is {dose:g}, too little for Bq; it looks like {guess}."
        raise SuvError(msg, hint="Correct the dose to Bq at the source.")
    if dose > _LARGEST_DOSE_BQ:
        msg = f"{name} is {dose:g} Bq, more than any FDG dose."
        raise SuvError(msg, hint="Correct the dose to Bq at the source.")
    if not _FDG_MBQ[0] <= dose / 1e6 <= _FDG_MBQ[1]:
        findings.append(finding("suv_implausible", "dose", severity="review", where="pet", mbq=dose / 1e6))
    return dose


def weight_kg_of(header: PetHeader, patient: PatientFacts) -> float:
    """Return the body weight in kg, from the case or the header; a SuvError where it is no person's."""
    weight, name = _stated(header, "weight_kg", patient.weight_kg, "PatientWeight")
    if not 2 <= weight <= 500:
        grams = " (it looks like grams)" if weight > 2000 else ""
        msg = f"{name} is {weight:g}, no body weight in kg{grams}."
        raise SuvError(msg, hint="State weight_kg under [patient] in case.toml.")
    return weight


def height_cm_of(header: PetHeader, patient: PatientFacts) -> float:
    """Return the height in cm, from the case or the header; a SuvError where it is no person's."""
    height, name = _stated(header, "height_cm", patient.height_cm, "PatientSize")
    if patient.height_cm is None:
        height *= 100.0  # PatientSize is in m
    if not 40 <= height <= 260:
        msg = f"{name} gives a height of {height:g} cm."
        raise SuvError(msg, hint="State height_cm under [patient] in case.toml.")
    return height


def _stated(header: PetHeader, key: str, own: float | None, keyword: str) -> tuple[float, str]:
    """Return a number above zero that the case states, else the header, and what it is called there."""
    value, name = own, f"case.toml patient.{key}"
    if value is None:
        value, name = header.number(keyword), element_name(keyword)
    else:
        header.note(name, value)
    if not value:
        msg = f"{name} is {'0' if value == 0 else 'missing'}."
        raise SuvError(msg, hint=f"State {key} under [patient] in case.toml.")
    return value, name


def sex_of(header: PetHeader, patient: PatientFacts) -> str:
    """Return "M" or "F", from the case or the header; a SuvError where it is neither."""
    if patient.sex is not None:
        header.note("case.toml patient.sex", patient.sex)
        return patient.sex
    sex = header.text("PatientSex")
    if sex not in ("M", "F"):
        what = f"{sex!r}; lean body mass is known for M and F" if sex else "missing"
        msg = f"{element_name('PatientSex')} is {what}."
        raise SuvError(msg, hint='State sex = "F" or "M" under [patient] in case.toml.')
    return sex


def lean_mass_janmahasatian_kg(*, weight_kg: float, height_cm: float, sex: str) -> float:
    """Return lean body mass in kg (Janmahasatian 2005).

    >>> round(lean_mass_janmahasatian_kg(weight_kg=71, height_cm=163, sex="M"), 3)
    52.856
    """
    body_mass_index = weight_kg / (height_cm / 100) ** 2
    constant, slope = (6680.0, 216.0) if sex == "M" else (8780.0, 244.0)
    return 9270.0 * weight_kg / (constant + slope * body_mass_index)


def lean_mass_james_kg(*, weight_kg: float, height_cm: float, sex: str) -> float:
    """Return lean body mass in kg (James 1976, with 128 for men).

    Beyond the weight where the formula turns over, so that lean mass would fall with weight, it is a
    SuvError.
    """
    linear, square = (1.10, 128.0) if sex == "M" else (1.07, 148.0)
    turning_kg = linear * height_cm**2 / (2 * square)
    if weight_kg > turning_kg:
        msg = (
            f"Lean body mass by James is not defined for {weight_kg:g} kg at {height_cm:g} cm: "
            f"the formula turns over at {turning_kg:.1f} kg."
        )
        raise SuvError(msg, hint="Use the Janmahasatian formula.")
    return linear * weight_kg - square * (weight_kg / height_cm) ** 2
