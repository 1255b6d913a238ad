"""Images for pictures, in patient order; a CT's first slices are seen while the rest is still coming."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.case.entries import EntryReader
from volstrat.errors import VolstratError
from volstrat.pictures.planes import PatientView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.geometry.array_types import Float64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.pictures.planes import Plane

_LOWEST, _HIGHEST = -32768, 32767


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """An image in patient order, without NaN."""

    kind: Literal["CT", "PET"]
    unit: str  # "HU", "SUV", or "" where PET values cannot be had as SUV
    view: PatientView
    values: NDArray[np.generic]  # of int16 or float32, shape ``view.grid.shape``
    name: str = ""  # what it is called where several can be shown: a phase, a tracer
    counts: bool = True  # False for a PET that is shown beside

    @classmethod
    def ct(cls, grid: VoxelGrid, values: NDArray[np.generic], *, name: str = "") -> Volume:
        """Return a CT; values that are whole HU already are not copied."""
        view = PatientView.of(grid)
        return cls(kind="CT", unit="HU", view=view, values=view.turn(as_hu(values)), name=name)

    @classmethod
    def pet(cls, image: Image, *, unit: str) -> Volume:
        """Return a PET image."""
        view = PatientView.of(image.grid)
        values = np.nan_to_num(image.values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        return cls(kind="PET", unit=unit, view=view, values=view.turn(np.asfortranarray(values)))

    def box_mm(self) -> Float64s:
        """Return the box (LPS mm) round the image, (2, 3)."""
        corners = self.view.grid.corners_mm()
        return np.stack((corners.min(axis=0), corners.max(axis=0)))


def boxes_meet(one: Float64s, other: Float64s) -> bool:
    """Tell whether two boxes (2, 3) overlap."""
    return bool((one[0] <= other[1]).all() and (other[0] <= one[1]).all())


def as_hu(values: NDArray[np.generic]) -> NDArray[np.int16]:
    """Return values as whole HU: half the memory, and more than a window shows."""
    if values.dtype == np.int16:
        return values.astype(np.int16, copy=False)
    near = np.rint(values.astype(np.float32))
    np.clip(near, _LOWEST, _HIGHEST, out=near)
    if np.isnan(near.min(initial=0)):
        near = np.nan_to_num(near, nan=_LOWEST)
    return near.astype(np.int16)


def growing_ct(reader: EntryReader, entry: RoleEntry) -> Iterator[tuple[Volume, int]]:
    """Read a CT; yield it with how many of its values, in the order of the file, are there."""
    with reader.open_image("ct", entry) as (grid, values):
        whole = np.zeros(grid.shape, dtype=np.int16, order="F")
        flat = whole.reshape(-1, order="F")  # a view: filled in the order of the file
        volume, done = Volume.ct(grid, whole, name=entry.name or ""), 0
        yield volume, done
        for some in values:
            flat[done : done + some.size] = as_hu(some).reshape(-1)
            done += some.size
            yield volume, done


class CtReading:
    """A case's CT that is being read in a thread of its own.

    ``volume`` is there as soon as its grid is known (None where there is no CT, or it cannot be shown, and
    ``problem`` says why); its slices fill up in the order of the file.
    """

    def __init__(self, sources: CaseSources) -> None:
        self._sources = sources
        self._known, self._grown = threading.Event(), threading.Condition()
        self._filled, self._ended = 0, False
        self.volume: Volume | None = None
        self.problem = ""
        threading.Thread(target=self._run, daemon=True).start()

    def begun(self) -> Volume | None:
        """Wait until its grid is known, and return the volume as far as it is."""
        self._known.wait()
        return self.volume

    def ended(self) -> CtReading:
        """Wait until all of it is read."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended)
        return self

    def wait_for(self, plane: Plane, *, seconds: float = 20.0) -> None:
        """Wait until the slice that a plane shows is read; of other planes until all is."""
        volume = self.volume
        if self._ended or volume is None:
            return
        view, needed = volume.view, volume.values.size
        if view.axes[plane.normal] == 2:  # the axis that runs slowest in the file
            at = plane.index if view.signs[plane.normal] > 0 else plane.count - 1 - plane.index
            needed = needed // plane.count * (at + 1)
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._filled >= needed, seconds)

    def _run(self) -> None:
        try:
            entry = self._sources.only("ct")
            for volume, filled in () if entry is None else growing_ct(EntryReader(self._sources), entry):
                with self._grown:
                    self.volume, self._filled = volume, filled
                    self._grown.notify_all()
                self._known.set()
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
