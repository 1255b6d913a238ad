"""A case in a script or notebook: from files, or from arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.api.case_object import Case, foreseen
from volstrat.api.looked_at import load_protocol, protocol_of
from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from volstrat.api.case_object import Mark
    from volstrat.api.looked_at import PathLike, ProtocolLike
    from volstrat.case.entries import EntryReader
    from volstrat.case.protocol_files import LoadedProtocol


def read_case(
    path: PathLike,
    *,
    subject: str | None = None,
    visit: str | None = None,
    protocol: ProtocolLike = None,
    lesions: str | None = None,
) -> Case:
    """Read and stratify a case, as ``volstrat case`` does.

    Parameters
    ----------
    path : str or PathLike
        A case folder, or a study file.
    subject, visit : str or None
        Which case of a study file.
    protocol : LoadedProtocol, str, PathLike or None
        Or the path of one; None: the study's own, else the packaged ``pantodon.toml``.
    lesions : str or None
        Lesion table to use instead of the case's own: a file in the case folder, or R for
        ``lesions.R.csv``; of a study file one of its readers.

    Raises
    ------
    VolstratError
        If the case fails: there is never a case without a result.

    Examples
    --------
    >>> import volstrat as vs
    >>> case = vs.read_case("sample_data/S05_exactly_70_percent")
    >>> case.stratum, case.status
    ('stratum_1', 'review')
    >>> case.volumes.resectable_fraction
    0.7
    >>> case.lesions["L1"].resectability
    'resectable'
    >>> case.with_marks({"L1": "unresectable"}).stratum
    'ineligible'
    """
    from volstrat.study.study_file import is_study_file
    from volstrat.study.subjects import one_case

    place = Path(path)
    if not is_study_file(place) and subject is None and visit is None:
        loaded = load_protocol(protocol)
        return _assessed(lambda: open_case(place, lesions=lesions, naming=loaded.protocol.naming), loaded)
    found = one_case(place, subject=subject, visit=visit, lesions=lesions)
    loaded = protocol_of(place, protocol)
    return _assessed(lambda: found.open(lesions=lesions, naming=loaded.protocol.naming), loaded)


def assess(
    tumour: ArrayLike,
    affine: ArrayLike,
    *,
    resectable: ArrayLike | None = None,
    fdg_avid: ArrayLike | None = None,
    pet_affine: ArrayLike | None = None,
    suv: ArrayLike | None = None,
    marks: Mapping[str, Mark] | None = None,
    convention: str | None = None,
    protocol: ProtocolLike = None,
) -> Case:
    """Stratify a case of arrays, by the same rule as a case of files.

    Parameters
    ----------
    tumour : array, (ni, nj, nk)
        Labels, indexed ``[i, j, k]`` as nibabel does (SimpleITK's arrays are ``[k, j, i]``: transpose them).
        Several labels are a lesion each; of one, each connected piece is.
    affine : array, (4, 4)
        Maps indices to millimetres.
    resectable : array or None
        On the tumour's grid: what can be resected.
    fdg_avid : array or None
        FDG-avid disease, on the PET's grid; all zero: looked for, and none seen.
    pet_affine : array, (4, 4), or None
        Of ``fdg_avid`` and ``suv``; None: they lie on the tumour's grid.
    suv : array or None
        FDG uptake (SUVbw, g/ml) on the PET's grid.
    marks : mapping or None
        Of lesions and PET-only regions, as `Case.with_marks`.
    convention : {"RAS", "LPS"}
        Of both affines: RAS as NIfTI and nibabel have it, LPS as DICOM and ITK. Must be said.
    protocol : LoadedProtocol, str, PathLike or None
        Or the path of one; None: the packaged ``pantodon.toml``.

    Raises
    ------
    VolstratError
        If the convention is not said, or the arrays are no case.

    Examples
    --------
    >>> import numpy as np
    >>> import volstrat as vs
    >>> tumour = np.zeros((20, 20, 10), np.uint8)
    >>> tumour[2:9, 2:12, 4] = 1  # 70 voxels of 2 x 2 x 5 mm
    >>> tumour[15:18, 2:12, 4] = 2  # 30
    >>> affine = np.diag([2.0, 2.0, 5.0, 1.0])
    >>> case = vs.assess(
    ...     tumour, affine, marks={"L1": "resectable", "L2": "unresectable"}, convention="RAS"
    ... )
    >>> case.stratum, case.volumes.total_tumour_ml, case.lesions["L2"].volume_ml
    ('stratum_1', 2.0, 0.6)
    """
    from volstrat.case.arrays import array_case

    loaded = load_protocol(protocol)
    arrays = {"tumour": tumour, "resectable": resectable, "fdg_avid": fdg_avid, "pet": suv}
    given = array_case(arrays, affine, pet_affine=pet_affine, convention=convention)
    case = _assessed(lambda: given, loaded)
    return case if not marks else case.with_marks(marks)


def _assessed(opened: Callable[[], EntryReader], protocol: LoadedProtocol) -> Case:
    return Case(foreseen(lambda: assess_case(opened(), protocol)), protocol)
