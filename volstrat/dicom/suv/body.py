"""Weight, height and sex, from the case or the header, and lean body mass.

Sources: Janmahasatian, Clin Pharmacokinet 2005; James, 1976.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from volstrat.errors import SuvError

if TYPE_CHECKING:
    from volstrat.dicom.suv.suv_header import PetHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """Facts that a case states itself; they stand before the DICOM header's."""

    weight_kg: float | None = None
    height_cm: float | None = None
    sex: Literal["M", "F"] | None = None


def weight_kg_of(header: PetHeader, patient: PatientFacts) -> float:
    """Return the body weight in kg, from the case or the header.

    Raises
    ------
    SuvError
        If it is missing, or no person's.
    """
    weight, name = patient.weight_kg, "case.toml patient.weight_kg"
    if weight is not None:
        header.note(name, "", weight)
    else:
        weight, name = header.number("PatientWeight"), "PatientWeight (0010,1030)"
    if not weight:
        msg = f"{name} is {'0' if weight == 0 else 'missing'}."
        raise SuvError(msg, hint="State weight_kg under [patient] in case.toml.")
    if not 2 <= weight <= 500:  # kg; a person
        grams = " (it looks like grams)" if weight > 2000 else ""
        msg = f"{name} is {weight:g}, no body weight in kg{grams}."
        raise SuvError(msg, hint="State weight_kg under [patient] in case.toml.")
    return weight


def height_cm_of(header: PetHeader, patient: PatientFacts) -> float:
    """Return the height in cm, from the case or the header.

    Raises
    ------
    SuvError
        If it is missing, or no person's.
    """
    if patient.height_cm is not None:
        height, name = patient.height_cm, "case.toml patient.height_cm"
        header.note(name, "", height)
    else:
        metres, name = header.number("PatientSize"), "PatientSize (0010,1020)"
        if not metres:
            msg = f"{name} is {'0' if metres == 0 else 'missing'}."
            raise SuvError(msg, hint="State height_cm under [patient] in case.toml.")
        height = 100.0 * metres
    if not 40 <= height <= 260:  # cm; a person
        msg = f"{name} gives a height of {height:g} cm."
        raise SuvError(msg, hint="State height_cm under [patient] in case.toml.")
    return height


def sex_of(header: PetHeader, patient: PatientFacts) -> str:
    """Return "M" or "F", from the case or the header.

    Raises
    ------
    SuvError
        If it is missing, or no person's.
    """
    if patient.sex is not None:
        header.note("case.toml patient.sex", "", patient.sex)
        return patient.sex
    sex = header.text("PatientSex")
    if sex not in ("M", "F"):
        msg = (
            f"PatientSex (0010,0040) is {sex!r}; lean body mass is known for M and F."
            if sex
            else ("PatientSex (0010,0040) is missing.")
        )
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

    Raises
    ------
    SuvError
        Beyond the weight where the formula turns over and lean mass would fall with weight.
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
