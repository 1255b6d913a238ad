"""SUV factors are right for every vendor and refused, by attribute, where they cannot be known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.suv_cases import (
    ONE_HOUR,
    PHILIPS_SUV,
    UNDECAYED,
    counts,
    factors_of,
    injection_of,
    private,
    setting,
)
from volstrat.dicom.suv.body import PatientFacts, lean_mass_james_kg, lean_mass_janmahasatian_kg
from volstrat.errors import SuvError


def test_gml_is_suv_already_and_needs_no_injection(tmp_path: Path) -> None:
    """Units GML without SUVType means body weight."""
    factors = factors_of(tmp_path, setting(Units="GML", PatientWeight=None), _no_injection)
    assert factors.suvbw_factor == 1.0
    assert factors.problem is None
    assert factors.sul_janmahasatian_factor is None
    assert "PatientWeight" in factors.findings[0].message


def _no_injection(dataset: Dataset) -> None:
    del dataset.RadiopharmaceuticalInformationSequence


def test_gml_by_lean_body_mass_is_turned_back(tmp_path: Path) -> None:
    """SUL x W / LBM = SUVbw, for the two types whose formula is known."""
    for kind, lean in (("LBMJANMA", lean_mass_janmahasatian_kg), ("LBMJAMES128", lean_mass_james_kg)):
        factors = factors_of(tmp_path / kind, setting(Units="GML", SUVType=kind))
        mass = lean(weight_kg=70, height_cm=175, sex="M")
        assert factors.suvbw_factor == pytest.approx(70 / mass)
        own = factors.sul_janmahasatian_factor if kind == "LBMJANMA" else factors.sul_james_factor
        assert own == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["LBM", "IBW", "BSA", "OTHER"])
def test_gml_by_an_unknown_formula_is_refused(tmp_path: Path, kind: str) -> None:
    """SUVType names no formula."""
    problem = factors_of(tmp_path, setting(Units="GML", SUVType=kind)).problem
    assert problem is not None
    assert f"SUVType (0054,1006) is {kind}" in problem.message


def test_philips_counts_become_suv_by_its_own_factor(tmp_path: Path) -> None:
    """(7053,xx00) alone."""
    factors = factors_of(tmp_path, counts(suv="0.000728", becquerel=None))
    assert factors.suvbw_factor == pytest.approx(0.000728)
    assert factors.uptake_minutes == pytest.approx(60)


def test_philips_counts_become_suv_by_way_of_becquerel(tmp_path: Path) -> None:
    """(7053,xx09) alone gives Bq/ml."""
    factors = factors_of(tmp_path, counts(suv=None, becquerel="4.5"))
    assert factors.suvbw_factor == pytest.approx(4.5 * UNDECAYED * ONE_HOUR)


@pytest.mark.parametrize(("off", "codes"), [(1.005, ["suv_vendor_factor"]), (1.02, ["suv_factors_differ"])])
def test_both_philips_factors_must_agree(tmp_path: Path, off: float, codes: list[str]) -> None:
    """The first wins; more than 1 % between them is a finding."""
    by_way_of_bq = 4.5 * UNDECAYED * ONE_HOUR
    factors = factors_of(tmp_path, counts(suv=f"{by_way_of_bq * off:.9g}", becquerel="4.5"))
    assert factors.suvbw_factor == pytest.approx(by_way_of_bq * off, rel=1e-8)
    assert [finding.code for finding in factors.findings] == codes


def test_philips_factors_do_not_touch_becquerel(tmp_path: Path) -> None:
    """Where Units is BQML neither private factor applies."""
    factors = factors_of(tmp_path, counts(suv="0.0035", becquerel="4.7"), setting(Units="BQML"))
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR)


def test_counts_without_philips_factors_are_refused(tmp_path: Path) -> None:
    """The private attributes were removed, or are somebody else's, or zero."""

    def foreign(dataset: Dataset) -> None:
        dataset.Units = "CNTS"
        private(dataset, ("ACME", 0x7053, 0x00), "DS", "0.0007")

    for name, change in (
        ("none", counts(suv=None, becquerel=None)),
        ("foreign", foreign),
        ("zero", counts(suv="0", becquerel="0")),
    ):
        problem = factors_of(tmp_path / name, change).problem
        assert problem is not None
        assert "(7053,xx00)" in problem.message


