"""What a function takes for a protocol, and the protocol that it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.protocol_files import LoadedProtocol, load_protocol

if TYPE_CHECKING:
    import os

    PathLike = str | os.PathLike[str]
    ProtocolLike = LoadedProtocol | PathLike | None


def loaded_protocol(protocol: ProtocolLike) -> LoadedProtocol:
    """Return a protocol that is loaded, or is to be."""
    if isinstance(protocol, LoadedProtocol):
        return protocol
    return load_protocol(None if protocol is None else Path(protocol))


def protocol_of(source: Path, protocol: ProtocolLike) -> LoadedProtocol:
    """Return the protocol that is given, else a study's own, else the packaged one."""
    from volstrat.study.study_file import protocol_for

    if isinstance(protocol, LoadedProtocol):
        return protocol
    return protocol_for(source, None if protocol is None else Path(protocol))
