"""NRRD headers and .seg.nrrd segments, held to SimpleITK."""

from __future__ import annotations

import bz2
import gzip
import hashlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.volume_files import counts, dense_counts, nrrd_header, oblique_lps, random_labels
from volstrat.errors import CorruptDataError, FormatError, GeometryError, InputFileError
from volstrat.formats.volumes import read_grid, read_image, read_mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

sitk: Any = import_module("SimpleITK")  # without types
SHAPE = (13, 9, 7)
LABELS = random_labels(0, SHAPE)
RAW = LABELS.tobytes(order="F")
AFFINE = oblique_lps(0)


def write(path: Path, data: bytes = RAW, keys: str = "", /, **fields: str) -> Path:
    """Write an attached NRRD file with some header lines replaced."""
    path.write_bytes(nrrd_header(SHAPE, AFFINE, **fields) + keys.encode() + b"\n" + data)
    return path


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
def test_what_simpleitk_writes_is_read_alike(tmp_path: Path, seed: int, compressed: bool, dtype: str) -> None:
    """Affine and voxels of random oblique volumes, left-handed ones too."""
    affine = oblique_lps(seed, mirrored=seed % 2 == 1)
    labels = random_labels(seed, SHAPE)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image = sitk.GetImageFromArray(labels.astype(dtype).T)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "m.nrrd"), compressed)
    read = read_mask(tmp_path / "m.nrrd")
    np.testing.assert_allclose(read.mask.grid.affine, affine, atol=1e-6)
    assert counts(read) == dense_counts(labels)
    assert read.format == "nrrd"
    np.testing.assert_array_equal(read_image(tmp_path / "m.nrrd").image.values, labels)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("Left-Anterior-Superior", (1, -1, 1)),
    ],
)
def test_patient_spaces_become_lps(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    """Directions and origin change sign together; ITK reads the same."""
    path = write(tmp_path / "m.nrrd", space=space)
    grid = read_grid(path)
    np.testing.assert_allclose(grid.affine, np.diag([*signs, 1]) @ AFFINE, atol=1e-9)
    if "-" in space:
        image = sitk.ReadImage(str(path))
        np.testing.assert_allclose(image.GetOrigin(), grid.affine[:3, 3], atol=1e-9)
        np.testing.assert_allclose(image.GetDirection(), grid.directions.ravel(), atol=1e-9)


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        pytest.param({"space": ""}, GeometryError, "names no space", id="no space"),
        pytest.param({"space": "scanner-xyz"}, GeometryError, "scanner-xyz", id="scanner space"),
        pytest.param({"space": "3D-right-handed"}, GeometryError, "3d-right-handed", id="bare space"),
        pytest.param({"space_directions": ""}, GeometryError, "no space directions", id="no directions"),
        pytest.param({"space_origin": ""}, GeometryError, "no space origin", id="no origin"),
        pytest.param({"space_origin": "(1,2)"}, FormatError, "three numbers", id="short origin"),
        pytest.param(
            {"space_origin": "(1,2,nan)"}, GeometryError, "m.nrrd: its affine holds nan", id="NaN origin"
        ),
        pytest.param({"space_origin": "(1,2,x)"}, FormatError, "vectors of numbers", id="words"),
        pytest.param(
            {"space_directions": "(1,0,0) (0.1,1,0) (0,0,1)"},
            GeometryError,
            "m.nrrd: the grid is sheared",
            id="shear",
        ),
        pytest.param(
            {"space_directions": "(1,0,0) (0,1,0)"}, FormatError, "2 space directions", id="2 directions"
        ),
        pytest.param({"space_directions": "none (1,0,0) (0,1,0)"}, FormatError, "2 axes in space", id="2D"),
        pytest.param({"kinds": "domain domain"}, FormatError, "2 kinds", id="2 kinds"),
        pytest.param({"kinds": "vector domain domain"}, FormatError, "kind is vector", id="kind"),
        pytest.param({"space_units": '"furlong" "mm" "mm"'}, FormatError, "furlong", id="units"),
        pytest.param({"type": "block"}, FormatError, "'block'", id="type"),
        pytest.param({"type": ""}, FormatError, "lacks the field 'type'", id="no type"),
        pytest.param(
            {"type": "short", "endian": ""}, FormatError, "lacks the field 'endian'", id="no endian"
        ),
        pytest.param({"type": "short", "endian": "middle"}, FormatError, "'middle'", id="endian"),
        pytest.param({"encoding": "hex"}, FormatError, "'hex'", id="encoding"),
        pytest.param({"encoding": ""}, FormatError, "lacks the field 'encoding'", id="no encoding"),
        pytest.param({"sizes": "13 9"}, FormatError, "for 3 dimensions", id="2 sizes"),
        pytest.param({"sizes": "13 9 x"}, FormatError, "13 9 x", id="words for sizes"),
        pytest.param({"sizes": "13 0 7"}, FormatError, "at least one voxel", id="empty axis"),
        pytest.param({"sizes": "13 9 8"}, CorruptDataError, "too short", id="more slices"),
        pytest.param({"sizes": "13 9 6"}, CorruptDataError, "holds more", id="fewer slices"),
        pytest.param({"sizes": "1000000 1000000 1000000"}, CorruptDataError, "too short", id="a huge claim"),
        pytest.param({"encoding": "gzip"}, CorruptDataError, "not gzip", id="gzip over raw"),
        pytest.param({"byte_skip": "-2"}, FormatError, "cannot be", id="byte skip"),
        pytest.param({"line_skip": "-1"}, FormatError, "cannot be", id="line skip"),
        pytest.param({"line_skip": "x"}, FormatError, "whole number", id="words for lines"),
        pytest.param(
            {"byte_skip": "-1", "encoding": "gz"}, FormatError, "from the file's end", id="skip in gzip"
        ),
    ],
)
def test_headers_that_cannot_be_trusted_are_refused(
    tmp_path: Path, fields: dict[str, str], error: type[Exception], said: str
) -> None:
    """Each field turned alone; the message begins with the file."""
    with pytest.raises(error, match=said) as caught:
        read_mask(write(tmp_path / "m.nrrd", **fields))
    assert str(caught.value).startswith("m.nrrd: ")


