"""Small trees as their makers lay them out: each function lays out two or more subjects below a folder.

Every subject has one body: a CT, two tumour boxes of 60 and 24 voxels, a liver round them. So every layout
must give 84 tumour voxels a subject, whatever it calls its files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Volume = NDArray[np.int16]

SHAPE = (24, 20, 12)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.5, 0, 30], [0, 0, 2.0, -400], [0, 0, 0, 1.0]])
TUMOUR_VOXELS = 5 * 4 * 3 + 4 * 3 * 2
SUBJECTS = ("P01", "P02")


def liver() -> Volume:
    """Return a block of 16 x 14 x 8 voxels."""
    volume = np.zeros(SHAPE, dtype=np.int16)
    volume[2:18, 2:16, 2:10] = 1
    return volume


def tumour() -> Volume:
    """Return two boxes in the liver: 60 and 24 voxels."""
    volume = np.zeros(SHAPE, dtype=np.int16)
    volume[4:9, 4:8, 3:6] = 1
    volume[11:15, 9:12, 6:8] = 1
    return volume


def ct() -> Volume:
    """Return liver at 60 HU in air."""
    return np.where(liver() > 0, 60, -1000).astype(np.int16)


def suv() -> NDArray[np.float32]:
    """Return SUV 6 in the tumour, 1 elsewhere."""
    return np.where(tumour() > 0, 6.0, 1.0).astype(np.float32)


def write(path: Path, volume: NDArray[np.generic]) -> None:
    """Write NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume, AFFINE), path)


def write_json(path: Path, content: object) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def liver_and_tumour() -> Volume:
    """Return label 1 liver, label 2 tumour."""
    return np.where(tumour() > 0, 2, liver()).astype(np.int16)


def nnunet(root: Path) -> None:
    """nnU-Net v2, documentation/dataset_format.md: imagesTr/CASE_0000, labelsTr/CASE, dataset.json."""
    write_json(
        root / "dataset.json",
        {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "liver": 1, "tumour": 2},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        },
    )
    for name in SUBJECTS:
        write(root / "imagesTr" / f"{name}_0000.nii.gz", ct())
        write(root / "labelsTr" / f"{name}.nii.gz", liver_and_tumour())


def nnunet_predictions(root: Path) -> None:
    """nnUNetv2_predict: a folder of predictions beside imagesTs, with the data set's dataset.json in it."""
    labels = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "tumour": 1},
        "file_ending": ".nii.gz",
    }
    write_json(root / "dataset.json", labels)
    write_json(root / "predictions" / "dataset.json", labels)
    for name in SUBJECTS:
        write(root / "imagesTs" / f"{name}_0000.nii.gz", ct())
        write(root / "predictions" / f"{name}.nii.gz", tumour())


