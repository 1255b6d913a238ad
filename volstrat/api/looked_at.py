"""What is there before anything is decided: files and their roles, PET and SUV, the protocol."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from volstrat.api.read_only import read_only
from volstrat.api.shown import html_head, html_table, shown
from volstrat.case.protocol_files import LoadedProtocol
from volstrat.case.protocol_files import load_protocol as load
from volstrat.errors import SuvError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    PathLike = str | os.PathLike[str]
    ProtocolLike = LoadedProtocol | PathLike | None


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """What would be read from a case, and as what.

    Parameters
    ----------
    record : mapping
        The JSON of ``volstrat inspect --json``, read-only.
    """

    record: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """What the case is called."""
        return str(self.record["subject"])

    @property
    def inputs(self) -> tuple[Mapping[str, Any], ...]:
        """Per role the file, its format, grid, parts, and its error where it cannot be read."""
        return tuple(self.record["inputs"])

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that files play, each once."""
        return tuple(dict.fromkeys(one["role"] for one in self.inputs))

    def __hash__(self) -> int:
        return hash((self.subject, self.roles))

    def __repr__(self) -> str:
        return f"Inspection({self.subject!r}: {', '.join(self.roles) or 'no role'})"

    def _repr_html_(self) -> str:
        rows = []
        for one in self.inputs:
            shape = None if one["grid"] is None else " x ".join(map(str, one["grid"]["shape"]))
            rows.append((one["role"], one["path"], one["format"], shape, len(one["parts"]), one["error"]))
        header = ("role", "file", "format", "grid", "parts", "problem")
        return html_head(f"{self.subject}: what would be read") + html_table(header, rows)


@dataclass(frozen=True, slots=True, repr=False)
class SuvFactors:
    """What turns a PET series into SUV: a factor multiplies the rescaled value; None: cannot be known.

    Parameters
    ----------
    units : str or None
        As the header has them.
    suvbw_factor, sul_janmahasatian_factor, sul_james_factor : float or None
    decay_reference : str or None
    uptake_minutes : float or None
    record : mapping
        The JSON of ``volstrat suv --json``, read-only: every attribute used, and the findings.
    """

    units: str | None
    suvbw_factor: float | None
    sul_janmahasatian_factor: float | None
    sul_james_factor: float | None
    decay_reference: str | None
    uptake_minutes: float | None
    record: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash((self.units, self.suvbw_factor, self.uptake_minutes))

    def __repr__(self) -> str:
        return f"SuvFactors({self.units}: SUVbw factor {shown(self.suvbw_factor) or 'unknown'})"

    def _repr_html_(self) -> str:
        rows = [(one.name, getattr(self, one.name)) for one in fields(self)[:-1]]
        sources = [(one["attribute"], one["tag"], one["value"]) for one in self.record["sources"]]
        return html_table(("SUV", ""), rows) + html_table(("attribute", "tag", "value"), sources)


def inspect(
    path: PathLike,
    *,
    subject: str | None = None,
    visit: str | None = None,
    protocol: ProtocolLike = None,
    lesions: str | None = None,
) -> Inspection:
    """Say what would be read from a case, and as what; nothing is measured.

    Parameters
    ----------
    path, subject, visit, protocol, lesions
        As `read_case`.

    Raises
    ------
    VolstratError
        If it cannot be settled which file plays which role. A file that cannot be read is listed with its
        ``error``.

    Examples
    --------
    >>> import volstrat as vs
    >>> vs.inspect("sample_data/S05_exactly_70_percent")
    Inspection('S05_exactly_70_percent': tumour, resectable, fdg_avid)
    """
    from volstrat.case.inspect import inspect_case
    from volstrat.study.subjects import one_case

    place = Path(path)
    loaded = protocol_of(place, protocol)
    case = one_case(place, subject=subject, visit=visit, lesions=lesions)
    found = inspect_case(case, loaded, lesions=lesions)
    return Inspection(cast("Mapping[str, Any]", read_only(found)))


def suv(path: PathLike, *, series: str | None = None) -> SuvFactors:
    """Return what turns the PET series of a folder into SUV, and where each figure comes from.

    Parameters
    ----------
    path : str or PathLike
        A folder of DICOM.
    series : str or None
        Series Instance UID, where the folder holds several PET series.

    Raises
    ------
    SuvError
        If the values cannot become SUV; the message names the attribute that is missing.
    VolstratError
        If there is no PET series, or several and none is named.
    """
    from volstrat.case.pet_inputs import suv_report

    found = suv_report(Path(path), series=series)
    if found["error"] is not None:
        raise SuvError(found["error"]["message"], hint=found["error"]["hint"])
    figures = {one.name: found[one.name] for one in fields(SuvFactors)[:-1]}
    return SuvFactors(**figures, record=cast("Mapping[str, Any]", read_only(found)))


def load_protocol(path: ProtocolLike = None) -> LoadedProtocol:
    """Load a protocol file, or the packaged ``pantodon.toml``; one that is loaded is returned as it is.

    Raises
    ------
    VolstratError
        If it cannot be read, or has an unknown key or impossible value.

    Examples
    --------
    >>> import volstrat as vs
    >>> vs.load_protocol().protocol.thresholds.stratum_1_percent
    Decimal('70')
    """
    if isinstance(path, LoadedProtocol):
        return path
    return load(None if path is None else Path(path))


def protocol_of(source: Path, protocol: ProtocolLike) -> LoadedProtocol:
    """Return a study's own protocol, which no other may stand for, else the one given or packaged."""
    from volstrat.study.study_file import protocol_for

    return protocol_for(source, None if protocol is None else load_protocol(protocol))
