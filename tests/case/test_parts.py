"""Which segments, ROIs and labels of a file play a role, whatever wrote it and however it was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.part_cases import LABELS, LPS, PROTOCOL, codes, nifti, tumour
from tests.phantom_case import write_segmentation
from tests.records import run_case
from volstrat.case.case_file import RoleEntry
from volstrat.case.parts import choose_parts, describe_parts
from volstrat.case.unread import nearly_read
from volstrat.errors import CaseError, PartsAmbiguousError, SegmentNotFoundError
from volstrat.formats.label_names import names_beside
from volstrat.terms.naming import said_by
from volstrat.terms.protocol import NAMING

if TYPE_CHECKING:
    pass

NAMES = [
    pytest.param("Resectable", "Unresectable", id="English"),
    pytest.param("resektabel", "ej resektabel", id="Swedish"),
    pytest.param("Resezierbar", "Nicht resezierbar", id="German"),
    pytest.param("Resecable", "No resecable", id="Spanish"),
    pytest.param("Tumour, resectable", "Tumour, inoperable", id="of tumour"),
    pytest.param("can be resected", "stays", id="in words"),
    pytest.param("resectable: yes", "resectable: no", id="yes and no"),
]


@pytest.mark.parametrize(("yes", "no"), NAMES)
@pytest.mark.parametrize("written_as", ["seg.nrrd", "label table", "dataset.json", "ITK-SNAP"])
def test_what_is_called_unresectable_is_not_resectable(
    tmp_path: Path, yes: str, no: str, written_as: str
) -> None:
    """Two parts, of 90 and 410 voxels: 90 of 500, whoever wrote the names, and in any of these languages."""
    case = tumour(tmp_path / "S1")
    names = {1: yes, 2: no}
    if written_as == "seg.nrrd":
        segments = [(name, value, 0) for value, name in names.items()]
        image = (LPS, LABELS.shape)
        write_segmentation(case / "resectable.seg.nrrd", [LABELS], LPS, segments, drawn_on=image)
    else:
        nifti(case / "resectable.nii.gz", LABELS, names if written_as == "label table" else None)
    if written_as == "dataset.json":
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, yes: 1, no: 2}}))
    if written_as == "ITK-SNAP":
        rows = "\n".join(f'  {n}  255 0 0  1 1 1  "{name}"' for n, name in names.items())
        (case / "labels.txt").write_text(f"# ITK-SnAP Label Description File\n{rows}\n")
    record = run_case(case, PROTOCOL)
    predicate = record["predicates"]["stratum_1"]
    assert (predicate["part_voxels"], predicate["whole_voxels"]) == (90, 500)
    (parts,) = (one["parts"] for one in record["inputs"] if one["role"] == "resectable")
    assert [(p["number"], p["name"], p["voxels"], p["role"]) for p in parts] == [
        (1, yes, 90, "resectable"),
        (2, no, 410, None),
    ]


MITK_GROUPS = [
    {"name": "Group 0", "_file": "./resectable.nii.gz", "labels": [
        {"name": "resektabel", "value": 1, "color": [1.0, 0.0, 0.0], "locked": True, "tracking_id": "1"},
        {"name": "ej resektabel", "value": 2, "_file": "./stays.nii.gz", "_file_value": 1},
    ]},
]  # fmt: skip
"""As MITK writes it: two labels of one group, of which the second has a file of its own as well."""


def test_the_labels_of_mitk_are_named_by_its_stack_file(tmp_path: Path) -> None:
    """``*.mitklabel.json`` names the group's file with ``./``; the label's own file holds it as 1."""
    case = tumour(tmp_path / "S1")
    nifti(case / "resectable.nii.gz", LABELS)
    (case / "S1.mitklabel.json").write_text(
        json.dumps({"version": 3, "type": "org.mitk.multilabel.segmentation.stack", "groups": MITK_GROUPS})
    )
    predicate = run_case(case, PROTOCOL)["predicates"]["stratum_1"]
    assert (predicate["part_voxels"], predicate["whole_voxels"]) == (90, 500)
    nifti(case / "stays.nii.gz", (LABELS == 2).astype(np.uint8))
    assert names_beside(case / "stays.nii.gz") == (case / "S1.mitklabel.json", {1: "ej resektabel"})


def test_the_labels_of_mitk_are_named_by_the_nrrd_itself(tmp_path: Path) -> None:
    """Its key holds the groups; two groups are two layers, each of its own values."""
    case = tumour(tmp_path / "S1")
    groups = [
        {"labels": [{"name": "resektabel", "value": 1}]},
        {"labels": [{"name": "ej resektabel", "value": 2}]},
    ]
    layers = np.stack([LABELS * (LABELS == 1), LABELS * (LABELS == 2)])
    rows = " ".join(f"({','.join(f'{one:.6g}' for one in column)})" for column in LPS[:3, :3].T)
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\n"
        f"sizes: 2 {' '.join(map(str, LABELS.shape))}\nspace directions: none {rows}\n"
        "kinds: vector domain domain domain\nencoding: raw\n"
        f"space origin: ({','.join(map(str, LPS[:3, 3]))})\n"
        "modality:=org.mitk.multilabel.segmentation\n"
        f"org.mitk.multilabel.segmentation.labelgroups:={json.dumps(groups)}\n\n"
    )
    (case / "resectable.nrrd").write_bytes(header.encode() + layers.tobytes(order="F"))
    predicate = run_case(case, PROTOCOL)["predicates"]["stratum_1"]
    assert (predicate["part_voxels"], predicate["whole_voxels"]) == (90, 500)


@pytest.mark.parametrize("how", ["stem", "case.toml"])
@pytest.mark.parametrize("role", ["resectable", "liver", "remnant"])
def test_labels_without_names_are_asked_for(tmp_path: Path, how: str, role: str) -> None:
    """Two labels and no name: the error lists both, and the line that takes both."""
    case = tumour(tmp_path / "S1")
    nifti(case / ("a.nii.gz" if how == "case.toml" else f"{role}.nii.gz"), LABELS)
    if how == "case.toml":
        (case / "case.toml").write_text(f'[inputs]\ntumour = "tumour.nii.gz"\n{role} = "a.nii.gz"\n')
    error = run_case(case, PROTOCOL)["error"]
    assert error["code"] == "parts_ambiguous"
    assert "label 1, label 2" in error["message"]
    assert "segments = [1, 2]" in error["hint"]


def test_every_unnamed_label_of_a_tumour_is_a_lesion(tmp_path: Path) -> None:
    """A person called the file tumour, and nothing in it says otherwise."""
    nifti(tmp_path / "tumour.nii.gz", LABELS)
    record = run_case(tmp_path, PROTOCOL)
    assert {one["lesion_id"]: one["voxels"] for one in record["lesions"]} == {"L1": 90, "L2": 410}


@pytest.mark.parametrize("organ", ["Liver", "Lever", "pancreas", "Left kidney", "BODY"])
def test_an_organ_in_the_tumour_file_is_no_lesion(tmp_path: Path, organ: str) -> None:
    """Organ and tumour as public data sets have them: the tumour counts, and the organ is listed."""
    labels = LABELS.copy()
    labels[2:14, 2:14, 3:9][labels[2:14, 2:14, 3:9] == 0] = 1  # round the tumour
    nifti(tmp_path / "tumour.nii.gz", labels, {1: organ, 2: "cancer"})
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 410
    assert codes(record) == set()
    (found,) = [one for one in record["findings"] if one["code"] == "structures_left_out"]
    assert (found["severity"], f"1 '{organ}' is called like something else" in found["message"]) == (
        "info",
        True,
    )


@pytest.mark.parametrize("site", ["Bone", "Pancreas", "Lymphatics hilum", "Unresectable", "DOTATATE"])
def test_a_part_called_by_an_organ_that_no_tumour_touches_may_be_a_lesion(tmp_path: Path, site: str) -> None:
    """Lesions called by their sites: "Liver met 1", "Bone". It is not counted, and a person must look."""
    nifti(tmp_path / "tumour.nii.gz", LABELS, {1: site, 2: "Liver met 1"})
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 410
    (found,) = [one for one in record["findings"] if one["code"] == "structures_left_out"]
    assert found["severity"] == "review"
    assert f"1 '{site}' is not counted as tumour" in found["message"]
    entry = '[inputs]\ntumour = {{ path = "tumour.nii.gz", {} }}\n'
    (tmp_path / "case.toml").write_text(entry.format("leave_out = [1]"))
    assert "structures_left_out" not in codes(run_case(tmp_path, PROTOCOL))
    (tmp_path / "case.toml").write_text(entry.format("segments = [1, 2]"))
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 500
    assert "structures_left_out" not in codes(record)


@pytest.mark.parametrize("liver_has_its_role", [False, True])
def test_organs_far_from_tumour_are_organs_where_one_of_them_holds_it(
    tmp_path: Path, liver_has_its_role: bool
) -> None:
    """A model's file of organs and tumour in the liver: the spleen is no lesion called by its site."""
    labels = LABELS.copy()
    labels[2:14, 2:14, 3:9][labels[2:14, 2:14, 3:9] == 0] = 3
    nifti(tmp_path / "tumour.nii.gz", labels, {1: "spleen", 2: "liver_tumor", 3: "liver"})
    if liver_has_its_role:
        (tmp_path / "case.toml").write_text('[inputs]\ntumour = "tumour.nii.gz"\nliver = "tumour.nii.gz"\n')
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 410
    (found,) = [one for one in record["findings"] if one["code"] == "structures_left_out"]
    assert (found["severity"], "spleen" in found["message"]) == ("info", True)


