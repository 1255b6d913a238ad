"""Bad input, end to end: a failed record, exit 1 and one sentence that says what, got, expected and next."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from tests.lattices import stored
from tests.phantom_case import CT_AFFINE, PLAIN, Form, case_volumes, labels, resectable, write, write_case
from tests.volume_files import nrrd_header
from volstrat.case.typed_json import record_schema
from volstrat.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Spoil = Callable[[Path], object]

PROGRAM = Path(sys.executable).parent / "volstrat"


def on_grid(stem: str, affine: NDArray[np.float64], dense: NDArray[Any] | None = None) -> Spoil:
    """Write a mask on another grid."""
    return lambda case: write(case, stem, (resectable() if dense is None else dense, affine), PLAIN)


def table(text: str, header: str = "lesion_id,resectability,fdg_avidity,x_mm,y_mm,z_mm") -> Spoil:
    """Write a lesion table."""
    return lambda case: (case / "lesions.csv").write_text(f"{header}\n{text}\n")


def case_toml(text: str) -> Spoil:
    """Write a ``case.toml``."""
    return lambda case: (case / "case.toml").write_text(text)


def cut(name: str, share: float, form: Form = PLAIN) -> Spoil:
    """Keep the first part of a file."""

    def spoil(case: Path) -> None:
        stem = name.partition(".")[0]
        (case / f"{stem}.nrrd").unlink()
        path = write(case, stem, case_volumes()[stem], form)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return spoil


def damaged(name: str, form: Form) -> Spoil:
    """Flip the bits of a byte of compressed data, past the header."""

    def spoil(case: Path) -> None:
        stem = name.partition(".")[0]
        (case / f"{stem}.nrrd").unlink()
        path = write(case, stem, case_volumes()[stem], form)
        data = bytearray(path.read_bytes())
        data[-6] ^= 0xFF  # in the CRC and length that end a gzip member, or the checksum of zlib
        path.write_bytes(data)

    return spoil


def valued(name: str, value: float, dtype: str) -> Spoil:
    """Put one value into a mask that is sound but for it."""

    def spoil(case: Path) -> None:
        stem = name.partition(".")[0]
        dense, affine = case_volumes()[stem]
        dense = dense.astype(dtype)
        dense[1, 1, 1] = value
        write(case, stem, (dense, affine), Form(ending=".nrrd", dtype=dtype))

    return spoil


def folder_instead(name: str) -> Spoil:
    """Put a folder where a file is expected."""

    def spoil(case: Path) -> None:
        (case / name).unlink(missing_ok=True)
        (case / name).mkdir()

    return spoil


def moved(mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the CT's affine, moved."""
    affine = CT_AFFINE.copy()
    affine[:3, 3] += mm
    return affine


def scaled(axis: int, factor: float) -> NDArray[np.float64]:
    """Return the CT's affine with another spacing, or direction, along one axis."""
    affine = CT_AFFINE.copy()
    affine[:3, axis] *= factor
    return affine


def rotated(radians: float) -> NDArray[np.float64]:
    """Return the CT's affine, turned round x through its first voxel."""
    c, s = np.cos(radians), np.sin(radians)
    affine = CT_AFFINE.copy()
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ CT_AFFINE[:3, :3]
    return affine


def sheared() -> NDArray[np.float64]:
    """Return the CT's affine with slices that slide along i, as a tilted gantry makes them."""
    affine = CT_AFFINE.copy()
    affine[:3, 2] += 0.1 * affine[:3, 0]
    return affine


def dangling_link(case: Path) -> None:
    """Let the tumour mask be a link to a file that is gone."""
    (case / "tumour.nrrd").unlink()
    (case / "tumour.nrrd").symlink_to("gone.nrrd")


def without(name: str) -> Spoil:
    """Take a file away."""
    return lambda case: (case / name).unlink()


def named(role: str, extra: str = "") -> str:
    """Return a ``case.toml`` that names the phantom's files, with one more line."""
    lines = {"tumour": '"tumour.nrrd"', "resectable": '"resectable.nrrd"', "fdg_avid": '"fdg_avid.nrrd"'}
    lines[role] = extra or lines.get(role, "")
    return "[inputs]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


