"""A case under review: what the page shows, and what a mark does to it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.case.assess import assess_case, reassess_case
from volstrat.case.discovery import CASE_FILE
from volstrat.certainty.case_memo import CaseMemo
from volstrat.errors import CaseError, InputChangedError, LesionTableError, UsageError, VolstratError
from volstrat.pictures.planes import Plane
from volstrat.pictures.projections import Projections
from volstrat.pictures.scene import AVID, CtRead, build_scene, read_ct
from volstrat.pictures.sites import lesion_sites
from volstrat.pictures.slices import depths
from volstrat.review.mark_table import MarkTable, TableState, check_reader, clean_text, other_tables
from volstrat.review.watch import InputWatch
from volstrat.rule.measure import remark_case
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import CaseSources
    from volstrat.case.entries import EntryReader
    from volstrat.case.place import CasePlace
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.scene import Scene, Shape
    from volstrat.rule.measure import Measurements

_WORDS: dict[str, Marking] = {marking.word: marking for marking in Marking}
_AVIDITY = ("avid", "not_avid")
_POINT_DECIMALS = 3
READING_MASKS, READING_IMAGES = "Reading the masks", "Reading the images"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """How a case is reviewed.

    Parameters
    ----------
    reader : str
        Whose table is marked (``lesions.READER.csv``); "" for the case's own.
    read_only : bool
    blind : bool
        Other readers' marks are neither read nor shown.
    """

    reader: str = ""
    read_only: bool = False
    blind: bool = False

    def __post_init__(self) -> None:
        if self.reader:
            check_reader(self.reader)
        elif self.blind:
            msg = "A blind review needs a reader."
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark as the page sends it.

    Parameters
    ----------
    reading : int
        `ReviewSession.reading` that the page showed: another one may have other lesions by the same names.
    resectability, fdg_avidity : str
        Words of a lesion table; both and ``reason`` empty: the row is removed.
    seen : str
        `token_of` the row that the page showed.
    force : bool
        Replace a row that the page had not shown.
    """

    lesion_id: str
    reading: int
    resectability: str = ""
    fdg_avidity: str = ""
    reason: str = ""
    reader: str = ""
    seen: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reviewed:
    """One state of a review; a new one is made on each mark, so that pictures and table fit together.

    Parameters
    ----------
    version : int
        Rises with every change.
    bare : CaseResult
        The case without any lesion table.
    result : CaseResult or None
        With the reader's rows; None where the table does not fit the case.
    table : TableState
    problem : str
        Why the table does not fit, or cannot be read.
    misfits : mapping of lesion id to str
        Rows that do not fit the case, with the reason.
    others : mapping of lesion id to tuple of (reader, word)
        Other readers' marks.
    """

    version: int
    bare: CaseResult
    result: CaseResult | None
    table: TableState
    problem: str = ""
    misfits: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


