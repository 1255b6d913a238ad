"""The coded concepts of volstrat's DICOM objects: code, scheme, meaning.

Standard codes (SNOMED CT, DICOM, UCUM, LOINC) wherever there is one; ``99VOLSTRAT`` for what no dictionary
knows: that a lesion can be resected, that a subject belongs into a stratum. ``docs/pacs.md`` lists those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

OWN_SCHEME: Final = "99VOLSTRAT"

Code = tuple[str, str, str]

# Segments and what they are.
ABNORMAL_STRUCTURE: Final[Code] = ("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM: Final[Code] = ("108369006", "SCT", "Neoplasm")
PET_ONLY_REGION: Final[Code] = ("PET_ONLY_REGION", OWN_SCHEME, "FDG-avid region outside the drawn tumour")
CT_OF_BODY: Final[Code] = ("25045-6", "LN", "CT Unspecified Body Region")
PET_OF_BODY: Final[Code] = ("44136-0", "LN", "PET Unspecified Body Region")

# Measurements and how they were derived.
VOLUME: Final[Code] = ("118565006", "SCT", "Volume")
DIAMETER: Final[Code] = ("81827009", "SCT", "Diameter")
LONG_AXIS: Final[Code] = ("103339001", "SCT", "Long Axis")
SUV_BODY_WEIGHT: Final[Code] = ("126401", "DCM", "SUVbw")
LESION_GLYCOLYSIS: Final[Code] = ("126033", "DCM", "Total Lesion Glycolysis")
MAXIMUM: Final[Code] = ("56851009", "SCT", "Maximum")
MEAN: Final[Code] = ("373098007", "SCT", "Mean")
PEAK: Final[Code] = ("126031", "DCM", "Peak Value Within ROI")

# Units.
MILLILITRE: Final[Code] = ("mL", "UCUM", "milliliter")
MILLIMETRE: Final[Code] = ("mm", "UCUM", "millimeter")
PERCENT: Final[Code] = ("%", "UCUM", "Percent")
GRAM: Final[Code] = ("g", "UCUM", "gram")
SUV_UNIT: Final[Code] = ("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")

# What no dictionary has.
RESECTABILITY: Final[Code] = ("RESECTABILITY", OWN_SCHEME, "Resectability of a lesion")
FDG_AVIDITY: Final[Code] = ("FDG_AVIDITY", OWN_SCHEME, "FDG avidity of a lesion")
STRATUM: Final[Code] = ("STRATUM", OWN_SCHEME, "Stratum of the subject")
CASE_STATUS: Final[Code] = ("CASE_STATUS", OWN_SCHEME, "Status of the case")
TOTAL_TUMOUR: Final[Code] = ("TUMOUR_ML", OWN_SCHEME, "Total tumour volume")
RESECTABLE_TUMOUR: Final[Code] = ("RESECTABLE_ML", OWN_SCHEME, "Resectable tumour volume, lower bound")
RESECTABLE_SHARE: Final[Code] = ("RESECTABLE_PCT", OWN_SCHEME, "Resectable share of the total tumour volume")
AVID_VOLUME: Final[Code] = ("FDG_AVID_ML", OWN_SCHEME, "FDG-avid volume")

RESECTABILITY_WORDS: Final[dict[str, Code]] = {
    "resectable": ("RESECTABLE", OWN_SCHEME, "Resectable"),
    "ablatable": ("ABLATABLE", OWN_SCHEME, "Ablatable"),
    "unresectable": ("UNRESECTABLE", OWN_SCHEME, "Unresectable"),
    "unknown": ("UNKNOWN", OWN_SCHEME, "Not marked"),
    "partial": ("PARTIAL", OWN_SCHEME, "Differently marked in parts"),
    "not_tumour": ("NOT_TUMOUR", OWN_SCHEME, "Not tumour"),
}
AVIDITY_WORDS: Final[dict[str, Code]] = {
    "avid": ("AVID", OWN_SCHEME, "FDG-avid"),
    "not_avid": ("NOT_AVID", OWN_SCHEME, "Not FDG-avid"),
    "not_assessed": ("NOT_ASSESSED", OWN_SCHEME, "FDG avidity not assessed"),
}
STRATUM_WORDS: Final[dict[str, Code]] = {
    "stratum_1": ("STRATUM_1", OWN_SCHEME, "Stratum 1"),
    "stratum_2": ("STRATUM_2", OWN_SCHEME, "Stratum 2"),
    "ineligible": ("INELIGIBLE", OWN_SCHEME, "Ineligible"),
    "not_assessable": ("NOT_ASSESSABLE", OWN_SCHEME, "Not assessable"),
}
STATUS_WORDS: Final[dict[str, Code]] = {
    "assigned": ("ASSIGNED", OWN_SCHEME, "Assigned"),
    "review": ("REVIEW", OWN_SCHEME, "A person must look before the stratum is used"),
    "not_assessable": STRATUM_WORDS["not_assessable"],
}


def coded(code: Code) -> CodedConcept:
    """Return a concept as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)
