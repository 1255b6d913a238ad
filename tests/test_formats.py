"""One case in every format and storage: the verdict, the counts and the ids do not change."""

from __future__ import annotations

import gzip
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.lattices import ORDERS, Order, padded, stored
from tests.phantom_case import (
    CT_AFFINE,
    PLAIN,
    RESECTABLE_VOXELS,
    TOTAL_VOXELS,
    VOXEL_ML,
    Form,
    case_volumes,
    labels,
    pet,
    resectable,
    write,
    write_case,
    write_segmentation,
)
from tests.records import protocol
from volstrat.case.assess import run_case

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "lesion_id,resectability\nP1,ablatable\n"
"""The avid voxel far from all tumour has been marked."""

FORMS = [
    *(Form(ending=".nii", dtype=d) for d in ("u1", "i2", ">i2", "u2", ">i4", "f4", ">f8")),
    Form(ending=".nii.gz"),
    Form(ending=".nii.gz", dtype="f4"),
    *(Form(ending=".nii", dtype=d, version=2) for d in ("u1", ">i2")),
    Form(ending=".nii.gz", version=2),
    *(Form(ending=".nrrd", dtype=d, compressed=z) for d in ("u1", ">i2", "f8") for z in (False, True)),
    *(
        Form(ending=".nhdr", dtype=d, compressed=z, detached=True)
        for d in ("u1", ">u2")
        for z in (False, True)
    ),
    *(Form(ending=".mha", dtype=d, compressed=z) for d in ("u1", ">i2", "f4") for z in (False, True)),
    *(
        Form(ending=".mhd", dtype=d, compressed=z, detached=True)
        for d in ("u1", ">i4")
        for z in (False, True)
    ),
]


def told(folder: Path) -> dict[str, Any]:
    """Return the part of the record that no way of storing may change: not every format names its parts."""
    record = run_case(folder, protocol())
    assert record["error"] is None, record["error"]
    unnamed = {
        key: [{name: value for name, value in row.items() if name != "segment"} for row in record[key]]
        for key in ("lesions", "pet_only_regions")
    }
    kept = {key: record[key] for key in ("status", "stratum", "predicates", "volumes")}
    return kept | unnamed | {"findings": [(f["code"], f["severity"], f["where"]) for f in record["findings"]]}


@cache
def wanted() -> dict[str, Any]:
    """Return what the phantom must give, by hand where `tests.phantom_case` says how."""
    avid = int(pet()[0].sum())
    return {
        "status": "review",  # lesions of a few mm: PET moved by 10 mm misses them (pet_shift)
        "stratum": "stratum_2",
        "stratum_1": (False, RESECTABLE_VOXELS, RESECTABLE_VOXELS, TOTAL_VOXELS, "tumour"),
        "stratum_2": (True, avid, avid, avid, "pet"),
        # Edges of n voxels are n - 1 steps long; axial diameters lie in a slice.
        "lesions": {
            "L1": (192, "unresectable", "not_avid", np.sqrt(5.6**2 + 3.5**2 + 7.5**2), np.hypot(5.6, 3.5)),
            "L2": (90, "resectable", "avid", np.sqrt(4.0**2 + 2.8**2 + 5.0**2), np.hypot(4.0, 2.8)),
            "L3": (27, "partial", "not_avid", np.sqrt(1.6**2 + 1.4**2 + 5.0**2), np.hypot(1.6, 1.4)),
        },
        "centroid_l1": CT_AFFINE[:3, :3] @ (5.5, 5.5, 2.5) + CT_AFFINE[:3, 3],
    }