@pytest.mark.parametrize(
    "data", [b"x", b"NRRD", b"NRRD0009\ntype: uint8\n\n", b"NRRD0004\nno colon\n\n", bytes(range(256)) * 40]
)
def test_what_is_no_nrrd_is_refused(tmp_path: Path, data: bytes) -> None:
    """Magic, version and form of lines."""
    (tmp_path / "m.nrrd").write_bytes(data)
    with pytest.raises(FormatError, match=r"m\.nrrd: "):
        read_grid(tmp_path / "m.nrrd")


def test_more_than_one_volume_is_refused(tmp_path: Path) -> None:
    """Two volumes in a plain .nrrd are not layers of a segmentation."""
    vectors = nrrd_header(SHAPE, AFFINE).decode().split("space directions: ")[1].split("\n")[0]
    fields: dict[str, str] = {
        "dimension": "4",
        "space_directions": f"none {vectors}",
        "kinds": "list domain domain domain",
    }
    with pytest.raises(FormatError, match="more than one value"):
        read_mask(write(tmp_path / "m.nrrd", RAW * 2, sizes="2 13 9 7", **fields))
    assert counts(read_mask(write(tmp_path / "m.nrrd", sizes="1 13 9 7", **fields))) == dense_counts(LABELS)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "GZ", "bzip2", "bz2", "ascii", "text", "txt"])
