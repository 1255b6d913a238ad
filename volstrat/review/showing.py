"""What is shown of a case under review: its scene, which grows as images are read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from volstrat.pictures.drawn_volumes import CtReading
from volstrat.pictures.projections import Projections
from volstrat.pictures.rotation import RotatingProjection
from volstrat.pictures.scene import Scene, build_scene

if TYPE_CHECKING:
    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import CaseSources


class Showing:
    """The pictures of a review: the CT first, then contours, then everything.

    ``scene``, ``projections`` and ``rotation`` are None until they are there; ``shown`` rises with each
    scene; ``problems`` says why images cannot be shown.
    """

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.projections: Projections | None = None
        self.rotation: RotatingProjection | None = None
        self.ct: CtReading | None = None
        self.problems: tuple[str, ...] = ()
        self.shown = 0
        self._reading = 0
        self._changing = threading.Lock()

    def forget(self, reading: int) -> None:
        """Show nothing any more: the case is read again, as this reading of it."""
        with self._changing:
            self._reading = reading
            self.scene = self.projections = self.rotation = self.ct = None
            self.problems = ()

    def begin(self, sources: CaseSources, reading: int) -> CtReading:
        """Read the CT beside all else, and show it alone as soon as its grid is known."""
        ct = self.ct = CtReading(sources)
        threading.Thread(target=self._show_ct, args=(ct, reading), daemon=True).start()
        return ct

    def _show_ct(self, ct: CtReading, reading: int) -> None:
        volume = ct.begun()
        if volume is not None:  # slices appear as they are read
            scene = Scene(ct=volume, pet=None, shapes=(), mask_grid=volume.view.grid)
            self._show(scene, Projections(scene), reading, first=True)

    def complete(self, bare: CaseResult, ct: CtReading, reading: int) -> None:
        """Put the pictures of a measured case together; without them lesions can still be marked."""
        scene, projections, rotation = None, None, None
        problems: tuple[str, ...] = ()
        try:
            if ct.begun() is not None:  # contours over the slices that are there
                scene = build_scene(bare, ct)
                projections = Projections(scene)
                self._show(scene, projections, reading)
            ct.ended()
            if scene is None or ct.volume is not scene.ct:  # none, or it broke off
                scene = build_scene(bare, ct)
                projections = Projections(scene)
            rotation = None if scene.pet is None else RotatingProjection(scene.pet)
        except Exception as error:
            why = "they do not fit into memory" if isinstance(error, MemoryError) else repr(error)
            scene, projections, rotation = None, None, None
            problems = (f"The images cannot be shown: {why}.",)
        self._show(scene, projections, reading, rotation=rotation, problems=problems)

    def _show(
        self,
        scene: Scene | None,
        projections: Projections | None,
        reading: int,
        *,
        rotation: RotatingProjection | None = None,
        problems: tuple[str, ...] = (),
        first: bool = False,
    ) -> None:
        """Take a scene to show, unless it is of an earlier reading, or first and no longer the first."""
        with self._changing:
            if reading == self._reading and not (first and self.scene is not None):
                self.shown += 1
                self.scene, self.projections, self.rotation = scene, projections, rotation
                self.problems = problems
