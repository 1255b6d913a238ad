"""SUV factors are right for every vendor and refused, by attribute, where they cannot be known."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.image_files import image_dataset, save
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.header import Header
from volstrat.dicom.pixels import read_suv
from volstrat.dicom.series import series_geometry
from volstrat.dicom.suv.body import PatientFacts, lean_mass_james_kg, lean_mass_janmahasatian_kg
from volstrat.dicom.suv.dose import dose_bq
from volstrat.dicom.suv.suv_factors import SuvFactors, suv_factors
from volstrat.dicom.suv.suv_header import PetHeader
from volstrat.errors import SuvError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.terms.findings import Finding

HALF_LIFE_S = 6586.2
# 70 kg and 350 MBq: 70000 g / 350e6 Bq = 2e-4 without decay; 60 min before the scan.
UNDECAYED = 2e-4
ONE_HOUR = 2.0 ** (3600 / HALF_LIFE_S)  # dividing by 2^(-t/T)

SIEMENS = ("SIEMENS MEDCOM HEADER", 0x0071, 0x22)
GE = ("GEMS_PETD_01", 0x0009, 0x0D)
PHILIPS_SUV = ("Philips PET Private Group", 0x7053, 0x00)
PHILIPS_BQ = ("Philips PET Private Group", 0x7053, 0x09)


def pet(k: int = 0) -> Dataset:
    """Return one PET slice: injected 09:00, scanned 10:00, corrected to the start of the scan."""
    dataset = image_dataset(
        pixels=np.full((6, 4), 100 + k, dtype=np.int16), position_mm=(0, 0, 3.0 * k), modality="PT"
    )
    dataset.Units, dataset.DecayCorrection = "BQML", "START"
    dataset.CorrectedImage = ["DECY", "ATTN", "SCAT"]
    dataset.AcquisitionDate, dataset.SeriesTime, dataset.AcquisitionTime = "20240102", "100000", "100000"
    dataset.FrameReferenceTime, dataset.ActualFrameDuration = "0", "120000"
    dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = "70", "1.75", "M"
    injection = Dataset()
    injection.Radiopharmaceutical = "FDG"
    injection.RadiopharmaceuticalStartTime = "090000"
    injection.RadionuclideTotalDose, injection.RadionuclideHalfLife = "350000000", "6586.2"
    dataset.RadiopharmaceuticalInformationSequence = Items([injection])
    return dataset


def injection_of(dataset: Dataset) -> Dataset:
    """Return the only injection."""
    item: Dataset = dataset.RadiopharmaceuticalInformationSequence[0]
    return item


def private(dataset: Dataset, place: tuple[str, int, int], vr: str, value: str, block: int = 0x10) -> None:
    """Add a private attribute in a block of its creator."""
    creator, group, element = place
    dataset.add_new((group, block), "LO", creator)
    dataset.add_new((group, block << 8 | element), vr, value)


def factors_of(
    folder: Path, *changes: Callable[[Dataset], object], slices: int = 2, patient: PatientFacts | None = None
) -> SuvFactors:
    """Write a PET series changed so, and return its factors."""
    for k in range(slices):
        dataset = pet(k)
        for change in changes:
            change(dataset)
        save(dataset, folder / f"slice{k}")
    (series,) = scan_dicom(folder).series
    return suv_factors(series, patient=patient)


def setting(**values: Any) -> Callable[[Dataset], None]:  # noqa: ANN401 -- DICOM values of any type
    """Return a change of attributes of the slice, or of its injection; None removes one."""

    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            target = injection_of(dataset) if keyword.startswith("Radio") else dataset
            if value is None:
                delattr(target, keyword)
            else:
                setattr(target, keyword, value)

    return change


def test_start_decays_the_dose_to_the_series_time(tmp_path: Path) -> None:
    """One hour before a scan corrected to its start."""
    factors = factors_of(tmp_path)
    assert factors.problem is None
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)
    assert factors.decay_reference == "SeriesTime 10:00:00"
    assert factors.uptake_minutes == pytest.approx(60)
    assert (factors.units, factors.findings) == ("BQML", ())


def test_sources_list_every_attribute_used_and_no_identity(tmp_path: Path) -> None:
    """With its tag and value."""
    factors = factors_of(tmp_path)
    used = {source.attribute: (source.tag, source.value) for source in factors.sources}
    assert used["PatientWeight"] == ("(0010,1030)", "70")
    assert used["RadionuclideTotalDose"] == ("(0018,1074)", "350000000")
    assert used["RadionuclideHalfLife"] == ("(0018,1075)", "6586.2")
    assert used["RadiopharmaceuticalStartTime"] == ("(0018,1072)", "090000")
    assert used["SeriesTime"] == ("(0008,0031)", "100000")
    assert {"Units", "DecayCorrection", "PatientSize", "PatientSex"} <= set(used)
    assert "secret" not in json.dumps(factors.as_json()).lower()


def test_sources_list_what_times_and_zones_come_from(tmp_path: Path) -> None:
    """The times without their dates, and the zone that a DateTime was brought to."""
    factors = factors_of(
        tmp_path,
        setting(RadiopharmaceuticalStartDateTime="20240102080000+0000", TimezoneOffsetFromUTC="+0100"),
    )
    used = {source.attribute: source.value for source in factors.sources}
    assert used["AcquisitionTime"] == "100000"
    assert used["RadiopharmaceuticalStartDateTime"] == "080000+0000"
    assert "20240102" not in json.dumps(factors.as_json())
    assert used["TimezoneOffsetFromUTC"] == "+0100"


def test_admin_does_not_decay_the_dose(tmp_path: Path) -> None:
    """Values are corrected to the injection already."""
    factors = factors_of(tmp_path, setting(DecayCorrection="ADMIN"))
    assert factors.suvbw_factor == pytest.approx(UNDECAYED, rel=1e-12)
    assert factors.decay_reference == "administration"
    assert factors.uptake_minutes == pytest.approx(60)


def test_admin_needs_neither_times_nor_half_life(tmp_path: Path) -> None:
    """They do not enter the factor."""
    factors = factors_of(
        tmp_path,
        setting(DecayCorrection="ADMIN", RadiopharmaceuticalStartTime=None, RadionuclideHalfLife=None),
    )
    assert factors.suvbw_factor == pytest.approx(UNDECAYED, rel=1e-12)
    assert factors.uptake_minutes is None


def test_uncorrected_frames_decay_to_their_own_mean_time(tmp_path: Path) -> None:
    """Two beds, 10:00 and 10:04, frames of 20 min: each has a factor of its own."""

    def change(dataset: Dataset) -> None:
        dataset.DecayCorrection, dataset.ActualFrameDuration = "NONE", "1200000"
        dataset.CorrectedImage = ["ATTN", "SCAT"]
        if dataset.ImagePositionPatient[2] > 0:
            dataset.AcquisitionTime = "100400"

    factors = factors_of(tmp_path, change)
    assert factors.problem is None
    assert factors.suvbw_factor is None
    rate = math.log(2) / HALF_LIFE_S
    # Activity at the mean decay time equals the mean of exp(-rate t) over the frame.
    mean = (1 - math.exp(-rate * 1200)) / (rate * 1200)
    expected = [UNDECAYED / (math.exp(-rate * (3600 + late)) * mean) for late in (0, 240)]
    (series,) = scan_dicom(tmp_path).series
    geometry = series_geometry(series)
    image = read_suv(series, geometry, factors)
    np.testing.assert_allclose(image.values[0, 0], [100 * expected[0], 101 * expected[1]], rtol=1e-6)
    assert [finding.code for finding in factors.findings] == ["suv_factor_by_frame"]


def test_uncorrected_values_need_the_time_of_every_frame(tmp_path: Path) -> None:
    """The second of three frames lacks AcquisitionTime: no factor is made up for it, nor for the others."""

    def change(dataset: Dataset) -> None:
        dataset.DecayCorrection, dataset.CorrectedImage = "NONE", ["ATTN", "SCAT"]
        if dataset.ImagePositionPatient[2] == 3:
            del dataset.AcquisitionTime

    factors = factors_of(tmp_path, change, slices=3)
    assert factors.suvbw_factor is None
    assert factors.problem is not None
    assert "AcquisitionTime (0008,0032) is missing" in factors.problem.message


def test_sources_of_uncorrected_values_are_those_of_the_earliest_frame(tmp_path: Path) -> None:
    """When it was acquired and how long: the second slice, scanned four minutes before the first."""

    def change(dataset: Dataset) -> None:
        dataset.DecayCorrection, dataset.CorrectedImage = "NONE", ["ATTN", "SCAT"]
        if dataset.ImagePositionPatient[2] == 0:
            dataset.AcquisitionTime, dataset.ActualFrameDuration = "100400", "180000"

    used = {source.attribute: source.value for source in factors_of(tmp_path, change).sources}
    assert used["AcquisitionTime"] == "100000"
    assert used["ActualFrameDuration"] == "120000"


def test_uncorrected_frames_of_one_time_share_a_factor(tmp_path: Path) -> None:
    """One bed."""
    factors = factors_of(tmp_path, setting(DecayCorrection="NONE"))
    rate = math.log(2) / HALF_LIFE_S
    mean = (1 - math.exp(-rate * 120)) / (rate * 120)
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR / mean, rel=1e-9)


def test_frames_of_their_own_factors_need_names(tmp_path: Path) -> None:
    """Without SOPInstanceUID all slices would take the factor of the last."""
    for k in range(3):
        dataset = pet(k)
        dataset.DecayCorrection, dataset.AcquisitionTime = "NONE", f"10{5 * k:02d}00"
        path = save(dataset, tmp_path / f"slice{k}")
        del dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=False)
    (series,) = scan_dicom(tmp_path).series
    problem = suv_factors(series).problem
    assert problem is not None
    assert "SOPInstanceUID (0008,0018) is missing" in problem.message


def test_an_injection_before_midnight_is_the_day_before(tmp_path: Path) -> None:
    """23:30 to 00:30 is one hour."""
    factors = factors_of(
        tmp_path,
        setting(SeriesTime="003000", AcquisitionTime="003000", RadiopharmaceuticalStartTime="233000"),
    )
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)


def test_start_date_time_stands_before_start_time(tmp_path: Path) -> None:
    """They differ by half an hour: the first is used, and a person told."""
    factors = factors_of(tmp_path, setting(RadiopharmaceuticalStartDateTime="20240102093000.00"))
    assert factors.uptake_minutes == pytest.approx(30)
    assert [finding.code for finding in factors.findings] == ["injection_time_disputed"]


def test_start_date_time_may_state_another_zone(tmp_path: Path) -> None:
    """08:00 UTC is 09:00 at +01:00."""
    factors = factors_of(
        tmp_path,
        setting(RadiopharmaceuticalStartDateTime="20240102080000+0000", TimezoneOffsetFromUTC="+0100"),
    )
    assert factors.uptake_minutes == pytest.approx(60)
    assert factors.findings == ()


def test_offsets_count_though_the_header_has_none(tmp_path: Path) -> None:
    """10:00 at +01:00 is one hour after 08:00 UTC; by the clocks alone two, and SUV 46 % too large."""
    factors = factors_of(
        tmp_path,
        setting(
            RadiopharmaceuticalStartTime=None,
            RadiopharmaceuticalStartDateTime="20240102080000+0000",
            DecayCorrected="YES",
            DecayCorrectionDateTime="20240102100000+0100",
        ),
        lambda dataset: delattr(dataset, "DecayCorrection"),
    )
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)
    assert factors.findings == ()


def test_a_zone_that_the_other_times_do_not_state_is_told(tmp_path: Path) -> None:
    """Nothing says whether the scan's 10:00 is UTC too; a StartTime on the scan's own clock would."""
    stated = "20240102090000+0000"
    change = setting(RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime=stated)
    factors = factors_of(tmp_path / "alone", change)
    assert factors.uptake_minutes == pytest.approx(60)
    (finding,) = factors.findings
    assert (finding.code, finding.severity) == ("injection_time_disputed", "review")
    assert "UTC+00:00" in finding.message
    assert "TimezoneOffsetFromUTC (0008,0201)" in finding.message
    beside = factors_of(tmp_path / "beside", setting(RadiopharmaceuticalStartDateTime=stated))
    assert beside.findings == ()


@pytest.mark.parametrize(
    ("place", "label"),
    [
        pytest.param(SIEMENS, "Siemens decay correction DateTime (0071,1122)", id="Siemens"),
        pytest.param(GE, "GE scan DateTime (0009,110D)", id="GE"),
    ],
)
def test_vendor_reference_time_stands_before_a_series_time(
    tmp_path: Path, place: tuple[str, int, int], label: str
) -> None:
    """SeriesTime of a post-processed series is later; the private attribute knows the scan's start."""

    def change(dataset: Dataset) -> None:
        dataset.SeriesTime = "104530"
        private(dataset, place, "DT", "20240102100000.00", block=0x11)

    factors = factors_of(tmp_path, change)
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)
    assert factors.decay_reference == f"{label} 10:00:00"