def totalsegmentator(root: Path) -> None:
    """TotalSegmentator: ct.nii.gz, segmentations/CLASS.nii.gz (total, liver_segments, liver_vessels)."""
    segments = (np.arange(SHAPE[0]) // 3 + 1)[:, None, None] * liver()
    for name in SUBJECTS:
        write(root / name / "ct.nii.gz", ct())
        masks = root / name / "segmentations"
        write(masks / "liver.nii.gz", liver())
        write(masks / "spleen.nii.gz", np.roll(liver(), 5, axis=0))
        write(masks / "liver_tumor.nii.gz", tumour())
        for number in range(1, 9):
            write(masks / f"liver_segment_{number}.nii.gz", (segments == number).astype(np.int16))


def autopet(root: Path) -> None:
    """FDG-PET-CT-Lesions (tcia_dicom_to_nifti.py): PATIENT/STUDY/{CT,CTres,PET,SEG,SUV}.nii.gz."""
    for name in SUBJECTS:
        study = root / f"PETCT_{name}" / "01-01-2000-NA-PET-CT-59403"
        write(study / "CTres.nii.gz", ct())
        write(study / "SUV.nii.gz", suv())
        write(study / "SEG.nii.gz", tumour())


def monailabel(root: Path) -> None:
    """MONAI Label's local datastore: images, labels/final and labels/original, datastore_v2.json."""
    write_json(root / "datastore_v2.json", {"objects": {}})
    for name in SUBJECTS:
        write(root / f"{name}.nii.gz", ct())
        write(root / "labels" / "final" / f"{name}.nii.gz", tumour())
        write(root / "labels" / "original" / f"{name}.nii.gz", liver())


def slicer(root: Path) -> None:
    """3D Slicer 5: a scene (.mrml) names volumes and segmentations by storage node; segments have names."""
    for name in SUBJECTS:
        folder = root / name
        folder.mkdir(parents=True)
        write(folder / "2 CT arterial.nii.gz", ct())
        seg_nrrd(folder / "Segmentation.seg.nrrd", liver_and_tumour(), {1: "Liver", 2: "Met 1"})
        (folder / "2024-05-02-Scene.mrml").write_text(
            '<MRML version="Slicer 5.6.2" userTags="">\n'
            '<Volume id="vtkMRMLScalarVolumeNode1" name="2: CT arterial" storageNodeRef="s1" />\n'
            '<VolumeArchetypeStorage id="s1" fileName="2%20CT%20arterial.nii.gz" />\n'
            '<Segmentation id="n2" name="Segmentation" references="storage:s2;" />\n'
            '<SegmentationStorage id="s2" fileName="Segmentation.seg.nrrd" />\n'
            "</MRML>\n"
        )


def seg_nrrd(path: Path, volume: Volume, names: dict[int, str]) -> None:
    """Write 3D Slicer's segmentation file: LPS, one layer."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE
    columns = " ".join(f"({','.join(map(str, affine[:3, n]))})" for n in range(3))
    lines = [
        "NRRD0004",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, SHAPE))}",
        f"space directions: {columns}",
        f"space origin: ({','.join(map(str, affine[:3, 3]))})",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        "Segmentation_MasterRepresentation:=Binary labelmap",
    ]
    for n, (value, name) in enumerate(names.items()):
        lines += [
            f"Segment{n}_ID:=Segment_{n + 1}",
            f"Segment{n}_Name:={name}",
            f"Segment{n}_LabelValue:={value}",
            f"Segment{n}_Layer:=0",
        ]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + volume.astype("<i2").tobytes(order="F"))


def bids(root: Path) -> None:
    """BIDS 1.9 derivatives: sub-/ses-, _ct beside, _dseg.nii.gz with _dseg.tsv among the derivatives."""
    write_json(root / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.9.0"})
    for name in SUBJECTS:
        own = f"sub-{name}/ses-01/anat/sub-{name}_ses-01"
        write(root / f"{own}_ct.nii.gz", ct())
        write(root / f"derivatives/seg/{own}_dseg.nii.gz", liver_and_tumour())
        table = root / f"derivatives/seg/{own}_dseg.tsv"
        table.write_text("index\tname\n1\tliver\n2\ttumour\n")


def xnat(root: Path) -> None:
    """XNAT archive: SUBJECT/SESSION/SCANS/NUMBER/NIFTI/file."""
    for name in SUBJECTS:
        scans = root / name / f"{name}_MR1" / "SCANS"
        write(scans / "2" / "NIFTI" / "ct.nii.gz", ct())
        write(scans / "301" / "NIFTI" / "tumour.nii.gz", tumour())


def lifex(root: Path) -> None:
    """LIFEx 7: regions as NIfTI, one a file, in a folder of their own in the patient's."""
    for name in SUBJECTS:
        first = tumour()
        first[10:] = 0
        write(root / name / "RoiVolume" / "Met1.nii.gz", first)
        write(root / name / "RoiVolume" / "Met2.nii.gz", tumour() - first)


def decathlon(root: Path) -> None:
    """Medical Segmentation Decathlon: as nnU-Net, without a channel's number; macOS leaves ._ files."""
    labels = {"0": "background", "1": "liver", "2": "cancer"}
    write_json(root / "dataset.json", {"modality": {"0": "CT"}, "labels": labels})
    for name in SUBJECTS:
        write(root / "imagesTr" / f"{name}.nii.gz", ct())
        write(root / "labelsTr" / f"{name}.nii.gz", liver_and_tumour())
        (root / "labelsTr" / f"._{name}.nii.gz").write_bytes(bytes(82))


def one_file(root: Path) -> None:
    """TotalSegmentator --ml -o segmentations.nii: labels by name in the header, not packed as the CT is."""
    table = '<?xml version="1.0"?><CaretExtension><LabelTable>{}</LabelTable></CaretExtension>'
    for name in SUBJECTS:
        write(root / name / "ct.nii.gz", ct())
        image = nib.Nifti1Image(liver_and_tumour(), AFFINE)
        names = '<Label Key="1">liver</Label><Label Key="2">liver_tumor</Label>'
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, table.format(names).encode()))
        nib.save(image, root / name / "segmentations.nii")


def monailabel_original(root: Path) -> None:
    """MONAI Label before anybody reviewed: what the model drew lies in labels/original."""
    for name in SUBJECTS:
        write(root / f"{name}.nii.gz", ct())
        write(root / "labels" / "original" / f"{name}.nii.gz", tumour())


def lifex_words(root: Path) -> None:
    """LIFEx, regions called by number and site: what they share is a word, and the liver has it not."""
    first = tumour()
    first[10:] = 0
    for name in SUBJECTS:
        folder = root / name / "RoiVolume"
        write(folder / "1_lesion_segment_VI.nii.gz", first)
        write(folder / "2_lesion_segment_II.nii.gz", tumour() - first)
        write(folder / "3_liver.nii.gz", liver())


def called_after(root: Path) -> None:
    """People: a folder a subject; each file begins with the subject's name."""
    for name in SUBJECTS:
        write(root / name / f"{name}_CT.nii.gz", ct())
        write(root / name / f"{name}_tumour.nii.gz", tumour())


def called_after_in_one_folder(root: Path) -> None:
    """People: all files in one folder; each begins with the subject's name."""
    for name in SUBJECTS:
        write(root / f"{name}_CT.nii.gz", ct())
        write(root / f"{name}_tumor.nii.gz", tumour())


def images_and_labels(root: Path) -> None:
    """People: a folder of images and one of labels, the same names in both."""
    for name in SUBJECTS:
        write(root / "images" / f"{name}.nii.gz", ct())
        write(root / "labels" / f"{name}.nii.gz", tumour())


def own_folders(root: Path) -> None:
    """Volstrat's own: a folder a case, files called by their roles."""
    for name in SUBJECTS:
        write(root / name / "ct.nii.gz", ct())
        write(root / name / "tumour.nii.gz", tumour())
        write(root / name / "resectable.nii.gz", tumour())


TREES: dict[str, Callable[[Path], None]] = {
    "nnU-Net": nnunet,
    "nnU-Net predictions": nnunet_predictions,
    "TotalSegmentator": totalsegmentator,
    "autoPET": autopet,
    "MONAI Label": monailabel,
    "3D Slicer scenes": slicer,
    "BIDS": bids,
    "XNAT": xnat,
    "LIFEx": lifex,
    "case folders": own_folders,
    "Medical Segmentation Decathlon": decathlon,
    "TotalSegmentator in one file": one_file,
    "MONAI Label, not yet reviewed": monailabel_original,
    "LIFEx, known by": lifex_words,
    "files called after their subject": called_after,
    "files called after their subject, known by {subject}_tumor": called_after_in_one_folder,
    "images and labels": images_and_labels,
}
