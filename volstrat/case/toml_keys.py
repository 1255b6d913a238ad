"""Keys of TOML tables: those that nobody knows, and texts that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.errors import VolstratError


def refuse_unknown(
    table: Mapping[str, object],
    known: tuple[str, ...],
    path: str,
    name: str,
    *,
    error: type[VolstratError] = CaseError,
) -> None:
    """Refuse keys that a table of a file does not know; ``path`` is the table's, with a point at its end.

    Raises
    ------
    VolstratError
    """
    for key in table:
        if key not in known:
            msg = f"{name}: unknown key {path + key!r}."
            raise error(msg, hint=f"Known here: {', '.join(known)}.")


def text_in(
    table: Mapping[str, object], key: str, path: str, name: str, *, error: type[VolstratError] = CaseError
) -> str:
    """Return the text of a key; empty where the table does not have it.

    Raises
    ------
    VolstratError
    """
    value = table.get(key, "")
    if not isinstance(value, str):
        msg = f"{name}: {path}{key} must be a text."
        raise error(msg, hint="Put it in double quotes.")
    return value
