"""The roles that files play in a case: the one list of them, and what each may be."""

from __future__ import annotations

from typing import Literal

from volstrat.frozen import frozen

RoleName = Literal[
    "tumour",
    "resectable",
    "lesions",
    "pet",
    "fdg_avid",
    "ct",
    "liver",
    "liver_segments",
    "remnant",
    "reference",
    "other_pet",
    "reviews",
    "cut",
]
"""The name of every role, as a type; a test holds it to the list below."""


@frozen
class Role:
    """A part that a file plays."""

    name: RoleName
    kind: Literal["mask", "image", "table"]
    stems: tuple[str, ...]  # what a file is called that plays it without ``case.toml``, in lower case
    shares_tumour_grid: bool = False  # its masks must lie on the tumour's grid
    keys: tuple[str, ...] = ()  # keys of an entry in ``case.toml``, beside ``path`` and those of every mask
    # several files may play it: masks are united; of images the first counts, and all can be shown
    several: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "several", self.several or self.kind == "mask")


_ROLES = (
    Role(name="tumour", kind="mask", stems=("tumour", "tumor"), shares_tumour_grid=True, keys=("instances",)),
    Role(name="resectable", kind="mask", stems=("resectable",), shares_tumour_grid=True, keys=("resample",)),
    Role(name="lesions", kind="table", stems=("lesions",)),
    Role(
        name="pet",
        kind="image",
        stems=("pet", "suv"),
        keys=("assume_registered", "units", "series", "tracer"),
    ),
    Role(name="fdg_avid", kind="mask", stems=("fdg_avid", "avid"), keys=("assume_registered",)),
    # Masks are held to the first CT; others are further phases of it, to be shown.
    Role(name="ct", kind="image", stems=("ct",), keys=("series", "name"), several=True),
    Role(name="liver", kind="mask", stems=("liver",), shares_tumour_grid=True, keys=("resample",)),
    Role(
        name="liver_segments",
        kind="mask",
        stems=("liver_segments",),
        shares_tumour_grid=True,
        keys=("resample",),
    ),
    Role(name="remnant", kind="mask", stems=("remnant", "flr"), shares_tumour_grid=True, keys=("resample",)),
    Role(name="reference", kind="mask", stems=("reference",)),
    # What a surgical plan cuts out as drawn: named by the plan, never under [inputs].
    Role(name="cut", kind="mask", stems=(), shares_tumour_grid=True, keys=("resample",)),
    # A PET of any tracer: shown beside, never counted.
    Role(
        name="other_pet", kind="image", stems=("other_pet",), keys=("series", "units", "name"), several=True
    ),
    Role(name="reviews", kind="table", stems=("reviews",)),
)

_KEYS_OF_MASKS = ("segments", "rois", "leave_out", "threshold")

ROLES: tuple[str, ...] = tuple(role.name for role in _ROLES if role.name != "cut")
"""Those that [inputs] can name."""
MASK_ROLES: tuple[str, ...] = tuple(role.name for role in _ROLES if role.kind == "mask")
TABLE_ROLES: tuple[str, ...] = tuple(role.name for role in _ROLES if role.kind == "table")
ROLES_OF_SEVERAL: tuple[str, ...] = tuple(role.name for role in _ROLES if role.several)
IMAGE_ROLES: tuple[str, ...] = tuple(role.name for role in _ROLES if role.kind == "image")
"""A folder, too, can play these."""
ON_TUMOUR_GRID: tuple[str, ...] = tuple(role.name for role in _ROLES if role.shares_tumour_grid)
ROLE_OF_STEM: dict[str, str] = {stem: role.name for role in _ROLES for stem in role.stems}


def entry_keys(role: str) -> tuple[str, ...]:
    """Return the keys that an entry of a role may have, ``path`` first.

    >>> entry_keys("liver"), entry_keys("lesions")
    (('path', 'segments', 'rois', 'leave_out', 'threshold', 'resample'), ('path',))
    """
    found = next(one for one in _ROLES if one.name == role)
    return ("path", *(_KEYS_OF_MASKS if found.kind == "mask" else ()), *found.keys)
