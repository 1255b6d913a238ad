"""A case of arrays: what a script holds in memory goes the way that files go."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.entries import EntryReader
from volstrat.case.pet_inputs import PetRead
from volstrat.errors import CaseError, FormatError, MaskValueError, UsageError
from volstrat.formats.volumes import MaskRead, refuse_image
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.run_scanner import RunScanner
from volstrat.terms.tracers import TracerSaid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from volstrat.case.parts import Choice

CONVENTIONS: Final = ("RAS", "LPS")
ARRAYS: Final = "arrays"
"""How the roles of such a case were told."""

_NUMBERS = "biuf"


class ArrayReader(EntryReader):
    """Reads a case from arrays by role: ``tumour``, ``resectable``, ``fdg_avid`` are labels, ``pet`` SUV."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], grids: Mapping[str, VoxelGrid]) -> None:
        folder = Path(ARRAYS)
        entries = {role: (RoleEntry(path=folder / role),) for role in arrays}
        super().__init__(CaseSources(folder=folder, subject=ARRAYS, entries=entries, told_by=ARRAYS))
        self._arrays = arrays
        self._grids = grids

    def with_naming(self, naming: Mapping[str, Sequence[str]]) -> ArrayReader:
        """Return the same case, names of parts read as a protocol says."""
        again = ArrayReader(self._arrays, self._grids)
        again.naming = naming
        return again

    def require_all(self) -> None:
        """Arrays are there."""

    def reads_from_dicom(self, entry: RoleEntry) -> bool:
        """Tell that an array is no DICOM."""
        return False

    def _read(self, role: str, entry: RoleEntry) -> tuple[MaskRead, Choice]:
        """Return a role's array as a mask, and its labels as parts without names."""
        digest = hashlib.sha256()
        scanner = RunScanner(_stored(self._arrays[role]).dtype, where=role)
        for piece in _pieces(self._arrays[role]):
            digest.update(piece)
            scanner.feed(piece)
        mask = Mask(grid=self._grids[role], runs=scanner.finish())
        refuse_image(mask, role)
        read = MaskRead(mask=mask, format="array", sha256=digest.hexdigest())
        return read, self._choice(role, entry, dict.fromkeys(mask.labels, ""), {})

    def grid(self, role: str, entry: RoleEntry) -> tuple[str, VoxelGrid]:
        """Return the grid of a role's array."""
        return "array", self._grids[role]

    def pet(self, entry: RoleEntry, *, role: str = "pet") -> PetRead:
        """Return the PET: values that the caller says are SUVbw; the tracer is not stated."""
        values, digest = self._arrays["pet"], hashlib.sha256()
        for piece in _pieces(values):
            digest.update(piece)
        image = Image(grid=self._grids["pet"], values=np.array(values, dtype=np.float32, order="F"))
        tracer, sha256 = TracerSaid(tracer="not_stated"), digest.hexdigest()
        return PetRead(grid=image.grid, format="array", sha256=sha256, tracer=tracer, suv=image)


def array_case(
    given: Mapping[str, ArrayLike | None],
    affine: ArrayLike,
    *,
    pet_affine: ArrayLike | None,
    convention: str | None,
) -> ArrayReader:
    """Return a case whose files are arrays by role; parameters as of `volstrat.assess`.

    Raises UsageError if the convention of the affines is not said; CaseError if arrays that share a grid
    differ in shape; GeometryError if an affine is none.
    """
    if convention not in CONVENTIONS:
        said = "is not said" if convention is None else f"is {convention!r}"
        msg = f"The convention of the affine {said}; it must be 'RAS' (NIfTI, nibabel) or 'LPS' (DICOM, ITK)."
        raise UsageError(msg, hint='Write convention="RAS" where the affine is nibabel\'s.')
    arrays = {role: _array(values, _CALLED[role]) for role, values in given.items() if values is not None}
    of_pet = [role for role in ("fdg_avid", "pet") if role in arrays and pet_affine is not None]
    for role, values in arrays.items():
        base = of_pet[0] if role in of_pet else "tumour"
        if values.shape != arrays[base].shape:
            shapes = f"{values.shape} and {_CALLED[base]} {arrays[base].shape}"
            msg = f"{_CALLED[role]} has the shape {shapes}; they share a grid."
            hint = "Give the affine of the PET's arrays as pet_affine." if role in ("fdg_avid", "pet") else ""
            raise CaseError(msg, hint=hint or "Bring it onto the tumour's grid first.")
    flip = convention == "RAS"
    grids = {role: _grid(values, affine, flip=flip) for role, values in arrays.items() if role not in of_pet}
    for role in of_pet:
        grids[role] = _grid(arrays[role], pet_affine, flip=flip)
    return ArrayReader(arrays, grids)


_CALLED: Final = {"tumour": "tumour", "resectable": "resectable", "fdg_avid": "fdg_avid", "pet": "suv"}
"""The parameter of each role."""


def _array(values: ArrayLike, name: str) -> NDArray[np.generic]:
    array = np.asarray(values)
    if array.ndim != 3 or array.size == 0:
        msg = f"{name} has the shape {array.shape}; three axes (i, j, k) of at least one voxel are expected."
        raise FormatError(msg)
    if array.dtype.kind not in _NUMBERS:
        msg = f"{name} holds values of type {array.dtype}; numbers or truth values are expected."
        raise MaskValueError(msg)
    return array


def _grid(values: NDArray[np.generic], affine: ArrayLike | None, *, flip: bool) -> VoxelGrid:
    """Return the grid of an array; RAS becomes LPS by flipping the first two patient axes."""
    matrix = np.array(affine, dtype=np.float64)
    if flip and matrix.shape == (4, 4):
        matrix[:2] *= -1
    ni, nj, nk = values.shape
    return VoxelGrid(shape=(ni, nj, nk), affine=matrix)


def _stored(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return truth values as bytes; what is wider or narrower than files have as one of theirs."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float64)
    return values


def _pieces(values: NDArray[np.generic]) -> list[bytes]:
    """Return the values' bytes slice by slice, i fastest."""
    return [_stored(values[:, :, k]).tobytes(order="F") for k in range(values.shape[2])]
