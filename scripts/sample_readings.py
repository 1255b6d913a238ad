"""Sample subjects for how a case is read: marks, tables, segments, PET fields, damage, DICOM, plans."""

from __future__ import annotations

import gzip

import numpy as np

from sample_dicom import Study, ct_series, named, pt_series, segmentation, structure_set
from sample_expectations import measured, must, suv_max, verdict
from sample_files import metaimage, nifti, nrrd
from sample_phantoms import STRAIGHT, Box, Ellipsoid, Grid, Lesion, Phantom
from sample_plans import sample as sample_of_plans
from sample_subject import (
    CT_DICOM,
    CT_MIRRORED,
    CT_OBLIQUE,
    CT_SAGITTAL,
    PET_DICOM,
    PET_MIRRORED,
    PET_OBLIQUE,
    PET_SAGITTAL,
    Subject,
    nifti_files,
)


def unknown_does_not_matter() -> Subject:
    """L1 goes, L2 stays, nobody has judged L3: above 70 % either way."""
    p = Phantom(
        ct=CT_SAGITTAL,
        pet=PET_SAGITTAL,
        lesions=(
            Lesion(shape=Ellipsoid((16.2, 16.8, 14.4), (20, 19, 21)), marking="resectable", spill_mm=2.0),
            Lesion(shape=Ellipsoid((40.3, 12.4, 10.2), (10, 9, 9)), marking="unresectable", spill_mm=2.0),
            Lesion(shape=Ellipsoid((39.1, 34.2, 20.7), (8, 8, 8)), marking="unknown"),
        ),
    )
    table = "lesion_id,resectability,x_mm,y_mm,z_mm\n"
    for row, voxel in (("L1,resectable", (16, 17, 14)), ("L2,unresectable", (40, 12, 10))):
        x, y, z = (float(v) for v in p.ct.to_mm(*(np.array(index) for index in voxel)))
        table += f"{row},{x:.1f},{y:.1f},{z:.1f}\n"
    return Subject(
        name="S09_unknown_not_needed",
        story="one lesion not judged; above 70 % whatever it is",
        files={
            "tumour.mha": metaimage(p.tumour(), p.ct.affine),
            "avid.mha": metaimage(p.avid(), p.pet_grid().affine),
            "lesions.csv": table.encode(),
        },
        expected=measured(p, verdict("stratum_1", stratum_2=False, avid_disease="observed")),
    )


def unknown_matters() -> Subject:
    """L1 = 20 x 15 x 12 = 3600 goes, L2 = 15 x 10 x 10 = 1500 stays, L3 = 10 x 10 x 9 = 900 is not judged.

    3600 / 6000 = 60 % without L3, 4500 / 6000 = 75 % with it: stratum 1 if L3 can be resected, else
    stratum 2, since all avid disease is in L1. No single stratum, so none is given.
    """
    p = Phantom(
        ct=CT_MIRRORED,
        pet=PET_MIRRORED,
        lesions=(
            Lesion(shape=Box((5, 6, 8), (25, 21, 20)), marking="resectable", spill_mm=3.5),
            Lesion(shape=Box((38, 8, 10), (53, 18, 20)), marking="unresectable"),
            Lesion(shape=Box((22, 36, 12), (32, 46, 21)), marking="unknown"),
        ),
    )
    expected = measured(p, verdict(None, status="not_assessable", stratum_2=True, avid_disease="observed"))
    must(expected["predicates"]["stratum_1"]["part_voxels"] == 3600, "3600 resectable voxels")
    must(expected["predicates"]["stratum_1"]["part_voxels_upper"] == 4500, "4500 with L3")
    case_toml = """\
subject = "S10_unknown_matters"

[inputs]
tumour = "segmentation/all lesions.nii.gz"
fdg_avid = "segmentation/hot.nii.gz"
lesions = "marks.csv"
"""
    table = "lesion_id,resectability,fdg_avidity\nL1,resectable,\nL2,unresectable,\nL3,unknown,\n"
    return Subject(
        name="S10_unknown_matters",
        story="one lesion not judged; it decides between stratum 1 and 2",
        files={
            "case.toml": case_toml.encode(),
            "segmentation/all lesions.nii.gz": nifti(p.tumour(), p.ct.affine),
            "segmentation/hot.nii.gz": nifti(p.avid(), p.pet_grid().affine),
            "marks.csv": table.encode(),
        },
        expected=expected,
    )