@pytest.mark.parametrize(("dose", "said"), [("3e9", True), ("1e9", False), ("2e7", False), ("1.9e7", True)])
def test_a_dose_that_nobody_gives_of_fdg_is_said(tmp_path: Path, dose: str, said: bool) -> None:
    """3 GBq for 300 MBq: SUV comes out a tenth of what it is, which no lesion gives away."""
    factors = factors_of(tmp_path, setting(RadionuclideTotalDose=dose))
    assert factors.suvbw_factor is not None
    assert [one.severity for one in factors.findings if one.code == "suv_implausible"] == ["review"] * said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Units": None}, "Units (0054,1001) is missing"),
        ({"Units": "PROPCPS"}, "Units (0054,1001) is 'PROPCPS'"),
        ({"DecayCorrection": None}, "DecayCorrection (0054,1102) is missing"),
        ({"DecayCorrection": "SOME"}, "DecayCorrection (0054,1102) is 'SOME'"),
        ({"PatientWeight": None}, "PatientWeight (0010,1030) is missing"),
        ({"PatientWeight": "0"}, "PatientWeight (0010,1030) is 0"),
        ({"PatientWeight": "70000"}, "PatientWeight (0010,1030) is 70000, no body weight in kg (it looks"),
        ({"PatientWeight": "1"}, "PatientWeight (0010,1030) is 1, no body weight"),
        ({"RadionuclideTotalDose": None}, "RadionuclideTotalDose (0018,1074) is missing"),
        ({"RadionuclideTotalDose": "0"}, "RadionuclideTotalDose (0018,1074) is 0"),
        ({"RadionuclideTotalDose": "350"}, "RadionuclideTotalDose (0018,1074) is 350, too little for Bq; it"),
        ({"RadionuclideTotalDose": "350000"}, "it looks like kBq"),
        ({"RadionuclideTotalDose": "3.5e11"}, "more than any FDG dose"),
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife (0018,1075) is missing"),
        ({"RadionuclideHalfLife": "4062.6"}, "RadionuclideHalfLife (0018,1075) is 4062.6 s"),
        ({"RadionuclideHalfLife": "109.77"}, "RadionuclideHalfLife (0018,1075) is 109.77 s"),
        ({"RadiopharmaceuticalStartTime": None}, "RadiopharmaceuticalStartTime (0018,1072) is missing"),
        ({"SeriesTime": None, "AcquisitionTime": None}, "SeriesTime (0008,0031) and AcquisitionTime"),
        ({"RadiopharmaceuticalStartTime": "100001"}, "0 to 4 h was expected"),  # after the scan
        ({"RadiopharmaceuticalStartTime": "055959"}, "4.0 h before SeriesTime"),  # 1 s over 4 h
        ({"RadiopharmaceuticalStartDateTime": "20240102180000"}, "is -8.0 h before SeriesTime"),
        (
            {"RadiopharmaceuticalStartDateTime": "20230102090000"},
            "RadiopharmaceuticalStartDateTime (0018,1078)",
        ),
        ({"DecayCorrection": "NONE", "AcquisitionTime": None}, "AcquisitionTime (0008,0032) is missing"),
        (
            {"DecayCorrection": "NONE", "ActualFrameDuration": None},
            "ActualFrameDuration (0018,1242) is missing",
        ),
        ({"DecayCorrection": "NONE", "ActualFrameDuration": "-120000"}, "ActualFrameDuration (0018,1242)"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None,
)
def test_what_is_missing_or_implausible_is_refused_by_name(
    tmp_path: Path, changes: dict[str, str | None], named: str
) -> None:
    """No factor, and an error that names the attribute."""
    factors = factors_of(tmp_path, setting(**changes))
    assert factors.suvbw_factor is None
    assert (factors.sul_janmahasatian_factor, factors.sul_james_factor) == (None, None)
    assert factors.problem is not None
    assert named in factors.problem.message
    with pytest.raises(SuvError):
        factors.required()