def test_vendor_reference_time_of_another_creator_is_not_taken(tmp_path: Path) -> None:
    """The same tag in somebody else's block."""

    def change(dataset: Dataset) -> None:
        private(dataset, ("SOMEBODY ELSE", 0x0071, 0x22), "DT", "20240102093000.00")

    assert factors_of(tmp_path, change).decay_reference == "SeriesTime 10:00:00"


def test_a_shifted_vendor_reference_time_is_refused(tmp_path: Path) -> None:
    """De-identification moved AcquisitionTime by five hours and missed the private attribute."""

    def change(dataset: Dataset) -> None:
        private(dataset, SIEMENS, "DT", "20240102150000.00")

    problem = factors_of(tmp_path, change).problem
    assert problem is not None
    assert "(0071,1022)" in problem.message


def test_a_vendor_reference_with_a_shifted_date_keeps_its_time(tmp_path: Path) -> None:
    """Dates moved by whole days, as de-identifiers do, leave the time of day."""

    def change(dataset: Dataset) -> None:
        dataset.SeriesTime = "104530"
        private(dataset, GE, "DT", "19991231100000.00")

    assert factors_of(tmp_path, change).suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)


def test_a_series_time_after_the_acquisition_is_replaced_by_what_frames_say(tmp_path: Path) -> None:
    """SeriesTime 45.5 min late; the first frame's 120 s have their mean decay time 60 s after 10:05."""
    factors = factors_of(
        tmp_path, setting(SeriesTime="104530", AcquisitionTime="100500", FrameReferenceTime="360000")
    )
    rate = math.log(2) / HALF_LIFE_S
    mean_time = math.log(rate * 120 / (1 - math.exp(-rate * 120))) / rate
    # 10:05:00 + mean time - 360 s = 10:00:00 less the little by which the mean time is under 60 s.
    elapsed = 3600 + 300 + mean_time - 360
    assert 59.9 < mean_time < 60
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * 2 ** (elapsed / HALF_LIFE_S), rel=1e-9)
    assert factors.decay_reference == "AcquisitionTime and FrameReferenceTime 09:59:59"


