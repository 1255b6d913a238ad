"""Protocol files: TOML in, `Protocol` out."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.lesion_table import read_bytes
from volstrat.case.toml_file import read_toml
from volstrat.errors import ProtocolError
from volstrat.frozen import frozen
from volstrat.terms.findings import finding
from volstrat.terms.protocol import Protocol, protocol_from_mapping
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.terms.findings import Finding

_PACKAGED_FILE = Path(__file__).resolve().parents[1] / "protocols" / "pantodon.toml"
PACKAGED = "packaged"
"""The source of the protocol that comes with the program."""


@frozen
class LoadedProtocol:
    """A protocol and the file it came from.

    Parameters
    ----------
    protocol : Protocol
    sha256 : str
        Of the file's bytes.
    text : str
    source : str
        "packaged", the file's absolute path, or empty where it came from neither.
    """

    protocol: Protocol
    sha256: str
    text: str
    source: str = ""

    def __repr__(self) -> str:
        named = f"{self.protocol.id!r}, version {self.protocol.version}"
        return f"LoadedProtocol({named}, sha256 {self.sha256[:12]})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(repr(self))}</p><pre>{escape(self.text)}</pre>"


def load_protocol(path: Path | None = None) -> LoadedProtocol:
    """Load a protocol file, or the packaged ``pantodon.toml``.

    Raises InputFileError, ProtocolError if the file cannot be read, is no TOML, or has an unknown key or
    impossible value.
    """
    if path is None:
        data, name = _PACKAGED_FILE.read_bytes(), _PACKAGED_FILE.name
        return replace(parse_protocol(data, name=name), source=PACKAGED)
    return replace(parse_protocol(read_bytes(path), name=path.name), source=str(path.resolve()))


def altered_findings(protocol: Protocol) -> tuple[Finding, ...]:
    """Say in what a protocol differs from the packaged one whose id and version it has."""
    packaged = Protocol()
    if (protocol.id, protocol.version) != (packaged.id, packaged.version) or protocol == packaged:
        return ()
    changes = shown_names([*_changes(protocol, packaged)])
    return (finding("protocol_altered", id=protocol.id, version=protocol.version, changes=changes),)


def _changes(own: Any, packaged: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any table
    for field in fields(own):
        value, other = getattr(own, field.name), getattr(packaged, field.name)
        if is_dataclass(value) and type(value) is type(other):
            yield from _changes(value, other, f"{path}{field.name}.")
        elif value != other:
            plain = isinstance(value, str | int | float | Decimal)
            yield f"{path}{field.name}" + (f" = {value} ({other} there)" if plain else "")


def parse_protocol(data: bytes, *, name: str) -> LoadedProtocol:
    """Parse a protocol file's bytes.

    Raises ProtocolError if it is no TOML, or has an unknown key or impossible value.
    """
    mapping = read_toml(
        data,
        name=name,
        error=ProtocolError,
        hint="Correct that line; volstrat protocol show prints a sound file.",
        parse_float=Decimal,
    )
    protocol = protocol_from_mapping(mapping, where=name)
    return LoadedProtocol(
        protocol=protocol, sha256=hashlib.sha256(data).hexdigest(), text=data.decode("utf-8")
    )
