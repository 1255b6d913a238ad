"""Images shown in place of those that count: further phases of the CT, PETs of other tracers.

Planes, masks and the cross stay where they are, in millimetres; whatever is shown decides nothing.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from volstrat.errors import GridMismatchError, InputFileError
from volstrat.formats.volumes import stem_of
from volstrat.geometry.alignment import check_frame_of_reference
from volstrat.pictures.drawn_volumes import Volume, boxes_meet, growing_ct
from volstrat.pictures.projections import RotatingProjection

if TYPE_CHECKING:
    from volstrat.case.case_file import RoleEntry
    from volstrat.case.entries import EntryReader
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.pictures.scene import Scene

Kind = Literal["ct", "pet"]


class ShownImages:
    """The images of a case that can be shown; each is read when it is first asked for."""

    def __init__(self, reader: EntryReader) -> None:
        self.reader = reader
        self._entries: dict[Kind, tuple[RoleEntry, ...]] = {
            "ct": reader.sources.entries.get("ct", ())[1:],
            "pet": reader.sources.entries.get("other_pet", ()),
        }
        self._read: dict[tuple[Kind, int], Volume] = {}
        self._turned: dict[int, RotatingProjection] = {}
        self._lock = threading.Lock()

    def names(self, kind: Kind) -> list[str]:
        """Return what can be shown: the case's own image first, then those that can take its place."""
        sources, role = self.reader.sources, "ct" if kind == "ct" else "other_pet"
        own = sources.only(kind)
        if kind == "pet":
            first = "PET" if own is not None else "no FDG-PET"
        else:
            first = "no CT" if own is None else own.name or "CT"
        names = [first, *(image_name(self.reader, role, entry) for entry in self._entries[kind])]
        return [f"{name} ({n + 1})" if names.count(name) > 1 else name for n, name in enumerate(names)]

    def in_place(self, scene: Scene, *, ct: int = 0, pet: int = 0) -> Scene:
        """Return a scene with other images (numbers of `names`) in the place of its own.

        Planes stay those of the first; 0 keeps the scene's own. An image that is not there, or cannot be
        read, is a VolstratError.
        """
        if ct:
            scene = replace(scene, ct=self._volume("ct", ct))
        if pet:
            scene = replace(scene, pet=self._volume("pet", pet))
        return scene

    def rotation(self, pet: int) -> RotatingProjection:
        """Return a shown PET seen from all round."""
        volume = self._volume("pet", pet)
        with self._lock:
            return self._turned.setdefault(pet, RotatingProjection(volume))

    def notices(self, scene: Scene, kind: Kind, number: int) -> list[str]:
        """Say what does not fit about an image shown in a case's scene: its place, its frame of reference."""
        if not number:
            return []
        volume = self._volume(kind, number)
        if scene.base is not None and not boxes_meet(volume.box_mm(), scene.base.box_mm()):
            return [f"{volume.name} does not lie where the case's images do: nothing of it is seen."]
        try:
            check_frame_of_reference(
                volume.view.grid, scene.mask_grid, name=volume.name, other="the tumour mask"
            )
        except GridMismatchError as error:
            return [f"{error.message} It may not fit the contours."]
        return []

    def _volume(self, kind: Kind, number: int) -> Volume:
        with self._lock:
            if (kind, number) not in self._read:
                self._read[kind, number] = self._opened(kind, number)
            return self._read[kind, number]

    def _opened(self, kind: Kind, number: int) -> Volume:
        names = self.names(kind)
        if not 0 < number < len(names):
            msg = f"There is no image number {number} to show."
            raise InputFileError(msg)
        entry, name = self._entries[kind][number - 1], names[number]
        if kind == "ct":
            *_, (volume, _) = growing_ct(self.reader, entry)
            return replace(volume, name=name)
        read = self.reader.pet(entry, role="other_pet")
        unit = "" if read.suv is None else "SUV"
        image = self.reader.image("other_pet", entry) if read.suv is None else read.suv
        return replace(Volume.pet(image, unit=unit), name=name, counts=False)


def image_name(reader: EntryReader, role: str, entry: RoleEntry) -> str:
    """Return what an image is called: by its entry, else its file, else its series' tracer or number."""
    if entry.name:
        return entry.name
    if not reader.reads_from_dicom(entry):
        return stem_of(entry.path)
    return _series_name(reader.library.series(entry.path, role=role, uid=entry.series))


def _series_name(series: SeriesFiles) -> str:
    """Name a series by its tracer or its number: descriptions are free text and are not read."""
    if series.modality == "PT":
        from volstrat.dicom.tracer import series_tracer

        said = series_tracer(series).names
        if said:
            return " ".join(said).removeprefix("a ")
    return f"series {series.short_uid if series.number is None else series.number}"