def test_the_start_is_worked_out_from_the_earliest_frames(tmp_path: Path) -> None:
    """Feet first: the second and third slice were acquired first; the second's 660 s come before 690 s.

    10:05:00 + mean time of the frame - 660 s = 9:55:00, 55 min after the injection.
    """
    acquired = {0.0: ("100900", "300000"), 3.0: ("100500", "660000"), 6.0: ("100500", "690000")}

    def change(dataset: Dataset) -> None:
        dataset.SeriesTime = "104530"
        dataset.AcquisitionTime, dataset.FrameReferenceTime = acquired[dataset.ImagePositionPatient[2]]

    factors = factors_of(tmp_path, change, slices=3)
    rate = math.log(2) / HALF_LIFE_S
    elapsed = 3600 + 300 + math.log(rate * 120 / (1 - math.exp(-rate * 120))) / rate - 660
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * 2 ** (elapsed / HALF_LIFE_S), rel=1e-9)
    used = {source.attribute: source.value for source in factors.sources}
    assert used["FrameReferenceTime"] == "660000"


def test_a_private_date_beside_undated_slices_is_not_believed(tmp_path: Path) -> None:
    """De-identification took the slices' dates and left the vendor's: only its clock is compared."""

    def change(dataset: Dataset) -> None:
        del dataset.AcquisitionDate
        dataset.SeriesTime = "104530"
        injection_of(dataset).RadiopharmaceuticalStartDateTime = "20240102090000"
        private(dataset, GE, "DT", "19991231100000.00")

    assert factors_of(tmp_path, change).suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)


