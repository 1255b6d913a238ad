"""What names of segments, ROIs and labels say."""

from __future__ import annotations

import pytest

from volstrat.terms.naming import said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import ROLE_OF_STEM


@pytest.mark.parametrize("stem", ROLE_OF_STEM)
def test_a_role_s_own_stem_denies_no_role(stem: str) -> None:
    """No pattern of denial or doubt is tried on it; with a number behind it they are."""
    for name in (stem, f"{stem} 1"):
        said = said_by(name, (), NAMING)
        assert (said.denied, said.doubted) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("irressec\u00e1vel", None),
        ("anti-resectable", None),
        ("resectability: none", None),
        ("resectable - rejected by MDT", None),
        ("resectable (patient declined)", None),
        ("all but resectable", None),
        ("complement of resectable", None),
        ("inverse_resectable", None),
        ("partly resectable", None),
        ("resectable, unlikely", None),
        ("Resectable part", "resectable"),
        ("resectable v2", "resectable"),
        ("FDG none", None),
        ("avidity negative", None),
        ("FDG false positive", None),
        ("FDG hypometabolic", None),
        ("FDG PET FOV", None),
        ("FDG below liver", None),
        ("FDG non-specific", None),
        ("FDG marrow", None),
        ("FDG 0", None),
        ("FDG 1", "fdg_avid"),
        ("FDG 10", "fdg_avid"),
        ("FDG-avid bone metastasis", "fdg_avid"),
        ("FDG avid below diaphragm", "fdg_avid"),
    ],
)
def test_what_denies_or_leaves_open_counts_as_nothing(name: str, role: str | None) -> None:
    """Each of the first kind was counted as resectable or avid without a word."""
    assert said_by(name, (), NAMING).role == role


@pytest.mark.parametrize(
    "name",
    [
        "false positive lesion",
        "tumour bounding box",
        "metastasis (resolved)",
        "lesion disappeared",
        "metastasectomy site",
    ],
)
def test_a_doubtful_tumour_counts_and_is_looked_at(name: str) -> None:
    """Tumour that is left out makes the share too good: it counts until a person says otherwise."""
    said = said_by(name, (), NAMING)
    assert (said.role, said.doubted) == ("tumour", frozenset({"tumour"}))
    recurrence = said_by("recurrent tumour after hepatectomy", (), NAMING)
    assert (recurrence.role, recurrence.doubted) == ("tumour", frozenset())
