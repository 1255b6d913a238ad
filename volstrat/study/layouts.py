"""The trees that people have, each described by a few patterns, and which of them a tree is.

``{ending}`` stands for the ending of a volume, one for a whole tree. What a *source* gives:

- ``ct``, ``pet``, ``liver``, ``liver_segments``, ``fdg_avid``, ``tumour``: that role;
- ``channel``: CT or PET, as ``dataset.json`` says of the channel at the end of the file's name;
- ``labels``: a mask whose parts' names say what they are; ``dataset_labels``: so, with one list for all;
- ``scene``: what 3D Slicer's scene names;
- ``named``: files of which each one's name says its role.

To add a layout, describe it here and lay a small tree of it out in ``tests/study/trees.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.discovery import holds_case, holds_dicom, iter_case_folders
from volstrat.formats.walk import files_below, is_system_name
from volstrat.study.patterns import Match, PathPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_LOOKED_AT = 60
"""How many names of a folder are looked at for a layout's marks."""
_LOOKED_BELOW = 20
"""How many folders of a tree are looked into for a layout of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where files of a subject lie, and what they give."""

    gives: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one program lays out its subjects."""

    name: str
    marks: tuple[str, ...]  # patterns; all of them must be there
    subject: str
    sources: tuple[Source, ...]
    # the model that drew the masks, where nobody has checked them; "" where a person drew them
    drawn_by: str = ""
    needs: str = ""  # what the layout never holds and volstrat cannot do without
    least: int = 1  # fewer subjects are none: the pattern fits too much


def _layout(
    name: str,
    subject: str,
    *marks: str,
    drawn_by: str = "",
    needs: str = "",
    least: int = 1,
    **sources: str,
) -> Layout:
    """Return a layout; sources by what they give (``ct``, ``labels1``): a digit tells them apart."""
    return Layout(
        name=name,
        marks=marks,
        subject=subject,
        sources=tuple(Source(gives=key.rstrip("0123456789"), pattern=text) for key, text in sources.items()),
        drawn_by=drawn_by,
        needs=needs,
        least=least,
    )


def _total_segmentator(folder: str, mark: str) -> Layout:
    """Describe TotalSegmentator's one file a class, in a folder of the subject or in its own."""
    own = f"{{subject}}/{folder}"
    return _layout(
        "TotalSegmentator",
        own.rstrip("/"),
        f"*/{folder}{mark}{{ending}}",
        ct="{subject}/ct{ending}",
        liver=f"{own}liver{{ending}}",
        liver_segments=f"{own}liver_segment_?{{ending}}",
        tumour1=f"{own}liver_lesions{{ending}}",
        tumour2=f"{own}liver_tumor{{ending}}",
        drawn_by="TotalSegmentator",
    )


def _bids(visit: str) -> Layout:
    """Describe BIDS: raw images, masks among the derivatives or in a derivative of its own."""
    session = "ses-{visit}/" if visit else ""
    own = f"sub-{{subject}}/{session}"
    return _layout(
        "BIDS",
        own.rstrip("/"),
        "dataset_description.json",
        f"sub-*/{'ses-*/' if visit else ''}*/sub-*_*{{ending}}",
        ct=f"{own}*/sub-{{subject}}_*ct{{ending}}",
        pet=f"{own}pet/sub-{{subject}}_*pet{{ending}}",
        labels1=f"derivatives/*/{own}*/sub-{{subject}}_*dseg{{ending}}",
        labels2=f"{own}*/sub-{{subject}}_*dseg{{ending}}",
        named1=f"derivatives/*/{own}*/sub-{{subject}}_*mask{{ending}}",
        named2=f"{own}*/sub-{{subject}}_*mask{{ending}}",
    )


def _xnat(scans: str, files: str, visit: str) -> Layout:
    """Describe what XNAT exports: scans by number, resources by kind, the session as visit."""
    own = f"{{subject}}/{visit}{scans}"
    mark = f"*/{'*/' if visit else ''}{scans}/*/{files}/*{{ending}}"
    return _layout("XNAT", own, mark, named=f"{own}/*/{files}/*{{ending}}")