def test_an_undated_injection_after_the_scan_is_told_both_ways(tmp_path: Path) -> None:
    """Injected 11:00, scanned 10:00 of a day that only the scan states: an hour late, or a day early."""
    problem = factors_of(
        tmp_path, setting(RadiopharmaceuticalStartTime="110000", SeriesDate="20240102")
    ).problem
    assert problem is not None
    assert "11:00:00 is -1.0 h (or 23.0 h past midnight) before SeriesTime 10:00:00" in problem.message


def test_frame_reference_time_zero_means_not_set(tmp_path: Path) -> None:
    """Then the earliest AcquisitionTime is the reference."""

    def change(dataset: Dataset) -> None:
        dataset.SeriesTime = "104530"
        if dataset.ImagePositionPatient[2] > 0:
            dataset.AcquisitionTime = "100400"

    factors = factors_of(tmp_path, change)
    assert factors.decay_reference == "AcquisitionTime 10:00:00"
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR, rel=1e-12)


def test_a_series_time_a_rounding_later_than_the_acquisition_is_taken(tmp_path: Path) -> None:
    """Real Siemens: AcquisitionTime 15 microseconds before SeriesTime."""
    factors = factors_of(tmp_path, setting(AcquisitionTime="095959.999985"))
    assert factors.decay_reference == "SeriesTime 10:00:00"


