"""Every error volstrat raises.

Each error says in one sentence what is wrong and where, what was expected, and what to do next.
``code`` is part of the record's contract; ``hint`` is the next step and may be empty.
"""

from __future__ import annotations

import errno


class VolstratError(Exception):
    """Base of all errors that volstrat raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: which file or field, what was found, what was expected.
    hint : str
        The next step for the person who reads it; may be empty.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[VolstratError], message: str, hint: str) -> VolstratError:
    """Rebuild an error in another process (keyword arguments do not survive pickling)."""
    return kind(message, hint=hint)


class UsageError(VolstratError, ValueError):
    """The command or the call itself cannot be carried out: nothing was found, or words are off."""

    code = "usage"


class CaseError(VolstratError, ValueError):
    """The roles of a case cannot be settled: a file is missing, named twice or unknown."""

    code = "case_invalid"


class MissingRoleError(CaseError, LookupError):
    """A role that the case needs is not there."""

    code = "role_missing"


class AmbiguousRoleError(CaseError):
    """Two candidates play one role."""

    code = "role_ambiguous"


class PartsAmbiguousError(CaseError):
    """Nothing says which segments, ROIs or labels of a file play the role it was given."""

    code = "parts_ambiguous"


class DuplicateSubjectError(CaseError):
    """Two cases of a cohort have one subject's name."""

    code = "subject_duplicate"


class InputFileError(VolstratError, OSError):
    """A file is absent, empty, a directory, or cannot be opened."""

    code = "file_unreadable"


class FormatError(VolstratError, ValueError):
    """A file is readable but not in a form that volstrat takes."""

    code = "format_unsupported"


class CorruptDataError(VolstratError, ValueError):
    """A file is truncated, or its checksum or size does not fit its header."""

    code = "data_corrupt"


class GeometryError(VolstratError, ValueError):
    """A grid is not usable: sheared, singular, self-contradictory or irregular."""

    code = "geometry_invalid"


class ImplausibleSizeError(GeometryError):
    """A grid is of no patient's size: metres for millimetres, say."""

    code = "implausible_size"


class GridMismatchError(GeometryError):
    """Two masks that must share a grid, or a frame of reference, do not."""

    code = "grid_mismatch"


class DifferentImageError(GeometryError):
    """Two readings that should be of one image are of two."""

    code = "different_images"


class MaskValueError(VolstratError, ValueError):
    """A mask holds a value that is no label: NaN, negative or not integral."""

    code = "mask_value_invalid"


class NoisyMaskError(VolstratError, ValueError):
    """A mask falls into so many separate bits that it is no segmentation but noise, or an image."""

    code = "mask_noisy"


class NoSuchLesionError(VolstratError, KeyError):
    """A lesion or PET-only region is asked for that the case does not have."""

    code = "lesion_not_found"


class NoSuchSubjectError(VolstratError, KeyError):
    """A subject is asked for that the cohort does not have."""

    code = "subject_not_found"


class InternalError(VolstratError, RuntimeError):
    """volstrat itself failed; what it stumbled over is the error's cause."""

    code = "internal_error"


class SegmentNotFoundError(VolstratError, LookupError):
    """No segment, ROI or label matches what the case asks for."""

    code = "segment_not_found"


class LesionTableError(VolstratError, ValueError):
    """A lesion table has a row, word, id or point that does not fit."""

    code = "lesion_table_invalid"


class ReviewTableError(VolstratError, ValueError):
    """A closing of a review names none that is open, or ``reviews.csv`` cannot be read."""

    code = "review_table_invalid"


class PlanError(CaseError):
    """A surgical plan names what is not there, or contradicts itself."""

    code = "plan_invalid"


class ProtocolError(VolstratError, ValueError):
    """A protocol file has an unknown key or an impossible value."""

    code = "protocol_invalid"


class SuvError(VolstratError, ValueError):
    """PET units cannot become SUV; the message names the attribute."""

    code = "suv_unavailable"


class InputChangedError(VolstratError, OSError):
    """A file is not the same at the end of reading it as it was at the beginning."""

    code = "input_changed"


class WorkerLostError(VolstratError, RuntimeError):
    """The process that read a case died of it."""

    code = "worker_lost"


class TimeLimitError(VolstratError, TimeoutError):
    """A case took longer than a subject may take."""

    code = "time_limit"


class MemoryLimitError(VolstratError, MemoryError):
    """A case needs more memory than a subject may take."""

    code = "memory_limit"


class MarkConflictError(VolstratError, RuntimeError):
    """Another reader changed a row of the lesion table that a mark was to replace."""

    code = "mark_conflict"


class ExportError(VolstratError, ValueError):
    """A result cannot go out as DICOM: it has no images to refer to, or would not be what it says."""

    code = "export_impossible"


class OutputError(VolstratError, OSError):
    """A result cannot be written."""

    code = "output_unwritable"


_NO_MEMORY = ("failed to map segment", "cannot allocate memory", "cannot map")
"""What an import says that found no memory for its library."""


def is_want_of_memory(error: BaseException) -> bool:
    """Tell whether an error, of whatever kind, comes of too little memory (ulimit -v)."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    by_library = isinstance(error, ImportError) and any(one in str(error).lower() for one in _NO_MEMORY)
    return isinstance(error, MemoryError) or by_library


def as_volstrat_error(error: Exception, described: str = "") -> VolstratError:
    """Return an error as it is told: volstrat's own as it is, want of memory, else a fault of volstrat.

    Parameters
    ----------
    error : Exception
    described : str
        What an unforeseen one was, where its own text must not be shown.
    """
    if isinstance(error, VolstratError):
        return error
    if is_want_of_memory(error):
        hint = "Give it more (ulimit -v), or crop its images; in a batch use fewer workers."
        return MemoryLimitError("The case does not fit into the memory that there is.", hint=hint)
    msg = f"volstrat itself failed: {described or f'{type(error).__name__}: {error}'}"
    return InternalError(msg, hint="Please report this, with the case if it can be shared.")
