"""One reading from three or more: voxels by majority or STAPLE, markings by majority of the readers."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from volstrat.case.assess import CaseResult, assess_case
from volstrat.case.discovery import is_case_folder
from volstrat.case.lesion_table import COLUMNS, csv_bytes
from volstrat.comparison.compare_run import check_place
from volstrat.comparison.readings import ReadingSet, open_readings
from volstrat.errors import CaseError, OutputError, UsageError, VolstratError
from volstrat.formats.layout import RAS_TO_LPS
from volstrat.geometry.alignment import align_masks
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesion_measures import measure_lesions
from volstrat.rule.lesions import Lesions, TumourEntry, find_lesions
from volstrat.store.output import folder_name, write_atomically
from volstrat.terms.marks import PARTIAL, Marking
from volstrat.terms.protocol import reaches_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.geometry.grid import VoxelGrid

Method = Literal["majority", "staple"]
FEWEST_READINGS = 3
"""Of two readings that differ neither is the majority."""

_SUMMARY = "consensus.json"
_FILES = ("tumour.nii.gz", "fdg_avid.nii.gz", "lesions.csv", _SUMMARY)
_MARGIN_VOXELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusResult:
    """How a consensus ended: subjects that have one, and those that have none, with the reason."""

    written: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def write_consensus(
    paths: Sequence[Path],
    out: Path,
    *,
    method: Method = "majority",
    protocol: LoadedProtocol | None = None,
    lesions: Sequence[str] = (),
    each: Callable[[str, str], None] = lambda subject, problem: None,
) -> ConsensusResult:
    """Write a case folder for each subject, made of what three or more readings agree on.

    ``tumour.nii.gz`` and ``fdg_avid.nii.gz`` hold the consensus voxels; ``lesions.csv`` marks each of its
    lesions with the word that more than half of the readers gave it, else ``unknown``; ``consensus.json``
    says what it was made of. ``paths``, ``protocol`` and ``lesions`` are those of `compare_readings`;
    ``each`` is called with each subject and, where it has no consensus, why.
    Fewer than three readings, or a case that no consensus made in the way, are a `UsageError`; what cannot be
    written is an `OutputError`.
    """
    _require_three(paths)
    readings = open_readings(paths, protocol=protocol, lesions=lesions)
    if len({(one.path.resolve(), one.lesions) for one in readings}) < len(readings):
        msg = "A reading is named twice; it would outvote the others by itself."
        raise UsageError(
            msg, hint="Name each reading once; of one folder, each reader's table with --lesions."
        )
    check_place(out, paths)
    subjects = sorted({s for r in readings for s in r.subjects})
    for subject in subjects:
        _check_folder(out / folder_name(subject), paths)
    written, failed = [], []
    for subject in subjects:
        target = out / folder_name(subject)
        try:
            files = _Vote(subject, readings, method).files()
        except VolstratError as error:
            _clear(target, keep=())
            failed.append((subject, str(error)))
            each(subject, str(error))
            continue
        _clear(target, keep=files)
        for name, data in files.items():
            write_atomically(target / name, data)
        written.append(subject)
        each(subject, "")
    return ConsensusResult(written=tuple(written), failed=tuple(failed))


def _check_folder(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse a folder that holds a case which no consensus made: a reader's masks are never written over."""
    if not folder.is_dir():
        return
    is_read = any(path.resolve().is_relative_to(folder.resolve()) for path in paths)
    if is_read or (is_case_folder(folder) and not (folder / _SUMMARY).exists()):
        msg = f"{folder}: holds a case that no consensus made; it would be written over."
        raise UsageError(msg, hint="Name another folder with -o.")


def _clear(folder: Path, *, keep: Collection[str]) -> None:
    """Remove what an earlier consensus left and this one does not write: it would stand beside it."""
    if not (folder / _SUMMARY).exists():
        return
    try:
        for name in _FILES:
            if name not in keep:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        msg = f"{folder}: an earlier consensus cannot be removed ({error.strerror})."
        raise OutputError(msg, hint="Check the folder's permissions.") from error


