"""``volstrat init``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from volstrat.cli.say import say
from volstrat.errors import VolstratError

EXIT_FAILED, EXIT_USAGE, EXIT_PERSON = 1, 2, 3


@click.command()
@click.argument("tree", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Study file [default: TREE/study.toml].",
)
def init(tree: Path, out: Path | None) -> None:
    """Look at a tree of scans and masks, and write its study file for batch, review, compare and inspect.

    Known trees: case folders, folders of DICOM, nnU-Net, TotalSegmentator, autoPET, MONAI Label, 3D Slicer
    scenes, BIDS, XNAT and LIFEx. Nothing is guessed: what has two candidates is left open and listed.

    Exit codes: 0 all is clear; 3 something must be settled or marked first; 2 nothing was found; 1 the study
    file is there already.
    """
    from volstrat.study.init import init_study

    try:
        done = init_study(tree, out)
    except VolstratError as error:
        say(f"volstrat: {error}", err=True)
        sys.exit(EXIT_USAGE if error.code == "usage" else EXIT_FAILED)
    for line in done.text.splitlines():
        say(line)
    sys.exit(0 if done.is_clear else EXIT_PERSON)
