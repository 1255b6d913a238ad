"""What "FDG-avid" means by rule, on PET in DICOM, through a protocol file.

CT: 30 x 24 x 16 voxels of 2 x 2 x 2.5 mm, oblique; four cuboids of tumour, far enough apart that no search
region (5 mm) of one meets another. PET: the same axes, 4 x 4 x 5 mm, so that a PET voxel holds 2 x 2 x 2 CT
voxels and lesions begin on its faces. SUV by PET voxel:

    background 1.0 exactly; L1 (5 x 4 x 3 PET voxels) 6.0; L2 (4 x 3 x 3) 3.0; L3 (3 x 3 x 2) 1.0;
    L4 (one PET voxel, 8 CT voxels of 10 mm3: 5.3 mm equivalent diameter) 1.0.
"""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dicom.dicom_case import PT, Series, write_ct, write_pt, write_seg
from tests.records import run_case
from volstrat.case.protocol_files import LoadedProtocol, load_protocol

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.records import Record

SHAPE, PET_SHAPE = (48, 40, 28), (24, 20, 14)
# In PET voxels; doubled they are CT voxels.
BOXES = {
    1: (slice(3, 8), slice(3, 7), slice(3, 6)),
    2: (slice(15, 19), slice(3, 6), slice(3, 6)),
    3: (slice(3, 6), slice(13, 16), slice(3, 5)),
    4: (slice(17, 18), slice(14, 15), slice(10, 11)),
}
VOXELS = {1: 5 * 4 * 3, 2: 4 * 3 * 3, 3: 3 * 3 * 2, 4: 1}
UPTAKE = {1: 6.0, 2: 3.0, 3: 1.0, 4: 1.0}
LIVER = (slice(9, 14), slice(9, 14), slice(7, 12))
"""5 x 5 x 5 PET voxels of background, away from all tumour: 10 ml."""


def affines() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the CT's and the PET's affine; the PET's voxel 0 holds the CT's voxels 0 and 1 of each axis."""
    axes = np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]])
    ct = np.eye(4)
    ct[:3, :3] = axes * (2.0, 2.0, 2.5)
    ct[:3, 3] = (-71.5, 33.25, -812.0)
    pet = np.eye(4)
    pet[:3, :3] = 2 * ct[:3, :3]
    pet[:3, 3] = ct[:3, 3] + ct[:3, :3] @ (0.5, 0.5, 0.5)
    return ct, pet


def on_ct(box: tuple[slice, slice, slice]) -> tuple[slice, ...]:
    """Return a box of PET voxels in CT voxels."""
    return tuple(slice(2 * s.start, 2 * s.stop) for s in box)


def suv() -> NDArray[np.float64]:
    """Return SUV on the PET grid."""
    values = np.full(PET_SHAPE, 1.0)
    for number, box in BOXES.items():
        values[box] = UPTAKE[number]
    return values


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the case: CT, PT, and a SEG of the tumours, a liver and a blood pool region."""
    folder = tmp_path_factory.mktemp("rules") / "S1"
    ct, pet = affines()
    images = write_ct(folder / "ct", ct, SHAPE)
    write_pt(folder / "pt", suv(), pet)
    masks = {}
    for number, box in BOXES.items():
        masks[f"Tumour {number}"] = np.zeros(SHAPE, bool)
        masks[f"Tumour {number}"][on_ct(box)] = True
    masks["Reference"] = np.zeros(SHAPE, bool)
    masks["Reference"][on_ct(LIVER)] = True
    write_seg(folder / "seg", masks, images)
    return folder


@cache
def protocol(*lines: str) -> LoadedProtocol:
    """Return a protocol whose ``avidity`` table holds these lines."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rule.toml"
        path.write_text("\n".join(['id = "rule"', "[avidity]", *lines]))
        return load_protocol(path)


def run(case: Path, *lines: str, table: str | None = None) -> Record:
    """Run the case under a rule, with a lesion table where there is one."""
    path = case / "lesions.csv"
    path.unlink(missing_ok=True)
    if table is not None:
        path.write_text(f"lesion_id,resectability,fdg_avidity\n{table}")
    record = run_case(case, protocol(*lines))
    assert record["error"] is None, record["error"]
    return record


def avid(record: Record) -> list[str]:
    """Return each lesion's avidity."""
    return [lesion["fdg_avidity"] for lesion in record["lesions"]]