@pytest.mark.parametrize(
    ("role", "name", "said"),
    [
        pytest.param("fdg_avid", "DOTATATE avid", "a somatostatin receptor tracer", id="another tracer"),
        pytest.param("fdg_avid", "FDG-negative", "that it is not FDG-avid disease", id="not avid"),
        pytest.param("resectable", "Unresectable", "that it is not what can be resected", id="unresectable"),
    ],
)
def test_a_chosen_part_whose_name_denies_the_role_is_a_review(
    tmp_path: Path, role: str, name: str, said: str
) -> None:
    """A person chose it, so it counts; that its name says otherwise must be looked at."""
    nifti(tmp_path / "t.nii.gz", (LABELS > 0).astype(np.uint8))
    nifti(tmp_path / "m.nii.gz", LABELS, {1: name, 2: "x"})
    entry = f'[inputs]\ntumour = "t.nii.gz"\n{role} = {{ path = "m.nii.gz", segments = ["{name}"] }}\n'
    (tmp_path / "case.toml").write_text(entry)
    record = run_case(tmp_path, PROTOCOL)
    (found,) = [one for one in record["findings"] if one["code"] == "part_denies_role"]
    assert (found["severity"], found["where"]) == ("review", role)
    assert f"1 '{name}' is chosen as {role}, and the name says {said}." in found["message"]


