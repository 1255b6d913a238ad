"""Reports as files: they stand alone, escape what files say, and come out the same."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.lattices import oblique
from tests.volume_files import nifti, nrrd_header
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import run_cohort
from volstrat.errors import UsageError
from volstrat.report.write import report_case, report_cohort

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
SCRIPT = "<script>alert(1)</script>"


def read(folder: Path, subject: str, name: str = "report.html") -> str:
    """Return a written report."""
    return (folder / subject / name).read_text(encoding="utf-8")


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    """Nothing but data URIs; no script; a policy that would forbid both."""
    report_case(SAMPLES / "S01_stratum_1", tmp_path, load_protocol())
    page = read(tmp_path, "S01_stratum_1")
    assert set(re.findall(r'(?:src|href)="(.{5})', page)) == {"data:"}
    assert "url(" not in page
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"' <]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page


def test_it_shows_verdict_margin_and_pictures(tmp_path: Path) -> None:
    """S08: stratum 1 with a PET-only region to review; two MIPs, two lesion projections, three key slices."""
    done = report_case(SAMPLES / "S08_pet_only_region", tmp_path, load_protocol())
    assert done.status == "review"
    page = read(tmp_path, "S08_pet_only_region")
    text = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))
    assert page.count("<img ") == 7
    for told in (
        "Stratum 1", "to review", "83.7 %", "3848 of 4600 voxels", "needs 70 %",
        "uptake without a lesion on CT: P1",
        "Research use. The multidisciplinary team decides.", "sha256", "tumour.nii.gz",
    ):  # fmt: skip
        assert told in text
    assert (
        text.index("A person must look at") < text.index("What would change it") < text.index("All findings")
    )


def test_what_files_say_is_escaped(tmp_path: Path) -> None:
    """A subject and a segment called like markup are text, on the page and in its title."""
    case = tmp_path / "case"
    case.mkdir()
    labels = np.zeros((8, 7, 6), dtype=np.uint8)
    labels[1:4, 1:4, 1:4], labels[5:7, 5:6, 4:6] = 1, 2
    fields = {f"Segment{n}_{key}": value for n in (0, 1) for key, value in (("ID", f"s{n}"), ("Layer", "0"))}
    fields |= {
        "Segment0_LabelValue": "1",
        "Segment1_LabelValue": "2",
        "Segment0_Name": SCRIPT,
        "Segment1_Name": "b",
    }
    head = nrrd_header(labels.shape, oblique(4, tilt=0.2)).decode().rstrip("\n")
    told = "\n".join(f"{key}:={value}" for key, value in fields.items())
    (case / "tumour.seg.nrrd").write_bytes(f"{head}\n{told}\n\n".encode() + labels.tobytes(order="F"))
    (case / "case.toml").write_text(f'subject = "{SCRIPT}"\n[inputs]\ntumour = "tumour.seg.nrrd"\n')
    done = report_case(case, tmp_path / "out", load_protocol())
    page = done.files[0].read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count(html.escape(SCRIPT)) >= 3  # title, heading, lesion's name
    assert done.files[0].parent.parent == tmp_path / "out"


def test_the_same_case_gives_the_same_bytes(tmp_path: Path) -> None:
    """Pictures, figures and hashes included, and nothing of the clock or the place."""
    shutil.copytree(SAMPLES / "S12_slicer_segments", tmp_path / "elsewhere" / "S12_slicer_segments")
    pages = []
    for n, folder in enumerate((SAMPLES, tmp_path / "elsewhere")):
        report_case(folder / "S12_slicer_segments", tmp_path / str(n), load_protocol())
        pages.append(read(tmp_path / str(n), "S12_slicer_segments"))
    assert pages[0] == pages[1]
    assert str(tmp_path) not in pages[1]


def test_a_case_that_failed_has_a_report_that_says_why(tmp_path: Path) -> None:
    """No stratum, no pictures; the sentence and the next step."""
    done = report_case(SAMPLES / "S14_broken_file", tmp_path, load_protocol())
    assert done.status == "failed"
    page = read(tmp_path, "S14_broken_file")
    assert "truncated file" in page
    assert "Failed" in page
    assert "<img" not in page


@pytest.fixture
def pdf_engine() -> None:
    """Skip where WeasyPrint, or the system's libraries for it, are not there."""
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"WeasyPrint cannot be loaded here ({error})")


@pytest.mark.usefixtures("pdf_engine")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries that write it
def test_an_image_that_cannot_be_shown_is_said_without_lesions_too(tmp_path: Path) -> None:
    """An empty tumour mask and a CT cut off: no key slice to say it with."""
    case = tmp_path / "case"
    case.mkdir()
    nifti(case / "tumour.nii", np.zeros((4, 4, 4), dtype=np.uint8), np.eye(4))
    nifti(case / "ct.nii", np.zeros((4, 4, 4), dtype=np.int16), np.eye(4))
    (case / "ct.nii").write_bytes((case / "ct.nii").read_bytes()[:-8])
    report_case(case, tmp_path / "out", load_protocol())
    assert "The CT cannot be shown" in read(tmp_path / "out", "case")