def test_a_late_series_time_without_frame_reference_time_is_refused(tmp_path: Path) -> None:
    """There is no telling what values are corrected to."""
    factors = factors_of(tmp_path, setting(SeriesTime="104530", FrameReferenceTime=None))
    assert factors.problem is not None
    assert "FrameReferenceTime (0054,1300)" in factors.problem.message


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


def counts(*, suv: str | None, becquerel: str | None) -> Callable[[Dataset], None]:
    """Return a change to Philips counts."""

    def change(dataset: Dataset) -> None:
        dataset.Units = "CNTS"
        if suv is not None:
            private(dataset, PHILIPS_SUV, "DS", suv)
        if becquerel is not None:
            private(dataset, PHILIPS_BQ, "DS", becquerel)

    return change


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


def test_suv_image_is_values_times_factor(tmp_path: Path) -> None:
    """100 x 2 + 40 Bq/ml and 101 x 2 + 40 Bq/ml: the intercept is scaled too."""
    factors = factors_of(tmp_path, setting(RescaleSlope="2", RescaleIntercept="40"))
    (series,) = scan_dicom(tmp_path).series
    values = read_suv(series, series_geometry(series), factors).values.astype(np.float64)
    expected = np.array([240, 242]) * UNDECAYED * ONE_HOUR
    np.testing.assert_allclose(values[3, 5], expected, rtol=1e-6)


