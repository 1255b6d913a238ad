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

    Fraction = float
    Ml = float
    PointMm = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lesion:
    """A lesion, or a PET-only region, under the names that the record has."""

    # fields: made by scripts/make_record_files.py from `LesionRecord`
    lesion_id: str
    """L1, L2, ...: lesions on CT; P1, P2, ...: avid regions that belong to none."""
    voxels: int
    """Of the mask's own grid: the tumour's, or the PET's for a region."""
    volume_ml: Ml
    """Voxels times the voxel volume."""
    centroid_mm: PointMm
    """Mean of the voxel centres, LPS."""
    point_mm: PointMm
    """Centre of its voxel nearest to the centroid, LPS: where a table's row finds it again."""
    bounding_box_mm: tuple[PointMm, ...]
    """Lowest and highest LPS coordinate of any voxel centre."""
    max_diameter_mm: float
    """Between voxel centres."""
    max_axial_diameter_mm: float
    """Between voxel centres of one axial slice."""
    resectability: Resectability
    """The marking of the whole lesion; partial: there is none."""
    resectable_fraction: Fraction | None
    """Resectable voxels over all, lower bound; null where nothing is marked."""
    fdg_avidity: FdgAvidity
    """By the lesion table, else by the avid voxels that belong to it."""
    fdg_avid_ml: Ml | None
    """PET voxels attributed to it."""
    suv_max: float | None
    """Highest voxel value."""
    suv_mean: float | None
    """Mean over its voxels."""
    suv_peak: float | None
    """Mean over a sphere of 1 cm3."""
    tlg_g: float | None
    """Total lesion glycolysis: SUVmean times volume."""
    counting_error_percent: float
    """Standard deviation of the volume from counting voxels alone, at this size and grid."""
    segment: str | None
    """Name of the segment, ROI or label that it is, or is a piece of."""
    site: Site | None
    """By the lesion table, else liver or not_liver by the liver mask; null where neither says."""
    site_source: SiteSource | None
    """What says the site."""
    dismissed: bool
    """A lesion that the table calls not_tumour, a region that it calls not_avid: counted nowhere."""
    near: tuple[str | float, ...] | None
    """Of a region that touches no tumour but lies within the attribution distance: the nearest lesion, and
    the smallest distance of voxel centres, mm."""
    belongs_to: str | None
    """Of a region: the lesion whose marking it takes, by the table."""
    marked_by: str | None
    """Reader of its row in the lesion table; of what the chosen plan marks, who made the plan."""
    reason: str | None
    """Why, in the reader's words; null where a plan marks it."""
    recorded_at: str | None
    """When, as the row says; null where a plan marks it."""
    # end of fields

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
