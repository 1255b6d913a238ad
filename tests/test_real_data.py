"""Real images with third parties' numbers, as cases through the installed program.

Needs the shared data (`VOLSTRAT_TEST_DATA`, or beside the checkout); skipped in plain sight without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.third_party import third_party

pytestmark = pytest.mark.slow  # folders of DICOM among them

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).parent / "volstrat"


def record_of(folder: Path, inputs: dict[str, str], table: str = "") -> dict[str, Any]:
    """Build a case that names files of the shared data, run it, and return its record."""
    folder.mkdir(parents=True)
    lines = [f"{role} = {value}" for role, value in inputs.items()]
    if table:
        (folder / "marks.csv").write_text(table)
        lines.append('lesions = "marks.csv"')
    (folder / "case.toml").write_text("[inputs]\n" + "\n".join(lines) + "\n")
    done = subprocess.run(
        [PROGRAM, "case", folder, "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    assert record["status"] != "failed", record["error"]
    return record


def quoted(path: Path) -> str:
    """Return a path as TOML text."""
    return f'"{path.as_posix()}"'


CT_AND_PET = {
    # folder: CT voxels, ml; PET voxels, ml (DATA.md)
    "ibsi_small/STS_019": (5564, 17.3514, 239, 17.1723),
    "ibsi_small/STS_025": (9655, 30.1092, 606, 30.2371),
    "sts_001/nifti": (117145, 365.318, 5095, 366.079),
}


@pytest.mark.parametrize("name", CT_AND_PET)
def test_the_main_job_on_a_real_tumour(tmp_path: Path, name: str) -> None:
    """The CT mask as tumour, the PET mask as avid, the lesion marked resectable: a stratum.

    Every avid voxel is attributed to the lesion, though STS_019's own contours lie millimetres apart.
    """
    ct_voxels, ct_ml, pet_voxels, pet_ml = CT_AND_PET[name]
    masks = {
        "tumour": third_party(f"{name}/CT_mask.nii.gz"),
        "fdg_avid": third_party(f"{name}/PET_mask.nii.gz"),
    }
    record = record_of(
        tmp_path / "case",
        {role: quoted(path) for role, path in masks.items()},
        "lesion_id,resectability\nL1,resectable\n",
    )
    assert record["stratum"] == "stratum_1"
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(ct_ml, abs=6e-4)
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(pet_ml, abs=6e-4)
    assert record["volumes"]["pet_only_ml"] == 0
    one, two = record["predicates"]["stratum_1"], record["predicates"]["stratum_2"]
    assert (one["holds"], one["part_voxels"], one["whole_voxels"]) == (True, ct_voxels, ct_voxels)
    assert (two["holds"], two["part_voxels"], two["whole_voxels"]) == (True, pet_voxels, pet_voxels)
    assert (two["unit"], two["avid_disease"]) == ("pet", "observed")
    assert record["pet_only_regions"] == []
    [lesion] = record["lesions"]
    assert (lesion["lesion_id"], lesion["voxels"], lesion["fdg_avidity"]) == ("L1", ct_voxels, "avid")
    assert lesion["fdg_avid_ml"] == pytest.approx(pet_ml, abs=6e-4)


def test_the_same_tumour_marked_unresectable_is_ineligible(tmp_path: Path) -> None:
    """Its PET alone cannot make it fit: nothing of either count is resectable."""
    name = "ibsi_small/STS_019"
    masks = {
        "tumour": third_party(f"{name}/CT_mask.nii.gz"),
        "fdg_avid": third_party(f"{name}/PET_mask.nii.gz"),
    }
    record = record_of(
        tmp_path / "case",
        {role: quoted(path) for role, path in masks.items()},
        "lesion_id,resectability\nL1,unresectable\n",
    )
    assert (record["status"], record["stratum"]) == ("assigned", "ineligible")
    assert [record["predicates"][s]["part_voxels"] for s in ("stratum_1", "stratum_2")] == [0, 0]


def test_the_digital_phantom_has_592_mm3(tmp_path: Path) -> None:
    """74 voxels of 8 mm3 (IBSI consensus 592 +- 4)."""
    mask = third_party("ibsi_1_digital_phantom/nifti/mask/mask.nii.gz")
    record = record_of(tmp_path / "case", {"tumour": quoted(mask)})
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 74
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(0.592)
    assert record["inputs"][0]["grid"]["spacing_mm"] == pytest.approx([2, 2, 2])


@pytest.mark.parametrize(
    ("name", "voxels", "ml"),
    [
        ("liver_seg.nrrd", {"L1": 107098}, 70.3619),
        ("spine_seg.nrrd", {"L2": 12439}, None),
        ("heart_seg.nrrd", {"L3": 41449}, None),
        ("liver_spine_seg.nrrd", {"L1": 107098, "L2": 12439}, None),
        ("23x38x3/nrrd/label.nrrd", {"L1": 322}, None),
        ("24x38x3/nrrd/label.nrrd", {"L1": 315}, None),
    ],
)
def test_label_maps_of_dcmqi(tmp_path: Path, name: str, voxels: dict[str, int], ml: float | None) -> None:
    """Each label is a lesion of that number; ``instances = "labels"`` keeps a single one whole."""
    path = third_party(f"dcmqi/segmentations/{name}")
    record = record_of(tmp_path / "case", {"tumour": f'{{ path = {quoted(path)}, instances = "labels" }}'})
    assert {x["lesion_id"]: x["voxels"] for x in record["lesions"]} == voxels
    assert record["predicates"]["stratum_1"]["whole_voxels"] == sum(voxels.values())
    if ml is not None:
        assert record["volumes"]["total_tumour_ml"] == pytest.approx(ml, abs=6e-5)


def test_overlapping_segments_count_each_voxel_once(tmp_path: Path) -> None:
    """Five segments in three files: 9602 + 11888 + 10743 + 6693 + 4713 voxels lie on 40505."""
    parts = [third_party(f"dcmqi/segmentations/partial_overlaps-{n}.nrrd") for n in (1, 2, 3)]
    entries = ", ".join(f'{{ path = {quoted(path)}, instances = "labels" }}' for path in parts)
    record = record_of(tmp_path / "case", {"tumour": f"[{entries}]"})
    assert sorted(x["voxels"] for x in record["lesions"]) == [4713, 6693, 9602, 10743, 11888]
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 40505
    assert "overlapping_lesions" in [f["code"] for f in record["findings"]]


def test_a_mask_of_another_image_is_refused(tmp_path: Path) -> None:
    """A PET mask as the resectable part of a CT tumour: refused by name, with the distance."""
    folder = tmp_path / "case"
    folder.mkdir()
    ct, pet = (third_party(f"ibsi_small/STS_025/{kind}_mask.nii.gz") for kind in ("CT", "PET"))
    (folder / "case.toml").write_text(f"[inputs]\ntumour = {quoted(ct)}\nresectable = {quoted(pet)}\n")
    done = subprocess.run(
        [PROGRAM, "case", folder, "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "grid_mismatch"
    for word in ("PET_mask.nii.gz", "CT_mask.nii.gz", "mm away", "tolerance 0.1 mm"):
        assert word in error["message"]
