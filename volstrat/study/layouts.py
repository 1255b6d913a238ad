"""The trees that people have, each described by a few patterns; `volstrat init` knows them by these.

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
from typing import Literal, cast

Gives = Literal[
    "ct",
    "pet",
    "liver",
    "liver_segments",
    "fdg_avid",
    "tumour",
    "channel",
    "labels",
    "dataset_labels",
    "named",
    "scene",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where files of a subject lie, and what they give."""

    gives: Gives
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one program lays out its subjects.

    Parameters
    ----------
    name : str
    marks : tuple of str
        Patterns; all of them must be there.
    subject : str
    sources : tuple of Source
    drawn_by : str
        The model that drew the masks, where nobody has checked them; "" where a person drew them.
    needs : str
        What the layout never holds and volstrat cannot do without.
    least : int
        Fewer subjects are none: the pattern fits too much.
    """

    name: str
    marks: tuple[str, ...]
    subject: str
    sources: tuple[Source, ...]
    drawn_by: str = ""
    needs: str = ""
    least: int = 1


def _sources(**patterns: str) -> tuple[Source, ...]:
    """Return sources by keyword: ``ct``, ``labels`` ...; a digit at a keyword's end tells them apart."""
    return tuple(
        Source(gives=cast("Gives", gives.rstrip("0123456789")), pattern=pattern)
        for gives, pattern in patterns.items()
    )


def _total_segmentator(folder: str, mark: str) -> Layout:
    """Describe TotalSegmentator's one file a class, in a folder of the subject or in its own."""
    return Layout(
        name="TotalSegmentator",
        marks=(f"*/{folder}{mark}{{ending}}",),
        subject=f"{{subject}}/{folder}".rstrip("/"),
        sources=_sources(
            ct="{subject}/ct{ending}",
            liver=f"{{subject}}/{folder}liver{{ending}}",
            liver_segments=f"{{subject}}/{folder}liver_segment_?{{ending}}",
            tumour1=f"{{subject}}/{folder}liver_lesions{{ending}}",
            tumour2=f"{{subject}}/{folder}liver_tumor{{ending}}",
        ),
        drawn_by="TotalSegmentator",
    )


def _bids(visit: str) -> Layout:
    """Describe BIDS: raw images, masks among the derivatives or in a derivative of its own."""
    session = "ses-{visit}/" if visit else ""
    own = f"sub-{{subject}}/{session}"
    return Layout(
        name="BIDS",
        marks=("dataset_description.json", f"sub-*/{'ses-*/' if visit else ''}*/sub-*_*{{ending}}"),
        subject=f"sub-{{subject}}/{session}".rstrip("/"),
        sources=_sources(
            ct=f"{own}*/sub-{{subject}}_*ct{{ending}}",
            pet=f"{own}pet/sub-{{subject}}_*pet{{ending}}",
            labels1=f"derivatives/*/{own}*/sub-{{subject}}_*dseg{{ending}}",
            labels2=f"{own}*/sub-{{subject}}_*dseg{{ending}}",
            named1=f"derivatives/*/{own}*/sub-{{subject}}_*mask{{ending}}",
            named2=f"{own}*/sub-{{subject}}_*mask{{ending}}",
        ),
    )


def _xnat(scans: str, files: str, visit: str) -> Layout:
    """Describe what XNAT exports: scans by number, resources by kind, the session as visit."""
    own = f"{{subject}}/{visit}{scans}"
    return Layout(
        name="XNAT",
        marks=(f"*/{'*/' if visit else ''}{scans}/*/{files}/*{{ending}}",),
        subject=own,
        sources=_sources(named=f"{own}/*/{files}/*{{ending}}"),
    )


def _lifex(folder: str) -> Layout:
    """Describe LIFEx: regions of interest in a folder of their own beside the series."""
    return Layout(
        name="LIFEx",
        marks=(f"*/{folder}/*{{ending}}",),
        subject=f"{{subject}}/{folder}",
        sources=_sources(
            ct1="{subject}/CT",
            pet1="{subject}/PET",
            pet2="{subject}/PT",
            named=f"{{subject}}/{folder}/*{{ending}}",
        ),
    )