def test_what_is_left_out_is_said_once_and_can_be_settled(tmp_path: Path) -> None:
    """Of three metastases one is chosen, one is left out on purpose: the third is a review."""
    labels = LABELS.copy()
    labels[0:2, 0:2, 0] = 3
    nifti(tmp_path / "t.nii.gz", labels, {1: "Met 1", 2: "Met 2", 3: "Met 3"})
    entry = 'tumour = {{ path = "t.nii.gz", segments = ["Met 1"], leave_out = [{}] }}'
    (tmp_path / "case.toml").write_text("[inputs]\n" + entry.format('"Met 2"'))
    record = run_case(tmp_path, PROTOCOL)
    (found,) = [one for one in record["findings"] if one["code"] == "tumour_part_left_out"]
    assert "3 'Met 3'" in found["message"]
    assert "Met 2" not in found["message"]
    (tmp_path / "case.toml").write_text("[inputs]\n" + entry.format('"Met 2", 3'))
    assert "tumour_part_left_out" not in codes(run_case(tmp_path, PROTOCOL))


def test_a_name_that_says_nothing_beside_one_that_fits_is_a_review(tmp_path: Path) -> None:
    """Segment_2 may be the second metastasis."""
    nifti(tmp_path / "tumour.nii.gz", LABELS, {1: "Metastasis", 2: "Segment_2"})
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 90
    assert "part_unclear" in codes(record)


def test_a_name_that_leaves_the_question_open_is_a_review(tmp_path: Path) -> None:
    """What is called "borderline resectable" is neither taken nor silently left out: 90 of 500 count."""
    labels = LABELS.copy()
    labels[20:22, 20:25, 12] = 0
    nifti(tumour(tmp_path) / "resectable.nii.gz", labels, {1: "resectable", 2: "borderline resectable"})
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["part_voxels"] == 90
    assert "part_unclear" in codes(record)


