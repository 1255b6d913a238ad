"""Print the record of every sample as another machine would make it, a year from now.

Run as a program: ``python -m tests.golden.elsewhere SAMPLES``. What a record could take from the clock or the
host is another one before volstrat is imported.
"""

from __future__ import annotations

import datetime
import getpass
import json
import os
import platform
import socket
import sys
import time
from pathlib import Path
from typing import Any

_AHEAD = datetime.timedelta(days=400, hours=5)


class _Day(datetime.date):
    @classmethod
    def today(cls) -> Any:  # noqa: ANN401 - the real class's own
        return _DATE.today() + _AHEAD


class _Moment(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401 - the real class's own
        return _DATETIME.now(tz) + _AHEAD


_DATE, _DATETIME = datetime.date, datetime.datetime


def move() -> None:
    """Set the clock ahead and give the machine, its user and this process other names."""
    seconds, system = _AHEAD.total_seconds(), os.uname()
    clock, clock_ns = time.time, time.time_ns
    replaced: list[tuple[Any, str, Any]] = [
        (datetime, "date", _Day),
        (datetime, "datetime", _Moment),
        (time, "time", lambda: clock() + seconds),
        (time, "time_ns", lambda: clock_ns() + int(seconds * 1e9)),
        (os, "getpid", lambda: 4_000_001),
        (os, "uname", lambda: os.uname_result((system[0], "elsewhere", "99.9", "#99", system[4]))),
        (os, "cpu_count", lambda: 96),
        (socket, "gethostname", lambda: "elsewhere"),
        (platform, "node", lambda: "elsewhere"),
        (getpass, "getuser", lambda: "somebody"),
    ]
    for module, name, value in replaced:
        setattr(module, name, value)


if __name__ == "__main__":
    move()
    from tests.golden.cases import record_of

    folders = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    sys.stdout.write(json.dumps({folder.name: record_of(folder) for folder in folders}))