@pytest.mark.parametrize(
    ("named", "dtype"), [("uchar", "u1"), ("short", ">i2"), ("double", "<f8"), ("uint64", ">u8")]
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_every_encoding_gives_the_same_labels(
    tmp_path: Path, encoding: str, named: str, dtype: str, newline: bytes
) -> None:
    """Raw, gzip, bzip2 and text, in either byte order, with either line end."""
    raw = LABELS.astype(dtype).tobytes(order="F")
    data = {
        "g": gzip.compress(raw),
        "b": bz2.compress(raw),
        "a": b" ".join(b"%d" % v for v in LABELS.ravel(order="F")),
    }
    data["t"] = data["a"].replace(b" ", b"\n") + b"\n"
    endian = "big" if dtype.startswith(">") else "little"
    head = nrrd_header(SHAPE, AFFINE, type=named, endian=endian, encoding=encoding).replace(b"\n", newline)
    path = tmp_path / "m.nrrd"
    path.write_bytes(head + newline + data.get(encoding[0].lower(), raw))
    read = read_mask(path)
    assert counts(read) == dense_counts(LABELS)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_units_of_space_become_millimetres(tmp_path: Path) -> None:
    """Metres and micrometres are scaled, axis by axis of space."""
    grid = read_grid(
        write(tmp_path / "m.nrrd", space_units='"m" "um" "mm"', space_directions="(1,0,0) (0,1,0) (0,0,1)")
    )
    np.testing.assert_allclose(grid.spacing_mm, (1000, 0.001, 1))
    np.testing.assert_allclose(grid.affine[:3, 3], AFFINE[:3, 3] * [1000, 0.001, 1])


def test_sample_units_are_told(tmp_path: Path) -> None:
    """The unit of an image's values is what the header says, or None."""
    assert read_image(write(tmp_path / "m.nrrd", sample_units='"SUVbw"')).units == "SUVbw"
    assert read_image(write(tmp_path / "m.nrrd")).units is None


@pytest.mark.parametrize("skip", ["7", "-1"])
@pytest.mark.parametrize("attached", [False, True])
def test_bytes_before_the_voxels_are_skipped(tmp_path: Path, skip: str, attached: bool) -> None:
    """A byte skip of -1 takes the file's last bytes."""
    if attached:
        path = write(tmp_path / "m.nrrd", b"7 bytes" + RAW, byte_skip=skip)
    else:
        path = write(tmp_path / "m.nhdr", b"", byte_skip=skip, data_file="m.raw")
        (tmp_path / "m.raw").write_bytes(b"7 bytes" + RAW)
    assert counts(read_mask(path)) == dense_counts(LABELS)


def test_lines_are_skipped_before_and_bytes_after_decompression(tmp_path: Path) -> None:
    """As the format has it: line skip in the file, byte skip in the decoded data."""
    data = b"one\ntwo\n" + gzip.compress(b"abc" + RAW)
    path = write(tmp_path / "m.nrrd", data, line_skip="2", byte_skip="3", encoding="gzip")
    assert counts(read_mask(path)) == dense_counts(LABELS)


@pytest.mark.parametrize("form", ["one", "list", "pattern", "falling pattern"])
@pytest.mark.parametrize("zipped", [False, True])
def test_detached_data_are_found_beside_the_header(tmp_path: Path, form: str, zipped: bool) -> None:
    """One file, a list, or numbered files; the hash covers header and data in their order."""
    slices = [LABELS[:, :, k].tobytes(order="F") for k in range(SHAPE[2])]
    names = {
        "one": ["v.raw"],
        "list": [f"part {k}.raw" for k in range(7)],
        "pattern": [f"s{k:03d}.raw" for k in range(1, 14, 2)],
        "falling pattern": [f"s{k:d}.raw" for k in range(9, 2, -1)],
    }[form]
    field = {
        "one": "v.raw",
        "list": "LIST",
        "pattern": "s%03d.raw 1 13 2",
        "falling pattern": "s%d.raw 9 3 -1 2",
    }[form]
    (tmp_path / "data").mkdir()
    parts = [RAW] if form == "one" else slices
    for name, part in zip(names, parts, strict=True):
        (tmp_path / name).write_bytes(gzip.compress(part) if zipped else part)
    path = tmp_path / "m.nhdr"
    head = nrrd_header(SHAPE, AFFINE, encoding="gzip" if zipped else "raw") + f"data file: {field}\n".encode()
    path.write_bytes(head + ("\n".join(names).encode() if form == "list" else b""))
    read = read_mask(path)
    assert counts(read) == dense_counts(LABELS)
    everything = path.read_bytes() + b"".join((tmp_path / name).read_bytes() for name in names)
    assert read.sha256 == hashlib.sha256(everything).hexdigest()
    (tmp_path / names[-1]).unlink()
    assert read_grid(path).shape == SHAPE
    with pytest.raises(InputFileError, match=rf"{names[-1]} \(named by m\.nhdr\): there is no such file"):
        read_mask(path)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("/etc/hostname", "outside the header's folder"),
        ("../m.raw", "outside the header's folder"),
        ("a/../../m.raw", "outside the header's folder"),
        ("LIST", "names none"),
        ("s%03d.raw 1 999999999 1", "999999999 files"),
        ("s%03d.raw 1 7 0", "0 files"),
        ("s%03d.raw 7 1 1", "0 files"),
        ("s%d%d.raw 1 7 1", "not of the form"),
        ("s%s.raw 1 7 1", "not of the form"),
        ("s%99999d.raw 1 7 1", "99999 digits"),
        ("s%d.raw 1 5 1", "cannot be shared evenly"),
    ],
)
def test_data_files_that_cannot_be_meant_are_refused(tmp_path: Path, field: str, said: str) -> None:
    """Paths out of the folder, endless patterns, uneven shares."""
    with pytest.raises(FormatError, match=said):
        read_mask(write(tmp_path / "m.nhdr", b"", data_file=field))


