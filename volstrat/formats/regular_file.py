"""Opening a file that somebody else named: a pipe would be waited for, and a device never ends."""

from __future__ import annotations

import io
import stat
from typing import TYPE_CHECKING

from volstrat.errors import InputFileError

if TYPE_CHECKING:
    from pathlib import Path


def open_regular(path: Path, named: str = "") -> io.FileIO:
    """Open a regular file for reading bytes; ``named`` is what messages say behind its name.

    One that is absent, cannot be opened, or is a pipe, device or folder (unopened) is an InputFileError.
    """
    name = f"{path.name}{named}"
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            msg = f"{name}: is a directory; a file was expected."
            raise InputFileError(msg)
        if not stat.S_ISREG(mode):
            msg = f"{name}: is not a regular file."
            raise InputFileError(msg)
        return io.FileIO(path)
    except FileNotFoundError as error:
        msg = f"{name}: there is no such file."
        raise InputFileError(msg, hint="Check the name, and the letters' case.") from error
    except InputFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{name}: cannot be opened ({reason})."
        raise InputFileError(msg) from error