@pytest.mark.parametrize("stored", ["nan", "inf", "70,5"])
def test_what_is_no_number_is_refused_by_name(tmp_path: Path, stored: str) -> None:
    """NaN is neither too small nor too large, and would become the factor."""

    def dose(dataset: Dataset) -> None:
        injection_of(dataset).add_new(0x00181074, "LO", stored)  # pydicom writes no such DS

    def philips(dataset: Dataset) -> None:
        dataset.Units = "CNTS"
        private(dataset, PHILIPS_SUV, "LO", stored)

    for change, named in ((dose, "RadionuclideTotalDose (0018,1074)"), (philips, "(7053,1000)")):
        factors = factors_of(tmp_path / change.__name__, change)
        assert factors.suvbw_factor is None
        assert factors.problem is not None
        assert f"{named} is {stored!r}, which is no number" in factors.problem.message


@pytest.mark.parametrize("start", ["060000", "100000"])
def test_uptake_limits_are_included(tmp_path: Path, start: str) -> None:
    """Exactly 4 h and exactly 0."""
    assert factors_of(tmp_path, setting(RadiopharmaceuticalStartTime=start)).problem is None


def test_attributes_that_differ_within_a_series_are_refused(tmp_path: Path) -> None:
    """Two patients' slices in one series."""

    def change(dataset: Dataset) -> None:
        if dataset.ImagePositionPatient[2] > 0:
            dataset.PatientWeight = "80"

    problem = factors_of(tmp_path, change).problem
    assert problem is not None
    assert "PatientWeight (0010,1030) differs within the series: '70' and '80'" in problem.message


def test_injections_that_differ_within_a_series_are_refused(tmp_path: Path) -> None:
    """Only the dose of the second slice is changed."""

    def change(dataset: Dataset) -> None:
        if dataset.ImagePositionPatient[2] > 0:
            injection_of(dataset).RadionuclideTotalDose = "360000000"

    problem = factors_of(tmp_path, change).problem
    assert problem is not None
    assert "RadiopharmaceuticalInformationSequence (0054,0016) differs" in problem.message


def test_the_case_may_state_the_patients_facts(tmp_path: Path) -> None:
    """They stand before the header's, and are listed as such."""
    patient = PatientFacts(weight_kg=77, height_cm=160, sex="F")
    factors = factors_of(tmp_path, setting(PatientWeight=None), patient=patient)
    assert factors.suvbw_factor is not None
    assert factors.suvbw_factor == pytest.approx(77000 / 350e6 * ONE_HOUR)
    # 9270 x 77 / (8780 + 244 x 77 / 1.6^2) = 713790 / 16119.0625 = 44.28235...
    assert factors.sul_janmahasatian_factor == pytest.approx(factors.suvbw_factor * 44.282350 / 77, rel=1e-6)
    stated = {source.attribute for source in factors.sources if not source.tag}
    assert stated == {"case.toml patient.weight_kg", "case.toml patient.height_cm", "case.toml patient.sex"}


def test_lean_factors_use_both_formulas(tmp_path: Path) -> None:
    """A man of 70 kg and 175 cm."""
    factors = factors_of(tmp_path)
    assert factors.suvbw_factor is not None
    # BMI 160/7: 648900 / (6680 + 34560/7) = 4542300 / 81320 = 55.8571077 kg.
    # James: 77 - 128 x 0.4^2 = 56.52 kg.
    assert factors.sul_janmahasatian_factor == pytest.approx(factors.suvbw_factor * 55.8571077 / 70, rel=1e-8)
    assert factors.sul_james_factor == pytest.approx(factors.suvbw_factor * 56.52 / 70, rel=1e-9)


def test_lean_factors_of_a_woman(tmp_path: Path) -> None:
    """70 kg and 175 cm: constants of her own in both formulas."""
    factors = factors_of(tmp_path, setting(PatientSex="F"))
    assert factors.suvbw_factor is not None
    # 648900 / (8780 + 244 x 160/7) = 4542300 / 100500 = 45.1970149 kg; 74.9 - 148 x 0.16 = 51.22 kg.
    assert factors.sul_janmahasatian_factor == pytest.approx(factors.suvbw_factor * 45.1970149 / 70, rel=1e-8)
    assert factors.sul_james_factor == pytest.approx(factors.suvbw_factor * 51.22 / 70, rel=1e-9)