def test_each_data_file_has_its_own_size(tmp_path: Path) -> None:
    """Two files whose sizes only add up are refused."""
    path = write(tmp_path / "m.nhdr", b"", sizes="13 9 2", data_file="s%d.raw 1 2 1")
    (tmp_path / "s1.raw").write_bytes(RAW[:118])
    (tmp_path / "s2.raw").write_bytes(RAW[118:234])
    with pytest.raises(CorruptDataError, match=r"s1\.raw: holds more"):
        read_mask(path)


def seg_nrrd(
    path: Path,
    layers: list[NDArray[Any]],
    segments: list[dict[str, str]],
    *,
    encoding: str = "gzip",
    layers_last: bool = False,
) -> Path:
    """Write a Slicer segmentation: layers on a list axis, first as Slicer has it, or last."""
    head = nrrd_header(SHAPE, AFFINE).decode()
    vectors = head.split("space directions: ")[1].split("\n")[0]
    fields: dict[str, str] = {
        "type": "unsigned char" if layers[0].itemsize == 1 else "short",
        "encoding": encoding,
    }
    if len(layers) > 1:
        size, list_kind, none = str(len(layers)), "list", "none"
        turn = -1 if layers_last else 1
        fields |= {
            "dimension": "4",
            "sizes": " ".join([size, "13 9 7"][::turn]),
            "space_directions": " ".join([none, vectors][::turn]),
            "kinds": " ".join([list_kind, "domain domain domain"][::turn]),
        }
    raw = (
        b"".join(layer.tobytes(order="F") for layer in layers)
        if layers_last
        else np.stack(layers).tobytes(order="F")
    )
    keys = "".join(
        f"Segment{n}_{key}:={value}\n" for n, entry in enumerate(segments) for key, value in entry.items()
    )
    keys += "Segmentation_MasterRepresentation:=Binary labelmap\n"
    return write(path, gzip.compress(raw) if encoding == "gzip" else raw, keys, **fields)


def segment(name: str, value: int, layer: int) -> dict[str, str]:
    """Return the keys that Slicer writes for a segment."""
    return {
        "Extent": "0 12 0 8 0 6",
        "ID": f"Segment_{name}",
        "LabelValue": str(value),
        "Layer": str(layer),
        "Name": name,
        "Tags": "Segmentation.Status:inprogress|",
    }


