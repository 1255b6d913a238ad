"""``case.toml``: every role and key of docs/record.md, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from volstrat.case.case_file import CaseSources, Patient, RoleEntry, parse_case_file
from volstrat.errors import CaseError
from volstrat.terms.roles import ROLES

FOLDER = Path("cases/S7")


def parsed(text: str) -> CaseSources:
    """Parse the text as the case file of a folder called S7."""
    return parse_case_file(text.encode(), folder=FOLDER)


def test_the_documented_example() -> None:
    """Every line of the contract's example means what it says."""
    sources = parsed(
        """
        subject = "S001"
        [inputs]
        ct = "ct/"
        tumour = { path = "seg.dcm", segments = ["Liver metastasis*"] }
        resectable = "resectable.nii.gz"
        pet = "pet/"
        fdg_avid = { path = "rtss.dcm", rois = ["FDG*"] }
        lesions = "lesions.csv"
        [patient]
        weight_kg = 71
        height_cm = 175
        sex = "M"
        liver_state = "normal"
        """
    )
    assert sources.subject == "S001"
    assert sources.told_by == "case.toml"
    assert dict(sources.entries) == {
        "ct": (RoleEntry(path=FOLDER / "ct"),),
        "tumour": (RoleEntry(path=FOLDER / "seg.dcm", select=("Liver metastasis*",)),),
        "resectable": (RoleEntry(path=FOLDER / "resectable.nii.gz"),),
        "pet": (RoleEntry(path=FOLDER / "pet"),),
        "fdg_avid": (RoleEntry(path=FOLDER / "rtss.dcm", select=("FDG*",)),),
        "lesions": (RoleEntry(path=FOLDER / "lesions.csv"),),
    }
    assert sources.patient == Patient(weight_kg=71, height_cm=175, sex="M", liver_state="normal")


def test_the_subject_is_the_folder_unless_told() -> None:
    """And nothing is known of the patient: a liver whose state nobody named is not a normal one."""
    sources = parsed('[inputs]\ntumour = "t.nrrd"\n')
    assert sources.subject == "S7"
    assert sources.patient == Patient(weight_kg=None, height_cm=None, sex=None, liver_state=None)
    assert sources.only("pet") is None


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_known(role: str) -> None:
    """Nine of them."""
    assert parsed(f'[inputs]\n{role} = "x"\n').only(role) == RoleEntry(path=FOLDER / "x")


def test_a_role_may_be_a_list() -> None:
    """Texts and tables mixed; their order is kept."""
    entries = parsed('[inputs]\ntumour = ["a.nrrd", { path = "b.nrrd", threshold = 1 }]\n').entries["tumour"]
    assert entries == (RoleEntry(path=FOLDER / "a.nrrd"), RoleEntry(path=FOLDER / "b.nrrd", threshold=1.0))


