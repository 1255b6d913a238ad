"""A label map of 500 voxels in two parts, written with and without names for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from volstrat.case.protocol_files import load_protocol

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PROTOCOL = load_protocol(None)
RAS = np.diag([-0.8, -0.7, 2.5, 1.0])
RAS[:3, 3] = (100.0, 50.0, -300.0)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0]) @ RAS
LABELS = np.zeros((30, 28, 20), np.uint8)
LABELS[3:13, 3:13, 4:8] = 2  # 400 voxels that stay
LABELS[18:24, 5:8, 5:10] = 1  # 90 voxels that can be resected
LABELS[20:22, 20:25, 12] = 2  # 10 voxels that stay
"""90 of 500 voxels are resectable."""
TABLE = (
    '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>{}</LabelTable>'
    "</VolumeInformation></CaretExtension>"
)


def nifti(path: Path, labels: NDArray[Any], names: dict[int, str] | None = None) -> None:
    """Write a label map, with a label table in its header extension where there are names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(labels, RAS)
    if names:
        body = "".join(f'<Label Key="{n}" Alpha="1"><![CDATA[{name}]]></Label>' for n, name in names.items())
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, TABLE.format(body).encode()))
    nib.save(image, path)


def tumour(folder: Path) -> Path:
    """Write the tumour of a case: one label."""
    nifti(folder / "tumour.nii.gz", (LABELS > 0).astype(np.uint8))
    return folder


def codes(record: dict[str, Any], severity: str = "review") -> set[str]:
    """Return the codes of a record's findings of one severity."""
    return {one["code"] for one in record["findings"] if one["severity"] == severity}
