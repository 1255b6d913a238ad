"""The injected dose of a PET, in Bq."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from volstrat.errors import SuvError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from volstrat.dicom.suv.suv_header import PetHeader
    from volstrat.terms.findings import Finding

_LEAST_DOSE_BQ: Final = 1e6


def dose_bq(header: PetHeader, findings: list[Finding]) -> float:
    """Return the injected dose in Bq; a classic PET states it so (PS3.3 C.8.9.2), an Enhanced in MBq.

    Parameters
    ----------
    header : PetHeader
    findings : list of Finding
        Extended where an Enhanced PET states its dose in Bq.

    Raises
    ------
    SuvError
        If the dose is missing, or none in its unit.
    """
    dose = header.injection_number("RadionuclideTotalDose")
    name = "RadionuclideTotalDose (0018,1074)"
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
    if dose < _LEAST_DOSE_BQ:  # 1 MBq; the smallest clinical FDG doses are tens of MBq
        guess = "MBq or mCi" if dose < 1e4 else "kBq or uCi"
        msg = f"{name} is {dose:g}, too little for Bq; it looks like {guess}."
        raise SuvError(msg, hint="Correct the dose to Bq at the source.")
    if dose > 5e9:  # 5 GBq, ten times the largest FDG doses
        msg = f"{name} is {dose:g} Bq, more than any FDG dose."
        raise SuvError(msg, hint="Correct the dose to Bq at the source.")
    return dose
