"""What is shown of a case under review: its scene, which grows as images are read, and other images."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.errors import VolstratError
from volstrat.pictures.drawn_volumes import CtReading
from volstrat.pictures.key_slices import scale_top
from volstrat.pictures.projections import VIEWS, Projections, RotatingProjection
from volstrat.pictures.scene import Scene, build_scene
from volstrat.pictures.shown_images import ShownImages
from volstrat.report.report_details import image_lines, seen_images
from volstrat.review.state import view_geometry

if TYPE_CHECKING:
    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import CaseSources
    from volstrat.review.session import ReviewSession


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
            self._show(scene, reading, first=True)

    def complete(self, bare: CaseResult, ct: CtReading, reading: int) -> None:
        """Put the pictures of a measured case together; without them lesions can still be marked."""
        scene = None
        try:
            if ct.begun() is not None:  # contours over the slices that are there
                scene = build_scene(bare, ct)
                self._show(scene, reading)
            ct.ended()
            if scene is None or ct.volume is not scene.ct:  # none, or it broke off
                scene = build_scene(bare, ct)
            rotation = None if scene.pet is None else RotatingProjection(scene.pet)
            self._show(scene, reading, rotation=rotation)
        except Exception as error:
            why = "they do not fit into memory" if isinstance(error, MemoryError) else repr(error)
            self._show(None, reading, problems=(f"The images cannot be shown: {why}.",))

    def _show(
        self,
        scene: Scene | None,
        reading: int,
        *,
        rotation: RotatingProjection | None = None,
        problems: tuple[str, ...] = (),
        first: bool = False,
    ) -> None:
        """Take a scene to show, unless it is of an earlier reading, or first and no longer the first."""
        with self._changing:
            if reading == self._reading and not (first and self.scene is not None):
                if scene is not self.scene:  # of the same one they keep what they have worked out
                    self.projections = None if scene is None else Projections(scene)
                self.scene, self.rotation, self.problems = scene, rotation, problems
                self.shown += 1


class ImageDesk:
    """What the page asks about images that can be shown in place of the case's own."""

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self._images: tuple[int, ShownImages] | None = None
        self._lines: tuple[int, list[tuple[str, str]]] | None = None
        self._placed: tuple[Scene, tuple[int, int], Scene] | None = None

    def as_json(self, ct: int, pet: int) -> dict[str, Any]:
        """Return what can be shown, and what the page must know to show a choice of it; reads it.

        Where it cannot be shown, ``error`` says why in a sentence.
        """
        images, scene = self._shown(), self._session.showing.scene
        if images is None or scene is None:
            return {"cts": [], "pets": [], "error": "The images are still being read."}
        try:
            shown = images.in_place(scene, ct=ct, pet=pet)
            rotation = self.rotation(pet)
            found: dict[str, Any] = {
                "cts": images.names("ct"),
                "pets": images.names("pet"),
                "notices": [*images.notices(scene, "ct", ct), *images.notices(scene, "pet", pet)],
            }
        except VolstratError as error:
            return {"error": str(error)}
        except MemoryError:
            return {"error": "This image does not fit into the computer's memory beside the others."}
        return {
            **found,
            "lines": self._facts(),
            "ct": shown.ct is not None,
            "pet": shown.pet is not None,
            "unit": "" if shown.pet is None else shown.pet.unit,
            "suv_max": scale_top(shown.pet) if pet and shown.pet is not None else None,
            "views": [] if rotation is None else [view_geometry(rotation, n) for n in range(VIEWS)],
        }

    def scene(self, ct: int, pet: int) -> Scene | None:
        """Return the scene with a choice of images in place; None where there is none such."""
        images, scene = self._shown(), self._session.showing.scene
        if not (ct or pet):
            return scene
        if images is None or scene is None:
            return None
        placed = self._placed
        if placed is None or placed[0] is not scene or placed[1] != (ct, pet):
            try:
                placed = self._placed = (scene, (ct, pet), images.in_place(scene, ct=ct, pet=pet))
            except VolstratError:
                return None
        return placed[2]

    def rotation(self, pet: int) -> RotatingProjection | None:
        """Return what shows a PET from all round."""
        images = self._shown()
        if not pet:
            return self._session.showing.rotation
        try:
            return None if images is None else images.rotation(pet)
        except VolstratError:
            return None

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is known of each image: scanner, tracer, uptake time, factor; as the report has it."""
        session, reviewed, images = self._session, self._session.reviewed, self._shown()
        if reviewed is None or images is None:
            return []
        if self._lines is None or self._lines[0] != session.reading:
            dates = session.protocol.protocol.report.dates
            seen = seen_images(images.reader, dates=dates, hashed=False)
            self._lines = (session.reading, image_lines(reviewed.record, seen))
        return self._lines[1]

    def _shown(self) -> ShownImages | None:
        """Return the images of the reading that stands."""
        session, reviewed = self._session, self._session.reviewed
        if reviewed is None:
            return None
        if self._images is None or self._images[0] != session.reading:
            self._images = (session.reading, ShownImages(EntryReader(reviewed.bare.sources)))
        return self._images[1]
