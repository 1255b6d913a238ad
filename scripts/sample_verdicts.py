"""Sample subjects for what the rule decides: both strata, neither, PET or none, exactly 70 %."""

from __future__ import annotations

import numpy as np

from sample_expectations import measured, must, verdict
from sample_files import metaimage, nifti, nrrd
from sample_phantoms import Box, Ellipsoid, Lesion, Phantom
from sample_subject import (
    CT_MIRRORED,
    CT_OBLIQUE,
    CT_SAGITTAL,
    PET_MIRRORED,
    PET_OBLIQUE,
    PET_SAGITTAL,
    Subject,
    nifti_files,
)


def clear_stratum_1() -> Subject:
    """Two large metastases can go; a small one, hot, cannot: stratum 2 does not fit."""
    p = Phantom(
        ct=CT_OBLIQUE,
        pet=PET_OBLIQUE,
        lesions=(
            Lesion(shape=Ellipsoid((17.2, 16.4, 12.7), (19, 16, 15)), marking="resectable", spill_mm=3.0),
            Lesion(shape=Ellipsoid((42.6, 12.3, 8.4), (11, 10, 10)), marking="resectable"),
            Lesion(shape=Ellipsoid((40.1, 37.8, 18.2), (8, 8, 7)), marking="unresectable", spill_mm=2.0),
        ),
    )
    return Subject(
        name="S01_stratum_1",
        story="most of the tumour can be resected; a small avid lesion cannot",
        files=nifti_files(p, 1, 2, with_suv=True),
        expected=measured(p, verdict("stratum_1", stratum_2=False, avid_disease="observed")),
    )


def stratum_2_with_spill() -> Subject:
    """All avid disease is in L2; its PET region is larger than the lesion and moved by breathing.

    L1 = 20 x 18 x 18 = 6480 voxels, cold, stays; L2 = 24 x 16 x 12 = 4608 voxels goes:
    4608 / 11088 = 41.6 %. The mask of what can be resected is drawn 1.4 mm too large all round.
    """
    p = Phantom(
        ct=CT_MIRRORED,
        pet=PET_MIRRORED,
        lesions=(
            Lesion(shape=Box((34, 26, 5), (54, 44, 23)), marking="unresectable"),
            Lesion(
                shape=Box((4, 4, 10), (28, 20, 22)),
                marking="resectable",
                spill_mm=4.5,
                breathing_mm=(0.5, -1.0, 4.0),
            ),
        ),
    )
    expected = measured(
        p,
        verdict(
            "stratum_2", stratum_2=True, avid_disease="observed", findings=("resectable_outside_tumour",)
        ),
    )
    must(expected["predicates"]["stratum_1"]["part_voxels"] == 4608, "4608 resectable voxels")
    must(expected["predicates"]["stratum_1"]["whole_voxels"] == 11088, "11088 tumour voxels")
    return Subject(
        name="S02_stratum_2",
        story="42 % resectable, but everything avid is; PET spills over the CT contour",
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine, order=">"),
            "resectable.nii.gz": nifti(p.union(2, grow_mm=1.4), p.ct.affine),
            "avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
        },
        expected=expected,
    )


def ineligible_avid_unresectable() -> Subject:
    """Neither 70 % nor all avid disease: L1, hot, stays."""
    p = Phantom(
        ct=CT_SAGITTAL,
        pet=PET_SAGITTAL,
        lesions=(
            Lesion(shape=Ellipsoid((14.1, 14.7, 14.2), (18, 17, 19)), marking="unresectable", spill_mm=2.0),
            Lesion(shape=Ellipsoid((38.3, 30.2, 15.9), (13, 12, 14)), marking="resectable", spill_mm=3.0),
        ),
    )
    return Subject(
        name="S03_ineligible_avid_stays",
        story="less than 70 %, and an avid lesion cannot be resected",
        files={
            "tumour.nrrd": nrrd(p.tumour(), p.ct.affine),
            "resectable.nrrd": nrrd(p.union(2), p.ct.affine),
            "fdg_avid.nrrd": nrrd(p.avid(), p.pet_grid().affine),
        },
        expected=measured(p, verdict("ineligible", stratum_2=False, avid_disease="observed")),
    )


def ineligible_nothing_avid() -> Subject:
    """PET was read: its avid mask is empty over a field that covers all tumour."""
    p = Phantom(
        ct=CT_OBLIQUE,
        pet=PET_OBLIQUE,
        lesions=(
            Lesion(shape=Ellipsoid((15.4, 24.1, 14.3), (17, 16, 16)), marking="unresectable"),
            Lesion(shape=Ellipsoid((41.2, 22.6, 13.1), (15, 14, 16)), marking="resectable"),
        ),
    )
    return Subject(
        name="S04_ineligible_nothing_avid",
        story="less than 70 %, and PET shows no avid disease",
        files=nifti_files(p, 2, with_suv=True),
        expected=measured(p, verdict("ineligible", stratum_2=False, avid_disease="not_observed")),
    )