def test_a_label_round_another_may_be_an_organ(tmp_path: Path) -> None:
    """Liver and tumour without names: the outer label encloses the inner one."""
    labels = np.zeros_like(LABELS)
    labels[2:28, 2:26, 2:18] = 1
    labels[LABELS > 0] = 2
    nifti(tmp_path / "tumour.nii.gz", labels)
    assert "part_may_be_organ" in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"background": 0, "liver": 2, "tumour": 1}, id="version 2"),
        pytest.param({"0": "background", "2": "liver", "1": "tumour"}, id="version 1"),
        pytest.param({"background": "0", "liver": "2", "tumour": "1"}, id="numbers as texts"),
        pytest.param({"background": 0, "liver": [1, 2], "tumour": [1]}, id="regions"),
        pytest.param({"background": 0, "liver": [2, 1], "tumour": 1}, id="a region and a label"),
    ],
)
def test_a_data_set_names_its_labels_in_every_way_it_may(tmp_path: Path, labels: dict[str, object]) -> None:
    """Liver, 410 voxels, is no tumour: 90 of them are, whose smallest region is called so."""
    nifti(tmp_path / "tumour.nii.gz", LABELS)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert run_case(tmp_path, PROTOCOL)["predicates"]["stratum_1"]["whole_voxels"] == 90


def choice(
    role: str, *names: str, select: tuple[str | int, ...] = (), leave_out: tuple[str | int, ...] = ()
) -> list[str]:
    """Return the names of the parts that a role takes of a file."""
    entry = RoleEntry(path=Path("x.seg.nrrd"), select=select, leave_out=leave_out)
    parts = describe_parts(dict(enumerate(names, start=1)), {}, stem="x", naming=NAMING)
    taken = choose_parts(role, entry, parts).taken
    return [part.name for part in parts if part.number in taken]


@pytest.mark.parametrize(
    ("role", "names", "taken"),
    [
        ("fdg_avid", ("FDG PET avid", "DOTATATE PET avid"), ["FDG PET avid"]),
        ("fdg_avid", ("Met 1", "FDG-negative met"), ["Met 1"]),
        ("resectable", ("Met 1", "Met 3"), ["Met 1", "Met 3"]),
        ("tumour", ("FDG-avid metastasis", "FDG-negative metastasis"), None),
        ("tumour", ("Tumour (resectable)", "Tumour (unresectable)"), None),
        ("liver", ("Liver", "Spleen"), ["Liver"]),
        ("remnant", ("FLR", "Liver"), ["FLR"]),
        ("tumour", ("Liver minus tumour", "Lesion"), ["Lesion"]),
        ("tumour", ("no tumour", "Läsion", "peritumoral ring"), ["Läsion"]),
        ("tumour", ("Met", "tumorfrei", "tumörfri", "absence de tumeur", "gutartige Läsion"), ["Met"]),
        ("resectable", ("Resectable", "resectable (no)", "never resectable", "inresektabel"), ["Resectable"]),
        ("resectable", ("Resektabel", "debulking impossible", "kaum resezierbar"), ["Resektabel"]),
        ("resectable", ("Resectable", "borderline resectable", "resectable?"), ["Resectable"]),
        ("resectable", ("Met 1", "Met 2, fraglich resezierbar"), ["Met 1"]),
        ("resectable", ("potentially resectable",), None),
        ("fdg_avid", ("FDG-avid", "FDG (-)", "FDG non fixant", "FDG bladder", "FDG reference"), ["FDG-avid"]),
        ("cut", ("Right lobe", "FLR"), ["Right lobe"]),
        ("fdg_avid", ("FDG brain metastasis", "FDG-avid?"), ["FDG brain metastasis"]),
    ],
)
def test_names_decide(role: str, names: tuple[str, ...], taken: list[str] | None) -> None:
    """None: all of them; two halves of the tumour are both tumour."""
    assert choice(role, *names) == (list(names) if taken is None else taken)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("resectable", ("Unresectable",)),
        ("resectable", ("Segment_1", "Segment_2")),
        ("tumour", ("Liver", "Spleen")),
        ("fdg_avid", ("DOTATOC avid",)),
        ("cut", ("remnant",)),
        ("cut", ("Right lobe", "Left lobe")),
    ],
)
def test_what_nothing_fits_is_refused_with_every_candidate(role: str, names: tuple[str, ...]) -> None:
    """The sentence names all parts."""
    with pytest.raises(PartsAmbiguousError) as caught:
        choice(role, *names)
    assert all(name in caught.value.message and name in caught.value.hint for name in names)