def other_frame(case: Path) -> None:
    """Draw the resectable part on another examination, which happens to share the lattice."""
    from tests.dicom.dicom_case import Series, write_ct, write_seg

    here = write_ct(case.parent / "here")
    elsewhere = write_ct(case.parent / "elsewhere", series=Series(uid="2.25.76", frame="2.25.99"))
    write_seg(case / "tumour.dcm", {"Tumour": labels()}, here, uid="2.25.91")
    write_seg(case / "resectable.dcm", {"Resectable": resectable()}, elsewhere, uid="2.25.92")
    (case / "case.toml").write_text('[inputs]\ntumour = "tumour.dcm"\nresectable = "resectable.dcm"\n')


BAD: dict[str, tuple[Spoil, str, tuple[str, ...]]] = {
    # name: how the case is spoilt, the error's code, what its sentence must name
    "no tumour": (without("tumour.nrrd"), "role_missing", ("no tumour mask", "resectable.nrrd")),
    "two tumours": (
        lambda case: write(case, "Tumor", case_volumes()["tumour"], Form(ending=".mha")),
        "role_ambiguous",
        ("2 candidates for tumour", "Tumor.mha", "tumour.nrrd"),
    ),
    "two avid masks": (
        lambda case: write(case, "avid", case_volumes()["fdg_avid"], Form(ending=".nii.gz")),
        "role_ambiguous",
        ("2 candidates for fdg_avid", "avid.nii.gz", "fdg_avid.nrrd"),
    ),
    "unknown key": (
        case_toml('[inputs]\ntumor = "tumour.nrrd"\n'),
        "case_invalid",
        ("case.toml", "'inputs.tumor'"),
    ),
    "unknown key in an entry": (
        case_toml(named("tumour", '{ path = "tumour.nrrd", labels = [1] }')),
        "case_invalid",
        ("case.toml", "'inputs.tumour.labels'"),
    ),
    "unknown table": (case_toml("[input]\n"), "case_invalid", ("case.toml", "'input'")),
    "case.toml is no TOML": (case_toml("[inputs\n"), "case_invalid", ("case.toml", "not valid TOML")),
    "case.toml without tumour": (case_toml('[inputs]\nct = "ct"\n'), "role_missing", ("case.toml", "tumour")),
    "named file is absent": (
        case_toml(named("resectable", '"resectble.nrrd"')),
        "file_unreadable",
        ("resectble.nrrd", "no such file"),
    ),
    "another shape": (
        on_grid("resectable", CT_AFFINE, resectable()[:, :-1]),
        "grid_mismatch",
        ("resectable.nrrd", "tumour.nrrd", "26 x 21 x 12", "26 x 22 x 12"),
    ),
    "another origin": (
        on_grid("resectable", moved((30, 0, -40))),
        "grid_mismatch",
        ("resectable.nrrd", "tumour.nrrd", "50.00 mm"),
    ),
    "1 mm": (
        on_grid("resectable", moved((0, 1, 0))),
        "grid_mismatch",
        ("resectable.nrrd", "tumour.nrrd", "1.00 mm", "0.1 mm"),
    ),
    # Of 12 slices the last moves by 11 x 0.25 mm.
    "another spacing": (
        on_grid("resectable", scaled(2, 1.1)),
        "grid_mismatch",
        ("resectable.nrrd", "tumour.nrrd", "2.75 mm", "0.8 x 0.7 x 2.5"),
    ),
    "another direction": (
        on_grid("resectable", rotated(0.1)),
        "grid_mismatch",
        ("resectable.nrrd", "tumour.nrrd"),
    ),
    # Turned end for end in place of storage: 25 steps of 0.8 mm.
    "mirrored": (on_grid("resectable", scaled(0, -1)), "grid_mismatch", ("resectable.nrrd", "20.00 mm")),
    "liver on another grid": (
        on_grid("liver", moved((0, 0, 2))),
        "grid_mismatch",
        ("liver.nrrd", "tumour.nrrd", "2.00 mm"),
    ),
    "another frame of reference": (
        other_frame,
        "grid_mismatch",
        ("resectable.dcm", "frame of reference", "two examinations"),
    ),
    "sheared": (on_grid("tumour", sheared(), labels()), "geometry_invalid", ("tumour.nrrd", "shear")),
    "truncated": (cut("tumour.nrrd", 0.6), "data_corrupt", ("tumour.nrrd",)),
    "truncated gzip": (
        cut("tumour.nii.gz", 0.6, Form(ending=".nii.gz")),
        "data_corrupt",
        ("tumour.nii.gz", "truncated"),
    ),
    "truncated header": (cut("tumour.nii", 0.01, Form(ending=".nii")), "data_corrupt", ("tumour.nii",)),
    "wrong checksum": (
        damaged("fdg_avid.nii.gz", Form(ending=".nii.gz")),
        "data_corrupt",
        ("fdg_avid.nii.gz",),
    ),
    "wrong zlib checksum": (
        damaged("resectable.mha", Form(ending=".mha", compressed=True)),
        "data_corrupt",
        ("resectable.mha",),
    ),
    "empty file": (
        lambda case: (case / "fdg_avid.nrrd").write_bytes(b""),
        "file_unreadable",
        ("fdg_avid.nrrd", "empty"),
    ),
    "text called a mask": (
        lambda case: (case / "tumour.nrrd").write_text("see the shared drive\n"),
        "format_unsupported",
        ("tumour.nrrd",),
    ),
    "too long": (
        lambda case: (case / "tumour.nrrd").write_bytes(
            nrrd_header((26, 22, 11), CT_AFFINE) + b"\n" + labels().tobytes(order="F")
        ),
        "data_corrupt",
        ("tumour.nrrd",),
    ),
    "two volumes": (
        lambda case: (case / "tumour.nrrd").write_bytes(
            nrrd_header(
                (26, 22, 6, 2),
                CT_AFFINE,
                space_directions="(1,0,0) (0,1,0) (0,0,1) none",
                kinds="domain domain domain list",
            )
            + b"\n"
            + labels().tobytes(order="F")
        ),
        "format_unsupported",
        ("tumour.nrrd", "2"),
    ),
    "not integral": (
        valued("tumour", 0.37, "f4"),
        "mask_value_invalid",
        ("tumour.nrrd", "0.37", "threshold"),
    ),
    "negative": (valued("resectable", -1, "i2"), "mask_value_invalid", ("resectable.nrrd", "-1")),
    "NaN": (valued("fdg_avid", np.nan, "f8"), "mask_value_invalid", ("fdg_avid.nrrd", "NaN")),
    "infinite": (valued("fdg_avid", np.inf, "f4"), "mask_value_invalid", ("fdg_avid.nrrd", "infinite")),
    "an image as a mask": (
        valued("tumour", -1000, "i2"),
        "mask_value_invalid",
        ("tumour.nrrd", "-1000", "image"),
    ),
    "a folder as a mask": (
        folder_instead("resectable.nrrd"),
        "file_unreadable",
        ("resectable.nrrd", "directory"),
    ),
    "a folder as a table": (folder_instead("lesions.csv"), "file_unreadable", ("lesions.csv", "directory")),
    "a link to nowhere": (
        dangling_link,
        "file_unreadable",
        ("tumour.nrrd", "no such file"),
    ),
    "a segment that is not there": (
        case_toml(named("tumour", '{ path = "tumour.nrrd", segments = [2] }')),
        "segment_not_found",
        ("tumour.nrrd", "'2'", "there is 1"),
    ),
    "no such lesion": (
        table("L9,resectable,,,,"),
        "lesion_table_invalid",
        ("lesions.csv, line 2", "'L9'", "L1, L2, L3"),
    ),
    "no such region": (
        table("P2,resectable,,,,"),
        "lesion_table_invalid",
        ("lesions.csv, line 2", "'P2'", "P1"),
    ),
    "a point outside its lesion": (
        table("L1,resectable,,0,0,0"),
        "lesion_table_invalid",
        ("lesions.csv, line 2", "(0, 0, 0)", "L1"),
    ),
    "half a point": (table("L1,resectable,,1,,"), "lesion_table_invalid", ("lesions.csv, line 2", "x_mm")),
    "a word that is none of the four": (
        table("L1,maybe,,,,"),
        "lesion_table_invalid",
        (
            "lesions.csv, line 2",
            "'maybe'",
            "ablatable",
            "not_tumour",
            "resectable",
            "unknown",
            "unresectable",
        ),
    ),
    "a word in capitals": (
        table("L1,Resectable,,,,"),
        "lesion_table_invalid",
        ("lesions.csv, line 2", "'Resectable'", "lower case"),
    ),
    "an avidity that is neither": (
        table("L1,,yes,,,"),
        "lesion_table_invalid",
        ("line 2", "'yes'", "not_avid"),
    ),
    "two rows of one lesion": (
        table("L1,resectable,,,,\nL2,,,,,\nL1,unresectable,,,,"),
        "lesion_table_invalid",
        ("lesions.csv, line 4", "L1", "line 2"),
    ),
    "a column that is not known": (
        table("L1,resectable", "lesion_id,resectable"),
        "lesion_table_invalid",
        ("lesions.csv", "resectability"),
    ),
    "a row of another length": (
        table("L1,resectable"),
        "lesion_table_invalid",
        ("lesions.csv, line 2", "2 cells"),
    ),
    "an empty table file": (
        lambda case: (case / "lesions.csv").write_text(""),
        "lesion_table_invalid",
        ("lesions.csv", "empty"),
    ),
}


