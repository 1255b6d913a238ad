"""Names of the labels of a label map, from where their makers put them.

- the label table in a NIfTI header extension (Connectome Workbench's XML, which TotalSegmentator writes),
- MITK: the label groups in an NRRD header, or a ``.mitklabel.json`` that names the file,
- ITK-SNAP: a label description file beside it (the only one there, or one of its own name),
- BIDS: the ``_dseg.tsv`` beside a ``_dseg`` file, else the nearest ``dseg.tsv`` above it,
- nnU-Net: ``labels`` of the nearest ``dataset.json`` above the file.
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from volstrat.formats.walk import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST_BYTES = 1 << 22
"""Of a file or extension that holds names; more is none."""

_TABLE_LABEL = re.compile(
    r'<Label\b[^>]*?\bKey="(\d{1,9})"[^>]*>\s*(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))\s*</Label>', re.DOTALL
)
_SNAP_MARK = "itk-snap label description file"
_SNAP_LABEL = re.compile(r'\s*(\d{1,9})(?:\s+[-+\d.eE]+){6}\s+"(.*)"\s*')
_DESCRIBING = (".txt", ".label", ".mitklabel.json")
_HIGHEST_FOLDER = 3
_HIGHEST_DERIVATIVE = 6
_CASES_OF_DATASET = ("labels", "pred", "infer")
_OF_PREDICTIONS = ("plans.json", "predict_from_raw_data_args.json")
_BACKGROUND = {"background", "clear label", "exterior", "unlabeled"}

Names = dict[int, str]


def names_in_table(text: str) -> Names:
    """Return the names of a label table in XML.

    >>> names_in_table('<LabelTable><Label Key="2" Red="0"><![CDATA[liver]]></Label></LabelTable>')
    {2: 'liver'}
    """
    if "<LabelTable" not in text:
        return {}
    from html import unescape

    found = {int(m[1]): m[2] if m[2] is not None else unescape(m[3]) for m in _TABLE_LABEL.finditer(text)}
    return _tidy(found)


def names_in_groups(text: str) -> list[Names]:
    """Return the names of MITK's label groups, a mapping each; empty where the text is not of that kind."""
    groups = _json(text)
    if not isinstance(groups, list):
        return []
    return [_labels_of(group) for group in groups]


def names_beside(path: Path) -> tuple[Path, Names] | None:
    """Return the file near a label map that names its labels, and the names; None where there is none."""
    for candidate, names_in in _candidates(path):
        names = _tidy(names_in(_text(candidate)))
        if names:
            return candidate, names
    return None


def is_of_dataset(path: Path, described_by: Path) -> bool:
    """Tell whether a label map is a case of an nnU-Net data set, in ``labelsTr`` or among predictions."""
    if described_by.name != "dataset.json":
        return False
    if path.parent != described_by.parent:
        return path.parent.name.lower().startswith(_CASES_OF_DATASET)
    return any((path.parent / name).is_file() for name in _OF_PREDICTIONS)


def _candidates(path: Path) -> Iterator[tuple[Path, Callable[[str], Names]]]:
    """Yield files that may name a label map's labels, each with what reads the names from its text."""
    stem = path.name.split(".")[0].lower()
    try:  # folders of thousands of masks: no Path for each of them
        names = sorted(n for n in os.listdir(path.parent) if n.lower().endswith(_DESCRIBING))  # noqa: PTH208
    except OSError:
        return
    there = [path.parent / name for name in names]
    described = [one for one in there if one.suffix.lower() in (".txt", ".label") and _is_snap(one)]
    own = [one for one in described if one.stem.lower() in (stem, f"{stem}_labels", f"{stem}_label")]
    if own or len(described) == 1:
        yield (own or described)[0], _snap
    stacks = [one for one in there if one.name.lower().endswith(".mitklabel.json")]
    yield from ((one, partial(_mitk, name=path.name)) for one in stacks)
    if stem.endswith("dseg"):
        above = [path.parent, *path.parent.parents][:_HIGHEST_DERIVATIVE]
        tables = [path.with_name(f"{path.name.split('.')[0]}.tsv"), *(one / "dseg.tsv" for one in above)]
        yield from ((one, _bids) for one in tables if one.is_file())
    datasets = [one / "dataset.json" for one in (path.parent, *path.parent.parents)[:_HIGHEST_FOLDER]]
    yield from ((one, _nnunet) for one in [one for one in datasets if one.is_file()][:1])


