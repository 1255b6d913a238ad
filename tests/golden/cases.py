"""What the goldens pin: records, tables, an agreement and the schemas, made anew.

Everything is a `Found`: a set holds files of lines. Records have one file for each key and one line for
each case, so that a new key is a new file and two people who add one do not meet.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from tests.comparison.readers import L1, L2, L3, filled, stratum_1
from tests.rule_cases import judge
from tests.rule_random import marked_case
from volstrat.case.typed_json import record_schema
from volstrat.cli.app import cli
from volstrat.comparison import agreement_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_data"
PROTOCOLS = Path(__file__).with_name("protocols")
DATA = Path(os.environ.get("VOLSTRAT_TEST_DATA", ROOT.parent / "shared" / "data")).resolve()
RANDOM_CASES = 200

Record = dict[str, Any]
Found = dict[str, dict[str, Any]]
"""Of one set: values by file and line."""

_LABELS = '{{ path = "{}", instances = "labels" }}'
SHARED: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    # case: (links by name in the case folder, further files, protocol)
    **{
        name: (
            {
                "tumour.nii.gz": f"{folder}/CT_mask.nii.gz",
                "fdg_avid.nii.gz": f"{folder}/PET_mask.nii.gz",
                "suv.nii.gz": f"{folder}/PET_image.nii.gz",
            },
            {"lesions.csv": f"lesion_id,resectability\nL1,{word}\n"},
            "packaged",
        )
        for name, folder, word in (
            ("sts_001_nifti", "sts_001/nifti", "resectable"),
            ("STS_019", "ibsi_small/STS_019", "unresectable"),
            ("STS_025", "ibsi_small/STS_025", "ablatable"),
        )
    },
    "sts_001_dicom": (
        {
            name: f"sts_001/{name}"
            for name in ("CT_dicom", "CT_rtstruct", "PET_raw_dicom", "PET_raw_rtstruct")
        },
        {"lesions.csv": "lesion_id,resectability\nL1,resectable\n"},
        "fixed_suv",
    ),
    "digital_phantom": (
        {"tumour.nii.gz": "ibsi_1_digital_phantom/nifti/mask/mask.nii.gz"},
        {},
        "packaged",
    ),
    "liver_spine": (
        {"labels.nrrd": "dcmqi/segmentations/liver_spine_seg.nrrd"},
        {"case.toml": f"[inputs]\ntumour = {_LABELS.format('labels.nrrd')}\n"},
        "packaged",
    ),
    "partial_overlaps": (
        {f"part{n}.nrrd": f"dcmqi/segmentations/partial_overlaps-{n}.nrrd" for n in (1, 2, 3)},
        {
            "case.toml": "[inputs]\ntumour = ["
            + ", ".join(_LABELS.format(f"part{n}.nrrd") for n in (1, 2, 3))
            + "]\n"
        },
        "packaged",
    ),
    "liver_seg": (
        {"liver.dcm": "dcmqi/segmentations/liver.dcm"},
        {"case.toml": '[inputs]\ntumour = { path = "liver.dcm", segments = [1] }\n'},
        "packaged",
    ),
}


def protocols() -> dict[str, Path | None]:
    """Return the protocols by name; the packaged one needs no file."""
    return {"packaged": None} | {path.stem: path for path in sorted(PROTOCOLS.glob("*.toml"))}


def record_of(folder: Path, protocol: str = "packaged") -> Record:
    """Return what ``volstrat case --json`` prints of a case folder."""
    file = protocols()[protocol]
    options = [] if file is None else ["--protocol", str(file)]
    done = CliRunner().invoke(cli, ["case", str(folder), "--json", *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    record: Record = json.loads(done.stdout_bytes)
    return record


@cache
def sample_records() -> dict[str, Record]:
    """Return the record of every sample under every protocol."""
    folders = sorted(path for path in SAMPLES.iterdir() if path.is_dir())
    return {
        f"{protocol}/{folder.name}": record_of(folder, protocol)
        for protocol in protocols()
        for folder in folders
    }


@cache
def random_records() -> dict[str, Record]:
    """Return the records of the oracle's random cases."""
    return {f"{seed:03d}": judge(marked_case(seed), schema=False) for seed in range(RANDOM_CASES)}


def absent(case: str) -> list[str]:
    """Return what a case needs of the shared data and does not find."""
    return [name for name in SHARED[case][0].values() if not (DATA / name).exists()]


