"""Images shown in place of the case's own: the same millimetres on any grid; nothing of them counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.lattices import oblique
from tests.report.scenes import affine, block, plane_through
from tests.volume_files import nifti
from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import InputFileError
from volstrat.pictures.annotations import window_captions
from volstrat.pictures.planes import Frame
from volstrat.pictures.scene import build_scene
from volstrat.pictures.shown_images import ShownImages
from volstrat.pictures.slices import Look, render_slice
from volstrat.review.places import lesion_at, values_at

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.assess import CaseResult
    from volstrat.pictures.scene import Scene

MIDDLE, BESIDE = (-22.5, -30.0, 37.5), (20.0, 20.0, 0.0)  # of the lesion; in tissue
LOW, HIGH = np.array([-30.0, -40.0, 30.0]), np.array([-15.0, -20.0, 45.0])


def phases(folder: Path) -> Path:
    """Write the phantom with a second phase and another PET, both on tilted grids of other spacing."""
    folder.mkdir()
    dense = block()
    nifti(folder / "portal.nii", np.where(dense, 300, -100).astype(np.int16), affine())
    nifti(folder / "tumour.nii", dense.astype(np.uint8), affine())
    shape, spacing = (70, 64, 60), (2.2, 2.1, 2.5)
    matrix = oblique(3, spacing, tilt=0.2)
    middle = matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    matrix[:3, 3] = -middle  # round the origin, as the phantom is
    index = np.moveaxis(np.indices(shape), 0, -1)
    points = index @ matrix[:3, :3].T + matrix[:3, 3]
    # A millimetre more on all sides: a voxel whose centre is just outside holds part of it.
    inside = ((points > LOW - 1) & (points < HIGH + 1)).all(axis=-1)
    nifti(folder / "late.nii", np.where(inside, 700, 0).astype(np.int16), matrix)
    nifti(folder / "dota.nii", np.where(inside, 30, 1).astype(np.float32), matrix)
    (folder / "case.toml").write_text(
        "[inputs]\n"
        'ct = [{ path = "portal.nii", name = "portal" }, { path = "late.nii", name = "late" }]\n'
        'tumour = "tumour.nii"\n'
        'other_pet = { path = "dota.nii", name = "DOTATOC", units = "SUVbw" }\n',
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseResult, Scene, ShownImages]:
    """Read the case: its own scene, and what can be shown in place."""
    case = open_case(phases(tmp_path_factory.mktemp("shown") / "case"))
    result = assess_case(case, load_protocol(None))
    return result, build_scene(result), ShownImages(case)


def test_what_can_be_shown_has_its_name(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """The case's own first; where there is no FDG-PET, that is said."""
    _, _, images = read
    assert images.names("ct") == ["portal", "late"]
    assert images.names("pet") == ["no FDG-PET", "DOTATOC"]


def test_a_phase_on_another_grid_lies_in_the_same_place(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """Values at a point are those of the phase; the planes and the lesion stay."""
    _, scene, images = read
    late = images.in_place(scene, ct=1)
    assert [values_at(scene, p)["hu"] for p in (MIDDLE, BESIDE)] == [300, -100]
    assert [values_at(late, p)["hu"] for p in (MIDDLE, BESIDE)] == [700, 0]
    assert lesion_at(late, MIDDLE) == "L1"
    plane = plane_through(scene, "axial", MIDDLE)
    frame = Frame.whole(plane, width=360, height=400)
    look = Look(window=(350, 700), annotated=False, show_lesions=False)  # 0 HU black, 700 white
    pixels = render_slice(late, plane, frame, look)[..., 0]
    bright = np.argwhere(pixels > 127)
    u, v = (
        bright[:, axis] * frame.mm_per_pixel + edge for axis, edge in ((1, frame.left_mm), (0, frame.top_mm))
    )
    x, y = u + plane.corner_mm[0], v + plane.corner_mm[1]
    # x -30 to -15, y -40 to -20; the phase's voxels are 2.5 mm and tilted by 0.2: to one of them.
    for seen, wanted in ((x.min(), -30), (x.max(), -15), (y.min(), -40), (y.max(), -20)):
        assert abs(seen - wanted) < 2.5


def test_off_its_field_a_phase_is_black(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """Air, and never the grey of tissue at 0 HU."""
    _, scene, images = read
    late = images.in_place(scene, ct=1)
    plane = plane_through(scene, "axial", MIDDLE)
    far = Frame(width=40, height=40, left_mm=900.0, top_mm=900.0, mm_per_pixel=1.0)
    assert render_slice(late, plane, far, Look(annotated=False)).max() == 0


def test_another_pet_is_shown_and_never_counts(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """It says so wherever it is seen, and the record is that of a case without FDG-PET."""
    result, scene, images = read
    shown = images.in_place(scene, pet=1)
    assert scene.pet is None
    assert shown.pet is not None
    assert values_at(shown, MIDDLE)["suv"] == 30
    told = window_captions(shown.ct, shown.pet, window=(40, 400), suv_max=15)
    assert told == ("DOTATOC: does not count", "portal  W 400  L 40 HU")
    assert window_captions(None, shown.pet, window=(40, 400), suv_max=15) == (
        "DOTATOC: does not count",
        "DOTATOC SUV 0 to 15",
    )
    assert result.record["lesions"][0]["suv_max"] is None
    assert result.record["lesions"][0]["fdg_avidity"] == "not_assessed"
    assert [i["role"] for i in result.record["inputs"] if i["role"].endswith("pet")] == ["other_pet"]


def test_it_turns_like_the_first(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """Seen from the front, the hot block lies at the patient's right: left in the picture, and high."""
    _, _, images = read
    seen = images.rotation(1).values(0)
    rows, columns = np.nonzero(seen == 30)
    assert columns.mean() < seen.shape[1] / 2
    assert rows.mean() < seen.shape[0] / 2


def test_an_image_that_is_not_there_is_refused(read: tuple[CaseResult, Scene, ShownImages]) -> None:
    """By its number, in a sentence."""
    _, scene, images = read
    with pytest.raises(InputFileError, match="no image number 2"):
        images.in_place(scene, ct=2)