def assert_as_worked_out(found: dict[str, Any]) -> None:
    """Hold a record to the phantom; NIfTI-1 stores its affine in 32 bits, so millimetres have an error."""
    expected = wanted()
    assert (found["status"], found["stratum"]) == (expected["status"], expected["stratum"])
    for stratum in ("stratum_1", "stratum_2"):
        predicate = found["predicates"][stratum]
        counts = ("holds", "part_voxels", "part_voxels_upper", "whole_voxels", "unit")
        assert tuple(predicate[key] for key in counts) == expected[stratum]
    assert found["volumes"]["total_tumour_ml"] == pytest.approx(TOTAL_VOXELS * VOXEL_ML, rel=1e-5)
    assert found["volumes"]["resectable_fraction"] == RESECTABLE_VOXELS / TOTAL_VOXELS
    assert found["volumes"]["fdg_avid_fraction"] == 90 / TOTAL_VOXELS
    assert [lesion["lesion_id"] for lesion in found["lesions"]] == list(expected["lesions"])
    for lesion in found["lesions"]:
        voxels, marking, avidity, longest, axial = expected["lesions"][lesion["lesion_id"]]
        assert (lesion["voxels"], lesion["resectability"], lesion["fdg_avidity"]) == (
            voxels,
            marking,
            avidity,
        )
        assert lesion["max_diameter_mm"] == pytest.approx(longest, abs=1e-3)
        assert lesion["max_axial_diameter_mm"] == pytest.approx(axial, abs=1e-3)
    assert found["lesions"][0]["centroid_mm"] == pytest.approx(expected["centroid_l1"], abs=1e-3)
    assert [(r["lesion_id"], r["voxels"]) for r in found["pet_only_regions"]] == [("P1", 1)]


def assert_same(found: dict[str, Any], reference: dict[str, Any], *, mm: float = 1e-3) -> None:
    """Compare two records key by key: text and counts exactly, measures within rounding."""

    def compare(a: Any, b: Any, at: str) -> None:  # noqa: ANN401 - any JSON value
        if isinstance(a, dict):
            assert a.keys() == b.keys(), at
            for key in a:
                compare(a[key], b[key], f"{at}.{key}")
        elif isinstance(a, list):
            assert len(a) == len(b), at
            for n, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{at}[{n}]")
        elif isinstance(a, float) and b is not None:
            assert a == pytest.approx(b, rel=1e-5, abs=mm if "_mm" in at else 1e-9), at
        else:
            assert a == b, at

    compare(found, reference, "record")


