"""Write `sample_data/`: small phantom subjects, and what each of them must give.

Nothing here uses volstrat. Counts come from dense arrays, verdicts are stated by hand, subject by
subject, from the rule; `sample_data/expected.json` holds both.

    python scripts/make_sample_data.py            writes sample_data/
    python scripts/make_sample_data.py --check    exit 1 where sample_data/ is not what this writes
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sample_dicom import Study, ct_series, named, pt_series, segmentation, structure_set
from sample_expectations import measured, must, suv_max, verdict
from sample_files import content, metaimage, nifti, nrrd
from sample_phantoms import MIRRORED, OBLIQUE, SAGITTAL, STRAIGHT, Box, Ellipsoid, Grid, Lesion, Phantom
from sample_plans import sample as sample_of_plans

SAMPLE_DATA = Path(__file__).resolve().parent.parent / "sample_data"

KEPT_BY_HAND = {"README.md"}

# 84 x 72 x 70 mm of liver, turned out of the scanner's axes, a long way from the origin.
CT_OBLIQUE = Grid(
    shape=(56, 48, 28), spacing_mm=(1.5, 1.5, 2.5), axes=OBLIQUE, origin_mm=(-97.31, -141.87, 1033.43)
)
# The same stored from left to right and from back to front.
CT_MIRRORED = Grid(
    shape=(60, 50, 32), spacing_mm=(1.37, 1.37, 2.0), axes=MIRRORED, origin_mm=(13.19, 55.61, -412.77)
)
# Sagittal slices: the index that runs fastest goes from front to back.
CT_SAGITTAL = Grid(
    shape=(52, 44, 30), spacing_mm=(1.6, 1.6, 2.2), axes=SAGITTAL, origin_mm=(-31.13, -88.29, 251.91)
)
# PET covers each of them with some centimetres to spare, in the scanner's axes.
PET_OBLIQUE = Grid(
    shape=(36, 36, 44), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-141.2, -176.6, 987.5)
)
PET_MIRRORED = Grid(
    shape=(30, 27, 30), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-85.9, -31.8, -423.1)
)
PET_SAGITTAL = Grid(
    shape=(26, 29, 34), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-48.3, -103.7, 167.6)
)
# 70 x 60 x 55 mm, small enough for DICOM in a repository.
CT_DICOM = Grid(
    shape=(44, 40, 22), spacing_mm=(1.6, 1.5, 2.5), axes=OBLIQUE, origin_mm=(-61.37, -112.83, 871.19)
)
PET_DICOM = Grid(
    shape=(26, 27, 28), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-85.7, -140.3, 864.9)
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One folder of `sample_data/`.

    Parameters
    ----------
    name : str
        Folder and subject.
    story : str
        One line for the demo's table.
    files : dict of str to bytes
        By path within the folder.
    expected : dict
        Keys of the case record that the subject must show.
    """

    name: str
    story: str
    files: dict[str, bytes]
    expected: dict[str, Any]


# ---------------------------------------------------------------------------------------- subjects


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
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
            "resectable.nii.gz": nifti(p.union(1, 2), p.ct.affine),
            "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
            "suv.nii.gz": nifti(p.suv(), p.pet_grid().affine, slope=1 / 16),
        },
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
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
            "resectable.nii.gz": nifti(p.union(2), p.ct.affine),
            "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
            "suv.nii.gz": nifti(p.suv(), p.pet_grid().affine, slope=1 / 16),
        },
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
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
            "resectable.nii.gz": nifti(p.union(1), p.ct.affine),
            "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
            "suv.nii.gz": nifti(p.suv(), p.pet_grid().affine, slope=1 / 16),
        },
        expected=measured(p, stated),
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
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
            "resectable.nii.gz": nifti(p.union(1), p.ct.affine),
            "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
            "lesions.csv": table.encode(),
        },
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
        files={
            "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
            "resectable.nii.gz": nifti(p.union(2), p.ct.affine),
            "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
        },
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


SUBJECTS = (
    clear_stratum_1,
    stratum_2_with_spill,
    ineligible_avid_unresectable,
    ineligible_nothing_avid,
    exactly_70_percent,
    no_pet_not_needed,
    no_pet_but_needed,
    pet_only_region,
    unknown_does_not_matter,
    unknown_matters,
    lesion_table,
    slicer_segments,
    pet_field_too_short,
    broken_file,
    dicom_objects,
    three_plans,
)


# ------------------------------------------------------------------------------------------- files


def sample_files() -> dict[str, bytes]:
    """Return every file of `sample_data/` that this script makes, by path."""
    files: dict[str, bytes] = {}
    expected = {}
    for subject in (make() for make in SUBJECTS):
        expected[subject.name] = {"story": subject.story, **subject.expected}
        files |= {f"{subject.name}/{path}": data for path, data in subject.files.items()}
    files["expected.json"] = (json.dumps(expected, indent=1) + "\n").encode()
    return files


def differences(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Return a line for every file that is missing, left over, or not what the script writes."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    lines = [f"missing: {name}" for name in sorted(files.keys() - there)]
    lines += [f"left over: {name}" for name in sorted(there - files.keys() - KEPT_BY_HAND)]
    for name in sorted(files.keys() & there):
        found = (folder / name).read_bytes()
        if found != files[name] and content(name, found) != content(name, files[name]):
            lines.append(f"differs: {name}")
    return lines


def main() -> int:
    """Write the folder, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLE_DATA)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    arguments = parser.parse_args()
    files = sample_files()
    if arguments.check:
        lines = differences(arguments.folder, files)
        print("\n".join(lines) or f"{len(files)} files are what the script writes")
        return 1 if lines else 0
    for name, data in files.items():
        path = arguments.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(files)} files, {sum(map(len, files.values())) / 1000:.0f} kB in {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