class _Vote:
    """What three or more readings of one subject agree on."""

    def __init__(self, subject: str, readings: Sequence[ReadingSet], method: Method) -> None:
        absent = [r.name for r in readings if subject not in r.subjects]
        if absent:
            msg = f"{subject!r} is not in reading {', '.join(absent)}."
            raise CaseError(msg, hint="A consensus needs every reading of a subject.")
        self._subject, self._readings, self._method = subject, readings, method
        self._readers = [r.name for r in readings]
        self._protocol = readings[0].protocol.protocol
        self._cases = [assess_case(r.subjects[subject].open(r.protocol), r.protocol) for r in readings]
        pairs = zip(self._readers, self._cases, strict=True)
        planned = ", ".join(name for name, case in pairs if case.decision is not None)
        if planned:
            msg = f"{subject!r} has surgical plans in reading {planned}; a plan is chosen, not voted on."
            raise CaseError(msg, hint="Have the meeting choose a plan, or take [[plans]] out of case.toml.")

    def files(self) -> dict[str, bytes]:
        """Return the files of the consensus, by name."""
        drawn = [(case.inputs.masks.grid, case.measured.marked.voxels()) for case in self._cases]
        tumour, grid, votes_on_tumour = self._voted(drawn)
        entry = TumourEntry(mask=_mask(grid, tumour), instances="components")
        found, _ = find_lesions([entry], grid, self._protocol)
        known = [case.measured.attribution for case in self._cases]
        sets = [(a.grid, a.regions.avid) for a in known if a is not None]
        avid = (
            self._voted(sets) if len(sets) == len(known) else None
        )  # where every reading knows it as voxels
        rows = self._rows(found, grid, words_too=avid is None)
        cells = [{column: str(row.get(column, "")) for column in COLUMNS} for row in rows]
        files = {"tumour.nii.gz": _nifti_bytes(tumour, grid), "lesions.csv": csv_bytes(COLUMNS, cells)}
        if avid is not None:
            files["fdg_avid.nii.gz"] = _nifti_bytes(avid[0], avid[1])
        summary = {
            "schema": "volstrat.consensus/1",
            "subject": self._subject,
            "method": self._method,
            "readings": [{"reading": r.name, "label": r.label} for r in self._readings],
            "tumour": votes_on_tumour,
            "fdg_avid": None if avid is None else avid[2],
            "lesions": rows,
        }
        files[_SUMMARY] = (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode()
        return files

    def _voted(
        self, sets: Sequence[tuple[VoxelGrid, VoxelRuns]]
    ) -> tuple[VoxelRuns, VoxelGrid, dict[str, Any]]:
        """Put each reading's voxels onto one grid and vote: the voxels, their grid, and figures."""
        names = [f"reading {name}" for name in self._readers]
        masks = {name: _mask(*one) for name, one in zip(names, sets, strict=True)}
        grid, aligned = align_masks(masks, tolerance_mm=self._protocol.geometry_tolerance_mm, base=names[0])
        moved = [aligned[name].voxels() for name in names]
        figures: dict[str, Any] = {"voxels": [voxels.count for voxels in moved]}
        if self._method == "majority":
            voxels = majority(moved)
        else:
            voxels, figures["performance"] = staple(moved, grid)
        return voxels, grid, {**figures, "consensus_voxels": voxels.count}

    def _rows(self, found: Lesions, grid: VoxelGrid, *, words_too: bool) -> list[dict[str, Any]]:
        """Mark each lesion of the consensus as most readers did; ``words_too``: its avidity as well."""
        rows = []
        marked = [
            {m: self._onto(case, case.measured.marked.voxels_marked(m), grid) for m in Marking}
            for case in self._cases
        ]
        of = len(self._readers)
        points = measure_lesions(found).point_mm.tolist()
        for n, lesion_id in enumerate(found.ids):
            voxels = found.of(n)
            words = [self._word(of_marking, voxels) for of_marking in marked]
            word, votes = _most(words)
            settled = word if word in {m.word for m in Marking} else None
            said = ", ".join(f"{who} {w or 'nothing'}" for who, w in zip(self._readers, words, strict=True))
            avidity = (
                _most([self._avidity(case, grid, voxels) for case in self._cases])[0] if words_too else ""
            )
            rows.append(
                {
                    "lesion_id": lesion_id,
                    "resectability": settled or Marking.UNKNOWN.word,
                    "fdg_avidity": avidity if avidity in {"avid", "not_avid"} else "",
                    **{f"{axis}_mm": x for axis, x in zip("xyz", points[n], strict=True)},
                    "volume_ml": f"{voxels.count * grid.voxel_ml:.6g}",
                    "reader": f"consensus of {', '.join(self._readers)}",
                    "reason": f"{votes} of {of}: {said}" if settled else f"no majority: {said}",
                }
            )
        return rows

    def _onto(self, case: CaseResult, voxels: VoxelRuns, grid: VoxelGrid) -> VoxelRuns:
        mask = _mask(case.inputs.masks.grid, voxels)
        return mask.on_grid(grid, tolerance_mm=self._protocol.geometry_tolerance_mm).voxels()

    def _word(self, marked: Mapping[Marking, VoxelRuns], voxels: VoxelRuns) -> str | None:
        """Return how a reading marks these voxels; None where it has no tumour there."""
        counts = {marking: of_marking.intersection(voxels).count for marking, of_marking in marked.items()}
        whole = sum(counts.values())
        for marking, count in counts.items():
            if whole and reaches_percent(count, whole, self._protocol.whole_lesion_percent):
                return marking.word
        return PARTIAL if whole else None

    def _avidity(self, case: CaseResult, grid: VoxelGrid, voxels: VoxelRuns) -> str | None:
        """Return what a reading says of the lesions that it has there: avid where any is."""
        lesions, avidity = case.measured.lesions, case.verdict.assessment.avidity
        there = {
            avidity[n]
            for n in np.flatnonzero(~case.measured.marked.not_tumour).tolist()
            if self._onto(case, lesions.of(n), grid).intersection(voxels)
        }
        return next((word for word in ("avid", "not_assessed", "not_avid") if word in there), None)


def _mask(grid: VoxelGrid, voxels: VoxelRuns) -> Mask:
    return Mask(grid=grid, runs=LabelRuns.from_sets([(1, voxels)]))


def _require_three(readings: Sequence[object]) -> None:
    if len(readings) < FEWEST_READINGS:
        msg = f"A consensus needs at least {FEWEST_READINGS} readings; there are {len(readings)}."
        hint = "Where two readings differ neither outvotes the other: have an adjudicator decide."
        raise UsageError(msg, hint=hint)


def majority(readings: Sequence[VoxelRuns]) -> VoxelRuns:
    """Return the voxels that more than half of three or more readings on one grid hold.

    With an even number of readings a voxel that exactly half of them hold is left out. Fewer readings are a
    `UsageError`.
    """
    _require_three(readings)
    position = np.concatenate([end for runs in readings for end in (runs.starts, runs.stops)])
    change = np.concatenate(
        [np.full(runs.starts.size, sign, np.int64) for runs in readings for sign in (1, -1)]
    )
    order = np.argsort(position, kind="stable")
    position, votes = position[order], np.cumsum(change[order])
    held = np.flatnonzero(2 * votes > len(readings))  # the last stop leaves no votes, so `held + 1` exists
    return VoxelRuns.from_intervals(position[held], position[held + 1])


def staple(readings: Sequence[VoxelRuns], grid: VoxelGrid) -> tuple[VoxelRuns, list[dict[str, float]]]:
    """Return the voxels that STAPLE holds for more likely tumour than not (Warfield et al. 2004).

    Specificity, and with it the result, depends on how much background is looked at: here the box round what
    any reading holds, five voxels wider. With them comes each reading's sensitivity and specificity. Fewer
    than three readings are a `UsageError`.
    """
    _require_three(readings)
    union = VoxelRuns.empty()
    for reading in readings:
        union = union.union(reading)
    if not union:
        return union, []
    import SimpleITK as sitk

    index = grid.unravel(union.indices())
    low = np.maximum(index.min(axis=0) - _MARGIN_VOXELS, 0)
    high = np.minimum(index.max(axis=0) + _MARGIN_VOXELS + 1, grid.shape)
    shape = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    images = []
    for reading in readings:
        at = grid.unravel(reading.indices()) - low
        crop = np.zeros(shape, dtype=np.uint8)
        crop[at[:, 0], at[:, 1], at[:, 2]] = 1
        images.append(sitk.GetImageFromArray(crop.T))
    rater = sitk.STAPLEImageFilter()
    rater.SetForegroundValue(1.0)
    likely = sitk.GetArrayFromImage(rater.Execute(images)).T > 0.5
    voxels = grid.ravel(np.argwhere(likely) + low)
    performance = [
        {"sensitivity": float(p), "specificity": float(q)}
        for p, q in zip(rater.GetSensitivity(), rater.GetSpecificity(), strict=True)
    ]
    return VoxelRuns.from_indices(voxels), performance


def _most(words: Sequence[str | None]) -> tuple[str | None, int]:
    """Return the word that more than half gave, and how many did; None where there is none."""
    word, votes = Counter(words).most_common(1)[0]
    return (word, votes) if 2 * votes > len(words) else (None, votes)


def _nifti_bytes(voxels: VoxelRuns, grid: VoxelGrid) -> bytes:
    """Return a mask as the bytes of a ``.nii.gz``; the same mask gives the same bytes."""
    import nibabel as nib

    dense = np.zeros(grid.size, dtype=np.uint8)
    dense[voxels.indices()] = 1
    image = nib.Nifti1Image(dense.reshape(grid.shape, order="F"), RAS_TO_LPS @ grid.affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