def _lifex(folder: str) -> Layout:
    """Describe LIFEx: regions of interest in a folder of their own beside the series."""
    return _layout(
        "LIFEx",
        f"{{subject}}/{folder}",
        f"*/{folder}/*{{ending}}",
        ct1="{subject}/CT",
        pet1="{subject}/PET",
        pet2="{subject}/PT",
        named=f"{{subject}}/{folder}/*{{ending}}",
    )


LAYOUTS = (
    _layout(
        "nnU-Net",
        "imagesTr/{subject}_0000{ending}",
        *("dataset.json", "imagesTr/*_0000{ending}", "labelsTr"),
        channel0="imagesTr/{subject}_0000{ending}",
        channel1="imagesTr/{subject}_0001{ending}",
        dataset_labels="labelsTr/{subject}{ending}",
    ),
    _layout(
        "Medical Segmentation Decathlon",
        "labelsTr/{subject}{ending}",
        *("dataset.json", "imagesTr/*{ending}", "labelsTr/*{ending}"),
        channel0="imagesTr/{subject}{ending}",
        dataset_labels="labelsTr/{subject}{ending}",
    ),
    _layout(
        "nnU-Net predictions",
        "imagesTs/{subject}_0000{ending}",
        "imagesTs/*_0000{ending}",
        channel0="imagesTs/{subject}_0000{ending}",
        channel1="imagesTs/{subject}_0001{ending}",
        dataset_labels1="labelsTs/{subject}{ending}",
        dataset_labels2="pred*/{subject}{ending}",
        dataset_labels3="infer*/{subject}{ending}",
        drawn_by="nnU-Net",
    ),
    _layout(  # the folder that nnUNetv2_predict wrote, alone
        "nnU-Net predictions",
        "{subject}{ending}",
        *("dataset.json", "*{ending}"),
        dataset_labels="{subject}{ending}",
        drawn_by="nnU-Net",
    ),
    _total_segmentator("segmentations/", "liver"),
    _total_segmentator("segmentations/", "liver_segment_?"),
    _total_segmentator("", "liver_segment_?"),
    _layout(
        "TotalSegmentator in one file",
        "{subject}",
        *("*/ct{ending}", "*/segmentations.nii*"),  # --ml writes what -o says, packed or not
        ct="{subject}/ct{ending}",
        labels="{subject}/segmentations.nii*",
        drawn_by="TotalSegmentator",
    ),
    _layout(
        "autoPET",
        "{subject}/{visit}",
        *("*/*/SUV{ending}", "*/*/CTres{ending}", "*/*/SEG{ending}"),
        ct="{subject}/{visit}/CTres{ending}",
        pet="{subject}/{visit}/SUV{ending}",
        fdg_avid="{subject}/{visit}/SEG{ending}",
        needs="The masks of autoPET are FDG-avid disease on the PET grid; a mask of the tumour on CT is "
        'needed besides: write tumour = "PATH" with {subject} and {visit} in it.',
    ),
    _layout(
        "MONAI Label",
        "labels/final/{subject}{ending}",
        "labels/final/*{ending}",
        ct="{subject}{ending}",
        labels="labels/final/{subject}{ending}",
    ),
    _layout(
        "MONAI Label, not yet reviewed",
        "labels/original/{subject}{ending}",
        "labels/original/*{ending}",
        ct="{subject}{ending}",
        labels="labels/original/{subject}{ending}",
        drawn_by="MONAI Label's model",
    ),
    _layout("3D Slicer scenes", "{subject}", "*/*.mrml", scene="{subject}/*.mrml"),
    _layout("3D Slicer scenes", "{subject}/{visit}", "*/*/*.mrml", scene="{subject}/{visit}/*.mrml"),
    _bids("visit"),
    _bids(""),
    _xnat("SCANS", "NIFTI", "{visit}/"),
    _xnat("SCANS", "NIFTI", ""),
    _xnat("scans", "resources/NIFTI/files", "{visit}/"),
    _xnat("scans", "resources/NIFTI/files", ""),
    _lifex("RoiVolume"),
    _lifex("ROI"),
    _lifex("LIFEx"),
    _layout(
        "images and labels",
        "labels/{subject}{ending}",
        *("images/*{ending}", "labels/*{ending}"),
        ct="images/{subject}{ending}",
        labels="labels/{subject}{ending}",
    ),
    *(
        _layout(
            "files called after their subject",
            f"{folder}{{subject}}_{tumour}{{ending}}",
            f"{folder}{{subject}}_{tumour}{{ending}}",
            named=f"{folder}{{subject}}_*{{ending}}",
            least=1 if folder else 2,
        )
        for folder in ("{subject}/", "")
        for tumour in ("tumour", "tumor", "Tumour", "Tumor")
    ),
)
"""In the order in which they are tried; the first that fits is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A tree's layout."""

    layout: Layout
    ending: str  # of its volumes
    subject: PathPattern
    matches: tuple[Match, ...]  # its subjects
    by: str  # what it was known by

    def pattern(self, text: str) -> PathPattern:
        """Return a pattern of the layout with this tree's ending."""
        return PathPattern(text=text.replace("{ending}", self.ending))