@pytest.mark.parametrize("dtype", ["u1", "<i2"])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("layers_last", [False, True])
def test_layers_overlap_and_keep_their_own_numbers(
    tmp_path: Path, dtype: str, encoding: str, layers_last: bool
) -> None:
    """Three layers, values repeated across them: numbered by segment, nothing merged, all overlaps kept."""
    layers = [random_labels(seed, SHAPE, 2).astype(dtype) for seed in (1, 2, 3)]
    segments = [
        segment("tumour", 1, 0),
        segment("liver", 2, 0),
        segment("spread", 1, 1),
        segment("gone", 7, 1),
        segment("late", 2, 2),
        segment("early", 1, 2),
        segment("more", 2, 1),
    ]
    path = seg_nrrd(tmp_path / "m.seg.nrrd", layers, segments, encoding=encoding, layers_last=layers_last)
    read = read_mask(path)
    expected = {
        n: np.flatnonzero(layers[int(s["Layer"])].ravel(order="F") == int(s["LabelValue"])).tolist()
        for n, s in enumerate(segments, start=1)
    }
    assert {n: read.mask.runs.of(n).indices().tolist() for n in expected} == expected
    assert expected[4] == []
    assert dict(read.mask.names) == {n: s["Name"] for n, s in enumerate(segments, start=1)}
    assert read.mask.labels == (1, 2, 3, 4, 5, 6, 7)
    assert read.mask.runs.overlapping
    assert read.mask.grid.is_window
    assert read.mask.grid.shape == SHAPE
    assert read.format == "seg.nrrd"
    assert read.findings == ()


@pytest.mark.parametrize("layers_last", [False, True])
@pytest.mark.parametrize("named", ["uchar", "short"])
def test_layers_larger_than_a_piece_stay_apart(tmp_path: Path, layers_last: bool, named: str) -> None:
    """Three layers of 101 x 97 x 61 voxels: no piece ends between two voxels, or with a layer."""
    shape = (101, 97, 61)
    layers = [random_labels(seed, shape, 3) for seed in (1, 2, 3)]
    layers[1][:, :, 20:50] = 0
    for dense in layers:
        dense[10:] = 0
    stored = np.stack([layer.astype("u1" if named == "uchar" else "<i2") for layer in layers])
    raw = stored.transpose(1, 2, 3, 0).tobytes(order="F") if layers_last else stored.tobytes(order="F")
    turn = -1 if layers_last else 1
    vectors = nrrd_header(SHAPE, AFFINE).decode().split("space directions: ")[1].split("\n")[0]
    fields = {
        "type": named,
        "dimension": "4",
        "sizes": " ".join(["3", "101 97 61"][::turn]),
        "space_directions": " ".join(["none", vectors][::turn]),
        "kinds": " ".join(["list", "domain domain domain"][::turn]),
    }
    keys = "".join(
        f"Segment{3 * layer + value}_{key}:={text}\n"
        for layer in range(3)
        for value in (1, 2, 3)
        for key, text in (("Name", f"{layer} {value}"), ("LabelValue", value), ("Layer", layer))
    )
    read = read_mask(write(tmp_path / "m.seg.nrrd", raw, keys, **fields))
    for layer in range(3):
        for value in (1, 2, 3):
            expected = np.flatnonzero(layers[layer].ravel(order="F") == value)
            np.testing.assert_array_equal(read.mask.runs.of(3 * layer + value).indices(), expected)


def test_distinct_label_values_are_the_numbers(tmp_path: Path) -> None:
    """Where no value is used twice, segments keep theirs, whatever their order; empty ones stay named."""
    values = np.where(LABELS == 2, 20, np.where(LABELS == 1, 5, 0)).astype(np.uint8)
    segments = [segment("b", 20, 0), segment("a", 5, 0), segment("empty", 9, 0)]
    read = read_mask(seg_nrrd(tmp_path / "m.seg.nrrd", [values], segments))
    tally = dense_counts(LABELS)
    assert counts(read) == {5: tally[1], 20: tally[2]}
    assert dict(read.mask.names) == {20: "b", 5: "a", 9: "empty"}
    assert read.mask.labels == (5, 9, 20)


