"""Study files: patterns, subjects, visits, readers, pinned protocol and version."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import volstrat as vs
from tests.cohort.cohorts import InlineRunner, rows, write_case
from volstrat import __version__
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import CohortResult, run_cohort
from volstrat.errors import UsageError
from volstrat.study.patterns import PathPattern
from volstrat.study.study_file import read_study
from volstrat.study.subjects import find_study_cases

if TYPE_CHECKING:
    from pathlib import Path


def study(folder: Path, text: str) -> Path:
    """Write a study file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def touch(folder: Path, *names: str) -> Path:
    """Create empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def run(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> CohortResult:  # noqa: ANN401
    """Run a cohort in this process."""
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
    return run_cohort(source, out, protocol=load_protocol(), workers=1, **options)


@pytest.mark.parametrize(
    ("pattern", "files", "found"),
    [
        pytest.param("{subject}", ("S1/a", "S2/a"), [("S1", None), ("S2", None)], id="folders"),
        pytest.param(
            "imagesTr/{subject}_0000.nii.gz",
            ("imagesTr/c_1_0000.nii.gz", "imagesTr/c_1_0001.nii.gz", "imagesTr/x.nii.gz"),
            [("c_1", None)],
            id="part of a file's name",
        ),
        pytest.param(
            "{subject}/{visit}/ct.nii",
            ("P1/V1/ct.nii", "P1/V2/ct.nii", "P2/V1/x"),
            [("P1", "V1"), ("P1", "V2")],
            id="visits",
        ),
        pytest.param(
            "s-{subject}/s-{subject}.nii", ("s-1/s-1.nii", "s-2/s-1.nii"), [("1", None)], id="named twice"
        ),
        pytest.param("*/{subject}/x?.nii", ("a/S1/x1.nii", "b/S2/x22.nii"), [("S1", None)], id="wild"),
        pytest.param("{subject}/t", ("__MACOSX/t", ".x/t", "S/t"), [("S", None)], id="what systems leave"),
        pytest.param("[a]/{subject}.nii", ("[a]/S1.nii", "a/S2.nii"), [("S1", None)], id="brackets"),
    ],
)
def test_a_pattern_finds_subjects(
    tmp_path: Path, pattern: str, files: tuple[str, ...], found: list[tuple[str, str | None]]
) -> None:
    """Places, wildcards, and places that recur."""
    touch(tmp_path, *files)
    matches = PathPattern(text=pattern, where="here").matches(tmp_path)
    assert [(match.subject, match.visit) for match in matches] == found


def test_a_name_is_one_name_in_both_forms_of_unicode(tmp_path: Path) -> None:
    """A disk may write Å as A and a ring; the pattern of a file typed elsewhere still fits."""
    touch(tmp_path, unicodedata.normalize("NFD", "Åre/S1/ct.nii"))
    pattern = PathPattern(text=unicodedata.normalize("NFC", "Åre/{subject}/ct.nii"), where="here")
    assert [match.subject for match in pattern.matches(tmp_path)] == ["S1"]


def test_names_with_wildcards_in_them_are_taken_as_written(tmp_path: Path) -> None:
    """A subject called S[1]* is nobody else."""
    touch(tmp_path, "S[1]*/t.nii", "S1x/t.nii")
    pattern = PathPattern(text="{subject}/t.nii", where="here")
    assert pattern.files(tmp_path, subject="S[1]*", visit=None) == [tmp_path / "S[1]*" / "t.nii"]


def test_a_study_gives_what_the_folders_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files under an nnU-Net-like tree give the same rows as case folders."""
    for n in range(3):
        case = write_case(tmp_path / "cases" / f"S{n}", n)
        for role in ("tumour", "resectable", "fdg_avid"):
            (tmp_path / "tree" / role).mkdir(parents=True, exist_ok=True)
            shutil.copy(case / f"{role}.nii.gz", tmp_path / "tree" / role / f"S{n}.nii.gz")
    entries = "\n".join(
        f'{role} = "{role}/{{subject}}.nii.gz"' for role in ("tumour", "resectable", "fdg_avid")
    )
    file = study(
        tmp_path / "tree", f'[layout]\nsubject = "tumour/{{subject}}.nii.gz"\n[layout.inputs]\n{entries}\n'
    )
    run(file, tmp_path / "out", monkeypatch)
    run(tmp_path / "cases", tmp_path / "folders", monkeypatch)
    assert rows(tmp_path / "out") == rows(tmp_path / "folders")