def lesion_table() -> Subject:
    """Mask and table: the mask says L1 goes; the table adds that L2 can be ablated and that P1 is bowel."""
    p = Phantom(
        ct=CT_OBLIQUE,
        pet=PET_OBLIQUE,
        lesions=(
            Lesion(shape=Ellipsoid((16.8, 15.9, 13.1), (17, 16, 16)), marking="resectable", spill_mm=3.0),
            Lesion(shape=Ellipsoid((43.1, 14.2, 9.7), (13, 13, 13)), marking="ablatable", spill_mm=2.0),
            Lesion(shape=Ellipsoid((20.4, 40.7, 21.3), (9, 9, 9)), marking="unresectable"),
        ),
        pet_only=(
            Lesion(shape=Ellipsoid((43.0, 41.0, 21.0), (8, 8, 8)), marking="not_avid", spill_mm=0.0, suv=4.5),
        ),
    )
    x, y, z = (float(v) for v in p.ct.to_mm(np.array(43), np.array(14), np.array(10)))
    table = (
        "lesion_id,resectability,fdg_avidity,x_mm,y_mm,z_mm,reader,reason,recorded_at\n"
        f'L2,ablatable,,{x:.1f},{y:.1f},{z:.1f},reader A,"2.6 cm, away from vessels",2026-03-02T09:14:00Z\n'
        "P1,,not_avid,,,,reader A,bowel,2026-03-02T09:15:00Z\n"
    )
    stated = verdict("stratum_1", stratum_2=True, avid_disease="observed", findings=("both_strata_hold",))
    return Subject(
        name="S11_lesion_table",
        story="a table says: ablate L2, P1 is bowel; both aims can be met",
        files={**nifti_files(p, 1), "lesions.csv": table.encode()},
        expected=measured(p, stated),
    )


def slicer_segments() -> Subject:
    """One .seg.nrrd from 3D Slicer: lesions in one layer, what can be resected in a second one."""
    p = Phantom(
        ct=CT_SAGITTAL,
        pet=PET_SAGITTAL,
        lesions=(
            Lesion(shape=Ellipsoid((13.7, 15.1, 14.9), (17, 18, 19)), marking="unresectable"),
            Lesion(shape=Ellipsoid((38.9, 14.6, 14.2), (14, 13, 15)), marking="resectable", spill_mm=3.0),
            Lesion(shape=Ellipsoid((34.3, 35.9, 20.4), (9, 9, 9)), marking="resectable", spill_mm=2.0),
        ),
    )
    layers = np.stack([p.labels(), p.union(2, 3)])
    names = ("Liver metastasis 1", "Liver metastasis 2", "Primary tumour", "Can be resected")
    segments: dict[str, str] = {}
    for number, (name, layer, value) in enumerate(zip(names, (0, 0, 0, 1), (1, 2, 3, 1), strict=True)):
        at = np.argwhere(layers[layer] == value)
        extent = " ".join(f"{low} {high}" for low, high in zip(at.min(axis=0), at.max(axis=0), strict=True))
        segments |= {
            f"Segment{number}_Extent": extent,
            f"Segment{number}_ID": f"Segment_{number + 1}",
            f"Segment{number}_LabelValue": str(value),
            f"Segment{number}_Layer": str(layer),
            f"Segment{number}_Name": name,
        }
    case_toml = """\
subject = "S12_slicer_segments"

[inputs]
tumour = { path = "Segmentation.seg.nrrd", segments = ["liver metastasis*", "primary tumour"] }
resectable = { path = "Segmentation.seg.nrrd", segments = ["Can be resected"] }
fdg_avid = "PET avid.nrrd"
pet = { path = "PET.nrrd", units = "SUVbw" }
"""
    return Subject(
        name="S12_slicer_segments",
        story="3D Slicer segments; all avid disease can be resected",
        files={
            "case.toml": case_toml.encode(),
            "Segmentation.seg.nrrd": nrrd(layers, p.ct.affine, extra=segments),
            "PET avid.nrrd": nrrd(p.avid(), p.pet_grid().affine),
            "PET.nrrd": nrrd(p.suv().astype(np.float32) * np.float32(1 / 16), p.pet_grid().affine),
        },
        expected=measured(p, verdict("stratum_2", stratum_2=True, avid_disease="observed")),
    )


