"""A map that lies on disk: what a cohort of any size is looked up in costs little memory."""

from __future__ import annotations

import pickle
import sqlite3
import weakref
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from volstrat.errors import OutputError

V = TypeVar("V")

_KEYS_AT_ONCE = 500


class DiskMap(MutableMapping[str, V], Generic[V]):
    """A map from texts to whatever pickles, in a temporary file that goes with it.

    It iterates in the order of its keys (by code point), as `sorted` would have them; what is set or taken
    out meanwhile may or may not be met. A temporary file that cannot be written is an `OutputError`.
    """

    def __init__(self) -> None:
        with _told():
            self._db = sqlite3.connect("", isolation_level=None)  # a file without a name
            weakref.finalize(self, self._db.close)
            self._db.execute("CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
            self._db.execute("BEGIN")

    def __getitem__(self, key: str) -> V:
        with _told():
            row = self._db.execute("SELECT value FROM entry WHERE key = ?", (_bytes(key),)).fetchone()
        if row is None:
            raise KeyError(key)
        value: V = pickle.loads(row[0])
        return value

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        with _told():
            found = self._db.execute("SELECT 1 FROM entry WHERE key = ?", (_bytes(key),)).fetchone()
        return found is not None

    def __setitem__(self, key: str, value: V) -> None:
        with _told():
            self._db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (_bytes(key), pickle.dumps(value)))

    def __delitem__(self, key: str) -> None:
        with _told():
            gone = self._db.execute("DELETE FROM entry WHERE key = ?", (_bytes(key),)).rowcount
        if not gone:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        last = b""
        query = "SELECT key FROM entry WHERE key > ? ORDER BY key LIMIT ?"
        if "" in self:
            yield ""
        while True:
            with _told():
                keys = [key for (key,) in self._db.execute(query, (last, _KEYS_AT_ONCE))]
            if not keys:
                return
            last = keys[-1]
            for key in keys:
                yield key.decode("utf-8", "surrogatepass")

    def __len__(self) -> int:
        with _told():
            return int(self._db.execute("SELECT count(*) FROM entry").fetchone()[0])


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


@contextmanager
def _told() -> Iterator[None]:
    """Turn what SQLite says into one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        msg = f"The temporary folder cannot be used ({error})."
        hint = "Check the space on its disk, or let TMPDIR name another folder."
        raise OutputError(msg, hint=hint) from error
