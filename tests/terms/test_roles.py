"""The one list of roles."""

from __future__ import annotations

from typing import get_args

from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import MASK_ROLES, ON_TUMOUR_GRID, ROLE_OF_STEM, ROLES, RoleName, entry_keys


def test_the_type_of_a_role_names_every_role() -> None:
    """What a record may say of a file is what a file may play, in the same order."""
    assert get_args(RoleName) == (*ROLES, "cut")


def test_every_role_can_be_found_by_its_own_name() -> None:
    """A file called like its role plays it, whatever other stems there are."""
    assert {role: ROLE_OF_STEM[role] for role in ROLES} == {role: role for role in ROLES}


def test_what_shares_the_tumours_grid_and_what_names_say_are_masks() -> None:
    """No image and no table is drawn on the tumour's grid, or found by the name of a segment."""
    assert set(ON_TUMOUR_GRID) | set(NAMING) <= set(MASK_ROLES)


def test_every_entry_has_a_path() -> None:
    """The first key of each role."""
    assert {entry_keys(role)[0] for role in ROLES} == {"path"}