def pet_field_too_short() -> Subject:
    """PET ends above L2, which could be resected: an empty avid mask does not speak for it."""
    top_half = Grid(
        shape=(30, 27, 16), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-85.9, -31.8, -383.2)
    )
    p = Phantom(
        ct=CT_MIRRORED,
        pet=top_half,
        lesions=(
            Lesion(shape=Box((6, 8, 19), (26, 26, 30)), marking="unresectable"),
            Lesion(shape=Box((34, 20, 2), (52, 38, 12)), marking="resectable"),
        ),
    )
    stated = verdict(
        None,
        status="not_assessable",
        stratum_2=None,
        avid_disease="not_assessed",
        findings=("pet_field_short",),
    )
    expected = measured(p, stated)
    return Subject(
        name="S13_pet_field_short",
        story="PET shows nothing avid, but ends above a resectable lesion",
        files=nifti_files(p, 2),
        expected=expected,
    )


def broken_file() -> Subject:
    """Cut the tumour mask in the middle, as after an interrupted copy."""
    p = Phantom(
        ct=CT_OBLIQUE,
        lesions=(Lesion(shape=Ellipsoid((26.0, 24.0, 14.0), (18, 17, 16)), marking="resectable"),),
    )
    # Stored, not packed, so that the cut falls at the same voxel whatever zlib is at work.
    whole = gzip.compress(gzip.decompress(nifti(p.tumour()[20:32, 18:30], p.ct.affine)), 0, mtime=0)
    return Subject(
        name="S14_broken_file",
        story="the tumour mask is cut short: failed, the others go on",
        files={
            "tumour.nii.gz": whole[: len(whole) // 2],
            "resectable.nii.gz": nifti(p.union(1)[20:32, 18:30], p.ct.affine),
        },
        expected={"status": "failed", "stratum": None, "error_names": "tumour.nii.gz"},
    )


def dicom_objects() -> Subject:
    """CT, PT in Bq/ml, a SEG on the CT and an RTSTRUCT on the PT, as an archive exports them.

    The SEG's "Resectable" is L2; the table adds that L3 can be ablated and that P1 is bowel. "Spleen" is
    no role's name.
    """
    p = Phantom(
        ct=CT_DICOM,
        pet=PET_DICOM,
        lesions=(
            Lesion(shape=Ellipsoid((14.2, 13.1, 11.3), (16, 14, 15)), marking="unresectable"),
            Lesion(shape=Ellipsoid((32.4, 27.8, 10.2), (11, 10, 12)), marking="resectable", spill_mm=3.0),
            Lesion(shape=Ellipsoid((33.6, 8.3, 16.1), (8, 7, 7)), marking="ablatable", spill_mm=2.0, suv=4.0),
        ),
        pet_only=(
            Lesion(shape=Ellipsoid((9.0, 35.0, 17.0), (7, 7, 7)), marking="not_avid", spill_mm=0.0, suv=5.0),
        ),
    )
    labels = p.labels()
    spleen = np.zeros(p.ct.shape, dtype=bool)
    spleen[2:9, 30:38, 2:6] = True
    hounsfield = np.where(labels > 0, 95, np.where(spleen, 120, 70))
    expected = measured(
        p, verdict("stratum_2", stratum_2=True, avid_disease="observed", findings=("ablation",))
    )
    for number, highest in suv_max(p).items():
        expected["lesions"][f"L{number}"]["suv_max"] = highest
    study = Study(number=15, name="S15_dicom")
    ct = ct_series(study, hounsfield, p.ct.affine)
    masks = {
        "Liver metastasis 1": labels == 1,
        "Liver metastasis 2": labels == 2,
        "Primary tumour": labels == 3,
        "Resectable": labels == 2,
        "Spleen": spleen,
    }
    avid = structure_set(study, {"FDG avid disease": p.avid()}, p.pet_grid().affine)
    table = "lesion_id,resectability,fdg_avidity,reason\nL3,ablatable,,1.5 cm\nP1,,not_avid,bowel\n"
    return Subject(
        name="S15_dicom",
        story="DICOM alone: CT, PET in Bq/ml, SEG and RTSTRUCT, found by their headers",
        files={
            **named("DICOM/SE0001", reversed(ct)),  # from the head down
            **named("DICOM/SE0002", pt_series(study, p.suv(), p.pet_grid().affine)),
            **named("DICOM/SE0003", [segmentation(study, masks, ct)]),
            **named("DICOM/SE0004", [avid]),
            "lesions.csv": table.encode(),
        },
        expected=expected,
    )


def three_plans() -> Subject:
    """Three surgical plans for the same tumour; the one chosen gives the verdict."""
    files, expected = sample_of_plans()
    return Subject(
        name="S16_three_plans",
        story="three plans: stratum 1, stratum 1 with too little liver, ineligible; A is chosen",
        files=files,
        expected=expected,
    )
