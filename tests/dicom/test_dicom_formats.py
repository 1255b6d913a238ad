"""One phantom in five formats, and formats mixed within a case, through the whole pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.dicom.dicom_case import (
    CT,
    CT_AFFINE,
    L1,
    L2,
    L3,
    PT,
    RESECTABLE_VOXELS,
    SHAPE,
    TABLE,
    TOTAL_VOXELS,
    VOXEL_ML,
    lesion_masks,
    pet,
    pet_suv,
    resectable,
    write_ct,
    write_dicom_case,
    write_pt,
    write_rtstruct,
    write_seg,
)
from tests.lattices import ORDERS, Order, stored
from tests.phantom_case import Form, write
from tests.records import protocol, run_case

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.records import Record

    Polygons = dict[str, list[tuple[int, list[tuple[float, float]]]]]


def counts(record: Record) -> dict[str, Any]:
    """Return the numbers that no format may change."""
    assert record["error"] is None, record["error"]
    return {
        "stratum": record["stratum"],
        "predicates": record["predicates"],
        "lesions": [
            {key: lesion[key] for key in ("lesion_id", "voxels", "resectability", "fdg_avidity")}
            for lesion in record["lesions"]
        ],
        "pet_only": [(region["lesion_id"], region["voxels"]) for region in record["pet_only_regions"]],
    }


def assert_is_the_phantom(record: Record) -> None:
    """Hold a record to `tests.dicom.dicom_case`: 99 of 309 voxels resectable; all avid disease is in L2."""
    found = counts(record)
    avid = int(pet()[0].sum())  # L2's region, which can go, and P1, which the table calls ablatable
    # Lesions of a few voxels of PET: moved by 10 mm it shows another stratum, whoever wrote the files.
    reviews = {f["code"] for f in record["findings"] if f["severity"] == "review"}
    assert (record["status"], reviews) == ("review", {"pet_shift"})
    one, two = found["predicates"]["stratum_1"], found["predicates"]["stratum_2"]
    assert found["stratum"] == "stratum_2"
    assert (one["part_voxels"], one["whole_voxels"], one["holds"]) == (RESECTABLE_VOXELS, TOTAL_VOXELS, False)
    assert (two["part_voxels"], two["whole_voxels"], two["holds"]) == (avid, avid, True)
    assert [tuple(lesion.values()) for lesion in found["lesions"]] == [
        ("L1", L1, "unresectable", "not_avid"),
        ("L2", L2, "resectable", "avid"),
        ("L3", L3, "partial", "not_avid"),
    ]
    assert found["pet_only"] == [("P1", 1)]
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(TOTAL_VOXELS * VOXEL_ML, rel=1e-6)
    assert record["volumes"]["fdg_avid_fraction"] == L2 / TOTAL_VOXELS


@pytest.mark.parametrize("avid", ["seg", "rtstruct"])
@pytest.mark.parametrize("tumour", ["seg", "rtstruct"])
def test_a_case_of_dicom_alone_gives_the_numbers_worked_out_by_hand(
    tmp_path: Path, tumour: str, avid: str
) -> None:
    """CT, PT, SEG or RTSTRUCT without a case.toml; SUV is 6 where avid and 1 elsewhere."""
    record = run_case(write_dicom_case(tmp_path / "S1", tumour=tumour, avid=avid), protocol())
    assert_is_the_phantom(record)
    suv = [(lesion["suv_max"], lesion["suv_mean"]) for lesion in record["lesions"]]
    assert suv[1] == pytest.approx((6.0, 6.0), rel=1e-3)
    assert suv[0] == pytest.approx((1.0, 1.0), rel=1e-3)
    told = {(entry["role"], entry["format"], entry["path"]) for entry in record["inputs"]}
    assert told >= {("tumour", f"dicom-{tumour}", "objects/a"), ("fdg_avid", f"dicom-{avid}", "objects/b")}
    assert ("pet", "dicom-pt", "series 2") in told


# --------------------------------------------------------------------------- five formats


def outlines() -> Polygons:
    """Return two lesions as polygons in voxel indices: one with a hole, one with a notch."""
    rng = np.random.default_rng(5)
    lesions: Polygons = {"Liver metastasis 1": [], "Liver metastasis 2": []}
    for k in range(2, 9):
        turn = np.sort(rng.uniform(0, 2 * np.pi, 11))
        radius = rng.uniform(3.3, 6.1, 11)
        star = [(8.13 + r * np.cos(a), 8.29 + r * np.sin(a)) for r, a in zip(radius, turn, strict=True)]
        hole = [(7.3, 7.2), (9.4, 7.3), (9.2, 9.6)]
        lesions["Liver metastasis 1"] += [(k, star), (k, hole)]
    for k in (4, 5, 6):
        lesions["Liver metastasis 2"].append(
            (k, [(17.7, 12.6), (24.2, 13.1), (20.9, 15.2), (24.4, 19.3), (16.8, 18.7)])
        )
    return lesions


def oracle(contours: list[tuple[int, list[tuple[float, float]]]]) -> NDArray[np.bool_]:
    """Even-odd over all contours of a slice, centre by centre; no centre lies near an edge."""
    dense = np.zeros(SHAPE, bool)
    i, j = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    for k, polygon in contours:
        for (u1, v1), (u2, v2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            across = (v1 <= j) != (v2 <= j)
            cut = u1 + (j - v1) * (u2 - u1) / np.where(v2 == v1, 1, v2 - v1)
            assert np.abs(cut - i)[across].min(initial=1) > 1e-4  # six decimals cannot move a centre over
            dense[:, :, k] ^= across & (cut <= i)
    return dense


def write_outlined_case(folder: Path, kind: str) -> Path:
    """Write the outlined lesions, the first of them resectable, in one format."""
    contours = outlines()
    masks = {name: oracle(drawn) for name, drawn in contours.items()}
    first, second = masks.values()
    if kind == "rtstruct":
        write_ct(folder / "ct")
        drawn = contours | {"Resectable": contours["Liver metastasis 1"]}
        write_rtstruct(folder / "rtss.dcm", drawn, CT_AFFINE)
    elif kind == "seg":
        write_seg(folder / "seg.dcm", masks | {"Resectable": first}, write_ct(folder / "ct"))
    else:
        folder.mkdir()
        labels = first.astype(np.uint8) + 2 * second.astype(np.uint8)
        write(folder, "tumour", (labels, CT_AFFINE), Form(ending=kind))
        write(folder, "resectable", (first.astype(np.uint8), CT_AFFINE), Form(ending=kind))
    return folder


def test_one_phantom_in_five_formats_gives_equal_counts(tmp_path: Path) -> None:
    """SEG, RTSTRUCT, NIfTI, NRRD and MetaImage agree with the polygon oracle, voxel for voxel."""
    first, second = (int(oracle(drawn).sum()) for drawn in outlines().values())
    assert min(first, second) > 50
    records = {
        kind: run_case(write_outlined_case(tmp_path / kind.strip("."), kind), protocol())
        for kind in ("seg", "rtstruct", ".nii.gz", ".nrrd", ".mha")
    }
    for kind, record in records.items():
        found = counts(record)
        assert [lesion["voxels"] for lesion in found["lesions"]] == [first, second], kind
        assert found == counts(records["seg"]), kind
        for lesion, other in zip(record["lesions"], records["seg"]["lesions"], strict=True):
            for key in ("volume_ml", "max_diameter_mm", "max_axial_diameter_mm"):
                assert lesion[key] == pytest.approx(other[key], rel=1e-5), (kind, key)
            # NIfTI-1 stores its affine in 32 bits: micrometres at 300 mm.
            assert lesion["centroid_mm"] == pytest.approx(other["centroid_mm"], abs=1e-3), kind


# --------------------------------------------------------------------------- mixed cases


@pytest.mark.parametrize("order", ORDERS[::7], ids=str)
def test_tumour_as_seg_and_resectable_as_nifti_stored_in_any_order(tmp_path: Path, order: Order) -> None:
    """A window of a lattice (SEG) and the whole lattice flipped or transposed (NIfTI) fit together."""
    folder = tmp_path / "S1"
    lesions = {name: mask for name, mask in lesion_masks().items() if name.startswith("Liver")}
    write_seg(folder / "dicom" / "m", lesions, write_ct(folder / "dicom" / "ct"))
    write_pt(folder / "dicom" / "pt", *pet_suv())
    write(folder, "resectable", stored(resectable(), CT_AFFINE, order), Form(ending=".nii.gz"))
    write(folder, "avid", stored(*pet(), order), Form(ending=".nii"))
    (folder / "lesions.csv").write_text(TABLE)
    record = run_case(folder, protocol())
    assert_is_the_phantom(record)
    assert record["lesions"][1]["suv_max"] == pytest.approx(6.0, rel=1e-3)
    assert [f["code"] for f in record["findings"] if f["code"] == "files_skipped"] == []  # all are used


def test_tumour_as_nifti_and_everything_else_as_dicom(tmp_path: Path) -> None:
    """The NIfTI stands for tumour; the SEG's other segment and the avid ROI are found by name."""
    folder = write_dicom_case(tmp_path / "S1")
    dense = (sum(n * (lesion_masks()[f"Liver metastasis {n}"] != 0) for n in (1, 2, 3))).astype(np.uint8)
    write(folder, "tumour", (dense, CT_AFFINE), Form(ending=".nii.gz"))
    assert_is_the_phantom(run_case(folder, protocol()))