def test_enhanced_pet_states_unit_and_reference_in_its_own_way(tmp_path: Path) -> None:
    """Unit and slope in the real world value mapping, DecayCorrectionDateTime, DecayCorrected YES."""
    dataset = pet()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.130"
    position, orientation, measures, unit, mapping, shared = (Dataset() for _ in range(6))
    position.ImagePositionPatient = dataset.ImagePositionPatient
    orientation.ImageOrientationPatient = dataset.ImageOrientationPatient
    measures.PixelSpacing, measures.SpacingBetweenSlices = dataset.PixelSpacing, "3"
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
    mapping.MeasurementUnitsCodeSequence = Items([unit])
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 2.5, 0.0
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    shared.RealWorldValueMappingSequence = Items([mapping])
    frame = Dataset()
    frame.PlanePositionSequence = Items([position])
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
        "Units", "DecayCorrection", "SeriesTime", "AcquisitionTime", "CorrectedImage",
    ):  # fmt: skip
        delattr(dataset, keyword)
    dataset.DecayCorrected, dataset.AttenuationCorrected = "YES", "NO"
    dataset.DecayCorrectionDateTime = "20240102100000"
    dataset.NumberOfFrames = 1
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    dataset.PerFrameFunctionalGroupsSequence = Items([frame])
    save(dataset, tmp_path / "enhanced")
    (series,) = scan_dicom(tmp_path).series
    factors = suv_factors(series)
    assert factors.problem is None
    assert factors.units == "BQML"
    assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR)
    assert "pet_not_attenuation_corrected" in [finding.code for finding in factors.findings]
    values = read_suv(series, series_geometry(series), factors).values.astype(np.float64)
    np.testing.assert_allclose(values, 100 * 2.5 * UNDECAYED * ONE_HOUR, rtol=1e-6)


def test_a_converted_series_says_of_its_frames_what_was_corrected(tmp_path: Path) -> None:
    """Legacy Converted Enhanced PET keeps CorrectedImage among its shared converted attributes."""
    for name, corrected, codes in (
        ("corrected", ["DECY", "ATTN"], []),
        ("not", ["DECY"], ["pet_not_attenuation_corrected"]),
    ):
        dataset = pet()
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128.1"
        shared, converted, frame, position, orientation, measures = (Dataset() for _ in range(6))
        converted.CorrectedImage = corrected
        del dataset.CorrectedImage
        position.ImagePositionPatient = dataset.ImagePositionPatient
        orientation.ImageOrientationPatient = dataset.ImageOrientationPatient
        measures.PixelSpacing = dataset.PixelSpacing
        shared.UnassignedSharedConvertedAttributesSequence = Items([converted])
        shared.PlaneOrientationSequence = Items([orientation])
        shared.PixelMeasuresSequence = Items([measures])
        frame.PlanePositionSequence = Items([position])
        dataset.NumberOfFrames = 1
        dataset.SharedFunctionalGroupsSequence = Items([shared])
        dataset.PerFrameFunctionalGroupsSequence = Items([frame])
        save(dataset, tmp_path / name / "converted")
        (series,) = scan_dicom(tmp_path / name).series
        factors = suv_factors(series)
        assert factors.suvbw_factor == pytest.approx(UNDECAYED * ONE_HOUR)
        assert [finding.code for finding in factors.findings] == codes


