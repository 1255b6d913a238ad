"""Cohorts and comparisons in a script or notebook."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from volstrat.api.looked_at import load_protocol, protocol_of
from volstrat.api.read_only import read_only
from volstrat.api.shown import HasRows, html_head
from volstrat.errors import NoSuchSubjectError, UsageError
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from volstrat.api.looked_at import PathLike, ProtocolLike
    from volstrat.terms.findings import Finding

_SHOWN = ("subject", "visit", "status", "stratum", "volumes.total_tumour_ml", "volumes.resectable_fraction")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(HasRows):
    """A table that is held in memory; nothing changes it.

    Its columns, their units and what they say are those of the file that it was read from.
    """

    _table: pa.Table
    _title: str

    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table."""
        return self._table

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"Table({self._title}: {len(self)} rows, {len(self.columns)} columns)"

    def _repr_html_(self) -> str:
        return html_head(f"{self._title}: {len(self)} rows") + self._rows_html(self.columns)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cohort(HasRows):
    """The output of a cohort's run, as it was when it was read.

    Parameters
    ----------
    out : Path
        Where it lies.
    counts : mapping of str to int
        Subjects by status.
    lesions : Table
        One row a lesion or PET-only region: ``lesions.parquet``.
    """

    out: Path
    counts: Mapping[str, int]
    lesions: Table
    _cohort: pa.Table

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the cohort calls its subjects, once for each visit."""
        return tuple(self._cohort.column("subject").to_pylist())

    def record(self, subject: str) -> Mapping[str, Any]:
        """Return the case record of a subject (of a study with visits: subject and visit), read-only.

        Raises
        ------
        NoSuchSubjectError
            A KeyError: the cohort has no such subject.
        VolstratError
            If its record cannot be read.
        """
        from volstrat.case.lesion_table import read_bytes
        from volstrat.case.record import parse_record, record_name
        from volstrat.store.output import folder_name

        folders = [self.out / folder_name(subject), *sorted(self.out.glob(f"{folder_name(subject)}*"))]
        for folder in folders:
            path = folder / "case.json"
            if path.is_file():
                found = parse_record(read_bytes(path), name=str(path))
                if record_name(found) == subject:
                    return cast("Mapping[str, Any]", read_only(found))
        msg = f"{self.out}: has no subject {subject!r}."
        raise NoSuchSubjectError(msg, hint=f"There are {shown_names(self.subjects)}.")

    def to_arrow(self) -> pa.Table:
        """Return ``cohort.parquet``: one row a subject, failed ones too."""
        return self._cohort

    def __len__(self) -> int:
        return int(self._cohort.num_rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in self.counts.items())
        return f"Cohort({self.out.name!r}: {len(self)} subjects; {counts or 'none'})"

    def _repr_html_(self) -> str:
        return html_head(repr(self)) + self._rows_html(_SHOWN)


def run_cohort(
    source: PathLike,
    out: PathLike,
    *,
    protocol: ProtocolLike = None,
    lesions: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
    shard: str | None = None,
    scheduler: str | None = None,
    time_limit_minutes: float = 30.0,
    memory_limit_gib: float | None = None,
) -> Cohort:
    """Measure every case of a folder, manifest or study file, as ``volstrat batch`` does.

    A subject that fails is a row that says so and never stops the rest. What an earlier run left is skipped
    where nothing has changed. Subjects are done in processes of their own, started afresh: a script keeps
    its own doings under ``if __name__ == "__main__":``.

    Parameters
    ----------
    source : str or PathLike
        A folder of case folders, a manifest (CSV), or a study file.
    out : str or PathLike
        Made where it is not there.
    protocol : LoadedProtocol, str, PathLike or None
        Or the path of one; None: the study's own, else the packaged ``pantodon.toml``.
    lesions : str or None
        Lesion table to use instead of the cases' own; of a study one of its readers.
    workers : int or None
        Processes; as many as there are processors by default.
    fresh : bool
        Do every subject, whatever an earlier run left.
    shard : str or None
        ``"K/N"``: do only the K-th of N parts; ``volstrat merge`` joins them.
    scheduler : str or None
        Address of a dask scheduler to work on; needs the extra ``cluster``.
    time_limit_minutes, memory_limit_gib : float
        What one subject may take; of memory None: an equal share of the machine's.

    Raises
    ------
    VolstratError
        If there is nothing to do, or the output cannot be written.

    Examples
    --------
    >>> import tempfile, volstrat as vs
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     vs.run_cohort("sample_data", out=folder, workers=1)
    Cohort('tmp...': 16 subjects; ...)
    """
    from volstrat.cohort import Limits, cohort_run, parse_shard

    place = Path(source)
    cohort_run.run_cohort(
        place,
        Path(out),
        protocol_of(place, protocol),
        lesions=lesions,
        workers=workers,
        fresh=fresh,
        shard=None if shard is None else parse_shard(shard),
        scheduler=scheduler,
        limits=Limits.of(minutes=time_limit_minutes, gib=memory_limit_gib),
    )
    return read_cohort(out)


def read_cohort(out: PathLike) -> Cohort:
    """Read the output of ``volstrat batch`` or `run_cohort`.

    Raises
    ------
    UsageError
        If it is none, or a run into it has not come to its end: its tables are those of the run before.
    """
    from pyarrow import ArrowException, parquet

    from volstrat.cohort.run_file import read_run_file

    folder = Path(out)
    run = read_run_file(folder)
    if run is not None and run.get("finished_at") is None:
        msg = f"{folder}: its run has not come to its end."
        raise UsageError(msg, hint="Run its batch again; what is done will be skipped.")
    tables = {}
    for name in ("cohort", "lesions"):
        path = folder / f"{name}.parquet"
        try:
            tables[name] = parquet.read_table(path)
        except (OSError, ArrowException) as error:
            msg = f"{folder}: has no {path.name} that can be read."
            raise UsageError(msg, hint="Name the output of run_cohort, or of volstrat batch.") from error
    statuses = tables["cohort"].column("status").to_pylist()
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    return Cohort(folder, read_only(counts), Table(tables["lesions"], "lesions"), tables["cohort"])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(HasRows):
    """What two or more readings of the same subjects agree on.

    Parameters
    ----------
    record : mapping
        ``agreement.json``, read-only.
    findings : tuple of Finding
        What is to be known about the readings as a whole.
    """

    record: Mapping[str, Any]
    findings: tuple[Finding, ...]
    _pairs: Table

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects that any reading has."""
        return tuple(one["subject"] for one in self.record["subjects"])

    @property
    def stakes(self) -> Mapping[str, int]:
        """Subjects by what is at stake between the readings; ``none``: nothing."""
        kinds = [one["stake"]["kind"] for one in self.record["subjects"]]
        return cast("Mapping[str, int]", read_only({kind: kinds.count(kind) for kind in sorted(set(kinds))}))

    def to_arrow(self) -> pa.Table:
        """Return ``agreement.parquet``: one row for each subject and pair of readings."""
        return self._pairs.to_arrow()

    def __repr__(self) -> str:
        names = " and ".join(one["reading"] for one in self.record["readings"])
        stakes = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in self.stakes.items())
        return f"Comparison({names}: {len(self.subjects)} subjects; at stake: {stakes})"

    def _repr_html_(self) -> str:
        columns = ("subject", "stake", "attributed_to", "a.stratum", "b.stratum", "dice")
        return html_head(repr(self)) + self._rows_html(columns)


