"""Reading a case's CT beside all else: its first slices are seen while the rest is still coming."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from volstrat.case.entries import EntryReader
from volstrat.errors import VolstratError
from volstrat.pictures.planes import PatientView
from volstrat.pictures.scene import CtRead, Volume, as_hu

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.pictures.planes import Plane


class CtReading:
    """A CT that is being read in a thread of its own.

    ``volume`` is there as soon as its grid is known (None where there is no CT, or it cannot be shown); its
    slices fill up in the order of the file.
    """

    def __init__(self, sources: CaseSources) -> None:
        self._sources = sources
        self._known, self._grown = threading.Event(), threading.Condition()
        self._filled, self._size, self._ended = 0, 0, False
        self.volume: Volume | None = None
        self.problem = ""
        threading.Thread(target=self._run, daemon=True).start()

    def begun(self) -> Volume | None:
        """Wait until its grid is known, and return the volume as far as it is."""
        self._known.wait()
        return self.volume

    def ended(self) -> CtRead:
        """Wait until all of it is read."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended)
        return CtRead(volume=self.volume, problem=self.problem)

    def wait_for(self, plane: Plane, *, seconds: float = 20.0) -> None:
        """Wait until the slice that a plane shows is read; of other planes until all is."""
        if self._ended or self.volume is None:
            return
        view = self.volume.view
        shape = [0, 0, 0]
        for turned, axis in enumerate(view.axes):
            shape[axis] = view.grid.shape[turned]
        needed = self._size
        if view.axes[plane.normal] == 2:  # the axis that runs slowest in the file
            at = plane.index if view.signs[plane.normal] > 0 else plane.count - 1 - plane.index
            needed = shape[0] * shape[1] * (at + 1)
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._filled >= needed, seconds)

    def _run(self) -> None:
        try:
            entry = self._sources.only("ct")
            if entry is not None:
                self._fill(entry)
        except (VolstratError, MemoryError) as error:
            self._fail(str(error) or "it does not fit into memory.")
        except Exception as error:  # whatever it is: lesions can be marked without a CT
            self._fail(repr(error))
        finally:
            with self._grown:
                self._ended = True
                self._grown.notify_all()
            self._known.set()

    def _fail(self, why: str) -> None:
        self.volume, self.problem = None, f"The CT cannot be shown: {why}"

    def _fill(self, entry: RoleEntry) -> None:
        with EntryReader(self._sources).open_image("ct", entry) as (grid, values):
            whole = np.zeros(grid.shape, dtype=np.int16, order="F")
            flat = whole.reshape(-1, order="F")  # a view: filled in the order of the file
            view = PatientView.of(grid)
            self._size = flat.size
            name = entry.name or ""
            self.volume = Volume(kind="CT", unit="HU", view=view, values=view.turn(whole), name=name)
            self._known.set()
            done = 0
            for some in values:
                flat[done : done + some.size] = as_hu(some).reshape(-1)
                done += some.size
                with self._grown:
                    self._filled = done
                    self._grown.notify_all()