def test_case_toml_names_segments_rois_and_series(tmp_path: Path) -> None:
    """Names, numbers and globs; a file that case.toml does not name is not looked at."""
    folder = write_dicom_case(tmp_path / "S1")
    (folder / "objects" / "broken.dcm").write_bytes((folder / "objects" / "a").read_bytes()[:900])
    (folder / "case.toml").write_text(
        f"""
[inputs]
ct = {{ path = "series 1", series = "{CT.uid}" }}
pet = {{ path = ".", series = "{PT.uid}" }}
tumour = {{ path = "objects/a", segments = ["liver METASTASIS*"] }}
resectable = {{ path = "objects/a", segments = [4] }}
fdg_avid = {{ path = "objects/b", rois = ["fdg*"] }}
lesions = "lesions.csv"
"""
    )
    assert_is_the_phantom(run_case(folder, protocol()))


def test_a_segment_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    """The sentence lists the segments of the file."""
    folder = write_dicom_case(tmp_path / "S1")
    (folder / "case.toml").write_text('[inputs]\ntumour = { path = "objects/a", segments = ["Pancreas"] }\n')
    record = run_case(folder, protocol())
    assert record["status"] == "failed"
    assert "'Pancreas'" in record["error"]["message"]
    assert "2 'Liver metastasis 2'" in record["error"]["message"]
