"""A case in a script or notebook: read once, marked and planned again without reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from volstrat.api.lesion import Lesions, no_such_lesion
from volstrat.api.read_only import read_only
from volstrat.api.shown import html_head, html_table, shown
from volstrat.case.assess import CaseResult, choose_plan, reassess_case
from volstrat.case.json_types import record_bytes
from volstrat.case.lesion_table import COLUMNS, row_of_cells, table_cells
from volstrat.case.record import record_name
from volstrat.errors import LesionTableError, VolstratError, as_volstrat_error
from volstrat.formats.layout import RAS_TO_LPS
from volstrat.rule.row_placing import renamed_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime
    from typing import Self

    from numpy.typing import NDArray

    from volstrat.api.looked_at import PathLike
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.certainty.verdict import Volumes
    from volstrat.export.export_run import Exported
    from volstrat.report.write import WrittenReport
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.outcomes import Status, Stratum

    Mark = str | Mapping[str, str]

_AVIDITY = ("avid", "not_avid")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Case:
    """A case that was measured; `read_case` and `assess` return it, nothing changes it.

    Numbers and words carry the names that the record has. A case travels between processes (pickle).
    """

    _result: CaseResult
    _protocol: LoadedProtocol
    _record: Mapping[str, Any] = field(init=False)
    _lesions: Lesions = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_record", read_only(self._result.record))
        object.__setattr__(self, "_lesions", Lesions(self._record, "lesions"))

    @property
    def subject(self) -> str:
        """What the folder, the study or ``case.toml`` calls the subject."""
        return self._result.record["subject"]

    @property
    def visit(self) -> str | None:
        """What a study calls the visit."""
        return self._result.record["visit"]

    @property
    def status(self) -> Status:
        """``assigned``, ``review`` or ``not_assessable``; a case that fails is never returned."""
        return cast("Status", self._result.record["status"])

    @property
    def stratum(self) -> Stratum | None:
        """``stratum_1``, ``stratum_2`` or ``ineligible``; None where the case is not assessable."""
        return self._result.record["stratum"]

    @property
    def volumes(self) -> Volumes:
        """Volumes in ml and fractions 0..1; None where not assessed."""
        return self._result.verdict.volumes

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a person should know, gravest first."""
        return self._result.verdict.findings

    @property
    def lesions(self) -> Lesions:
        """Lesions by id, in the record's order."""
        return self._lesions

    @property
    def pet_only_regions(self) -> Lesions:
        """Avid regions that belong to no lesion, by id."""
        return Lesions(self._record, "pet_only_regions")

    @property
    def record(self) -> Mapping[str, Any]:
        """The case record (docs/record.md), read-only, equal to the JSON of ``volstrat case --json``."""
        return self._record

    @property
    def plans(self) -> tuple[str, ...]:
        """Names of the surgical plans that ``case.toml`` states."""
        return tuple(plan["name"] for plan in self._result.record["plans"])

    def mask(self, lesion_id: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return the voxels of a lesion or PET-only region.

        Parameters
        ----------
        lesion_id : str

        Returns
        -------
        array of bool, (ni, nj, nk)
            On the tumour mask's grid; of a region on the PET's. i runs fastest.
        array of float, (4, 4)
            Maps indices to millimetres, RAS: as nibabel has it.

        Raises
        ------
        NoSuchLesionError
            A KeyError: there is no such lesion or region.
        """
        from volstrat.pictures.scene import AVID, shapes_of

        shapes = {shape.name: shape for shape in shapes_of(self._result.measured) if shape.name != AVID}
        if lesion_id not in shapes:
            raise no_such_lesion(self.subject, lesion_id, list(shapes))
        grid = shapes[lesion_id].grid
        dense = np.zeros(grid.size, dtype=np.bool_)
        dense[shapes[lesion_id].voxels.indices()] = True
        array = dense.reshape(grid.shape, order="F")
        affine: NDArray[np.float64] = RAS_TO_LPS @ grid.affine
        array.flags.writeable = affine.flags.writeable = False
        return array, affine

    def with_marks(self, marks: Mapping[str, Mark]) -> Self:
        """Return the case with other marks; no file is read again, what is not named keeps its marks.

        Parameters
        ----------
        marks : mapping of lesion or region id to str or mapping
            A word of the lesion table (``resectable``, ``ablatable``, ``unresectable``, ``unknown``,
            ``not_tumour``; ``avid``, ``not_avid``), or several cells of its row by column.

        Raises
        ------
        NoSuchLesionError
            A KeyError: there is no such lesion or region.
        LesionTableError
            If a word is none of the table's, or the marks do not fit the case.
        """
        measured = self._result.as_read
        points = measured.points()
        rows = dict(renamed_rows(measured))
        for lesion_id, mark in marks.items():
            if lesion_id not in points:
                raise no_such_lesion(self.subject, lesion_id, list(points))
            rows[lesion_id] = _marked_row(lesion_id, mark, rows.get(lesion_id), points[lesion_id])
        result = foreseen(lambda: reassess_case(self._result, rows, self._protocol))
        return type(self)(result, self._protocol)

    def with_plan(self, name: str) -> Self:
        """Return the case with another of its surgical plans chosen; no file is read again.

        Raises
        ------
        PlanError
            If ``case.toml`` states no such plan.
        """
        return type(self)(foreseen(lambda: choose_plan(self._result, name, self._protocol)), self._protocol)

    def to_json(self, path: PathLike) -> Path:
        """Write the record, the bytes of ``volstrat case -o``, and return where.

        Raises
        ------
        OutputError
            If it cannot be written.
        UsageError
            If it would be written into an output that is locked.
        """
        from volstrat.store.output import write_atomically
        from volstrat.store.seal import refuse_sealed

        target = Path(path)
        refuse_sealed(target.parent)
        write_atomically(target, record_bytes(self._result.record))
        return target

    def report(self, out: PathLike, *, pdf: bool = False) -> WrittenReport:
        """Write ``OUT/SUBJECT/report.html``, as ``volstrat report`` does, and return which files.

        Parameters
        ----------
        out : str or PathLike
        pdf : bool
            Also ``report.pdf``; needs the extra ``pdf``.

        Raises
        ------
        UsageError
            If a PDF cannot be made, or the output is locked.
        OutputError
            If it cannot be written.
        """
        from volstrat.report.write import write_report
        from volstrat.store.output import folder_name
        from volstrat.store.seal import refuse_sealed

        target = Path(out)
        refuse_sealed(target)
        folder = target / folder_name(record_name(self._result.record))
        return write_report(self._result, folder, protocol=self._protocol, pdf=pdf)

    def to_dicom(
        self,
        out: PathLike,
        *,
        kinds: Collection[str] = (),
        slicer: bool = False,
        at: datetime | None = None,
    ) -> Exported:
        """Write SEG, SR, PDF and key images for PACS, as ``volstrat export`` does; needs the extra ``dicom``.

        Parameters
        ----------
        out : str or PathLike
        kinds : collection of {"seg", "sr", "pdf", "sc"}
            None of them: all four.
        slicer : bool
            Also write a ``.seg.nrrd`` for 3D Slicer.
        at : datetime or None
            When the content was made; the same time gives the same bytes. None: now.

        Raises
        ------
        ExportError
            If no DICOM image lies under the masks.
        """
        from volstrat.export.export_run import export_result

        return export_result(self._result, Path(out), self._protocol, kinds=kinds, slicer=slicer, at=at)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and self._result.record == other._result.record

    def __hash__(self) -> int:
        return hash((self.subject, self.visit, self.status, self.stratum))

    def __repr__(self) -> str:
        name, count = record_name(self._result.record), len(self._result.record["lesions"])
        return (
            f"Case({name!r}: {self.stratum or 'no stratum'}, {self.status}; "
            f"{shown(self.volumes.total_tumour_ml)} ml in {count} lesion{'' if count == 1 else 's'})"
        )

    def _repr_html_(self) -> str:
        volumes = self.volumes
        fraction = volumes.resectable_fraction
        head = html_head(
            f"{record_name(self._result.record)}: {(self.stratum or 'no stratum').replace('_', ' ')}",
            f"{self.status.replace('_', ' ')}; protocol {self._protocol.protocol.id} "
            f"{self._protocol.protocol.version}",
            f"tumour {shown(volumes.total_tumour_ml)} ml"
            + ("" if fraction is None else f", of it resectable {shown(volumes.resectable_tumour_ml)} ml"),
        )
        found = [(f.severity, f.where, f.message) for f in self.findings]
        table = html_table(("severity", "where", "finding"), found) if found else ""
        return head + self.lesions._repr_html_() + table


def _marked_row(
    lesion_id: str, mark: Mark, row: LesionRow | None, point_mm: tuple[float, float, float]
) -> LesionRow:
    """Return a row with a mark, at the very tissue that the case has under this id."""
    cells = dict.fromkeys(COLUMNS, "") if row is None else table_cells(row)
    if isinstance(mark, str):
        given: Mapping[str, str] = {"fdg_avidity" if mark in _AVIDITY else "resectability": mark}
    elif isinstance(mark, Mapping):
        given = mark
    else:
        msg = f"marks: {lesion_id} has {mark!r}; a word of the lesion table is expected, or cells by column."
        raise LesionTableError(msg, hint='To take a mark back, write {"resectability": ""}.')
    for column, text in given.items():
        if column not in COLUMNS or not isinstance(text, str):
            msg = f"marks: {lesion_id} has {column!r}: {text!r}; a text is expected, by column of the table."
            raise LesionTableError(msg, hint=f"The columns are {', '.join(COLUMNS[1:])}.")
    cells |= dict(zip(("x_mm", "y_mm", "z_mm"), map(repr, point_mm), strict=True))
    return row_of_cells({**cells, **given, "lesion_id": lesion_id}, "marks")


def foreseen(work: Callable[[], CaseResult]) -> CaseResult:
    """Do the work; what nobody foresaw is told as what it is, an error of volstrat.

    Raises
    ------
    VolstratError
    """
    try:
        return work()
    except VolstratError:
        raise
    except Exception as error:
        raise as_volstrat_error(error) from error
