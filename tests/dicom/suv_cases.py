"""A PET slice whose SUV factor can be worked out by hand, and what is changed in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.image_files import image_dataset, save
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.suv.body import PatientFacts
from volstrat.dicom.suv.suv_factors import SuvFactors, suv_factors

if TYPE_CHECKING:
    from collections.abc import Callable


HALF_LIFE_S = 6586.2
# 70 kg and 350 MBq: 70000 g / 350e6 Bq = 2e-4 without decay; 60 min before the scan.
UNDECAYED = 2e-4
ONE_HOUR = 2.0 ** (3600 / HALF_LIFE_S)  # dividing by 2^(-t/T)
SIEMENS = ("SIEMENS MEDCOM HEADER", 0x0071, 0x22)
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


def counts(*, suv: str | None, becquerel: str | None) -> Callable[[Dataset], None]:
    """Return a change to Philips counts."""

    def change(dataset: Dataset) -> None:
        dataset.Units = "CNTS"
        if suv is not None:
            private(dataset, PHILIPS_SUV, "DS", suv)
        if becquerel is not None:
            private(dataset, PHILIPS_BQ, "DS", becquerel)

    return change