def codes(record: Record) -> set[str]:
    """Return the findings' codes."""
    return {f["code"] for f in record["findings"]}


FIXED = ('rule = "fixed"', "suv_threshold = 2.5")


def test_fixed_takes_the_voxels_from_its_threshold(case: Path) -> None:
    """L1 and L2, all their voxels and no other: 60 + 36 = 96 PET voxels of 80 mm3."""
    record = run(case, *FIXED, table="L1,resectable,\nL2,resectable,\nL3,unresectable,\nL4,unresectable,\n")
    assert avid(record) == ["avid", "avid", "not_avid", "not_avid"]
    two = record["predicates"]["stratum_2"]
    assert (two["part_voxels"], two["whole_voxels"], two["holds"]) == (96, 96, True)
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(96 * 0.08, rel=1e-6)
    # 60 + 36 of 115 PET voxels' worth of tumour: 768 of 920 CT voxels
    one = record["predicates"]["stratum_1"]
    assert (one["part_voxels"], one["whole_voxels"], record["stratum"]) == (768, 920, "stratum_1")
    assert "pet_only_not_searched" in codes(record)
    (pet,) = [entry for entry in record["inputs"] if entry["role"] == "pet"]
    assert pet["suv"]["units"] == "BQML"
    used = {source["attribute"]: source["value"] for source in pet["suv"]["sources"]}
    assert float(used["RadionuclideTotalDose"]) == 3e8
    assert float(used["PatientWeight"]) == 70


@pytest.mark.parametrize(("threshold", "expected"), [(2.9, 2), (3.1, 1), (0.5, 4)])
def test_fixed_follows_its_threshold(case: Path, threshold: float, expected: int) -> None:
    """Above 3 only L1; below 1 everything, round about the lesions too."""
    record = run(case, 'rule = "fixed"', f"suv_threshold = {threshold}")
    assert avid(record).count("avid") == expected


def test_sul_is_lower_than_suvbw(case: Path) -> None:
    """70 kg, 1.75 m, F: BMI 22.857; lean 9270 x 70 / (8780 + 244 x 22.857) = 45.20 kg: SUL = 0.6457 SUVbw.

    SUV 3 is SUL 1.937 and SUV 6 is SUL 3.874: 2.5 parts them where SUVbw does not.
    """
    assert avid(run(case, *FIXED))[:2] == ["avid", "avid"]
    assert avid(run(case, *FIXED, 'metric = "SUL"'))[:2] == ["avid", "not_avid"]


def test_percent_of_max_delineates_what_the_detector_found(case: Path) -> None:
    """50 % of 6 and of 3 leave the lesions whole; 10 % of them take the whole 5 mm margin as well."""
    half = run(case, *FIXED, 'delineation = "percent_of_max"', "percent_of_max = 50")
    assert half["predicates"]["stratum_2"]["whole_voxels"] == 96
    tenth = run(case, *FIXED, 'delineation = "percent_of_max"', "percent_of_max = 10")
    assert tenth["predicates"]["stratum_2"]["whole_voxels"] > 2 * 96
    assert avid(tenth)[:3] == ["avid", "avid", "not_avid"]


@pytest.mark.parametrize(
    ("rule", "factor"), [("liver", 1.5), ("blood_pool", 2.0)], ids=["liver 1.5", "blood pool 2.0"]
)
def test_rules_with_a_reference_region(case: Path, rule: str, factor: float) -> None:
    """The region's mean is 1.00 and its SD 0: L1 is above the limit, L3 is not; the finding says it."""
    record = run(case, f'rule = "{rule}"')
    assert avid(record)[0] == "avid"
    assert avid(record)[2] == "not_avid"
    (message,) = [f["message"] for f in record["findings"] if f["code"] == "avidity_reference"]
    assert "of 1.00 (SD 0.00)" in message
    assert f"from a SUVbw peak of {factor:.2f}" in message


def test_background_compares_with_the_shell_round_each_lesion(case: Path) -> None:
    """1.0 all round: L1 and L2 stand out, L3 and L4 are level with it."""
    assert avid(run(case, 'rule = "background"')) == ["avid", "avid", "not_avid", "not_avid"]