def test_a_study_of_folders_may_add_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tumour in the layout each folder says its roles; a missing table fails its subject."""
    for name in ("S1", "S2"):
        write_case(tmp_path / "cases" / name)
    (tmp_path / "reads").mkdir()
    (tmp_path / "reads" / "S1.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    file = study(
        tmp_path, '[layout]\nsubject = "cases/{subject}"\n[layout.inputs]\nlesions = "reads/{subject}.csv"\n'
    )
    run(file, tmp_path / "out", monkeypatch)
    first, second = rows(tmp_path / "out")
    assert first["status"] != "failed"
    assert second["status"] == "failed"
    assert "S2.csv" in second["error.message"]


def test_a_reader_of_the_study_is_chosen_by_name(tmp_path: Path) -> None:
    """--lesions R1 takes R1's tables; one that the study does not know is refused with those that it does."""
    write_case(tmp_path / "S1")
    file = study(
        tmp_path,
        '[layout]\nsubject = "{subject}/tumour.nii.gz"\n'
        '[layout.inputs]\ntumour = "{subject}/tumour.nii.gz"\n'
        '[readers]\nR1 = { lesions = "reads/R1/{subject}.csv" }\n'
        'R2 = { lesions = "reads/R2/{subject}.csv" }\n',
    )
    found = read_study(file)
    (case,) = find_study_cases(found, reader="R1")
    assert case.sources is not None
    assert case.sources.entries["lesions"][0].path == tmp_path / "reads/R1/S1.csv"
    with pytest.raises(UsageError, match=r"no reader 'R3' \(its readers: R1, R2\)"):
        list(find_study_cases(found, reader="R3"))


@pytest.mark.parametrize("command", [["inspect"], ["lesions"], ["export", "-o", "out"]], ids=lambda c: c[0])
def test_one_case_of_a_study_is_read_with_the_table_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """--lesions R3 of a study whose readers are R1 and R2 is refused; it was passed over in silence."""
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path / "S1")
    file = study(
        tmp_path,
        '[layout]\nsubject = "{subject}/tumour.nii.gz"\n'
        '[layout.inputs]\ntumour = "{subject}/tumour.nii.gz"\n'
        '[readers]\nR1 = { lesions = "reads/R1/{subject}.csv" }\n'
        'R2 = { lesions = "reads/R2/{subject}.csv" }\n',
    )
    name, *rest = command
    done = CliRunner().invoke(cli, [name, str(file), *rest, "--lesions", "R3"])
    assert done.exit_code != 0
    assert "no reader 'R3' (its readers: R1, R2)" in done.output


def test_lesions_of_a_reader_hold_that_readers_marks(tmp_path: Path) -> None:
    """R1 and R2 marked the one lesion otherwise."""
    write_case(tmp_path / "S1")
    for reader, word in (("R1", "resectable"), ("R2", "unresectable")):
        (tmp_path / "reads" / reader).mkdir(parents=True)
        (tmp_path / "reads" / reader / "S1.csv").write_text(f"lesion_id,resectability\nL1,{word}\n")
    file = study(
        tmp_path,
        '[layout]\nsubject = "{subject}/tumour.nii.gz"\n'
        '[layout.inputs]\ntumour = "{subject}/tumour.nii.gz"\n'
        '[readers]\nR1 = { lesions = "reads/R1/{subject}.csv" }\n'
        'R2 = { lesions = "reads/R2/{subject}.csv" }\n',
    )
    words = []
    for reader in ("R1", "R2"):
        done = CliRunner().invoke(
            cli, ["lesions", str(file), "--lesions", reader, "-o", str(tmp_path / reader)]
        )
        assert done.exit_code == 0, done.output
        first = (tmp_path / reader).read_text().splitlines()[1]
        words.append(
            "unresectable" if "unresectable" in first else "resectable" if "resectable" in first else ""
        )
    assert words == ["resectable", "unresectable"]


def test_the_output_of_an_earlier_run_holds_no_subject(tmp_path: Path) -> None:
    """results/P1 fits {subject}/{visit} as well as P1/base does."""
    touch(tmp_path, "P1/base/tumour.nii", "results/P1 base/case.json", "results/.volstrat/ledger.json")
    found = find_study_cases(read_study(study(tmp_path, '[layout]\nsubject = "{subject}/{visit}"\n')))
    assert [case.name for case in found] == ["P1 base"]


def test_two_visits_that_a_cohort_calls_alike_are_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subject A, visit "B C", and A B, visit C: the second took the first one's place without a word."""
    for n, place in enumerate(("A/B C", "A B/C")):
        write_case(tmp_path / place, n)
    path = study(tmp_path, '[layout]\nsubject = "{subject}/{visit}"\n')
    assert run(path, tmp_path / "out", monkeypatch).counts["failed"] == 1
    (row,) = rows(tmp_path / "out")
    assert "is in 2 places: A/B C, A B/C" in row["error.message"]


