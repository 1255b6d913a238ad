"""``volstrat init``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from volstrat.cli.options import ANY, EXISTING_FOLDER, EXIT_PERSON, errors_said
from volstrat.cli.say import say


@click.command()
@click.argument("tree", type=EXISTING_FOLDER)
@click.option(
    "-o",
    "--out",
    type=ANY,
    metavar="FILE",
    help="Study file [default: TREE/study.toml].",
)
def init(tree: Path, out: Path | None) -> None:
    """Look at a tree of scans and masks, and write its study file for batch, review, compare and inspect.

    Known trees: case folders, folders of DICOM, nnU-Net, the Medical Segmentation Decathlon,
    TotalSegmentator, autoPET, MONAI Label, 3D Slicer scenes, BIDS, XNAT, LIFEx, images beside labels, and
    files called after their subject. Nothing is guessed: what has two candidates is left open and listed.

    Exit codes: 0 all is clear; 3 something must be settled or marked first; 2 nothing was found; 1 the study
    file is there already.
    """
    from volstrat.study.init import init_study

    with errors_said():
        done = init_study(tree, out)
    for line in done.text.splitlines():
        say(line)
    sys.exit(0 if done.is_clear else EXIT_PERSON)
