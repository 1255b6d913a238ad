"""Lesions and PET-only regions of a case, by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from volstrat.api.read_only import plain
from volstrat.api.shown import HasRows, html_head, html_table, shown
from volstrat.errors import NoSuchLesionError
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from volstrat.terms.marks import FdgAvidity, Resectability, Site
    from volstrat.terms.outcomes import SiteSource

    PointMm = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lesion:
    """A lesion, or a PET-only region, under the names that the record has.

    Parameters
    ----------
    lesion_id : str
        L1, L2, ...; of a PET-only region P1, P2, ...
    voxels : int
        Of the tumour mask's grid; of a region the PET's.
    volume_ml : float
    centroid_mm : tuple of float
        LPS, mm, as all points.
    point_mm : tuple of float
        Centre of its voxel nearest to the centroid.
    bounding_box_mm : tuple of tuple
        Lowest and highest coordinate of any voxel centre.
    max_diameter_mm, max_axial_diameter_mm : float
        Between voxel centres.
    resectability : str
        The marking of the whole lesion; ``partial``: there is none.
    resectable_fraction : float or None
        Lower bound; None where nothing is marked.
    fdg_avidity : {"avid", "not_avid", "not_assessed"}
    fdg_avid_ml : float or None
        PET voxels that belong to it.
    suv_max, suv_mean, suv_peak : float or None
        g/ml.
    tlg_g : float or None
        Total lesion glycolysis.
    counting_error_percent : float
        Standard deviation of the volume from counting voxels alone.
    segment : str or None
        Name of the segment, ROI or label that it is.
    site, site_source : str or None
        Where it lies, and what says so.
    dismissed : bool
        Counted nowhere: ``not_tumour``, or a region that is ``not_avid``.
    near : tuple of (str, float) or None
        Of a region: the nearest lesion and the distance in mm.
    belongs_to : str or None
        Of a region: the lesion whose marking it takes.
    marked_by, reason, recorded_at : str or None
        From its row in the lesion table.
    """

    lesion_id: str
    voxels: int
    volume_ml: float
    centroid_mm: PointMm
    point_mm: PointMm
    bounding_box_mm: tuple[PointMm, PointMm]
    max_diameter_mm: float
    max_axial_diameter_mm: float
    resectability: Resectability
    resectable_fraction: float | None
    fdg_avidity: FdgAvidity
    fdg_avid_ml: float | None
    suv_max: float | None
    suv_mean: float | None
    suv_peak: float | None
    tlg_g: float | None
    counting_error_percent: float
    segment: str | None
    site: Site | None
    site_source: SiteSource | None
    dismissed: bool
    near: tuple[str, float] | None
    belongs_to: str | None
    marked_by: str | None
    reason: str | None
    recorded_at: str | None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Lesion:
        """Return the lesion of an entry of the record's ``lesions`` or ``pet_only_regions``."""
        return cls(**{key: _tuples(value) for key, value in record.items()})

    def __repr__(self) -> str:
        avidity = self.fdg_avidity.replace("_", " ")
        return f"Lesion({self.lesion_id!r}: {shown(self.volume_ml)} ml, {self.resectability}, {avidity})"

    def _repr_html_(self) -> str:
        rows = [(one.name, getattr(self, one.name)) for one in fields(self)]
        return html_table(("", self.lesion_id), rows[1:])


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


class Lesions(HasRows, Mapping[str, Lesion]):
    """Lesions (or PET-only regions) of one case, in the record's order, by id."""

    __slots__ = ("_by_id", "_key", "_record")
    _by_id: dict[str, Lesion]
    _key: str
    _record: Mapping[str, Any]

    def __init__(self, record: Mapping[str, Any], key: str) -> None:
        set_once = object.__setattr__
        set_once(self, "_record", record)
        set_once(self, "_key", key)
        set_once(self, "_by_id", {one["lesion_id"]: Lesion.of(one) for one in record[key]})

    def __setattr__(self, name: str, value: object) -> None:
        msg = "Lesions cannot be changed; with_marks gives a case with other marks."
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[object, ...]:
        return Lesions, (self._record, self._key)

    def __getitem__(self, lesion_id: str) -> Lesion:
        """Return a lesion by its id.

        Raises
        ------
        NoSuchLesionError
            A KeyError: there is none of that id.
        """
        found = self._by_id.get(lesion_id)
        if found is None:
            raise no_such_lesion(self._record["subject"], lesion_id, list(self._by_id))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def to_arrow(self) -> pa.Table:
        """Return a table of one row a lesion, with the columns of a cohort's ``lesions.parquet``."""
        from volstrat.cohort.columns import lesion_columns, lesion_rows
        from volstrat.store.tables import arrow_table

        record = {"lesions": [], "pet_only_regions": [], self._key: plain(self._record[self._key])}
        rows = lesion_rows({**self._record, **record})
        return arrow_table(lesion_columns(), rows)

    def __repr__(self) -> str:
        return f"Lesions({', '.join(self._by_id)})" if len(self) < 10 else f"Lesions({len(self)})"

    def _repr_html_(self) -> str:
        names = ("lesion_id", "volume_ml", "resectability", "fdg_avidity", "suv_max", "max_axial_diameter_mm",
                 "site", "segment")  # fmt: skip
        rows = [[getattr(one, name) for name in names] for one in self.values()]
        title = f"{self._record['subject']}: {len(self)} {self._key.replace('_', ' ')}"
        return html_head(title) + html_table(names, rows)


def no_such_lesion(subject: str, lesion_id: object, there: Sequence[str]) -> NoSuchLesionError:
    """Return the error of a lesion that is not there; it lists those that are."""
    msg = f"{subject}: there is no {lesion_id}."
    return NoSuchLesionError(msg, hint=f"There are {shown_names(there)}." if there else "There are none.")