def assert_one_sentence(error: dict[str, str], code: str, words: tuple[str, ...]) -> None:
    """Hold an error to the contract: its code, what it names, a next step, on one line."""
    told = f"{error['message']} {error['hint']}"
    assert error["code"] == code, told
    assert [word for word in words if word not in told] == []
    assert "\n" not in told
    assert error["message"].endswith(".")
    assert error["hint"], told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", BAD)
def test_bad_input_fails_with_one_sentence(tmp_path: Path, name: str) -> None:
    """The record says failed, the exit code is 1, stdout is the record and nothing else."""
    spoil, code, words = BAD[name]
    case = write_case(tmp_path / "case")
    spoil(case)
    done = CliRunner().invoke(cli, ["case", str(case), "--json"])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    record = json.loads(done.stdout)
    jsonschema.validate(record, record_schema())
    assert (record["status"], record["stratum"]) == ("failed", None)
    assert (record["predicates"], record["volumes"]) == (None, None)
    assert (record["lesions"], record["pet_only_regions"], record["findings"]) == ([], [], [])
    assert_one_sentence(record["error"], code, words)
    assert str(tmp_path) not in done.stdout
    assert done.stderr.count("\n") == 1
    assert record["error"]["message"] in done.stderr


def test_bad_subjects_leave_the_others_unharmed(tmp_path: Path) -> None:
    """One batch over a good subject and the bad ones: each has its row, the good one its stratum; exit 1."""
    root = tmp_path / "root"
    for name in ("no tumour", "unknown key", "truncated", "NaN", "no such lesion", "a folder as a mask"):
        BAD[name][0](write_case(root / name.replace(" ", "_")))
    good = write_case(root / "good")
    (good / "lesions.csv").write_text("lesion_id,resectability\nP1,resectable\n")
    for name in ("a", "b"):
        write_case(root / name)
        (root / name / "case.toml").write_text('subject = "twin"\n' + named("tumour"))
    done = subprocess.run(
        [PROGRAM, "batch", root, "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    records = {p.parent.name: json.loads(p.read_bytes()) for p in (tmp_path / "out").glob("*/case.json")}
    assert {name for name, record in records.items() if record["status"] != "failed"} == {"good"}
    assert records["good"]["stratum"] == "stratum_2"
    assert len(records) >= 8
    twins = [record for record in records.values() if record["subject"].startswith("twin")]
    assert twins
    for record in twins:
        assert "twin" in record["error"]["message"]
        assert record["error"]["hint"]


def test_a_good_case_stays_good(tmp_path: Path) -> None:
    """What the cases above spoil is sound: the phantom itself does not fail, stored in any order."""
    case = write_case(tmp_path / "case")
    write(case, "resectable", stored(resectable(), CT_AFFINE, ((2, 0, 1), (-1, 1, -1))), PLAIN)
    record = json.loads(CliRunner().invoke(cli, ["case", str(case), "--json"]).stdout)
    assert record["status"] == "not_assessable"
    assert record["predicates"]["stratum_1"]["part_voxels"] == 99


@pytest.mark.parametrize("members", [1, 2])
def test_a_gzip_that_ends_after_a_member_boundary_is_too_short(tmp_path: Path, members: int) -> None:
    """The first members of a file are each whole; what is missing is seen by the size."""
    case = write_case(tmp_path / "case", form=Form(ending=".nii"))
    raw = (case / "tumour.nii").read_bytes()
    (case / "tumour.nii").unlink()
    parts = [gzip.compress(raw[n * len(raw) // 3 : (n + 1) * len(raw) // 3]) for n in range(3)]
    (case / "tumour.nii.gz").write_bytes(b"".join(parts[:members]))
    record = json.loads(CliRunner().invoke(cli, ["case", str(case), "--json"]).stdout)
    assert_one_sentence(record["error"], "data_corrupt", ("tumour.nii.gz",))