def shared_data(name: str) -> Path:
    """Return a folder of the real images, or skip."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    path = Path(os.environ.get("VOLSTRAT_TEST_DATA", beside)) / name
    if not path.exists():
        pytest.skip(f"no test data: {name} (set VOLSTRAT_TEST_DATA)")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SIEMENS", 0.00042748316187197236),
        ("GE_MEDICAL_AND_BQML", 0.0005367387681819742),
        ("PHILIPS_BQML", 0.0007463747013889488),
        ("PHILIPS_CNTS_AND_SUV", 0.000728),
    ],
)
def test_real_headers_give_the_published_factors(tmp_path: Path, name: str, expected: float) -> None:
    """Headers of calculate-suv, written to DICOM files."""
    headers = json.loads((shared_data("calculate-suv") / f"{name}-instances.json").read_text())
    in_injection = ("RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime")
    for k, header in enumerate(headers):
        dataset = image_dataset(pixels=np.ones((6, 4), dtype=np.int16), position_mm=(0, 0, k), modality="PT")
        injection = Dataset()
        for keyword, value in header.items():
            if keyword == "PhilipsPETPrivateGroup":
                for place, key in (
                    (PHILIPS_SUV, "SUVScaleFactor"),
                    (PHILIPS_BQ, "ActivityConcentrationScaleFactor"),
                ):
                    if key in value:
                        private(dataset, place, "DS", value[key].strip())
            elif keyword in in_injection or keyword == "RadiopharmaceuticalStartDateTime":
                setattr(injection, keyword, value)
            else:
                setattr(dataset, keyword, value)
        dataset.RadiopharmaceuticalInformationSequence = Items([injection])
        save(dataset, tmp_path / f"{k}")
    (series,) = scan_dicom(tmp_path).series
    factors = suv_factors(series)
    assert factors.problem is None
    assert factors.suvbw_factor == pytest.approx(expected, rel=1e-9)


def test_real_ge_series_gives_the_published_suv() -> None:
    """sts_001: 71 kg, 3.88777472e8 Bq, 2711 s, half-life 6588 s; slices a little irregular."""
    import nibabel as nib

    root = shared_data("sts_001")
    (series,) = scan_dicom(root / "PET_raw_dicom").series
    geometry = series_geometry(series)
    factors = suv_factors(series)
    assert factors.suvbw_factor == pytest.approx(2.42902977e-4, rel=1e-8)
    assert geometry.grid.shape == (128, 128, 267)
    assert [finding.code for finding in geometry.findings] == ["slices_irregular"]
    values = read_suv(series, geometry, factors).values.astype(np.float64)
    known = nib.nifti1.Nifti1Image.from_filename(root / "nifti" / "PET_image.nii.gz")
    crop = known.get_fdata()
    start = geometry.grid.to_index(np.array([-1, -1, 1]) * known.affine[:3, 3])
    i, j, k = np.rint(start).astype(int)
    part = values[i : i + crop.shape[0], j : j + crop.shape[1], k : k + crop.shape[2]]
    assert np.abs(part - crop).max() <= 7.8e-4
    mask = np.asarray(nib.nifti1.Nifti1Image.from_filename(root / "nifti" / "PET_mask.nii.gz").dataobj) > 0
    assert mask.sum() == 5095
    assert mask.sum() * geometry.grid.voxel_volume_mm3 / 1000 == pytest.approx(366.079, abs=1e-3)
    assert part[mask].max() == pytest.approx(7.91067, abs=1e-3)
    assert part[mask].mean() == pytest.approx(2.55513, abs=1e-4)


def test_real_gml_series_is_not_scaled_again() -> None:
    """ibsi_small: Units GML, the NIfTI beside it holds the same values."""
    import nibabel as nib

    root = shared_data("ibsi_small") / "STS_019"
    (series,) = scan_dicom(root / "PET" / "image").series
    factors = suv_factors(series)
    assert (factors.units, factors.suvbw_factor) == ("GML", 1.0)
    image = read_suv(series, series_geometry(series), factors)
    known = nib.nifti1.Nifti1Image.from_filename(root / "PET_image.nii.gz").get_fdata(dtype=np.float32)
    np.testing.assert_allclose(image.values.astype(np.float64), known, atol=1e-5)


# ------------------------------------------------------------------ doses, phases, what a factor refers to


@pytest.mark.parametrize("dose", ["350", "350.0", "3.5e2"])
def test_an_enhanced_pet_states_its_dose_in_megabecquerel(dose: str) -> None:
    """PS3.3 C.8.22.4; a classic PET in becquerel (C.8.9.2)."""
    header = PetHeader([_header_of(dose, enhanced=True)])
    findings: list[Finding] = []
    assert dose_bq(header, findings) == pytest.approx(3.5e8)
    assert findings == []


def test_an_enhanced_pet_in_becquerel_is_taken_so_and_told() -> None:
    """Values of 1e6 and more cannot be megabecquerel."""
    findings: list[Finding] = []
    assert dose_bq(PetHeader([_header_of("350000000", enhanced=True)]), findings) == pytest.approx(3.5e8)
    assert [one.code for one in findings] == ["pet_dose_in_bq"]


@pytest.mark.parametrize("dose", ["350", "350000"])
def test_a_classic_pet_in_megabecquerel_is_refused(dose: str) -> None:
    """It is no dose in becquerel."""
    with pytest.raises(SuvError, match="RadionuclideTotalDose"):
        dose_bq(PetHeader([_header_of(dose, enhanced=False)]), [])


def _header_of(dose: str, *, enhanced: bool) -> Header:
    """Return a header with nothing but a dose at its top level, as frames of Enhanced files have it."""
    sop_class = "1.2.840.10008.5.1.4.1.1.130" if enhanced else "1.2.840.10008.5.1.4.1.1.128"
    elements = {0x00080016: sop_class.encode(), 0x00181074: dose.encode()}
    return Header(transfer_syntax="1.2.840.10008.1.2.1", elements=elements)


# Injected 09:00; series at 09:00 or 10:00; acquired at 11:00 or 09:20.
@pytest.mark.parametrize(
    ("series", "acquired", "codes"),
    [
        ("090000", "110000", {"pet_late_phase", "suv_series_time_early"}),
        ("090000", "100000", {"suv_series_time_early"}),
        ("100000", "100000", set()),
        ("092000", "092000", {"pet_early_phase"}),
    ],
)
def test_phases_go_by_the_acquisition(tmp_path: Path, series: str, acquired: str, codes: set[str]) -> None:
    """Not by the time that values are corrected to, which may be the injection."""
    factors = factors_of(tmp_path, setting(SeriesTime=series, AcquisitionTime=acquired))
    assert {one.code for one in factors.findings} == codes
    minutes = int(acquired[:2]) * 60 + int(acquired[2:4]) - 9 * 60
    assert factors.uptake_minutes == pytest.approx(minutes)


def test_a_series_time_before_the_acquisition_says_what_the_factor_would_be(tmp_path: Path) -> None:
    """Corrected to 09:00, acquired at 10:00: one hour of decay, 46.1 % more."""
    factors = factors_of(tmp_path, setting(SeriesTime="090000"))
    assert factors.suvbw_factor == pytest.approx(UNDECAYED)
    (said,) = [one for one in factors.findings if one.code == "suv_series_time_early"]
    assert f"{UNDECAYED:.6g}" in said.message
    assert f"{UNDECAYED * ONE_HOUR:.6g}" in said.message
    assert "46.0" in said.message or "46.1" in said.message


@pytest.mark.parametrize(("minutes", "severity"), [(0.5, "info"), (30, "warning")])
def test_a_few_seconds_of_decay_are_no_warning(tmp_path: Path, minutes: float, severity: str) -> None:
    """0.5 min of decay is 0.3 %."""
    started = f"{10 * 60 - minutes:.1f}"
    clock = f"09{int(float(started)) % 60:02d}{round((float(started) % 1) * 60):02d}"
    factors = factors_of(tmp_path, setting(SeriesTime=clock))
    assert [(one.code, one.severity) for one in factors.findings] == [("suv_series_time_early", severity)]


@pytest.mark.parametrize(
    ("reference", "said"), [(1.0, "SeriesTime 09:54:00"), (2 ** (360 / 6586.2), "AcquisitionTime")]
)
def test_philips_factor_says_to_what_time_it_refers(tmp_path: Path, reference: float, said: str) -> None:
    """Its value is that of one of the two times, six minutes apart."""
    by_series = 4.5 * UNDECAYED * 2.0 ** (54 * 60 / HALF_LIFE_S)
    change = counts(suv=f"{by_series * reference:.9g}", becquerel="4.5")
    factors = factors_of(tmp_path, change, setting(SeriesTime="095400"))
    (vendor,) = [one for one in factors.findings if one.code == "suv_vendor_factor"]
    assert said in vendor.message


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