def test_paths_may_lead_out_of_the_folder() -> None:
    """Relative to the case folder, or absolute."""
    sources = parsed('[inputs]\ntumour = "../shared/t.nrrd"\nct = "/data/ct"\n')
    assert sources.entries["tumour"][0].path == Path("cases/S7/../shared/t.nrrd")
    assert sources.entries["ct"][0].path == Path("/data/ct")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('tumour = { path = "x", segments = 3 }', RoleEntry(path=FOLDER / "x", select=(3,))),
        ('tumour = { path = "x", segments = "a*" }', RoleEntry(path=FOLDER / "x", select=("a*",))),
        ('tumour = { path = "x", rois = ["a", 2] }', RoleEntry(path=FOLDER / "x", select=("a", 2))),
        ('tumour = { path = "x", instances = "labels" }', RoleEntry(path=FOLDER / "x", instances="labels")),
        (
            'tumour = { path = "x", instances = "components" }',
            RoleEntry(path=FOLDER / "x", instances="components"),
        ),
        ('tumour = { path = "x", threshold = 0.5 }', RoleEntry(path=FOLDER / "x", threshold=0.5)),
        ('resectable = { path = "x", resample = true }', RoleEntry(path=FOLDER / "x", resample=True)),
        ('liver = { path = "x", resample = false }', RoleEntry(path=FOLDER / "x")),
        ('remnant = { path = "x", resample = true }', RoleEntry(path=FOLDER / "x", resample=True)),
        (
            'pet = { path = "x", assume_registered = true }',
            RoleEntry(path=FOLDER / "x", assume_registered=True),
        ),
        (
            'fdg_avid = { path = "x", assume_registered = true }',
            RoleEntry(path=FOLDER / "x", assume_registered=True),
        ),
        ('pet = { path = "x", units = "SUVbw" }', RoleEntry(path=FOLDER / "x", units="SUVbw")),
        ('ct = { path = "x", series = "1.2.3" }', RoleEntry(path=FOLDER / "x", series="1.2.3")),
    ],
)
def test_every_key_of_an_entry(line: str, expected: RoleEntry) -> None:
    """Where it applies."""
    role = line.partition(" ")[0]
    assert parsed(f"[inputs]\n{line}\n").only(role) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("subjct = 'x'", "'subjct'", id="unknown key at the top"),
        pytest.param("[inputs]\ntumor = 'x'", "'inputs.tumor'", id="unknown role"),
        pytest.param("[inputs]\nTumour = 'x'", "'inputs.Tumour'", id="role in capitals"),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', label = 1 }", "'inputs.tumour.label'", id="unknown entry key"
        ),
        pytest.param(
            "[inputs]\nct = { path = 'x', segments = [1] }", "'inputs.ct.segments'", id="no mask role"
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', resample = true }", "'inputs.tumour.resample'", id="own grid"
        ),
        pytest.param(
            "[inputs]\nliver = { path = 'x', instances = 'labels' }", "'inputs.liver.instances'", id="lesions"
        ),
        pytest.param(
            "[inputs]\nct = { path = 'x', units = 'SUVbw' }", "'inputs.ct.units'", id="units of a CT"
        ),
        pytest.param("[patient]\nname = 'x'", "'patient.name'", id="unknown patient key"),
        pytest.param("[inputs]\ntumour = 3", "inputs.tumour must be a path", id="number as path"),
        pytest.param("[inputs]\ntumour = ''", "inputs.tumour needs path", id="empty path"),
        pytest.param("[inputs]\ntumour = []", "inputs.tumour is an empty list", id="empty list"),
        pytest.param("[inputs]\ntumour = { segments = [1] }", "inputs.tumour needs path", id="no path"),
        pytest.param("[inputs]\npet = ['a', 'b']", "inputs.pet names 2 files", id="two PET"),
        pytest.param("[inputs]\nlesions = ['a', 'b']", "inputs.lesions names 2 files", id="two tables"),
        pytest.param("inputs = 'x'", "inputs must be a table", id="inputs is no table"),
        pytest.param(
            '[[plans]]\nname = "A"\noutside_liver = { L1 = ["resectable"] }',
            "outside_liver.L1 is",
            id="list of words outside the liver",
        ),
        pytest.param("patient = 'x'", "patient must be a table", id="patient is no table"),
        pytest.param("subject = ''", "subject must be a text", id="empty subject"),
        pytest.param("subject = '  '", "subject must be a text", id="blank subject"),
        pytest.param("subject = 7", "subject must be a text", id="number as subject"),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', segments = [1], rois = [1] }",
            "both segments and rois",
            id="both",
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', segments = [] }", "inputs.tumour.segments", id="no segments"
        ),
        pytest.param("[inputs]\ntumour = { path = 'x', rois = [1.5] }", "inputs.tumour.rois", id="fraction"),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', rois = [true] }", "inputs.tumour.rois", id="true as number"
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', threshold = 'a' }", "inputs.tumour.threshold", id="threshold"
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', threshold = nan }", "inputs.tumour.threshold", id="NaN"
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', threshold = true }", "inputs.tumour.threshold", id="true"
        ),
        pytest.param(
            "[inputs]\nliver = { path = 'x', resample = 1 }", "inputs.liver.resample", id="1 for true"
        ),
        pytest.param(
            "[inputs]\nliver = { path = 'x', resample = 'yes' }", "inputs.liver.resample", id="yes for true"
        ),
        pytest.param(
            "[inputs]\ntumour = { path = 'x', instances = 'label' }",
            "labels or components",
            id="unknown instances",
        ),
        pytest.param(
            "[inputs]\npet = { path = 'x', units = 'SUV' }", "inputs.pet.units is 'SUV'", id="units"
        ),
        pytest.param("[inputs]\npet = { path = 'x', series = 3 }", "inputs.pet.series", id="series"),
        pytest.param("[patient]\nweight_kg = 0.07", "patient.weight_kg is 0.07", id="weight in tonnes"),
        pytest.param("[patient]\nweight_kg = '71'", "patient.weight_kg is '71'", id="weight as text"),
        pytest.param("[patient]\nweight_kg = nan", "patient.weight_kg is nan", id="weight NaN"),
        pytest.param("[patient]\nheight_cm = 1.75", "patient.height_cm is 1.75", id="height in metres"),
        pytest.param("[patient]\nheight_cm = true", "patient.height_cm is True", id="height true"),
        pytest.param("[patient]\nsex = 'male'", "patient.sex is 'male'", id="sex"),
        pytest.param("[patient]\nliver_state = 'bad'", "patient.liver_state is 'bad'", id="liver state"),
        pytest.param("[inputs", "not valid TOML", id="no TOML"),
        pytest.param("[inputs]\nct = 'a'\nct = 'b'", "not valid TOML", id="a key twice"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_path(text: str, said: str) -> None:
    """One sentence that names the file and the key, and a next step."""
    with pytest.raises(CaseError) as caught:
        parsed(text)
    assert caught.value.message.startswith("case.toml: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_other_encodings_are_refused() -> None:
    """TOML is UTF-8."""
    with pytest.raises(CaseError, match="not valid TOML"):
        parse_case_file('subject = "Åse"'.encode("latin-1"), folder=FOLDER)


def test_sources_go_to_another_process() -> None:
    """And come back as they were."""
    sources = parsed('[inputs]\ntumour = { path = "x", rois = ["a", 2] }\n[patient]\nsex = "F"\n')
    back = pickle.loads(pickle.dumps(sources))
    assert (back.subject, dict(back.entries), back.patient) == (
        sources.subject,
        dict(sources.entries),
        sources.patient,
    )
    with pytest.raises(TypeError):
        back.entries["ct"] = ()