def _is_snap(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return _SNAP_MARK in stream.read(400).decode("utf-8", "replace").lower()
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            data = stream.read(LARGEST_BYTES + 1)
        return "" if len(data) > LARGEST_BYTES else data.decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _json(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _snap(text: str) -> Names:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    matches = (_SNAP_LABEL.fullmatch(line) for line in lines)
    return {int(match[1]): match[2] for match in matches if match}


def _nnunet(text: str) -> Names:
    """Return the labels of a ``dataset.json``: number by name (version 2), or name by number (version 1).

    A name may have several numbers, a region ("liver": [1, 2], "tumour": [2]): a label is called by all that
    hold it, the smallest first.
    """
    dataset = _json(text)
    labels = dataset.get("labels") if isinstance(dataset, dict) else None
    if not isinstance(labels, dict):
        return {}
    found: dict[int, list[str]] = {}
    for name, numbers in sorted(map(_region, labels, labels.values()), key=lambda region: len(region[1])):
        for number in numbers:
            found.setdefault(number, []).append(name)
    return {number: ", ".join(names) for number, names in found.items()}


def _region(key: str, value: Any) -> tuple[str, list[int]]:  # noqa: ANN401 - whatever the file holds
    """Return a label's name and its numbers; none where they are not whole numbers."""
    if isinstance(value, str) and key.isdecimal() and not value.isdecimal():
        key, value = value, key
    texts = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return key, [int(text) for text in texts if text.isdecimal()]


def _bids(text: str) -> Names:
    """Return the names of a segmentation's table: tab-separated, with the columns index and name."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    if not rows or not {"index", "name"} <= set(rows[0]):
        return {}
    number, name = rows[0].index("index"), rows[0].index("name")
    whole = [row for row in rows[1:] if len(row) > max(number, name) and row[number].isdecimal()]
    return {int(row[number]): row[name] for row in whole}


def _mitk(text: str, name: str) -> Names:
    """Return the names of a segmentation stack's labels in one of its files.

    A file holds a group, its labels by ``value``, or one label, by ``_file_value``.
    """
    document = _json(text)
    groups = document.get("groups") if isinstance(document, dict) else None
    found: Names = {}
    for group in groups if isinstance(groups, list) else []:
        if _is_file(group, name):
            found |= _labels_of(group)
        for label in _labels(group):
            if _is_file(label, name) and isinstance(own := label.get("_file_value", label["value"]), int):
                found[own] = label["name"]
    return found


def _is_file(entry: Any, name: str) -> bool:  # noqa: ANN401 - whatever the file holds
    """Tell whether a group or label says that it lies in the file of this name (``./Group_0.nrrd``)."""
    path = entry.get("_file") if isinstance(entry, dict) else None
    return isinstance(path, str) and path.replace("\\", "/").rpartition("/")[2] == name


def _labels_of(group: Any) -> Names:  # noqa: ANN401 - whatever the file holds
    return _tidy({label["value"]: label["name"] for label in _labels(group)})


def _labels(group: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever the file holds
    """Return the labels of a group that have a name and a value."""
    labels = group.get("labels") if isinstance(group, dict) else None
    return [
        label
        for label in (labels if isinstance(labels, list) else [])
        if isinstance(label, dict)
        and isinstance(label.get("value"), int)
        and isinstance(label.get("name"), str)
    ]


def _tidy(names: Names) -> Names:
    plain = {number: " ".join(name.split()) for number, name in sorted(names.items()) if number > 0}
    return {number: name for number, name in plain.items() if name and name.lower() not in _BACKGROUND}