def compare(
    *readings: PathLike,
    out: PathLike | None = None,
    protocol: ProtocolLike = None,
    lesions: Sequence[str] = (),
    tolerance_mm: float = 2.0,
    match_mm: float = 10.0,
    resample: bool = False,
) -> Comparison:
    """Compare readings of the same subjects, as ``volstrat compare`` does.

    Parameters
    ----------
    *readings : str or PathLike
        At least two: cases, folders of cases, outputs of a cohort's run, manifests, study files, masks.
    out : str, PathLike or None
        Where tables and page are written; None: nowhere.
    protocol : LoadedProtocol, str, PathLike or None
        For all but cohort outputs, which have their own.
    lesions : sequence of str
        Lesion table to use instead of the cases' own: none, one for all, or one a reading.
    tolerance_mm : float
        Of the surface Dice.
    match_mm : float
        Lesions that do not overlap match where their centroids are no farther apart.
    resample : bool
        Resample a reading on another grid onto the first's.

    Raises
    ------
    VolstratError
        If there is nothing to compare, or the output cannot be written.

    Examples
    --------
    >>> import volstrat as vs
    >>> found = vs.compare("sample_data/S01_stratum_1", "sample_data/S01_stratum_1")
    >>> found.stakes
    {'none': 1}
    """
    from pyarrow import parquet

    from volstrat.comparison import Settings, compare_readings

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "agreement") if out is None else Path(out)
        done = compare_readings(
            [Path(reading) for reading in readings],
            folder,
            protocol=None if protocol is None else load_protocol(protocol),
            lesions=[lesions] if isinstance(lesions, str) else lesions,
            settings=Settings(
                surface_tolerance_mm=tolerance_mm, match_distance_mm=match_mm, resample=resample
            ),
        )
        record = json.loads((folder / "agreement.json").read_bytes())
        pairs = parquet.read_table(folder / "agreement.parquet")
    return Comparison(read_only(record), done.findings, Table(pairs, "agreement"))
