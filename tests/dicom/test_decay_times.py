"""To which moment the dose is decayed: times, zones and frames of every vendor."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.image_files import save
from tests.dicom.suv_cases import (
    HALF_LIFE_S,
    ONE_HOUR,
    SIEMENS,
    UNDECAYED,
    counts,
    factors_of,
    injection_of,
    pet,
    private,
    setting,
)
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.pixels import read_suv
from volstrat.dicom.series import series_geometry
from volstrat.dicom.suv.suv_factors import suv_factors

GE = ("GEMS_PETD_01", 0x0009, 0x0D)


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
