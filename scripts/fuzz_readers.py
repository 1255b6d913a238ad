"""Damaged files for every reader (see ``scripts/fuzz``).

Each reader runs in a process of its own, fed by atheris with changed copies of sample files. An exception
that is no `VolstratError` is written down, once for each place it comes from, and the run goes on; a hang,
or more memory than 2 GB, ends it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.dicom.folder import SeriesFiles

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_data"
FINDS = ROOT / "fuzz-finds"
DATA = Path(os.environ.get("VOLSTRAT_TEST_DATA", ROOT.parent / "shared" / "data"))
"""Real files, where they are at hand: more seeds."""
_LARGEST = 1 << 17
_LIMITS = [
    "-timeout=10",
    "-rss_limit_mb=2048",
    f"-max_len={_LARGEST}",
    "-verbosity=0",
    "-print_final_stats=1",
]
_RUNS = re.compile(r"stat::number_of_executed_units: *(\d+)")


def _volume(path: Path) -> None:
    from volstrat.formats.volumes import read_image, read_mask

    for read in (read_mask, read_image):
        _tried(read, path)


def _table(path: Path) -> None:
    from volstrat.case.lesion_table import read_bytes, read_lesion_table

    read_lesion_table(read_bytes(path), name=path.name)


def _case_file(path: Path) -> None:
    from volstrat.case.case_file import parse_case_file

    parse_case_file(path.read_bytes(), folder=path.parent)


def _protocol(path: Path) -> None:
    from volstrat.case.protocol_files import load_protocol

    load_protocol(path)


def _study(path: Path) -> None:
    from volstrat.study.study_file import read_study

    read_study(path)


def _manifest(path: Path) -> None:
    from volstrat.cohort.source import Manifest

    list(Manifest(path).cases())


def _trail(path: Path) -> None:
    from volstrat.store.audit import check_trail

    check_trail(path)


def _output(path: Path) -> None:
    """Verify an output of which one file is damaged."""
    from volstrat.verify import verify_output

    verify_output(path.parent if path.name == "audit.jsonl" else path.parents[1], only_hashes=True)


def _dicom(path: Path) -> None:
    """Read one DICOM file, whatever it is: header, grid, pixels, SUV; masks on the sample's images."""
    from volstrat.dicom.folder_scan import scan_files
    from volstrat.dicom.library import DicomLibrary
    from volstrat.dicom.pixels import read_series, read_suv
    from volstrat.dicom.suv.suv_factors import suv_factors

    library, images = DicomLibrary(), _images()
    found = scan_files([path], root=path.parent)

    def pixels(series: SeriesFiles) -> None:
        read_series(series, library.geometry(series))

    def suv(series: SeriesFiles) -> None:
        read_suv(series, library.geometry(series), suv_factors(series))

    for file in found.segmentations:
        for threshold in (None, 0.5):
            _tried(partial(library.read_segmentation, threshold=threshold, images=images), file)
    for file in found.structure_sets:
        _tried(partial(library.read_contours, rois=None, images=images, other_grid=None), file)
    for series in found.series:
        _tried(pixels, series)
        if series.modality == "PT":
            _tried(suv, series)


def _images() -> list[SeriesFiles]:
    """Return the image series of the DICOM sample, scanned once a process."""
    if not _scanned:
        from volstrat.dicom.folder_scan import scan_dicom

        _scanned.extend(scan_dicom(SAMPLES / "S15_dicom").series)
    return _scanned


def _case(path: Path) -> None:
    """Inspect and measure the case round a damaged file, and read its PET's factors."""
    from volstrat.case.assess import assess_case
    from volstrat.case.discovery import CasePlace, open_case
    from volstrat.case.inspect import inspect_case
    from volstrat.case.protocol_files import load_protocol
    from volstrat.dicom.folder_scan import scan_dicom
    from volstrat.dicom.suv.suv_factors import suv_factors

    folder = next(parent for parent in path.parents if parent.name == "case")
    protocol = load_protocol(None)
    _tried(lambda _: inspect_case(CasePlace(folder=folder, subject="S"), protocol), path)
    _tried(lambda _: assess_case(open_case(folder), protocol), path)
    for series in scan_dicom(folder).series:
        if series.modality == "PT":
            suv_factors(series)


