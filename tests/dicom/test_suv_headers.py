"""SUV of Enhanced, converted and real headers, and the unit of their doses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.image_files import image_dataset, save
from tests.dicom.suv_cases import (
    ONE_HOUR,
    PHILIPS_BQ,
    PHILIPS_SUV,
    UNDECAYED,
    factors_of,
    pet,
    private,
    setting,
)
from tests.third_party import third_party
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.header import Header
from volstrat.dicom.pixels import read_suv
from volstrat.dicom.series import series_geometry
from volstrat.dicom.suv.body import dose_bq
from volstrat.dicom.suv.suv_factors import suv_factors
from volstrat.dicom.suv.suv_header import PetHeader
from volstrat.errors import SuvError

if TYPE_CHECKING:
    from volstrat.terms.findings import Finding


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
    headers = json.loads((third_party("calculate-suv") / f"{name}-instances.json").read_text())
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

    root = third_party("sts_001")
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

    root = third_party("ibsi_small") / "STS_019"
    (series,) = scan_dicom(root / "PET" / "image").series
    factors = suv_factors(series)
    assert (factors.units, factors.suvbw_factor) == ("GML", 1.0)
    image = read_suv(series, series_geometry(series), factors)
    known = nib.nifti1.Nifti1Image.from_filename(root / "PET_image.nii.gz").get_fdata(dtype=np.float32)
    np.testing.assert_allclose(image.values.astype(np.float64), known, atol=1e-5)


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
