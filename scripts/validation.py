"""Print every third party's number on real images beside ours; exit 1 where one differs.

The images are not part of the project. They are looked for beside the checkout (``../shared/data``), in
``VOLSTRAT_TEST_DATA``, or where ``--data`` says; what is not there is skipped in plain sight.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from validation_figure import Figure
from volstrat.case.assess import run_case
from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.discovery import CasePlace
from volstrat.case.entries import EntryReader
from volstrat.case.inspect import inspect_case
from volstrat.case.pet_inputs import suv_report
from volstrat.case.protocol_files import load_protocol
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("VOLSTRAT_TEST_DATA", ROOT.parent / "shared" / "data"))
_SUV_TOLERANCE = 7.8e-4
"""Of the third party's conversion: its slopes were rounded."""


EVERY = {"segments": ["*"]}
"""Takes segments that are called "Liver" too: by name they would be no tumour."""


class Validation:
    """Works figures out of the data; each case is measured once.

    Parameters
    ----------
    data : Path
    scratch : Path
        Where case folders are written that name the data.
    """

    def __init__(self, data: Path, scratch: Path) -> None:
        self._data = data.resolve()
        self._scratch = scratch
        self._records: dict[str, dict[str, Any]] = {}
        self._protocol = load_protocol(None)

    def figures(self) -> Iterator[Figure]:
        """Yield every figure, folder by folder."""
        yield from self._sarcoma()
        yield from self._ibsi_small()
        yield from self._dcmqi()
        yield from self._highdicom()
        yield from self._geometry()
        yield from self._suv_headers()

    def _case(self, **roles: str) -> Path:
        """Write a case folder that names files of the data; values are TOML."""
        text = "[inputs]\n" + "".join(f"{role} = {value}\n" for role, value in roles.items())
        folder = self._scratch / f"{abs(hash(text)):x}"
        folder.mkdir(exist_ok=True)
        (folder / "case.toml").write_text(text, encoding="utf-8")
        return folder

    def _record(self, **roles: str) -> dict[str, Any]:
        folder = self._case(**roles)
        if folder.name not in self._records:
            record = run_case(folder, self._protocol)
            if record["error"] is not None:
                raise RuntimeError(record["error"]["message"])
            self._records[folder.name] = cast("dict[str, Any]", record)
        return self._records[folder.name]

    def _path(self, name: str, **keys: Any) -> str:  # noqa: ANN401 - TOML values
        more = "".join(f", {key} = {json.dumps(value)}" for key, value in keys.items())
        return f"{{ path = {json.dumps((self._data / name).as_posix())}{more} }}"

    def _volume(
        self, folder: str, what: str, voxels: int, ml: float, digits: int, **roles: str
    ) -> Iterator[Figure]:
        def count() -> float:
            return float(self._record(**roles)["predicates"]["stratum_1"]["whole_voxels"])

        def volume() -> float:
            return float(self._record(**roles)["volumes"]["total_tumour_ml"])

        yield Figure(folder=folder, what=f"{what}, voxels", theirs=voxels, digits=0, ours=count)
        if ml:
            yield Figure(folder=folder, what=f"{what}, ml", theirs=ml, digits=digits, ours=volume)

    def _differing(self, rtstruct: str, images: str, role: str, nifti: str) -> float:
        """Count voxels that our RTSTRUCT mask and a NIfTI mask, read by nibabel, do not share."""
        import nibabel as nib

        path = self._data / rtstruct
        image = RoleEntry(path=self._data / images)
        entries = {"tumour": (RoleEntry(path=path, select=("GTV_Mass*",)),), role: (image,)}
        sources = CaseSources(folder=self._data, subject="S", entries=entries, told_by="case.toml")
        mask = EntryReader(sources).mask("tumour", entries["tumour"][0]).mask
        known = nib.nifti1.Nifti1Image.from_filename(self._data / nifti)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ known.affine
        dense = np.asarray(known.dataobj) > 0
        grid = VoxelGrid(shape=dense.shape, affine=affine)
        # A NIfTI of raw PET says 3.27 mm where its slices are 3.2699 mm apart: 0.02 mm over its crop.
        placement = grid.placement_on(mask.grid, tolerance_mm=0.03)
        assert placement is not None
        drawn = VoxelRuns.from_indices(np.flatnonzero(dense.ravel(order="F")))
        theirs = drawn.reindexed(placement, shape=grid.shape, onto=mask.grid.shape)
        ours = mask.voxels()
        return float(ours.difference(theirs).count + theirs.difference(ours).count)

    def _raw_pet(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Our SUV on the third party's crop, its SUV, and its mask."""
        import nibabel as nib

        folder = self._data / "sts_001"
        entry = RoleEntry(path=folder / "PET_raw_dicom")
        sources = CaseSources(folder=folder, subject="S", entries={"pet": (entry,)}, told_by="case.toml")
        suv = EntryReader(sources).pet(entry).suv
        assert suv is not None
        known = nib.nifti1.Nifti1Image.from_filename(folder / "nifti" / "PET_image.nii.gz")
        crop = known.get_fdata()
        start = np.rint(suv.grid.to_index(np.array([-1, -1, 1]) * known.affine[:3, 3])).astype(int)
        box = tuple(slice(a, a + n) for a, n in zip(start, crop.shape, strict=True))
        mask = nib.nifti1.Nifti1Image.from_filename(folder / "nifti" / "PET_mask.nii.gz")
        return suv.values[box].astype(np.float64), crop, np.asarray(mask.dataobj) > 0

    def _suv_in_mask(self, of: Callable[[np.ndarray[Any, Any]], Any]) -> float:
        ours, _, mask = self._raw_pet()
        return float(of(ours[mask]))

    def _suv_max(self, **roles: str) -> float:
        return float(self._record(**roles)["lesions"][0]["suv_max"])

    def _sarcoma(self) -> Iterator[Figure]:
        name = "sts_001"

        def factor() -> float:
            return float(suv_report(self._data / name / "PET_raw_dicom")["suvbw_factor"])

        def largest() -> float:
            ours, theirs, _ = self._raw_pet()
            return float(np.abs(ours - theirs).max())

        yield Figure(folder=name, what="SUVbw factor", theirs=2.42902977e-4, digits=9, ours=factor)
        yield Figure(
            folder=name, what="largest SUV difference", theirs=_SUV_TOLERANCE, digits=2,
            ours=largest, at_most=True,
        )  # fmt: skip
        for what, theirs, of in (
            ("min", 0.16860, np.min),
            ("mean", 2.55513, np.mean),
            ("max", 7.91067, np.max),
        ):
            yield Figure(
                folder=name, what=f"GTV_Mass in PET, SUV {what}", theirs=theirs, digits=5,
                ours=partial(self._suv_in_mask, of),
                tolerance=_SUV_TOLERANCE,
            )  # fmt: skip
        pet, ct = "sts_001/PET_raw_rtstruct/mask/1-1.dcm", "sts_001/CT_rtstruct/mask/RS.dcm"
        yield from self._volume(
            name, "GTV_Mass in PET", 5095, 366.079, 3,
            tumour=self._path(pet, rois=["GTV_Mass"]), pet=self._path("sts_001/PET_raw_dicom"),
        )  # fmt: skip
        yield from self._volume(
            name, "GTV_Mass in CT", 117145, 365.318, 3,
            tumour=self._path(ct), ct=self._path("sts_001/CT_dicom"),
        )  # fmt: skip
        yield self._same_voxels(
            name,
            "PET",
            rtstruct=pet,
            images="sts_001/PET_raw_dicom",
            role="pet",
            nifti="sts_001/nifti/PET_mask.nii.gz",
        )
        yield self._same_voxels(
            name,
            "CT",
            rtstruct=ct,
            images="sts_001/CT_dicom",
            role="ct",
            nifti="sts_001/nifti/CT_mask.nii.gz",
        )

    def _same_voxels(
        self, folder: str, what: str, *, rtstruct: str, images: str, role: str, nifti: str
    ) -> Figure:
        return Figure(
            folder=folder,
            what=f"{what}, voxels unlike the NIfTI mask's",
            theirs=0,
            digits=0,
            ours=partial(self._differing, rtstruct, images, role, nifti),
        )

    def _ibsi_small(self) -> Iterator[Figure]:
        for patient, modality, voxels, ml in (
            ("STS_019", "CT", 5564, 17.3514),
            ("STS_019", "PET", 239, 17.1723),
            ("STS_025", "CT", 9655, 30.1092),
            ("STS_025", "PET", 606, 30.2371),
        ):
            here = f"ibsi_small/{patient}"
            rtstruct, images = f"{here}/{modality}/mask/RS.dcm", f"{here}/{modality}/image"
            role = modality.lower()
            roles = {"tumour": self._path(rtstruct, rois=["GTV_Mass*"]), role: self._path(images)}
            yield from self._volume("ibsi_small", f"{patient}, {modality}", voxels, ml, 4, **roles)
            nifti = f"{here}/{modality}_mask.nii.gz"
            yield self._same_voxels(
                "ibsi_small",
                f"{patient}, {modality}",
                rtstruct=rtstruct,
                images=images,
                role=role,
                nifti=nifti,
            )
            if (patient, modality) == ("STS_019", "PET"):
                yield Figure(
                    folder="ibsi_small", what="STS_019, PET, SUV max", theirs=16.32769, digits=5,
                    ours=partial(self._suv_max, **roles),
                )  # fmt: skip

    def _dcmqi(self) -> Iterator[Figure]:
        here = "dcmqi/segmentations"
        for what, file, keys, voxels, ml in (
            ("liver (SEG)", "liver.dcm", {"segments": ["liver"]}, 107098, 70.3619),
            ("spine (NRRD)", "spine_seg.nrrd", {}, 12439, 0.0),
            ("heart (NRRD)", "heart_seg.nrrd", {}, 41449, 0.0),
            ("23 x 38 x 3 (SEG)", "23x38x3/seg/label.seg", EVERY, 322, 0.0),
            ("24 x 38 x 3 (SEG)", "24x38x3/seg/label.seg", EVERY, 315, 0.0),
            ("sparse LABELMAP", "sparse-labelmap-noppv.dcm", EVERY, 630, 0.0),
            ("sparse LABELMAP, padding value 5", "sparse-labelmap-ppv5.dcm", EVERY, 630, 0.0),
            ("overlapping segments, union", "partial_overlaps.dcm", {}, 40505, 0.0),
        ):
            roles = {"tumour": self._path(f"{here}/{file}", **keys)}
            yield from self._volume("dcmqi", what, voxels, ml, 4, **roles)
        overlaps = {"tumour": self._path(f"{here}/partial_overlaps.dcm")}
        for number, voxels in enumerate((9602, 11888, 10743, 6693, 4713), start=1):
            yield Figure(
                folder="dcmqi", what=f"overlapping segments, number {number}", theirs=voxels, digits=0,
                ours=partial(self._segment, number, **overlaps),
            )  # fmt: skip
        yield Figure(
            folder="dcmqi", what="overlapping segments, sum", theirs=43639, digits=0,
            ours=partial(self._segments_sum, **overlaps),
        )  # fmt: skip

    def _segments_sum(self, **roles: str) -> float:
        (entry,) = [e for e in self._record(**roles)["inputs"] if e["role"] == "tumour"]
        return float(sum(s["voxels"] for s in entry["segments"]))

    def _segment(self, number: int, **roles: str) -> float:
        (entry,) = [e for e in self._record(**roles)["inputs"] if e["role"] == "tumour"]
        (segment,) = [s for s in entry["segments"] if s["number"] == number]
        return float(segment["voxels"])

    def _highdicom(self) -> Iterator[Figure]:
        here = "highdicom/test_files/seg_image_ct_"
        yield from self._volume("highdicom", "BINARY", 638, 0, 0, tumour=self._path(f"{here}binary.dcm"))
        overlap = {"tumour": self._path(f"{here}binary_overlap.dcm")}
        for number, voxels in ((1, 64), (2, 16)):
            yield Figure(
                folder="highdicom", what=f"overlap, segment {number}", theirs=voxels, digits=0,
                ours=partial(self._segment, number, **overlap),
            )  # fmt: skip
        single = self._path(f"{here}binary_single_frame.dcm")
        yield from self._volume("highdicom", "single frame", 1832, 0, 0, tumour=single)

        def fractions() -> float:
            """638 voxels hold 128 of 255, the further ones from a quarter on hold 64."""
            at = {
                t: self._record(tumour=self._path(f"{here}true_fractional.dcm", threshold=t))["predicates"][
                    "stratum_1"
                ]["whole_voxels"]
                for t in (0.5, 0.25)
            }
            return float(at[0.5] * 128 + (at[0.25] - at[0.5]) * 64) / 255

        yield Figure(folder="highdicom", what="FRACTIONAL, sum", theirs=326.02, digits=2, ours=fractions)

    def _geometry(self) -> Iterator[Figure]:
        phantom = {"tumour": self._path("ibsi_1_digital_phantom/nifti/mask/mask.nii.gz")}
        yield from self._volume("ibsi_1_digital_phantom", "phantom", 74, 0.592, 3, **phantom)

        def spacing(axis: int, of: str, ct: str) -> float:
            mask = self._path("ibsi_1_digital_phantom/nifti/mask/mask.nii.gz")
            found = inspect_case(
                CasePlace(folder=self._case(tumour=mask, ct=self._path(ct)), subject="S"), self._protocol
            )
            (grid,) = [e["grid"] for e in found["inputs"] if e["role"] == "ct"]
            values = grid[of] if axis == 2 else sorted(grid[of][:2])
            return float(values[axis])

        for folder, ct, of, axis, theirs, digits in (
            ("totalseg", "totalseg/example_ct_dicom", "spacing_mm", 2, 2.0, 1),
            ("rt-utils", "rt-utils/tests/oriented_data", "spacing_mm", 0, 2.5, 1),
            ("rt-utils", "rt-utils/tests/oriented_data", "spacing_mm", 1, 3.5, 1),
            ("crlm_ct_1004", "crlm_ct_1004/image", "spacing_mm", 2, 5.0, 1),
            ("crlm_ct_1004", "crlm_ct_1004/image", "shape", 2, 41, 0),
        ):
            name = (
                "slices"
                if of == "shape"
                else ("slice" if axis == 2 else f"pixel {axis + 1}") + " spacing, mm"
            )
            yield Figure(
                folder=folder, what=f"CT, {name}", theirs=theirs, digits=digits,
                ours=partial(spacing, axis, of, ct),
            )  # fmt: skip

        def refused(name: str) -> float:
            folder = self._case(
                tumour=self._path(f"rt-utils/tests/mock_data/{name}_rt.dcm"),
                ct=self._path("rt-utils/tests/mock_data"),
            )
            return float(run_case(folder, self._protocol)["status"] == "failed")

        for name in ("invalid_reference", "non_existent_reference"):
            yield Figure(
                folder="rt-utils", what=f"RTSTRUCT, {name.replace('_', ' ')}: refused", theirs=1, digits=0,
                ours=partial(refused, name),
            )  # fmt: skip

    def _suv_headers(self) -> Iterator[Figure]:
        for name, theirs in (
            ("SIEMENS", 0.00042748316187197236),
            ("GE_MEDICAL_AND_BQML", 0.0005367387681819742),
            ("PHILIPS_BQML", 0.0007463747013889488),
            ("PHILIPS_CNTS_AND_SUV", 0.000728),
        ):
            yield Figure(
                folder="calculate-suv", what=f"{name}, SUVbw factor", theirs=theirs,
                digits=3 if theirs == 0.000728 else 10,
                ours=partial(self._header_factor, name),
            )  # fmt: skip

    def _header_factor(self, name: str) -> float:
        headers = json.loads((self._data / "calculate-suv" / f"{name}-instances.json").read_text())
        folder = self._scratch / name
        folder.mkdir(exist_ok=True)
        for k, header in enumerate(headers):
            _write_pet(folder / f"{k}.dcm", header, k)
        return float(suv_report(folder)["suvbw_factor"])


def _write_pet(path: Path, header: dict[str, Any], k: int) -> None:
    """Write one PET slice of 2 x 2 pixels with the attributes of a real header."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

    dataset, injection = Dataset(), Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = PositronEmissionTomographyImageStorage, generate_uid()
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", path.parent.name])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", path.parent.name])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", path.parent.name])
    dataset.Modality, dataset.Rows, dataset.Columns = "PT", 2, 2
    dataset.PixelSpacing, dataset.SliceThickness = [4.0, 4.0], 3.0
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3.0 * k]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 1, 1
    dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME2", 1, 0
    dataset.PixelData = np.ones((2, 2), dtype=np.int16).tobytes()
    for keyword, value in header.items():
        if keyword == "PhilipsPETPrivateGroup":
            block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
            for element, key in ((0x00, "SUVScaleFactor"), (0x09, "ActivityConcentrationScaleFactor")):
                if key in value:
                    block.add_new(element, "DS", value[key].strip())
        elif keyword.startswith(("Radiopharmaceutical", "Radionuclide")):
            setattr(injection, keyword, value)
        else:
            setattr(dataset, keyword, value)
    dataset.RadiopharmaceuticalInformationSequence = Sequence([injection])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure as printed; ``ours`` is a reason where it was skipped."""

    folder: str
    what: str
    theirs: str
    ours: str
    state: str


def rows_of(data: Path) -> list[Row]:
    """Work every figure out."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="volstrat-validate-") as scratch:
        validation = Validation(data, Path(scratch))
        for figure in validation.figures():
            theirs = figure.printed()
            ours, state = "no data", "skipped"
            if (data / figure.folder).is_dir():
                try:
                    value = figure.ours()
                    ours, state = figure.shown(value), "same" if figure.holds(value) else "DIFFERS"
                except Exception as error:  # told in the table, and the next figure is tried
                    ours, state = f"{type(error).__name__}: {error}", "DIFFERS"
            rows.append(Row(folder=figure.folder, what=figure.what, theirs=theirs, ours=ours, state=state))
    return rows


def markdown(rows: list[Row]) -> str:
    """Return the table of the documentation."""
    lines = ["| Data | What | Third party | volstrat |", "|---|---|--:|--:|"]
    lines += [f"| `{row.folder}` | {row.what} | {row.theirs} | {row.ours} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the images")
    parser.add_argument("--markdown", action="store_true", help="print as in docs/core-lab.md")
    arguments = parser.parse_args()
    rows = rows_of(arguments.data)
    if arguments.markdown:
        print(markdown(rows), end="")
    else:
        print(f"{'data':<24}{'what':<42}{'third party':>20}{'volstrat':>16}")
        for row in rows:
            print(f"{row.folder:<24}{row.what:<42}{row.theirs:>20}{row.ours:>16}  {row.state}")
        counts = {state: sum(row.state == state for row in rows) for state in ("same", "DIFFERS", "skipped")}
        print(f"{counts['same']} the same, {counts['DIFFERS']} differ, {counts['skipped']} skipped.")
        if counts["skipped"]:
            print(
                f"SKIPPED: no images in {arguments.data}; set VOLSTRAT_TEST_DATA or --data.", file=sys.stderr
            )
    return int(any(row.state == "DIFFERS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