def test_the_pdf_comes_out_the_same_and_starts_with_one_page_for_the_meeting(tmp_path: Path) -> None:
    """Two runs, one file; tagged; three pages for a case of three lesions."""
    written = [
        report_case(SAMPLES / "S01_stratum_1", tmp_path / str(n), load_protocol(), pdf=True)
        .files[1]
        .read_bytes()
        for n in range(2)
    ]
    assert written[0] == written[1]
    assert written[0].startswith(b"%PDF-")
    assert b"CreationDate" not in written[0]


def test_without_the_extra_a_pdf_is_refused_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that names the extra; the page itself is there."""
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    with pytest.raises(UsageError, match=r"\.\[pdf\]"):
        report_case(SAMPLES / "S01_stratum_1", tmp_path, load_protocol(), pdf=True)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Run a cohort of three: two that can be read, one that cannot."""
    for name in ("S05_exactly_70_percent", "S02_stratum_2", "S14_broken_file"):
        shutil.copytree(SAMPLES / name, tmp_path / "in" / name)
    run_cohort(tmp_path / "in", tmp_path / "out", load_protocol(), workers=1)
    return tmp_path / "out"


def test_a_cohort_s_records_all_get_reports(output: Path, tmp_path: Path) -> None:
    """With pictures, found where the batch found the cases; the failed one says why."""
    done = report_cohort(output, tmp_path / "pages", load_protocol())
    assert [(d.subject, d.status) for d in done] == [
        ("S02_stratum_2", "assigned"),
        ("S05_exactly_70_percent", "review"),
        ("S14_broken_file", "failed"),
    ]
    assert "<img" in read(tmp_path / "pages", "S02_stratum_2")
    report_case(tmp_path / "in" / "S02_stratum_2", tmp_path / "alone", load_protocol())
    assert read(tmp_path / "pages", "S02_stratum_2") == read(tmp_path / "alone", "S02_stratum_2")


def test_a_case_that_changed_since_gets_no_pictures(output: Path, tmp_path: Path) -> None:
    """The record stands as it is, and the page says why there are none."""
    matrix = oblique(2)
    nifti(tmp_path / "tumour.nii", np.ones((5, 5, 5), dtype=np.uint8), matrix)
    folder = tmp_path / "in" / "S02_stratum_2"
    for path in folder.iterdir():
        path.unlink()
    shutil.copy(tmp_path / "tumour.nii", folder / "tumour.nii")
    report_cohort(output, tmp_path / "pages", load_protocol())
    page = read(tmp_path / "pages", "S02_stratum_2")
    assert "<img" not in page
    assert "no longer gives this record" in page
    assert "Stratum 2" in page


def test_moved_inputs_are_named(output: Path, tmp_path: Path) -> None:
    """Where the cases have gone, records alone give reports; --inputs says where they are."""
    (tmp_path / "in").rename(tmp_path / "moved")
    report_cohort(output, tmp_path / "pages", load_protocol())
    assert "not at hand" in read(tmp_path / "pages", "S02_stratum_2")
    report_cohort(output, tmp_path / "pages", load_protocol(), inputs=tmp_path / "moved")
    assert "<img" in read(tmp_path / "pages", "S02_stratum_2")


def test_a_report_that_stands_is_left_alone(output: Path) -> None:
    """A second run writes nothing anew; a record that changed does."""
    report_cohort(output, output, load_protocol())
    path = output / "S05_exactly_70_percent" / "report.html"
    before = path.stat().st_mtime_ns
    report_cohort(output, output, load_protocol())
    assert path.stat().st_mtime_ns == before
    record = json.loads((path.parent / "case.json").read_bytes())
    record["findings"] = []
    (path.parent / "case.json").write_text(json.dumps(record))
    report_cohort(output, output, load_protocol())
    assert path.stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            "volstrat.case-record/1",
            r"case\.json: is a record of another form \(volstrat\.case-record/1;",
        ),
        ("volstrat.receipt/1", r"case\.json: is no case record"),
    ],
)
def test_a_record_of_another_form_is_refused_with_both_forms(output: Path, schema: str, words: str) -> None:
    """An output of an older volstrat; and a file that is no record at all."""
    path = next(output.glob("*/case.json"))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema": schema}))
    with pytest.raises(UsageError, match=words) as caught:
        report_cohort(output, output, load_protocol())
    assert caught.value.hint == "Run volstrat batch again."


def test_the_command_says_what_it_wrote_and_how_the_case_stands(tmp_path: Path) -> None:
    """Exit 0 for an assigned case, 3 for one to review, 1 for a failed one, 2 where there is nothing."""
    from click.testing import CliRunner

    codes = {}
    for name in ("S02_stratum_2", "S08_pet_only_region", "S14_broken_file"):
        done = CliRunner().invoke(cli, ["report", str(SAMPLES / name), "-o", str(tmp_path)])
        codes[name] = done.exit_code
        assert (tmp_path / name / "report.html").is_file()
    assert codes == {"S02_stratum_2": 0, "S08_pet_only_region": 3, "S14_broken_file": 1}
    nothing = CliRunner().invoke(cli, ["report", str(tmp_path / "nowhere"), "-o", str(tmp_path)])
    assert nothing.exit_code == 2


def test_batch_writes_reports_when_asked(tmp_path: Path) -> None:
    """``--report`` puts one beside each record."""
    from click.testing import CliRunner

    shutil.copytree(SAMPLES / "S02_stratum_2", tmp_path / "in" / "S02_stratum_2")
    arguments = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--report", "--workers", "1"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert "<img" in read(tmp_path / "out", "S02_stratum_2")