def with_table(folder: Path) -> Path:
    """Add the lesion table to a case."""
    (folder / "lesions.csv").write_text(TABLE)
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the plain case gives, held to the numbers worked out by hand."""
    found = told(with_table(write_case(tmp_path_factory.mktemp("plain") / "case")))
    assert_as_worked_out(found)
    return found


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_format_gives_the_same_record(tmp_path: Path, form: Form, reference: dict[str, Any]) -> None:
    """File format, value type, byte order, compression and detached headers change nothing."""
    found = told(with_table(write_case(tmp_path / "case", form=form)))
    assert_as_worked_out(found)
    assert_same(found, reference)


def test_formats_mix_within_a_case(tmp_path: Path, reference: dict[str, Any]) -> None:
    """Tumour in NIfTI, resectable in NRRD, PET in MetaImage."""
    folder = tmp_path / "case"
    folder.mkdir()
    volumes = case_volumes()
    write(folder, "tumor", volumes["tumour"], Form(ending=".nii.gz", dtype=">i2"))
    write(folder, "Resectable", volumes["resectable"], Form(ending=".nrrd", compressed=True))
    write(folder, "AVID", volumes["fdg_avid"], Form(ending=".mha"))
    assert_same(told(with_table(folder)), reference)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_storage_order_changes_nothing(tmp_path: Path, order: Order, reference: dict[str, Any]) -> None:
    """All masks flipped and transposed: 48 ways to store one patient, PET in yet another one."""
    opposite = ORDERS[(ORDERS.index(order) * 7 + 5) % 48]
    volumes = case_volumes()
    turned = {
        "tumour": stored(*volumes["tumour"], order),
        "resectable": stored(*volumes["resectable"], order),
        "fdg_avid": stored(*volumes["fdg_avid"], opposite),
    }
    assert_same(told(with_table(write_case(tmp_path / "case", turned))), reference, mm=1e-6)


@pytest.mark.parametrize("order", ORDERS[1::5], ids=str)
@pytest.mark.parametrize("turned", ["tumour", "resectable"])
def test_masks_of_one_lattice_may_be_stored_in_different_orders(
    tmp_path: Path, order: Order, turned: str, reference: dict[str, Any]
) -> None:
    """A tumour mask from one program, a resectable one from another: the physical lattice counts."""
    volumes = case_volumes()
    volumes[turned] = stored(*volumes[turned], order)
    assert_same(told(with_table(write_case(tmp_path / "case", volumes))), reference, mm=1e-6)


@pytest.mark.parametrize(
    ("before", "after"), [((3, 0, 0), (0, 0, 0)), ((0, 2, 0), (5, 0, 1)), ((1, 4, 2), (2, 1, 3))], ids=str
)
def test_padding_changes_nothing(
    tmp_path: Path,
    before: tuple[int, int, int],
    after: tuple[int, int, int],
    reference: dict[str, Any],
) -> None:
    """Empty planes round all masks: on tumour and resectable together, and on PET."""
    volumes = {role: padded(*volume, before, after) for role, volume in case_volumes().items()}
    assert_same(told(with_table(write_case(tmp_path / "case", volumes))), reference, mm=1e-6)


def test_moving_everything_moves_nothing_but_positions(tmp_path: Path, reference: dict[str, Any]) -> None:
    """A patient 500 mm further along has the same tumour."""
    shift = np.array([500.0, -250.0, 1000.0])
    volumes = {}
    for role, (dense, affine) in case_volumes().items():
        moved = affine.copy()
        moved[:3, 3] += shift
        volumes[role] = (dense, moved)
    found = told(with_table(write_case(tmp_path / "case", volumes)))
    for rows in ("lesions", "pet_only_regions"):
        for row in found[rows]:
            for key in ("centroid_mm", "point_mm"):
                row[key] = [x - s for x, s in zip(row[key], shift, strict=True)]
            row["bounding_box_mm"] = [
                [x - s for x, s in zip(corner, shift, strict=True)] for corner in row["bounding_box_mm"]
            ]
    assert_same(found, reference, mm=1e-6)


def test_labels_in_the_order_of_volume_are_the_components(tmp_path: Path, reference: dict[str, Any]) -> None:
    """A label map whose values 1, 2, 3 fall in volume names the same lesions."""
    volumes = case_volumes() | {"tumour": (labels(), CT_AFFINE)}
    assert_same(told(with_table(write_case(tmp_path / "case", volumes))), reference, mm=1e-6)


def test_labels_keep_their_numbers_whatever_their_volume(tmp_path: Path) -> None:
    """Values 7, 3 and 40: lesions L3, L7, L40 with the voxels of each."""
    dense = np.select([labels() == n for n in (1, 2, 3)], [7, 3, 40], 0).astype(np.uint8)
    volumes = case_volumes() | {"tumour": (dense, CT_AFFINE)}
    found = told(with_table(write_case(tmp_path / "case", volumes)))
    assert [(x["lesion_id"], x["voxels"]) for x in found["lesions"]] == [("L3", 90), ("L7", 192), ("L40", 27)]
    assert found["stratum"] == "stratum_2"


def test_a_tumour_in_several_files_is_their_union(tmp_path: Path, reference: dict[str, Any]) -> None:
    """One lesion a file, as some programs export them; listed in any order."""
    folder = write_case(tmp_path / "case")
    (folder / "tumour.nrrd").unlink()
    for number in (1, 2, 3):
        write(folder, f"part{number}", ((labels() == number).astype(np.uint8), CT_AFFINE), PLAIN)
    for order in ("3, 1, 2", "1, 2, 3"):
        listed = ", ".join(f'"part{n}.nrrd"' for n in order.split(", "))
        (folder / "case.toml").write_text(
            f'[inputs]\ntumour = [{listed}]\nresectable = "resectable.nrrd"\nfdg_avid = "fdg_avid.nrrd"\n'
            'lesions = "lesions.csv"\n'
        )
        assert_same(told(with_table(folder)), reference, mm=1e-6)


CROP = (slice(1, 23), slice(2, 20), slice(1, 12))
CROPPED_AFFINE = CT_AFFINE.copy()
CROPPED_AFFINE[:3, 3] += CT_AFFINE[:3, :3] @ (1, 2, 1)


def test_a_cropped_slicer_segmentation_is_a_window_of_the_lattice(
    tmp_path: Path, reference: dict[str, Any]
) -> None:
    """Named segments stored round the tumour only, beside a full resectable mask."""
    folder = write_case(tmp_path / "case")
    (folder / "tumour.nrrd").unlink()
    write_segmentation(
        folder / "tumour.seg.nrrd",
        [labels()[CROP]],
        CROPPED_AFFINE,
        [("large", 1, 0), ("middle", 2, 0), ("small", 3, 0)],
        drawn_on=(CT_AFFINE, labels().shape),
    )
    assert_same(told(with_table(folder)), reference, mm=1e-6)


def test_a_layered_slicer_segmentation_holds_both_roles(tmp_path: Path, reference: dict[str, Any]) -> None:
    """Lesions in one layer, what can be resected in another; ``case.toml`` says which is which."""
    folder = write_case(tmp_path / "case")
    for role in ("tumour", "resectable"):
        (folder / f"{role}.nrrd").unlink()
    write_segmentation(
        folder / "all.seg.nrrd",
        [labels(), resectable()],
        CT_AFFINE,
        [("Lesion large", 1, 0), ("Lesion middle", 2, 0), ("lesion small", 3, 0), ("can be resected", 1, 1)],
    )
    (folder / "case.toml").write_text(
        "[inputs]\n"
        'tumour = { path = "all.seg.nrrd", segments = ["LESION *"] }\n'
        'resectable = { path = "all.seg.nrrd", segments = ["Can be*"] }\n'
        'fdg_avid = "fdg_avid.nrrd"\nlesions = "lesions.csv"\n'
    )
    assert_same(told(with_table(folder)), reference, mm=1e-6)


def test_several_gzip_members_are_one_file(tmp_path: Path, reference: dict[str, Any]) -> None:
    """As parallel compressors write them; every member is read."""
    folder = write_case(tmp_path / "case", form=Form(ending=".nii"))
    for path in sorted(folder.glob("*.nii")):
        raw = path.read_bytes()
        third = len(raw) // 3
        path.unlink()
        members = [raw[:third], raw[third : 2 * third], raw[2 * third :]]
        path.with_suffix(".nii.gz").write_bytes(b"".join(map(gzip.compress, members)))
    assert_same(told(with_table(folder)), reference)


def test_a_scaled_mask_is_its_scaled_values(tmp_path: Path, reference: dict[str, Any]) -> None:
    """Stored 2, 4, 6 with a slope of 0.5 are labels 1, 2, 3."""
    from tests.volume_files import nifti

    folder = write_case(tmp_path / "case")
    (folder / "tumour.nrrd").unlink()
    nifti(folder / "tumour.nii", labels() * 2, CT_AFFINE, slope=(0.5, 0.0))
    assert_same(told(with_table(folder)), reference)


def test_a_probability_map_becomes_a_mask_by_its_threshold(tmp_path: Path, reference: dict[str, Any]) -> None:
    """``threshold = 0.5`` keeps 0.5 and above; 0.49 is background."""
    folder = write_case(tmp_path / "case")
    (folder / "tumour.nrrd").unlink()
    dense = np.where(labels() > 0, 0.5, 0.49)
    write(folder, "probability", (dense, CT_AFFINE), Form(ending=".nrrd", dtype="f8"))
    (folder / "case.toml").write_text(
        '[inputs]\ntumour = { path = "probability.nrrd", threshold = 0.5 }\nresectable = "resectable.nrrd"\n'
        'fdg_avid = "fdg_avid.nrrd"\nlesions = "lesions.csv"\n'
    )
    assert_same(told(with_table(folder)), reference, mm=1e-6)