def test_james_is_refused_past_its_maximum(tmp_path: Path) -> None:
    """Men: 1.10 x 175^2 / 256 = 131.59 kg; beyond it lean mass would fall."""
    factors = factors_of(tmp_path, setting(PatientWeight="132"))
    assert factors.sul_james_factor is None
    assert factors.sul_janmahasatian_factor is not None
    assert "131.6 kg" in factors.findings[0].message
    assert factors_of(tmp_path / "below", setting(PatientWeight="131")).sul_james_factor is not None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PatientSize": None}, "PatientSize (0010,1020) is missing"),
        ({"PatientSize": "175"}, "17500 cm"),
        ({"PatientSex": "O"}, "PatientSex (0010,0040) is 'O'"),
    ],
)
def test_lean_factors_name_what_they_lack(tmp_path: Path, changes: dict[str, str | None], named: str) -> None:
    """SUVbw stands all the same."""
    factors = factors_of(tmp_path, setting(**changes))
    assert factors.suvbw_factor is not None
    assert factors.sul_janmahasatian_factor is None
    assert named in factors.findings[0].message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"CorrectedImage": ["DECY", "SCAT"]}, "pet_not_attenuation_corrected"),
        ({"CorrectedImage": ["ATTN", "SCAT"]}, "pet_decay_contradictory"),  # though START
        ({"DecayCorrection": "NONE"}, "pet_decay_contradictory"),  # though DECY is listed
        ({"RadiopharmaceuticalStartTime": "082900"}, "pet_late_phase"),  # 91 min
        ({"RadiopharmaceuticalStartTime": "093500"}, "pet_early_phase"),  # 25 min
    ],
)
def test_a_doubtful_series_is_a_finding(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    """The factor stands, a person is told."""
    factors = factors_of(tmp_path, setting(**changes))
    assert factors.suvbw_factor is not None
    assert [finding.code for finding in factors.findings] == [code]


@pytest.mark.parametrize("name", ["FDG -- fluorodeoxyglucose", "Fluorodeoxyglucose F^18^", "Solution", ""])
def test_fdg_by_any_name_is_no_finding(tmp_path: Path, name: str) -> None:
    """Nor is a name that says nothing."""
    assert factors_of(tmp_path, setting(Radiopharmaceutical=name)).findings == ()


def test_a_header_of_another_nuclide_is_told_where_suv_fails(tmp_path: Path) -> None:
    """Lu-177 with 7.4 GBq: not the dose is wrong, but the PET."""
    nuclide = Dataset()
    nuclide.CodeValue, nuclide.CodingSchemeDesignator, nuclide.CodeMeaning = (
        "447553000",
        "SCT",
        "^177^Lutetium",
    )

    def lutetium(dataset: Dataset) -> None:
        item = injection_of(dataset)
        del item.Radiopharmaceutical
        item.RadionuclideCodeSequence = Items([nuclide])
        item.RadionuclideTotalDose, item.RadionuclideHalfLife = "7400000000", "574300"

    factors = factors_of(tmp_path, lutetium)
    assert factors.tracer.tracer == "other"
    assert factors.problem is not None
    assert "Lu-177" in factors.problem.message
    assert factors.problem.hint == "Give the FDG-PET."


@pytest.mark.parametrize("day", ["29240102", "19000102", "20240601"])
@pytest.mark.parametrize("correction", ["START", "NONE"])
def test_an_acquisition_date_that_was_shifted_is_not_believed(
    tmp_path: Path, day: str, correction: str
) -> None:
    """No scan takes half a day: the clocks count, and the factors are those of a sound header."""
    sound = factors_of(tmp_path / "sound", setting(DecayCorrection=correction, CorrectedImage=["ATTN"]))
    one_of_two = [day, "20240102"] if correction == "NONE" else [day, day]

    def shift(dataset: Dataset) -> None:
        dataset.DecayCorrection, dataset.CorrectedImage = correction, ["ATTN"]
        dataset.AcquisitionDate = one_of_two.pop()

    told = factors_of(tmp_path / "shifted", shift)
    assert told.suvbw_factor == sound.suvbw_factor
    assert told.uptake_minutes == sound.uptake_minutes
