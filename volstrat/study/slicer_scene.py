"""3D Slicer scenes: which files a ``.mrml`` names, as volumes and as segmentations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote
from xml.parsers import expat

from volstrat.case.lesion_table import read_bytes
from volstrat.errors import InputFileError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFile:
    """A file that a scene shows.

    Parameters
    ----------
    kind : {"volume", "segmentation"}
    name : str
        What the scene calls it.
    path : str
        Relative to the scene, with slashes.
    """

    kind: Literal["volume", "segmentation"]
    name: str
    path: str


_SHOWN: dict[str, Literal["volume", "segmentation"]] = {
    "Volume": "volume",
    "LabelMapVolume": "segmentation",
    "Segmentation": "segmentation",
}


def scene_files(path: Path) -> tuple[SceneFile, ...]:
    """Return the volumes and segmentations of a scene, as far as the scene saved them to files.

    Raises
    ------
    InputFileError
        If it cannot be read or is no scene.
    """
    nodes: list[tuple[Literal["volume", "segmentation"], str, str]] = []
    stored: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag in _SHOWN:
            references = dict(
                part.split(":", 1) for part in attributes.get("references", "").split(";") if ":" in part
            )
            storage = attributes.get("storageNodeRef") or references.get("storage", "")
            nodes.append((_SHOWN[tag], attributes.get("name", ""), storage))
        elif "Storage" in tag and attributes.get("fileName"):
            stored[attributes.get("id", "")] = unquote(attributes["fileName"]).replace("\\", "/")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(read_bytes(path), True)
    except (expat.ExpatError, ValueError) as error:
        msg = f"{path.name}: is no scene of 3D Slicer that can be read ({error})."
        raise InputFileError(msg, hint="Save the scene again in 3D Slicer.") from error
    return tuple(
        SceneFile(kind=kind, name=name, path=stored[storage].removeprefix("./"))
        for kind, name, storage in nodes
        if storage in stored
    )


def _no_entities(*_: object) -> None:
    """Refuse entities: a scene has none, and they can be made to swell."""
    msg = "it declares entities"
    raise ValueError(msg)