@cache
def shared_records(scratch: Path) -> dict[str, Record]:
    """Return the records of the cases whose files of the shared data are there."""
    return {case: shared_record(case, scratch) for case in SHARED if not absent(case)}


def shared_record(case: str, scratch: Path) -> Record:
    """Build a case of the shared data by links, so that no path of this machine stands in it; measure it."""
    links, files, protocol = SHARED[case]
    folder = scratch / "shared" / case
    folder.mkdir(parents=True)
    for name, target in links.items():
        (folder / name).symlink_to(DATA / target)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return record_of(folder, protocol)


def by_key(records: Mapping[str, Record]) -> Found:
    """Turn records about: a file for each key, a line for each case. What ran it is left out."""
    found: Found = {}
    for case, record in records.items():
        for key, value in record.items():
            if key != "environment":
                found.setdefault(key, {})[case] = value
    return found


def tables(scratch: Path) -> Found:
    """Return ``cohort.csv`` and ``lesions.csv`` of the samples: a line for each column."""
    found: Found = {}
    for name in ("cohort.csv", "lesions.csv"):
        with (_batch(scratch, "packaged") / name).open(encoding="utf-8", newline="") as stream:
            columns = [list(cells) for cells in zip(*csv.reader(stream), strict=True)]
        found[name] = {c[0]: c[1:] for c in columns if not c[0].startswith("environment.")}
    return found


def agreements(scratch: Path) -> Found:
    """Return two agreements, a line for each key and subject: of two readers, and of two protocols."""
    cohorts = [_batch(scratch, name) for name in ("packaged", "no_ablation")]
    return {"phantoms": _compared(scratch, *_readings(scratch)), "protocols": _compared(scratch, *cohorts)}


def schemas() -> Found:
    """Return the three schemas: a line for each key, property and definition."""
    protocol = json.loads(CliRunner().invoke(cli, ["protocol", "schema"]).stdout)
    named = {"case-record": record_schema(), "agreement": agreement_schema(), "protocol": protocol}
    return {name: dict(_schema_lines(schema)) for name, schema in named.items()}


def _schema_lines(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            yield from ((f"{key}.{name}", node) for name, node in value.items())
        else:
            yield key, value


SETS = ("samples", "random", "shared", "tables", "agreements", "schemas")


def found(name: str, scratch: Path) -> Found:
    """Make one set anew; ``scratch`` is a folder to work in."""
    makers = {
        "samples": lambda: by_key(sample_records()),
        "random": lambda: by_key(random_records()),
        "shared": lambda: by_key(shared_records(scratch)),
        "tables": lambda: tables(scratch),
        "agreements": lambda: agreements(scratch),
        "schemas": schemas,
    }
    return makers[name]()


@cache
def _batch(scratch: Path, protocol: str) -> Path:
    """Run the samples as a cohort."""
    out = scratch / f"cohort {protocol}"
    file = protocols()[protocol]
    options = [] if file is None else ["--protocol", str(file)]
    _volstrat("batch", SAMPLES, "-o", out, "--workers", "1", *options)
    return out


def _readings(scratch: Path) -> tuple[Path, Path]:
    """Write two readings of four subjects: another contour, another lesion, another mark, nothing."""
    second = {
        "contour": {"tumour": filled(L1, ((20, 31), *L2[1:]))},
        "detection": {"tumour": filled(L1, L2, L3)},
        "marking": {"resectable": filled(L2)},
        "none": {},
    }
    for subject, changes in second.items():
        stratum_1(scratch / "first" / subject)
        stratum_1(scratch / "second" / subject, **changes)
    return scratch / "first", scratch / "second"


def _compared(scratch: Path, *readings: Path) -> dict[str, Any]:
    out = scratch / f"agreement {readings[0].name}"
    _volstrat("compare", *readings, "-o", out)
    agreement: Record = json.loads((out / "agreement.json").read_bytes())
    del agreement["environment"], agreement["readings_sha256"]
    subjects = agreement.pop("subjects")
    for reading in (one for subject in subjects for one in subject["readings"]):
        del reading["sha256"]  # a cohort's record holds its environment
    return agreement | {f"subjects.{one['subject']}": one for one in subjects}


def _volstrat(*arguments: str | Path) -> None:
    """Run the program of this checkout; any exit code but a crash's will do."""
    done = subprocess.run(
        [sys.executable, "-m", "volstrat", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 3), done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def all_found(sets: Iterable[str], scratch: Path) -> dict[str, Found]:
    """Make several sets anew."""
    return {name: found(name, scratch) for name in sets}
