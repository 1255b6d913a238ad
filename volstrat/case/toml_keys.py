"""Keys of a TOML table that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse_unknown(table: Mapping[str, object], known: tuple[str, ...], path: str, name: str) -> None:
    """Refuse keys that a table of a case file does not know.

    Raises
    ------
    CaseError
    """
    for key in table:
        if key not in known:
            msg = f"{name}: unknown key {path + key!r}."
            raise CaseError(msg, hint=f"Known here: {', '.join(known)}.")