def test_a_subject_in_two_places_and_two_files_for_a_role_fail_alone(tmp_path: Path) -> None:
    """Each is named with every candidate; the others are unharmed."""
    touch(tmp_path, "a/S1/t1.nii", "b/S1/t1.nii", "a/S2/t1.nii", "a/S2/t2.nii", "a/S3/t1.nii")
    file = study(
        tmp_path, '[layout]\nsubject = "*/{subject}"\n[layout.inputs]\ntumour = "*/{subject}/t*.nii"\n'
    )
    first, second, third = find_study_cases(read_study(file))
    assert first.problem is not None
    assert "S1 is in 2 places: a/S1, b/S1" in first.problem.message
    assert second.problem is not None
    assert "S2: 2 candidates for tumour: a/S2/t1.nii, a/S2/t2.nii" in second.problem.message
    assert third.problem is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[layout", "is not valid TOML", id="no TOML"),
        pytest.param("[study]\nid = 'x'\n", "layout.subject is missing", id="no pattern"),
        pytest.param("[layout]\nsubject = 'a/b'\n", "has no {subject}", id="no place"),
        pytest.param(
            "[layout]\nsubject = '{subject}/{session}'\n", "{session} is no place", id="unknown place"
        ),
        pytest.param("[layout]\nsubject = '/data/{subject}'\n", "relative to the study file", id="absolute"),
        pytest.param(
            "[layout]\nsubject = '{subject}'\n[layout.inputs]\ntumor = 'x'\n", "unknown key", id="role"
        ),
        pytest.param(
            "[layout]\nsubject = '{subject}'\n[[plans]]\nname = 'A'\n",
            "'plans' is no key of a study file; a surgical plan is of one patient",
            id="plans",
        ),
        pytest.param(
            "chosen = 'A'\n[layout]\nsubject = '{subject}'\n",
            "'chosen' is no key of a study file",
            id="chosen",
        ),
        pytest.param(
            "[layout]\nsubject = '{subject}'\n[layout.inputs]\nct = 'ct.nii'\n",
            "one file for all",
            id="shared",
        ),
        pytest.param(
            "[layout]\nsubject = '{subject}'\n[layout.inputs]\nct = '{subject}/{visit}'\n",
            "no {visit}",
            id="visit",
        ),
        pytest.param(
            "[layout]\nsubject = '{subject}'\n[layout.inputs]\nct = {path = '{subject}', colour = 1}\n",
            "layout.inputs.ct.colour",
            id="key of an entry",
        ),
        pytest.param(
            "[study]\nvolstrat = 'new'\n[layout]\nsubject = '{subject}'\n", "names no versions", id="version"
        ),
        pytest.param("[layout]\nsubject = '{subject}'\n[readers]\nR1 = 'x.csv'\n", "readers.R1", id="reader"),
        pytest.param("[layout]\nsubject = 'x/{subject}.nii'\n", "fits", id="fits nothing"),
    ],
)
def test_a_study_file_that_does_not_hold_is_refused_in_a_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    """What, where and the next step, before any subject is touched."""
    file = study(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        list(find_study_cases(read_study(file)))
    assert caught.value.message.startswith("study.toml")
    assert said in caught.value.message
    assert caught.value.hint


def test_another_version_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study names its versions; this one is none of them."""
    write_case(tmp_path / "tree" / "S1")
    text = "[study]\nvolstrat = '{}'\n[layout]\nsubject = '{{subject}}'\n"
    file = study(tmp_path / "tree", text.format(">=99"))
    with pytest.raises(UsageError, match="is for volstrat >=99"):
        run(file, tmp_path / "out", monkeypatch)
    with pytest.raises(UsageError, match="is for volstrat >=99"):
        vs.compare(file, file, out=tmp_path / "out")
    closes = ["accept", str(file), "borderline", "--by", "me", "--reason", "seen"]
    for command in (closes, ["review", str(file), "--no-browser"]):
        assert "is for volstrat >=99" in CliRunner().invoke(cli, command).output
    assert not (tmp_path / "out").exists()
    file.write_text(text.format(f"=={__version__}"))
    assert run(file, tmp_path / "out", monkeypatch).subjects == 1


def test_a_pinned_protocol_is_the_studys(tmp_path: Path) -> None:
    """Another one beside it is refused; one that is gone too."""
    pinned = tmp_path / "protocol.toml"
    pinned.write_text(load_protocol().text.replace('version = "', 'version = "9.'))
    file = study(tmp_path, "[study]\nprotocol = 'protocol.toml'\n[layout]\nsubject = '{subject}'\n")
    found = read_study(file)
    assert found.load_protocol(None).protocol.version.startswith("9.")
    assert found.load_protocol(pinned).sha256 == found.load_protocol(None).sha256
    other = tmp_path / "other.toml"
    other.write_text(load_protocol().text)
    with pytest.raises(UsageError, match="--protocol names another"):
        found.load_protocol(other)
    other.write_text(other.read_text().replace('version = "1"', 'version = "8"'))
    for ask in (vs.inspect, vs.compare):  # a protocol that was loaded already stood over the study's
        places = [file] if ask is vs.inspect else [file, file]
        with pytest.raises(vs.VolstratError, match="--protocol names another"):
            ask(*places, protocol=vs.load_protocol(other))
    pinned.unlink()
    with pytest.raises(UsageError, match=r"protocol\.toml, is not there"):
        found.load_protocol(None)
