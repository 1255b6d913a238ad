"""Masks that a model drew: said by the file, or by how the model's program lays out what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.formats.volumes import stem_of, volume_format
from volstrat.terms.findings import Finding, finding
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from volstrat.case.entries import EntryReader

_NNUNET_WRITES = ("predict_from_raw_data_args.json", "plans.json")
_TOTAL_SEGMENTATOR_CLASSES = frozenset(
    "adrenal_gland_left adrenal_gland_right aorta autochthon_left autochthon_right brain colon duodenum "
    "esophagus gallbladder gluteus_maximus_left gluteus_maximus_right heart iliopsoas_left iliopsoas_right "
    "inferior_vena_cava kidney_left kidney_right liver liver_lesions liver_segment_1 liver_segment_2 "
    "liver_segment_3 liver_segment_4 liver_segment_5 liver_segment_6 liver_segment_7 liver_segment_8 "
    "liver_tumor liver_vessels pancreas portal_vein_and_splenic_vein prostate sacrum small_bowel spinal_cord "
    "spleen stomach trachea urinary_bladder vertebrae_L1 vertebrae_L5 vertebrae_T12".split()
)
_ENOUGH_CLASSES = 4


def model_findings(
    files: Iterable[tuple[str, Path, Mapping[int, str]]], reader: EntryReader
) -> list[Finding]:
    """Say once a role which of its masks a model drew: nobody may have looked at them."""
    drawn: dict[str, list[str]] = {}
    for role, path, names in files:
        model = _model_of(path, names, reader)
        if model:
            drawn.setdefault(role, []).append(f"{path.name} ({model})")
    return [
        finding("drawn_by_model", where=role, files=shown_names([*dict.fromkeys(names)]))
        for role, names in drawn.items()
    ]


def _model_of(path: Path, names: Mapping[int, str], reader: EntryReader) -> str:
    """Return what drew a mask without a person: its program, or "AUTOMATIC"; "" where nothing says so."""
    if volume_format(path) is None:
        structures = reader.library.structure_file(path).structures
        return "AUTOMATIC" if any(one.algorithm == "AUTOMATIC" for one in structures) else ""
    if any((path.parent / name).is_file() for name in _NNUNET_WRITES):
        return "nnU-Net"
    if len(_TOTAL_SEGMENTATOR_CLASSES & set(names.values())) >= _ENOUGH_CLASSES:
        return "TotalSegmentator"
    if stem_of(path) not in _TOTAL_SEGMENTATOR_CLASSES:
        return ""
    try:
        beside = {stem_of(one) for one in path.parent.iterdir()}
    except OSError:
        return ""
    return "TotalSegmentator" if len(beside & _TOTAL_SEGMENTATOR_CLASSES) >= _ENOUGH_CLASSES else ""