LAYOUTS = (
    Layout(
        name="nnU-Net",
        marks=("dataset.json", "imagesTr/*_0000{ending}", "labelsTr"),
        subject="imagesTr/{subject}_0000{ending}",
        sources=_sources(
            channel0="imagesTr/{subject}_0000{ending}",
            channel1="imagesTr/{subject}_0001{ending}",
            dataset_labels="labelsTr/{subject}{ending}",
        ),
    ),
    Layout(
        name="Medical Segmentation Decathlon",
        marks=("dataset.json", "imagesTr/*{ending}", "labelsTr/*{ending}"),
        subject="labelsTr/{subject}{ending}",
        sources=_sources(channel0="imagesTr/{subject}{ending}", dataset_labels="labelsTr/{subject}{ending}"),
    ),
    Layout(
        name="nnU-Net predictions",
        marks=("imagesTs/*_0000{ending}",),
        subject="imagesTs/{subject}_0000{ending}",
        sources=_sources(
            channel0="imagesTs/{subject}_0000{ending}",
            channel1="imagesTs/{subject}_0001{ending}",
            dataset_labels1="labelsTs/{subject}{ending}",
            dataset_labels2="pred*/{subject}{ending}",
            dataset_labels3="infer*/{subject}{ending}",
        ),
        drawn_by="nnU-Net",
    ),
    Layout(  # the folder that nnUNetv2_predict wrote, alone
        name="nnU-Net predictions",
        marks=("dataset.json", "*{ending}"),
        subject="{subject}{ending}",
        sources=_sources(dataset_labels="{subject}{ending}"),
        drawn_by="nnU-Net",
    ),
    _total_segmentator("segmentations/", "liver"),
    _total_segmentator("segmentations/", "liver_segment_?"),
    _total_segmentator("", "liver_segment_?"),
    Layout(
        name="TotalSegmentator in one file",
        marks=("*/ct{ending}", "*/segmentations.nii*"),  # --ml writes what -o says, packed or not
        subject="{subject}",
        sources=_sources(ct="{subject}/ct{ending}", labels="{subject}/segmentations.nii*"),
        drawn_by="TotalSegmentator",
    ),
    Layout(
        name="autoPET",
        marks=("*/*/SUV{ending}", "*/*/CTres{ending}", "*/*/SEG{ending}"),
        subject="{subject}/{visit}",
        sources=_sources(
            ct="{subject}/{visit}/CTres{ending}",
            pet="{subject}/{visit}/SUV{ending}",
            fdg_avid="{subject}/{visit}/SEG{ending}",
        ),
        needs="The masks of autoPET are FDG-avid disease on the PET grid; a mask of the tumour on CT is "
        'needed besides: write tumour = "PATH" with {subject} and {visit} in it.',
    ),
    Layout(
        name="MONAI Label",
        marks=("labels/final/*{ending}",),
        subject="labels/final/{subject}{ending}",
        sources=_sources(ct="{subject}{ending}", labels="labels/final/{subject}{ending}"),
    ),
    Layout(
        name="MONAI Label, not yet reviewed",
        marks=("labels/original/*{ending}",),
        subject="labels/original/{subject}{ending}",
        sources=_sources(ct="{subject}{ending}", labels="labels/original/{subject}{ending}"),
        drawn_by="MONAI Label's model",
    ),
    *(
        Layout(
            name="3D Slicer scenes",
            marks=(f"{below}/*.mrml",),
            subject=subject,
            sources=_sources(scene=f"{subject}/*.mrml"),
        )
        for below, subject in (("*", "{subject}"), ("*/*", "{subject}/{visit}"))
    ),
    _bids("visit"),
    _bids(""),
    _xnat("SCANS", "NIFTI", "{visit}/"),
    _xnat("SCANS", "NIFTI", ""),
    _xnat("scans", "resources/NIFTI/files", "{visit}/"),
    _xnat("scans", "resources/NIFTI/files", ""),
    _lifex("RoiVolume"),
    _lifex("ROI"),
    _lifex("LIFEx"),
    Layout(
        name="images and labels",
        marks=("images/*{ending}", "labels/*{ending}"),
        subject="labels/{subject}{ending}",
        sources=_sources(ct="images/{subject}{ending}", labels="labels/{subject}{ending}"),
    ),
    *(
        Layout(
            name="files called after their subject",
            marks=(f"{folder}{{subject}}_{tumour}{{ending}}",),
            subject=f"{folder}{{subject}}_{tumour}{{ending}}",
            sources=_sources(named=f"{folder}{{subject}}_*{{ending}}"),
            least=1 if folder else 2,
        )
        for folder in ("{subject}/", "")
        for tumour in ("tumour", "tumor", "Tumour", "Tumor")
    ),
)
"""In the order in which they are tried; the first that fits is taken."""