class ReviewSession:
    """Loads a case, keeps it, and applies marks to it.

    Parameters
    ----------
    place : CasePlace
    protocol : LoadedProtocol
    options : ReviewOptions

    Notes
    -----
    `load` takes seconds and is meant for a thread of its own; until it is done, `reviewed` is None.
    """

    def __init__(self, place: CasePlace, protocol: LoadedProtocol, options: ReviewOptions) -> None:
        self.place = place
        self.protocol = protocol
        self.options = options
        self.reviewed: Reviewed | None = None
        self.scene: Scene | None = None
        self.projections: Projections | None = None
        self.error: VolstratError | None = None
        self.sites: Mapping[str, str] = {}
        self.points: Mapping[str, tuple[float, float, float]] = {}
        self.notices: tuple[str, ...] = ()
        self.stage = READING_MASKS
        # Rises over restarts too: a tab of an earlier run must not take its lesions for this run's.
        self.reading = time.time_ns() // 1_000_000
        self._version = 0
        self._lock = threading.RLock()
        self._watch: InputWatch | None = None
        self._table: MarkTable | None = None
        self._memo = CaseMemo()

    @property
    def table_name(self) -> str:
        """Name of the file that is marked in."""
        return "" if self._table is None else self._table.path.name

    def load(self) -> None:
        """Read the case from its folder; what goes wrong becomes ``error``.

        Lesions can be marked as soon as the masks are read; images follow.
        """
        with self._lock:
            self.reading += 1
            number = self.reading
            self.error = self.reviewed = self.scene = self.projections = None
            self.stage = READING_MASKS
            reading: Future[CtRead] = Future()
            try:
                case = self.place.open(naming=self.protocol.protocol.naming)
                threading.Thread(target=_read_beside, args=(case.sources, reading), daemon=True).start()
                bare = self._read_masks(case)
            except VolstratError as error:
                self.error, self.stage = error, ""
                return
            except MemoryError:
                message = "The case does not fit into this computer's memory."
                self.error, self.stage = VolstratError(message, hint="Crop its images."), ""
                return
            except Exception as error:  # whatever it is: a page that reads for ever says nothing
                message = f"volstrat itself failed: {type(error).__name__}: {error}"
                self.error, self.stage = VolstratError(message, hint="Please report this."), ""
                return
            self.stage = READING_IMAGES
        self._load_images(bare, reading, number)

    def _load_images(self, bare: CaseResult, reading: Future[CtRead], number: int) -> None:
        """Put the pictures together; without them lesions can still be marked."""
        scene, projections, notices = None, None, self.notices
        try:
            scene = build_scene(bare, reading.result())
            projections = Projections(scene)
        except Exception as error:
            why = "they do not fit into memory" if isinstance(error, MemoryError) else repr(error)
            notices = (*notices, f"The images cannot be shown: {why}.")
        with self._lock:
            if number == self.reading:
                self.scene, self.projections, self.notices, self.stage = scene, projections, notices, ""

    def _read_masks(self, case: EntryReader) -> CaseResult:
        sources = case.sources
        self._memo = CaseMemo()
        self._table = MarkTable(self._table_path(sources))
        self._watch = InputWatch(sources)
        bare = assess_case(case.without("lesions"), self.protocol, memo=self._memo)
        self.sites = lesion_sites(bare.measured)
        self.points = inner_points(bare.measured)
        self.notices = tuple(self._table_notices(sources))
        self._version += 1
        self.reviewed = self._reviewed(bare, version=self._version)
        return bare

    def _table_path(self, sources: CaseSources) -> Path:
        own = sources.only("lesions")
        if self.place.names_table and own is not None:
            return self._writable(own.path)
        if sources.told_by in ("study", "manifest"):
            msg = f"{sources.subject}: no lesion table is named in which to mark."
            hint = (
                'Write lesions = "reads/{subject}.csv" below [layout.inputs], or name a reader of the study.'
            )
            raise CaseError(msg, hint=hint)
        if self.options.reader:
            return sources.folder / f"lesions.{self.options.reader}.csv"
        return sources.folder / "lesions.csv" if own is None else self._writable(own.path)

    def _writable(self, table: Path) -> Path:
        """Refuse a workbook: marks are appended to text, and a workbook may hold what is not to be lost."""
        if table.suffix.lower() != ".csv" and not self.options.read_only:
            msg = f"{table.name}: is an Excel workbook; marks are not written into it."
            raise CaseError(
                msg, hint="Save it as lesions.csv and take the workbook away, or mark with --reader."
            )
        return table

    def _table_notices(self, sources: CaseSources) -> list[str]:
        """Say what other commands must be told to find the marks."""
        name = self.table_name
        own = sources.only("lesions")
        if self.place.names_table:
            return []
        if self.options.reader:
            return [
                f"Marks go to {name}; volstrat case and batch read them with --lesions {self.options.reader}."
            ]
        if own is None and sources.told_by == "case.toml":
            return [
                f"{CASE_FILE} names no lesion table: volstrat case reads these marks with --lesions {name}, "
                f'or once {CASE_FILE} says lesions = "{name}".'
            ]
        return []

    def _reviewed(self, bare: CaseResult, *, version: int) -> Reviewed:
        """Read the table and apply it."""
        assert self._table is not None
        try:
            table = self._table.read()
            self._check_blind(table)
        except VolstratError as error:
            return Reviewed(
                version=version,
                bare=bare,
                result=None,
                table=TableState(rows={}, sha256="?"),
                problem=str(error),
            )
        return self._with_table(bare, table, version=version)

    def _check_blind(self, table: TableState) -> None:
        others = sorted({r.reader for r in table.rows.values()} - {"", self.options.reader})
        if self.options.blind and others:
            who = ", ".join(others)
            msg = f"{self.table_name}: holds rows of another reader ({who}); a blind review shows none."
            raise LesionTableError(msg, hint="Use another name with --blind, or review without it.")

    def _with_table(self, bare: CaseResult, table: TableState, *, version: int) -> Reviewed:
        result, problem, misfits = None, "", {}
        try:
            result = reassess_case(bare, table.rows, self.protocol, memo=self._memo)
        except LesionTableError as error:
            problem = str(error)
            misfits = self._misfits(bare, table)
        return Reviewed(
            version=version,
            bare=bare,
            result=result,
            table=table,
            problem=problem,
            misfits=misfits,
            others=self._others(),
        )

    def _misfits(self, bare: CaseResult, table: TableState) -> dict[str, str]:
        """Find the rows that do not fit the case, one by one."""
        found = {}
        for lesion_id, row in table.rows.items():
            try:
                remark_case(bare.measured, {lesion_id: row})
            except LesionTableError as error:
                found[lesion_id] = str(error)
        return found

    def _others(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Read what other readers marked in tables beside this one."""
        if self.options.blind or self._table is None:
            return {}
        found: dict[str, tuple[tuple[str, str], ...]] = {}
        for path in other_tables(self._table.path):
            try:
                rows = MarkTable(path).read().rows
            except VolstratError:
                continue
            named = path.name[len("lesions.") : -len(".csv")] if path.name.count(".") > 1 else path.name
            for lesion_id, row in rows.items():
                if row.resectability is not None:
                    mark = (row.reader or named, row.resectability.word)
                    found[lesion_id] = (*found.get(lesion_id, ()), mark)
        return found

    def refresh(self) -> Reviewed | None:
        """Take over what changed in the table since, if anything did."""
        if self.stage == READING_MASKS:
            return None
        with self._lock:
            reviewed = self.reviewed
            if reviewed is None or self._table is None:
                return reviewed
            try:
                table = self._table.read()
            except VolstratError as error:
                if reviewed.problem != str(error):
                    self._again(reviewed)
                return self.reviewed
            if table.sha256 != reviewed.table.sha256 or self._others() != reviewed.others:
                self._again(reviewed)
            return self.reviewed

    def _again(self, reviewed: Reviewed) -> None:
        self._version += 1
        self.reviewed = self._reviewed(reviewed.bare, version=self._version)

    def changed_input(self) -> str:
        """Return the name of an input file that changed since it was read; "" where none did."""
        return "" if self._watch is None else self._watch.changed()

    def mark(self, mark: Mark) -> Reviewed:
        """Save one mark and apply it.

        Raises
        ------
        VolstratError
            If it cannot be saved: read only, a conflict, an input that changed, a word that is none,
            a disk that is full. Nothing is changed then.
        """
        with self._lock:
            reviewed = self.reviewed
            if reviewed is None or self._table is None:
                msg = "The case is not loaded."
                raise UsageError(msg)
            self._check_may_mark(mark)
            reader = self.options.reader or clean_text(mark.reader, what="reader's name")
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            row = self._row(mark, reader, now)
            if row is not None:  # a row that the case refuses is never written
                remark_case(reviewed.bare.measured, {row.lesion_id: row})
            table = self._table.replace(
                mark.lesion_id, row, seen=mark.seen, by=reader, at=now, force=mark.force
            )
            self._version += 1
            if self.options.blind:  # somebody else's row may have come into it
                self.reviewed = self._reviewed(reviewed.bare, version=self._version)
            else:
                self.reviewed = self._with_table(reviewed.bare, table, version=self._version)
            return self.reviewed

    def _check_may_mark(self, mark: Mark) -> None:
        if self.options.read_only:
            msg = "This review is read only."
            raise UsageError(msg, hint="Start volstrat review without --read-only to mark.")
        changed = self.changed_input()
        if changed:
            msg = f"{changed}: changed on disk since it was read, so lesions may no longer be the same."
            raise InputChangedError(msg, hint="Read the case again, then mark.")
        if mark.reading != self.reading:
            msg = (
                f"The case was read again since {mark.lesion_id} was marked, so it may be another lesion now."
            )
            raise InputChangedError(msg, hint="Drop this mark, look at the lesion, and mark it again.")

    def _row(self, mark: Mark, reader: str, now: str) -> LesionRow | None:
        """Make the row of a mark; None where it is to be removed."""
        if mark.resectability and mark.resectability not in _WORDS:
            msg = f"{mark.resectability!r} is no marking."
            raise LesionTableError(msg)
        if mark.fdg_avidity and mark.fdg_avidity not in _AVIDITY:
            msg = f"{mark.fdg_avidity!r} is no avidity."
            raise LesionTableError(msg)
        reason = clean_text(mark.reason, what="reason")
        if not (mark.resectability or mark.fdg_avidity or reason):
            return None
        if mark.lesion_id not in self.points:
            msg = f"There is no lesion {mark.lesion_id!r} in this case."
            raise LesionTableError(msg)
        return LesionRow(
            lesion_id=mark.lesion_id,
            resectability=_WORDS.get(mark.resectability),
            fdg_avidity="avid"
            if mark.fdg_avidity == "avid"
            else "not_avid"
            if mark.fdg_avidity == "not_avid"
            else None,
            point_mm=self.points[mark.lesion_id],
            reader=reader,
            reason=reason,
            recorded_at=now,
            where=f"{self.table_name}, {mark.lesion_id}",
        )

    def lesion_at(self, point_mm: tuple[float, float, float], *, on: PlaneName | None = None) -> str:
        """Return the lesion or region that holds a point (LPS mm); "" where none does.

        Parameters
        ----------
        on : {"axial", "coronal", "sagittal"} or None
            The plane that shows the point: what is drawn there within its slice is found too.
        """
        scene = self.scene
        if scene is None:
            return ""
        plane = None
        if on is not None:
            plane = Plane(name=on, grid=scene.grid, index=0)
            plane = replace(plane, index=plane.slice_at(point_mm))
        shapes = [shape for shape in scene.shapes if shape.name != AVID]
        exact = (shape.name for shape in shapes if _holds(shape, point_mm, None))
        drawn = (shape.name for shape in shapes if plane is not None and _holds(shape, point_mm, plane))
        return next(exact, "") or next(drawn, "")


def _holds(shape: Shape, point_mm: tuple[float, float, float], plane: Plane | None) -> bool:
    """Tell whether a shape holds a point, or what a plane's slice shows there."""
    points = np.array([point_mm])
    if plane is not None:
        index = plane.grid.to_index(points)
        index = np.repeat(index, len(inside := depths(shape.grid, plane)), axis=0)
        index[:, plane.normal] = plane.index + np.array(inside)
        points = plane.grid.to_mm(index)
    at = shape.grid.voxel_at(shape.grid.to_index(points))
    at = at[at[:, 0] >= 0]
    return bool(shape.voxels.contains(shape.grid.ravel(at)).any())


def _read_beside(sources: CaseSources, reading: Future[CtRead]) -> None:
    """Read the CT in a thread of its own: decompression lets the masks be read meanwhile."""
    try:
        reading.set_result(read_ct(sources))
    except Exception as error:
        reading.set_result(CtRead(volume=None, problem=f"The CT cannot be shown: {error}"))


def inner_points(measured: Measurements) -> dict[str, tuple[float, float, float]]:
    """Return for each lesion and PET-only region the centre of its voxel nearest to its centroid, LPS mm."""
    points = {}
    lesions = measured.lesions
    for n, lesion_id in enumerate(lesions.ids):
        centres = lesions.grid.to_mm(lesions.grid.unravel(lesions.of(n).indices()))
        points[lesion_id] = _nearest(centres, measured.measures.centroid_mm[n])
    attribution = measured.attribution
    if attribution is not None and attribution.pet_only.count:
        rank = attribution.rank
        for n in range(attribution.pet_only.count):
            centres = attribution.grid.to_mm(attribution.grid.unravel(attribution.voxels[rank == n]))
            points[f"P{n + 1}"] = _nearest(centres, attribution.pet_only.measures.centroid_mm[n])
    return points


def _nearest(
    centres: np.ndarray[Any, np.dtype[np.float64]], to: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[float, float, float]:
    x, y, z = centres[int(np.argmin(((centres - to) ** 2).sum(axis=1)))].tolist()
    return round(x, _POINT_DECIMALS), round(y, _POINT_DECIMALS), round(z, _POINT_DECIMALS)