def test_voxels_that_no_segment_names_are_a_finding(tmp_path: Path) -> None:
    """They are kept under a number of their own, which no segment has."""
    layers = [np.minimum(LABELS, 2), np.where(LABELS == 1, 1, 0).astype(np.uint8)]
    tally = dense_counts(LABELS)
    twos = int(np.count_nonzero(LABELS >= 2))
    read = read_mask(seg_nrrd(tmp_path / "m.seg.nrrd", layers, [segment("a", 1, 0), segment("b", 2, 1)]))
    # Layer 0 holds an unnamed 2, layer 1 an unnamed 1; numbers 1 and 2 are a's and b's.
    assert counts(read) == {1: tally[1], 3: twos, 4: tally[1]}
    assert read.mask.labels == (1, 2, 3, 4)
    (finding,) = read.findings
    assert finding.code == "segment_unnamed"
    assert f"2 ({twos} voxels), 1 ({tally[1]} voxels)" in finding.message


def test_segmentations_without_values_have_a_layer_each(tmp_path: Path) -> None:
    """Slicer before 4.11 wrote neither LabelValue nor Layer: segment N is layer N with value 1."""
    layers = [(random_labels(seed, SHAPE) == 1).astype(np.uint8) for seed in (4, 5)]
    old = [{"ID": "a", "Name": "Tumour \\n 1"}, {"ID": "b"}]
    read = read_mask(seg_nrrd(tmp_path / "m.seg.nrrd", layers, old))
    assert counts(read) == {n: int(layer.sum()) for n, layer in enumerate(layers, start=1)}
    assert dict(read.mask.names) == {1: "Tumour 1", 2: "b"}
    read = read_mask(seg_nrrd(tmp_path / "m.seg.nrrd", layers[:1], old[:1]))
    assert counts(read) == {1: int(layers[0].sum())}


@pytest.mark.parametrize("kinds", ["domain domain domain list", "domain domain domain domain"])
def test_what_slicer_4_5_wrote_is_to_be_saved_again(tmp_path: Path, kinds: str) -> None:
    """The list of segments has a direction in space, as if it were a fourth axis: it is no single slice."""
    header = nrrd_header(SHAPE, AFFINE).decode()
    vectors = header.split("space directions: ")[1].split("\n")[0]
    path = write(
        tmp_path / "m.seg.nrrd",
        RAW * 2,
        "Segment0_ID:=Segment_1\nSegment1_ID:=Segment_2\n",
        dimension="4",
        sizes="13 9 7 2",
        space_directions=f"{vectors} (0,0,0)",
        kinds=kinds,
    )
    with pytest.raises(FormatError) as caught:
        read_mask(path)
    assert "current 3D Slicer and save it again" in str(caught.value)


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([segment("a", 1, 2)], "layer 2, but there are 2 layers"),
        ([segment("a", 1, 0), segment("b", 1, 0)], "two segments have the value 1 in layer 0"),
        ([segment("a", 0, 0)], "no whole numbers"),
        ([segment("a", 1, 0) | {"LabelValue": "one"}], "no whole numbers"),
    ],
)
def test_segments_without_voxels_of_their_own_are_refused(
    tmp_path: Path, segments: list[dict[str, str]], said: str
) -> None:
    """A layer that is not there, a value named twice, a value that is none."""
    with pytest.raises(FormatError, match=said):
        read_mask(seg_nrrd(tmp_path / "m.seg.nrrd", [LABELS, LABELS], segments))


def test_a_threshold_does_not_go_with_segments(tmp_path: Path) -> None:
    """Named segments are chosen by name."""
    path = seg_nrrd(tmp_path / "m.seg.nrrd", [LABELS], [segment("a", 1, 0)])
    with pytest.raises(FormatError, match="threshold does not apply"):
        read_mask(path, threshold=0.5)
    with pytest.raises(FormatError, match="an image has one"):
        read_image(seg_nrrd(tmp_path / "m.seg.nrrd", [LABELS, LABELS], []))


def test_endless_layers_are_refused(tmp_path: Path) -> None:
    """A header that claims 10^9 layers must not cost memory."""
    vectors = nrrd_header(SHAPE, AFFINE).decode().split("space directions: ")[1].split("\n")[0]
    fields: dict[str, str] = {
        "dimension": "4",
        "space_directions": f"none {vectors}",
        "kinds": "list domain domain domain",
    }
    with pytest.raises(FormatError, match="1 to 1000"):
        read_mask(write(tmp_path / "m.seg.nrrd", sizes="1000000000 13 9 7", **fields))
