"""Real DICOM through the whole program: other people's numbers, from the folder to the table.

Needs the shared data (`VOLSTRAT_TEST_DATA`, or beside the checkout); skipped in plain sight without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.third_party import DATA, third_party
from volstrat.cli.app import cli


def volstrat(*arguments: str | Path) -> tuple[int, str]:
    """Run the program; return its exit code and what it printed."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def printed(*arguments: str | Path) -> dict[str, Any]:
    """Run the program with --json; return what it printed."""
    found: dict[str, Any] = json.loads(volstrat(*arguments, "--json")[1])
    return found


def case_of(folder: Path, **inputs: str) -> Path:
    """Write a case.toml that names shared files by absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{role} = {value}\n" for role, value in inputs.items())
    (folder / "case.toml").write_text(f"[inputs]\n{lines}")
    return folder


def path_of(name: str, **keys: object) -> str:
    """Return an entry for a shared file."""
    told = "".join(f", {key} = {json.dumps(value)}" for key, value in keys.items())
    return f'{{ path = "{third_party(name).as_posix()}"{told} }}'


def segments(found: dict[str, Any], role: str = "tumour") -> dict[int, int]:
    """Return voxels by segment number of what inspect lists for a role."""
    (entry,) = [e for e in found["inputs"] if e["role"] == role]
    assert entry["error"] is None, entry["error"]
    return {s["number"]: s["voxels"] for s in entry["segments"]}


# ------------------------------------------------------------------------ the main job


@pytest.fixture
def sarcoma(tmp_path: Path) -> Path:
    """Return sts_001 as a folder: CT, RTSTRUCT on it, raw PET, RTSTRUCT on that, by links."""
    folder = tmp_path / "sts_001"
    folder.mkdir()
    for name in ("CT_dicom", "CT_rtstruct", "PET_raw_dicom", "PET_raw_rtstruct"):
        (folder / name).symlink_to(third_party(f"sts_001/{name}"))
    return folder


@pytest.fixture
def fixed_25(tmp_path: Path) -> Path:
    """Return a protocol: FDG-avid is SUVbw from 2.5."""
    path = tmp_path / "fixed.toml"
    path.write_text('id = "fixed-2.5"\n[avidity]\nrule = "fixed"\nsuv_threshold = 2.5\n')
    return path


@pytest.mark.parametrize(
    ("marking", "stratum"), [("resectable", "stratum_1"), ("unresectable", "ineligible")]
)
def test_a_real_patient_gets_a_stratum(sarcoma: Path, fixed_25: Path, marking: str, stratum: str) -> None:
    """117,145 voxels = 365.318 ml in CT; avid from SUV 2.5; SUVmax of the tumour 7.91."""
    (sarcoma / "lesions.csv").write_text(f"lesion_id,resectability\nL1,{marking}\n")
    record = printed("case", sarcoma, "--protocol", fixed_25)
    assert (record["stratum"], record["error"]) == (stratum, None)
    (lesion,) = record["lesions"]
    assert lesion["voxels"] == 117_145
    assert lesion["volume_ml"] == pytest.approx(365.318, abs=5e-4)
    assert lesion["suv_max"] == pytest.approx(7.91067, abs=1e-3)
    assert record["predicates"]["stratum_2"]["avid_disease"] == "observed"
    assert 0 < record["volumes"]["fdg_avid_fraction"] < 1
    (pet,) = [e for e in record["inputs"] if e["role"] == "pet"]
    assert pet["suv"]["suvbw_factor"] == pytest.approx(2.42902977e-4, rel=1e-8)
    codes = [f["code"] for f in record["findings"]]
    assert {"slices_irregular", "pet_only_not_searched"} <= set(codes)
    assert codes.count("thick_slices") == 1


def test_a_threshold_that_nothing_reaches_is_not_observed(sarcoma: Path, fixed_25: Path) -> None:
    """SUVmax is 7.91: from 8 on nothing is avid, and the field covers the tumour."""
    fixed_25.write_text(fixed_25.read_text().replace("2.5\n", "8.0\n"))
    (sarcoma / "lesions.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    record = printed("case", sarcoma, "--protocol", fixed_25)
    assert (record["stratum"], record["status"]) == ("ineligible", "assigned")
    assert record["predicates"]["stratum_2"]["avid_disease"] == "not_observed"


def test_inspect_of_a_real_patient_fits_one_screen(sarcoma: Path) -> None:
    """80 x 40; roles, series and what is not used, from headers alone."""
    code, table = volstrat("inspect", sarcoma)
    lines = table.rstrip("\n").split("\n")
    assert code == 0
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    found = printed("inspect", sarcoma)
    paths = {e["role"]: e["path"] for e in found["inputs"]}
    assert paths == {
        "tumour": "CT_rtstruct/mask/RS.dcm",
        "pet": "PET_raw_dicom/image",
        "ct": "CT_dicom/image",
    }
    shapes = {e["role"]: e["grid"]["shape"] for e in found["inputs"]}
    assert shapes["pet"] == [128, 128, 267]
    assert segments(found) == {1: 117_145}
    assert [one["path"] for one in found["unused"]] == ["PET_raw_rtstruct/mask/1-1.dcm"]


def test_contours_drawn_on_raw_pet(tmp_path: Path) -> None:
    """GTV_Mass: 5095 voxels = 366.079 ml; SUV mean 2.55513, max 7.91067 (third-party figures)."""
    case = case_of(
        tmp_path / "S1",
        tumour=path_of("sts_001/PET_raw_rtstruct/mask/1-1.dcm", rois=["GTV_Mass"]),
        pet=path_of("sts_001/PET_raw_dicom/image"),
        ct=path_of("sts_001/CT_dicom/image"),
    )
    record = printed("case", case)
    (lesion,) = record["lesions"]
    assert lesion["voxels"] == 5095
    assert lesion["volume_ml"] == pytest.approx(366.079, abs=5e-4)
    assert lesion["suv_mean"] == pytest.approx(2.55513, abs=1e-4)
    assert lesion["suv_max"] == pytest.approx(7.91067, abs=1e-3)


def test_suv_of_raw_pet() -> None:
    """71 kg, 3.88777472e8 Bq, 2711 s, half-life 6588 s: 2.42902977e-4; every attribute is listed."""
    found = printed("suv", third_party("sts_001/PET_raw_dicom"))
    assert found["suvbw_factor"] == pytest.approx(2.42902977e-4, rel=1e-8)
    assert found["units"] == "BQML"
    assert found["uptake_minutes"] == pytest.approx(2711 / 60)
    sources = {s["attribute"]: s["value"] for s in found["sources"]}
    assert float(sources["PatientWeight"]) == 71
    assert float(sources["RadionuclideTotalDose"]) == 3.88777472e8
    assert float(sources["RadionuclideHalfLife"]) == 6588


# ------------------------------------------------------------------------ further numbers of DATA.md


@pytest.mark.parametrize(
    ("patient", "image", "voxels", "ml", "highest"),
    [
        ("STS_019", "CT", 5564, 17.3514, None),
        ("STS_019", "PET", 239, 17.1723, 16.32769),
        ("STS_025", "CT", 9655, 30.1092, None),
        ("STS_025", "PET", 606, 30.2371, None),
    ],
)
def test_ibsi_tumours(
    tmp_path: Path, patient: str, image: str, voxels: int, ml: float, highest: float | None
) -> None:
    """Contours on CT and on PET; the PET is SUV already (GML) and is not scaled again."""
    (mask,) = third_party(f"ibsi_small/{patient}/{image}/mask").glob("*.dcm")
    name = mask.relative_to(DATA).as_posix()
    case = case_of(
        tmp_path / "S1",
        tumour=path_of(name),
        ct=path_of(f"ibsi_small/{patient}/CT/image"),
        pet=path_of(f"ibsi_small/{patient}/PET/image"),
    )
    record = printed("case", case)
    total = sum(lesion["voxels"] for lesion in record["lesions"])
    assert total == voxels
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(ml, abs=5e-5)
    if highest is not None:
        assert max(lesion["suv_max"] for lesion in record["lesions"]) == pytest.approx(highest, abs=1e-5)
    assert printed("suv", third_party(f"ibsi_small/{patient}/PET"))["suvbw_factor"] == 1.0


@pytest.mark.parametrize("patient", ["STS_019", "STS_025"])
def test_ibsi_folders_are_read_as_they_are(patient: str) -> None:
    """CT, PET and an RTSTRUCT on each, without a case.toml: the one on CT is the tumour."""
    found = printed("inspect", third_party(f"ibsi_small/{patient}"))
    paths = {
        e["role"]: Path(e["path"]).parts[0] for e in found["inputs"] if e["role"] in ("tumour", "ct", "pet")
    }
    errors = [e["error"] for e in found["inputs"] if e["error"]]
    assert (paths, errors) == ({"tumour": "CT", "ct": "CT", "pet": "PET"}, [])


@pytest.mark.parametrize(
    ("file", "keys", "voxels"),
    [
        ("dcmqi/segmentations/liver.dcm", {}, {1: 107_098}),
        (
            "dcmqi/segmentations/partial_overlaps.dcm",
            {},
            {1: 9602, 2: 11888, 3: 10743, 4: 6693, 5: 4713},
        ),
        ("dcmqi/segmentations/sparse-labelmap-noppv.dcm", {}, {1: 630}),
        ("dcmqi/segmentations/sparse-labelmap-ppv5.dcm", {}, {1: 630}),
        ("highdicom/test_files/seg_image_ct_binary.dcm", {}, {1: 638}),
        ("highdicom/test_files/seg_image_ct_binary_overlap.dcm", {}, {1: 64, 2: 16}),
        ("highdicom/test_files/seg_image_ct_binary_single_frame.dcm", {}, {1: 1832}),
    ],
)
def test_seg_files_of_other_programs(
    tmp_path: Path, file: str, keys: dict[str, object], voxels: dict[int, int]
) -> None:
    """Named by case.toml, through inspect: voxels of each segment as their authors or others count them."""
    keys = {"segments": ["*"], **keys}  # organs, which play no tumour unless they are named
    case = case_of(tmp_path / "S1", tumour=path_of(file, **keys))
    assert sorted(segments(printed("inspect", case)).values()) == sorted(voxels.values())
    record = printed("case", case)
    assert record["error"] is None


def test_overlapping_segments_count_once(tmp_path: Path) -> None:
    """43,639 voxels in five segments are 40,505; the overlap is told."""
    case = case_of(tmp_path / "S1", tumour=path_of("dcmqi/segmentations/partial_overlaps.dcm"))
    record = printed("case", case)
    assert sum(lesion["voxels"] for lesion in record["lesions"]) == 43_639
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 40_505


def test_a_liver_seg_on_its_ct(tmp_path: Path) -> None:
    """70.3619 ml, with the CT that it references."""
    case = case_of(
        tmp_path / "S1",
        tumour=path_of("dcmqi/segmentations/liver.dcm", segments=["liver"]),
        ct=path_of("dcmqi/segmentations/ct-3slice"),
    )
    record = printed("case", case)
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(70.3619, abs=5e-5)


def test_true_fractions_need_a_threshold(tmp_path: Path) -> None:
    """Refused without one, read with one."""
    file = "highdicom/test_files/seg_image_ct_true_fractional.dcm"
    record = printed("case", case_of(tmp_path / "S1", tumour=path_of(file)))
    assert record["error"]["code"] == "mask_value_invalid"
    assert "threshold" in record["error"]["hint"]
    assert printed("case", case_of(tmp_path / "S2", tumour=path_of(file, threshold=0.5)))["error"] is None


def test_slice_spacing_is_not_slice_thickness(tmp_path: Path) -> None:
    """A CT in JPEG 2000 whose SliceThickness is 3 and whose slices lie 2.0 mm apart."""
    case = case_of(
        tmp_path / "S1",
        ct=path_of("totalseg/example_ct_dicom"),
        tumour=path_of("totalseg/example_seg_dicom.nii.gz", segments=["*"]),
    )
    found = printed("inspect", case)
    grids = {e["role"]: e["grid"] for e in found["inputs"]}
    assert grids["ct"]["spacing_mm"][2] == pytest.approx(2.0, abs=1e-3)
    assert grids["tumour"]["spacing_mm"][2] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(
    ("file", "words"),
    [("invalid_reference_rt", "images that are not in the series"), ("non_existent_reference_rt", "")],
)
def test_structure_sets_with_bad_references_are_refused_by_name(
    tmp_path: Path, file: str, words: str
) -> None:
    """Contours that name images which the series does not have."""
    (path,) = third_party("rt-utils/tests/mock_data").glob(f"{file}*.dcm")
    name = path.relative_to(DATA).as_posix()
    case = case_of(tmp_path / "S1", tumour=path_of(name), ct=path_of("rt-utils/tests/mock_data"))
    record = printed("case", case)
    assert record["status"] == "failed", [f["message"] for f in record["findings"]]
    assert path.name in record["error"]["message"]
    assert words in record["error"]["message"]


def test_an_oblique_ct_is_read_right(tmp_path: Path) -> None:
    """Three slices of 3.5 x 2.5 mm pixels, oblique."""
    mask = "highdicom/test_files/seg_image_ct_binary.dcm"
    case = case_of(tmp_path / "S1", ct=path_of("rt-utils/tests/oriented_data"), tumour=path_of(mask))
    (ct,) = [e for e in printed("inspect", case)["inputs"] if e["role"] == "ct"]
    assert ct["error"] is None
    assert sorted(ct["grid"]["spacing_mm"][:2]) == pytest.approx([2.5, 3.5])


@pytest.mark.parametrize(
    "name",
    [
        *("liver", "liver_deflate", "liver_expb", "liver_j2k", "liver_rle", "liver_nonbyte_aligned"),
        *("liver_nonbyte_aligned_deflate", "liver_nonbyte_aligned_j2k", "liver_nonbyte_aligned_rle"),
    ],
)
def test_one_bit_segmentations_give_the_same_voxels_in_every_encoding(name: str) -> None:
    """36233 + 35645 + 35220 voxels; rows of 510 are no whole bytes."""
    from volstrat.dicom.seg.segmentation import read_seg

    mask, _ = read_seg(third_party("pydicom_seg") / f"{name}.dcm", threshold=None, image_grid=None)
    i_j_k = mask.grid.unravel(mask.voxels().indices())
    assert sorted(np.bincount(i_j_k[:, 2]).tolist()) == [35220, 35645, 36233]