def test_a_small_lesion_that_is_not_detected_is_not_assessable(case: Path) -> None:
    """L4 has 80 mm3; the finding names it and none of the others (L3: 1440 mm3, 14 mm)."""
    record = run(case, *FIXED)
    (finding,) = [f for f in record["findings"] if f["code"] == "small_lesion_not_assessable"]
    assert finding["where"] == "L4"
    assert "too small for PET to show (below 10 mm)" in finding["message"]


def test_the_table_stands_over_the_rule(case: Path) -> None:
    """L2 is called not avid: its 36 voxels leave; L3 is called avid without a voxel, and must go too."""
    table = "L1,resectable,\nL2,unresectable,not_avid\nL3,unresectable,\nL4,unresectable,\n"
    record = run(case, *FIXED, table=table)
    assert avid(record) == ["avid", "not_avid", "not_avid", "not_avid"]
    two = record["predicates"]["stratum_2"]
    assert (two["part_voxels"], two["whole_voxels"], two["holds"]) == (60, 60, True)
    table = table.replace("L3,unresectable,", "L3,unresectable,avid")
    assert run(case, *FIXED, table=table)["predicates"]["stratum_2"]["holds"] is False


def test_another_rule_that_gives_another_stratum_calls_for_review(case: Path) -> None:
    """L1 goes, L2 stays: 52 % of the volume.

    From SUV 2.5 both are avid: 60 of 96, ineligible. From 3.5 only L1 is: 60 of 60, stratum 2. From 2.0
    nothing changes.
    """
    table = "L1,resectable,\nL2,unresectable,\nL3,unresectable,\nL4,unresectable,\n"  # 480 of 920: 52 %
    beside = '{ rule = "fixed", suv_threshold = 3.5 }'
    record = run(case, *FIXED, f"also_check = [{beside}]", table=table)
    assert (record["stratum"], record["status"]) == ("ineligible", "review")
    (finding,) = [f for f in record["findings"] if f["code"] == "open_choice"]
    assert finding["severity"] == "review"
    assert "3.5" in finding["message"]
    assert "stratum 2" in finding["message"]
    same = run(case, *FIXED, 'also_check = [{ rule = "fixed", suv_threshold = 2.0 }]', table=table)
    assert (same["stratum"], "open_choice" in codes(same)) == ("ineligible", False)


def test_a_rule_to_check_against_that_has_no_suv_is_said(case: Path, tmp_path: Path) -> None:
    """A check that the protocol asks for and nobody made must not look like one that found nothing."""
    weightless = tmp_path / "S1"
    shutil.copytree(case, weightless)
    write_pt(weightless / "pt", suv(), affines()[1], PatientWeight=None)
    record = run(weightless, 'also_check = [{ rule = "fixed", suv_threshold = 2.5 }]')
    (finding,) = [f for f in record["findings"] if f["code"] == "avidity_rule_not_evaluated"]
    assert finding["severity"] == "warning"
    assert '"fixed SUVbw 2.5", could not be applied: there is no PET image' in finding["message"]
    assert "avidity_rule_not_evaluated" not in codes(run(case))


def test_a_rule_needs_pet(case: Path, tmp_path: Path) -> None:
    """Without a PET series the rule cannot be carried out: pet_missing, never "nothing avid"."""
    folder = tmp_path / "S1"
    folder.mkdir()
    (folder / "ct").symlink_to(case / "ct")
    (folder / "seg").symlink_to(case / "seg")
    (folder / "lesions.csv").write_text(
        "lesion_id,resectability\n" + "".join(f"L{n},unresectable\n" for n in VOXELS)
    )
    record = run_case(folder, protocol(*FIXED))
    assert record["predicates"]["stratum_2"]["avid_disease"] == "not_assessed"
    assert "pet_missing" in codes(record)


def test_a_pet_that_is_not_attenuation_corrected_calls_for_review_where_a_rule_uses_it(
    case: Path, tmp_path: Path
) -> None:
    """Its SUV decide, and they are not valid; as description it is a warning."""
    folder = tmp_path / "S1"
    folder.mkdir()
    (folder / "ct").symlink_to(case / "ct")
    (folder / "seg").symlink_to(case / "seg")
    write_pt(folder / "pt", suv(), affines()[1], Series(uid=PT.uid), CorrectedImage=["DECY"])
    found = [
        [f["severity"] for f in run_case(folder, loaded)["findings"] if "not_attenuation" in f["code"]]
        for loaded in (protocol(*FIXED), protocol('rule = "mask"'))
    ]
    assert found == [["review"], ["warning"]]