def _tried(read: Callable[[Any], object], path: object) -> None:
    from volstrat.errors import VolstratError

    try:
        read(path)
    except VolstratError:
        return


def _seeds(pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(SAMPLES.glob(pattern)) if path.stat().st_size <= _LARGEST]


def _nifti_seeds() -> list[bytes]:
    plain = [gzip.decompress(data) for data in _seeds("S0*/*.nii.gz")]
    return [data[: 352 + 2000] for data in plain] + [data for data in plain if len(data) <= _LARGEST]


def _metaimages() -> list[bytes]:
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementSpacing = 1 2 3\n"
        "Offset = 0 0 0\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nAnatomicalOrientation = RAI\n"
        "BinaryDataByteOrderMSB = False\nCompressedData = False\nElementDataFile = LOCAL\n"
    )
    return [head.encode() + bytes(range(24)), head.replace("\n", "\r\n").encode() + bytes(24)]


def _workbook() -> list[bytes]:
    import io

    openpyxl: Any = import_module("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["lesion_id", "resectability"])
    book.active.append(["L1", "resectable"])
    stream = io.BytesIO()
    book.save(stream)
    return [stream.getvalue()]


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


def _of_dicom(series: str) -> Callable[[], list[bytes]]:
    return lambda: _seeds(f"S15_dicom/DICOM/{series}/IM0001") + _seeds(f"S15_dicom/DICOM/{series}/IM0003")


def _real(patterns: str, own: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
    """Return seeds: our own, and real files by their patterns, a few of each folder."""

    def seeds() -> list[bytes]:
        found = own()
        for pattern in patterns.split():
            small = [one for one in sorted(DATA.glob(pattern)) if one.stat().st_size <= _LARGEST]
            first = (
                {one.parent: one for one in reversed(small)} if len(small) > _MANY else dict(enumerate(small))
            )
            found += [one.read_bytes() for one in first.values()]
        return found

    return seeds


_STUDY = (
    '[study]\nid = "X"\n[layout]\nsubject = "in/{subject}.nii.gz"\n[layout.inputs]\n'
    'tumour = {path = "in/{subject}.nii.gz", segments = ["t"]}\n[readers]\nR1 = {lesions = "{subject}.csv"}\n'
)
READERS: dict[str, tuple[str, Callable[[Path], object], Callable[[], list[bytes]]]] = {
    # name: (where the file lies in the reader's folder, what reads it, seeds)
    "nifti": ("m.nii", _volume, _nifti_seeds),
    "nifti_gz": ("m.nii.gz", _volume, lambda: _seeds("S0*/*.nii.gz")),
    "nrrd": ("m.nrrd", _volume, _real("dcmqi/*/*.nrrd dcmqi/*/*/*/*.nrrd", lambda: _seeds("*/*.nrrd"))),
    "segments": ("m.seg.nrrd", _volume, _real("dcmqi/*/*_seg.nrrd", lambda: _seeds("*/*.seg.nrrd"))),
    "metaimage": ("m.mha", _volume, _metaimages),
    "lesions": ("lesions.csv", _table, lambda: _seeds("*/lesions.csv")),
    "workbook": ("lesions.xlsx", _table, _workbook),
    "case_file": ("case.toml", _case_file, lambda: _seeds("*/case.toml")),
    "protocol": ("p.toml", _protocol, lambda: [(ROOT / "volstrat/protocols/pantodon.toml").read_bytes()]),
    "study": ("study.toml", _study, _texts(_STUDY)),
    "manifest": ("m.csv", _manifest, _texts("subject,tumour,resectable.segments\nS1,a.nii.gz,1|2\n")),
    "trail": ("audit.jsonl", _trail, lambda: [(_finished() / "audit.jsonl").read_bytes()]),
    "output_trail": ("out/audit.jsonl", _output, lambda: [(_finished() / "audit.jsonl").read_bytes()]),
    "output_record": ("out/S/case.json", _output, lambda: [(_finished() / "S/case.json").read_bytes()]),
    "image": ("m.dcm", _dicom, _real("**/*.dcm", _of_dicom("SE0001"))),
    "pet": ("m.dcm", _dicom, _real("*/PET*/*.dcm", _of_dicom("SE0002"))),
    "seg": (
        "m.dcm",
        _dicom,
        _real("dcmqi/*/*.dcm highdicom/*/*seg*.dcm pydicom_seg/*.dcm", _of_dicom("SE0003")),
    ),
    "rtstruct": ("m.dcm", _dicom, _real("*/*rtstruct*/*.dcm rt-utils/*/*/*.dcm", _of_dicom("SE0004"))),
    "case_ct": ("case/DICOM/SE0001/IM0001", _case, _of_dicom("SE0001")),
    "case_pet": ("case/DICOM/SE0002/IM0001", _case, _of_dicom("SE0002")),
    "case_seg": ("case/DICOM/SE0003/IM0001", _case, _of_dicom("SE0003")),
    "case_rtstruct": ("case/DICOM/SE0004/IM0001", _case, _of_dicom("SE0004")),
}
_MANY = 12
_scanned: list[SeriesFiles] = []

_made: list[Path] = []


def _finished() -> Path:
    """Return the output of a cohort of one sample, made once a process."""
    if not _made:
        from volstrat.case.protocol_files import load_protocol
        from volstrat.cohort import run_cohort

        folder = Path(tempfile.mkdtemp(prefix="volstrat-fuzz-"))
        shutil.copytree(SAMPLES / "S02_stratum_2", folder / "in" / "S")
        run_cohort(folder / "in", folder / "out", load_protocol(None), workers=1)
        _made.append(folder / "out")
    return _made[0]


def _prepare(name: str, folder: Path) -> tuple[Path, Path]:
    """Make the folder round the damaged file and the folder of seeds; return the file and the seeds."""
    place, _, seeds = READERS[name]
    if place.startswith("case/"):
        shutil.copytree(SAMPLES / "S15_dicom", folder / "case")
    if place.startswith("out/"):
        shutil.copytree(_finished(), folder / "out")
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus"
    corpus.mkdir()
    for data in seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return path, corpus


def _fuzz(name: str, seconds: int) -> None:
    """Feed one reader in this process, which ends with it."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["volstrat"]):  # all of them: readers are imported late
        for room in ("formats", "dicom", "case", "study", "store", "cohort", "verify"):
            package = import_module(f"volstrat.{room}")
            for module in walk_packages(package.__path__, f"{package.__name__}."):
                import_module(module.name)
    from volstrat.errors import VolstratError

    folder = Path(tempfile.mkdtemp(prefix="volstrat-fuzz-"))
    path, corpus = _prepare(name, folder)
    read = READERS[name][1]
    FINDS.mkdir(exist_ok=True)
    known: set[str] = set()

    def once(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except VolstratError:
            return
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
            if where not in known:
                known.add(where)
                kept = FINDS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
                kept.write_bytes(data)
                print(f"FOUND {name}: {where}: {error!s:.200} ({kept.name})", flush=True)

    options = [*_LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={FINDS}/{name}-"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def main() -> None:
    """Fuzz the readers asked for, one after another; exit 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--seconds", type=int, default=60, help="for each reader (default 60)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.readers if name not in READERS]
    if unknown:
        parser.error(f"no such reader: {', '.join(unknown)}; there are {', '.join(READERS)}")
    if arguments.here:
        _fuzz(arguments.readers[0], arguments.seconds)
        return
    found = False
    for name in arguments.readers or READERS:
        done = subprocess.run(
            [sys.executable, __file__, name, "--here", "--seconds", str(arguments.seconds)],
            capture_output=True, text=True, errors="replace", check=False, cwd=ROOT,
        )  # fmt: skip
        told = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
        found |= bool(told) or done.returncode != 0
        ended = "" if done.returncode == 0 else f", ended with {done.returncode}"
        runs = _RUNS.search(done.stderr)
        times = f"{int(runs[1]):,} runs" if runs else "runs unknown"
        print(f"{name}: {times}, {len(told)} found{ended}", *told, sep="\n  ", flush=True)
        if done.returncode != 0:
            print("\n".join(done.stderr.splitlines()[-25:]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