def test_choosing_and_leaving_out_one_part_is_refused() -> None:
    """And so is leaving out what is not there."""
    with pytest.raises(CaseError, match="both chosen and left out"):
        choice("tumour", "Met 1", select=("Met 1",), leave_out=(1,))
    with pytest.raises(SegmentNotFoundError, match="1 'Met 1'"):
        choice("tumour", "Met 1", leave_out=("Met 9",))


@pytest.mark.parametrize(
    ("name", "code", "role"),
    [
        ("Segment_1", ("108369006", "SCT", "Neoplasm"), "tumour"),
        ("Segment_1", ("M-01100", "SRT", "Lesion"), "tumour"),
        ("Segment_1", ("x", "99LOCAL", "Metastasis"), "tumour"),
        ("Segment_1", ("10200004", "SCT", "Liver"), "liver"),
        ("Spleen", ("4147007", "SCT", "Mass"), None),
        ("Resectable", ("4147007", "SCT", "Mass"), "resectable"),
    ],
)
def test_a_code_speaks_where_the_name_is_silent(
    name: str, code: tuple[str, str, str], role: str | None
) -> None:
    """Programs write "Mass" as the type of whatever they segment."""
    assert said_by(name, [code], NAMING).role == role


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lesions.ods", "lesions.csv"),
        ("lesions (1).csv", "lesions.csv"),
        ("lesions_final.csv", "lesions.csv"),
        ("lesions2.csv", "lesions.csv"),
        ("Lesions_v2.xlsx", "lesions.csv"),
        ("lesionstabelle.xlsx", "lesions.csv"),
        ("case_v2.toml", "case.toml"),
        ("lesions.csv.txt", "lesions.csv"),
        ("case.toml.txt", "case.toml"),
        ("case (1).toml", "case.toml"),
        ("resectable_v2.nii.gz", "resectable.nii.gz"),
        ("Tumour - kopia.nrrd", "tumour.nrrd"),
        ("resectible.nii.gz", "resectable.nii.gz"),
        ("fdg-avid.nii.gz", "fdg_avid.nii.gz"),
        ("tumour.mgz", "tumour.nii.gz"),
        ("unresectable.nii.gz", None),  # a rename would turn its meaning round
        ("non_resectable.nii.gz", None),
        ("nonavid.nii.gz", None),
        ("notes.txt", None),
        ("liver_vessels.nii.gz", None),
        ("report.pdf", None),
    ],
)
def test_names_that_nearly_are_one(tmp_path: Path, name: str, expected: str | None) -> None:
    """Versions, copies, slips of the pen and other endings; notes are none."""
    near = nearly_read(tmp_path / name)
    assert (near and near[0]) == expected


def test_what_lies_unread_is_listed_and_a_near_name_is_a_review(tmp_path: Path) -> None:
    """A note is listed; a second version of a mask calls for a person."""
    case = tumour(tmp_path)
    (case / "note.txt").write_text("see the other folder")
    nifti(case / "resectable_v2.nii.gz", LABELS)
    findings = [one for one in run_case(case, PROTOCOL)["findings"] if one["code"] == "files_unread"]
    assert [(one["severity"], one["where"]) for one in findings] == [
        ("review", "resectable_v2.nii.gz"),
        ("info", ""),
    ]
    assert "note.txt" in findings[1]["message"]


def test_a_table_that_case_toml_does_not_name_is_said_to_be_that(tmp_path: Path) -> None:
    """It is called lesions.csv; that it must be called so is no help."""
    case = tumour(tmp_path)
    (mask,) = [path.name for path in case.iterdir() if path.name.startswith("tumour")]
    (case / "case.toml").write_text(f'[inputs]\ntumour = "{mask}"\n')
    (case / "lesions.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    (one,) = [one for one in run_case(case, PROTOCOL)["findings"] if one["code"] == "files_unread"]
    assert one["severity"] == "review"
    assert 'case.toml does not name it. Write lesions = "lesions.csv"' in one["message"]
