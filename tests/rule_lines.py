"""Cases along one line, so that their numbers can be worked out in a comment.

Voxels lie along a line u, in mm, that runs obliquely through the patient; `cells(9, (2, 4))` is a
column of nine voxels of which 2, 3 and 4 are set. CT voxels lie 1 mm apart with centres at u = 0, 1, ...
unless a test says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.oracle_rule import OracleCase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

ORIGIN_MM = np.array([-80.3, 41.7, 912.4])


def _turn() -> NDArray[np.float64]:
    a, b = 0.37, -0.52
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turned: NDArray[np.float64] = about_z @ about_x
    return turned


TURN = _turn()


def along(
    step_mm: float = 1.0, *, first_mm: float = 0.0, aside_mm: float = 0.0, across_mm: float = 3.0
) -> NDArray[np.float64]:
    """Affine of a line of voxels: centres at u = first + n x step, ``aside_mm`` away from u's axis."""
    affine = np.eye(4)
    affine[:3, :3] = TURN * np.array([step_mm, across_mm, 2.2])
    affine[:3, 3] = ORIGIN_MM + TURN @ np.array([first_mm, aside_mm, 0.0])
    return affine


def cells(count: int, *spans: tuple[int, int]) -> Bools:
    """Voxels of a line, each span with both ends."""
    voxels = np.zeros((count, 1, 1), dtype=bool)
    for first, last in spans:
        voxels[first : last + 1] = True
    return voxels


def line_case(
    lesions: dict[str, Bools],
    *,
    avid: Bools | None = None,
    avid_affine: NDArray[np.float64] | None = None,
    field: bool = True,
    **settings: Any,  # noqa: ANN401 - fields of OracleCase
) -> OracleCase:
    """Return a case on the line; PET shares the CT's voxels unless ``avid_affine`` says otherwise."""
    case = OracleCase(affine=along(), lesions=lesions, avid=avid, **settings)
    if avid is not None:
        case.avid_affine = along() if avid_affine is None else avid_affine
        if field:
            case.field_shape = (avid.shape[0], avid.shape[1], avid.shape[2])
            case.field_affine = case.avid_affine
    return case