def recognise(tree: Path) -> Recognised | None:
    """Return the first layout that fits a tree and holds a subject; None where none does.

    A tree of which one folder has a program's layout is none of case folders: that folder is meant.
    """
    found = by_layout(tree)
    if found is None and not below_with_layout(tree):
        found = _case_folders(tree)
    return found


def below_with_layout(tree: Path) -> list[Path]:
    """Return the folders of a tree that have a program's layout themselves, of the first that there are."""
    try:
        children = sorted(child for child in tree.iterdir() if not is_system_name(child.name))
    except OSError:
        return []
    return [child for child in islice(children, _LOOKED_BELOW) if child.is_dir() and by_layout(child)]


def by_layout(tree: Path) -> Recognised | None:
    """Return the first layout of a program that fits a tree and holds a subject; None where none does."""
    for layout in LAYOUTS:
        for ending in ENDINGS if any("{ending}" in mark for mark in layout.marks) else ENDINGS[:1]:
            marks = [mark.replace("{ending}", ending) for mark in layout.marks]
            looks = (PathPattern(text=mark).matches(tree, most=_LOOKED_AT) for mark in marks)
            if all(next(found, None) is not None for found in looks):
                pattern = PathPattern(text=layout.subject.replace("{ending}", ending))
                matches = tuple(pattern.matches(tree))
                if len(matches) >= layout.least:
                    return Recognised(
                        layout=layout, ending=ending, subject=pattern, matches=matches, by=" and ".join(marks)
                    )
    return None


def _case_folders(tree: Path) -> Recognised | None:
    """Return volstrat's own folders, or folders of DICOM, where every case lies equally deep."""
    folders = [folder for folder in iter_case_folders(tree) if folder != tree]
    folders = [folder for folder in folders if holds_case(folder) or _holds_dicom_below(folder)]
    text = _folder_pattern([folder.relative_to(tree).parts for folder in folders])
    if text is None:
        return None
    pattern = PathPattern(text=text)
    named = any(holds_case(folder) for folder in islice(folders, _LOOKED_AT))
    layout = Layout(name="case folders" if named else "folders of DICOM", marks=(), subject=text, sources=())
    by = "role files or case.toml in each" if named else "DICOM in each"
    matches = tuple(match for match in pattern.matches(tree) if match.path.is_dir())
    return Recognised(layout=layout, ending="", subject=pattern, matches=matches, by=by)


def _holds_dicom_below(folder: Path) -> bool:
    """Tell whether a folder, or one below it, holds DICOM files: each series may have a folder of its own."""
    return any(holds_dicom(Path(parent)) for parent, _ in islice(files_below(folder), _LOOKED_AT))


def _folder_pattern(paths: Sequence[tuple[str, ...]]) -> str | None:
    """Return the pattern of folders that differ in one part (the subject) or two (subject and visit)."""
    if not paths or len({len(parts) for parts in paths}) != 1:
        return None
    columns = list(zip(*paths, strict=True))
    varying = [n for n, names in enumerate(columns) if len(set(names)) > 1] or [len(columns) - 1]
    if len(varying) > 2:
        return None
    parts = [names[0] for names in columns]
    first, last = varying[0], varying[-1]
    if first != last and len(set(columns[last])) == len(paths):  # sites, then subjects of their own names
        parts[first], parts[last] = "*", "{subject}"
    elif first != last:
        parts[first], parts[last] = "{subject}", "{visit}"
    else:
        parts[first] = "{subject}"
    return "/".join(parts)