def exactly_70_percent() -> Subject:
    """L1 = 10 x 7 x 10 = 700 voxels goes, L2 = 10 x 3 x 10 = 300, hot, stays: 700 / 1000.

    Any error of volume is an error across the threshold, so a person must look.
    """
    p = Phantom(
        ct=CT_MIRRORED,
        pet=PET_MIRRORED,
        lesions=(
            Lesion(shape=Box((8, 8, 9), (18, 15, 19)), marking="resectable"),
            Lesion(shape=Box((38, 30, 12), (48, 33, 22)), marking="unresectable", spill_mm=3.0),
        ),
    )
    stated = verdict(
        "stratum_1", status="review", stratum_2=False, avid_disease="observed", findings=("borderline",)
    )
    expected = measured(p, stated)
    must(expected["predicates"]["stratum_1"]["part_voxels"] == 700, "700 resectable voxels")
    must(expected["predicates"]["stratum_1"]["whole_voxels"] == 1000, "1000 tumour voxels")
    case_toml = """\
subject = "S05_exactly_70_percent"

[inputs]
tumour = "masks/labels.nii.gz"  # 1 and 2: two values, two lesions
resectable = "masks/can be resected.nii.gz"
fdg_avid = "masks/avid.nii.gz"
"""
    return Subject(
        name="S05_exactly_70_percent",
        story="700 of 1000 voxels: exactly 70 % passes",
        files={
            "case.toml": case_toml.encode(),
            "masks/labels.nii.gz": nifti(p.labels().astype(np.int16), p.ct.affine),
            "masks/can be resected.nii.gz": nifti(p.union(1).astype(np.float32), p.ct.affine),
            "masks/avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
        },
        expected=expected,
    )


def no_pet_not_needed() -> Subject:
    """Stratum 1 holds, so that what PET would show does not matter."""
    p = Phantom(
        ct=CT_OBLIQUE,
        lesions=(
            Lesion(shape=Ellipsoid((18.3, 19.2, 13.4), (20, 18, 17)), marking="resectable"),
            Lesion(shape=Ellipsoid((43.7, 33.1, 15.8), (10, 9, 10)), marking="unresectable"),
        ),
    )
    stated = verdict("stratum_1", stratum_2=None, avid_disease="not_assessed", findings=("pet_missing",))
    return Subject(
        name="S06_no_pet_not_needed",
        story="no PET, but stratum 1 holds without it",
        files={
            "Tumor.nii.gz": nifti(p.tumour(), p.ct.affine),
            "Resectable.nii.gz": nifti(p.union(1), p.ct.affine),
        },
        expected=measured(p, stated),
    )


def no_pet_but_needed() -> Subject:
    """Stratum 1 does not hold; PET could still show that only L2 is avid, or L1 too."""
    p = Phantom(
        ct=CT_SAGITTAL,
        lesions=(
            Lesion(shape=Ellipsoid((14.2, 20.3, 14.6), (17, 17, 18)), marking="unresectable"),
            Lesion(shape=Ellipsoid((38.4, 21.7, 15.2), (15, 15, 16)), marking="resectable"),
        ),
    )
    stated = verdict(
        None, status="not_assessable", stratum_2=None, avid_disease="not_assessed", findings=("pet_missing",)
    )
    return Subject(
        name="S07_no_pet_but_needed",
        story="less than 70 %, and without PET nobody can say what is avid",
        files={
            "tumour.mha": metaimage(p.tumour(), p.ct.affine),
            "resectable.mha": metaimage(p.union(2), p.ct.affine),
        },
        expected=measured(p, stated),
    )


def pet_only_region() -> Subject:
    """Stratum 1 holds, but PET shows a spot that no CT mask holds and nobody has marked."""
    p = Phantom(
        ct=CT_OBLIQUE,
        pet=PET_OBLIQUE,
        lesions=(
            Lesion(shape=Ellipsoid((17.6, 15.3, 11.9), (19, 17, 16)), marking="resectable", spill_mm=3.0),
            Lesion(shape=Ellipsoid((44.8, 13.9, 13.3), (10, 10, 10)), marking="unresectable"),
        ),
        pet_only=(Lesion(shape=Ellipsoid((40.0, 41.0, 20.0), (8, 8, 8)), spill_mm=0.0, suv=4.0),),
    )
    stated = verdict(
        "stratum_1", status="review", stratum_2=None, avid_disease="observed", findings=("pet_only_region",)
    )
    return Subject(
        name="S08_pet_only_region",
        story="stratum 1, but an avid spot has no CT lesion and no marking",
        files=nifti_files(p, 1, with_suv=True),
        expected=measured(p, stated),
    )
