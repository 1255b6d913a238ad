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

    def __init_subclass__(cls, *, code: str = "") -> None:
        super().__init_subclass__()
        cls.code = code or cls.code

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


class UsageError(VolstratError, ValueError, code="usage"):
    """The command or the call itself cannot be carried out: nothing was found, or words are off."""


class CaseError(VolstratError, ValueError, code="case_invalid"):
    """The roles of a case cannot be settled: a file is missing, named twice or unknown."""


class MissingRoleError(CaseError, LookupError, code="role_missing"):
    """A role that the case needs is not there."""


class AmbiguousRoleError(CaseError, code="role_ambiguous"):
    """Two candidates play one role."""


class PartsAmbiguousError(CaseError, code="parts_ambiguous"):
    """Nothing says which segments, ROIs or labels of a file play the role it was given."""


class DuplicateSubjectError(CaseError, code="subject_duplicate"):
    """Two cases of a cohort have one subject's name."""


class InputFileError(VolstratError, OSError, code="file_unreadable"):
    """A file is absent, empty, a directory, or cannot be opened."""


class FormatError(VolstratError, ValueError, code="format_unsupported"):
    """A file is readable but not in a form that volstrat takes."""


class CorruptDataError(VolstratError, ValueError, code="data_corrupt"):
    """A file is truncated, or its checksum or size does not fit its header."""


class GeometryError(VolstratError, ValueError, code="geometry_invalid"):
    """A grid is not usable: sheared, singular, self-contradictory or irregular."""


class ImplausibleSizeError(GeometryError, code="implausible_size"):
    """A grid is of no patient's size: metres for millimetres, say."""


class GridMismatchError(GeometryError, code="grid_mismatch"):
    """Two masks that must share a grid, or a frame of reference, do not."""


class DifferentImageError(GeometryError, code="different_images"):
    """Two readings that should be of one image are of two."""


class MaskValueError(VolstratError, ValueError, code="mask_value_invalid"):
    """A mask holds a value that is no label: NaN, negative or not integral."""


class NoisyMaskError(VolstratError, ValueError, code="mask_noisy"):
    """A mask falls into so many separate bits that it is no segmentation but noise, or an image."""


class NoSuchLesionError(VolstratError, KeyError, code="lesion_not_found"):
    """A lesion or PET-only region is asked for that the case does not have."""


class NoSuchSubjectError(VolstratError, KeyError, code="subject_not_found"):
    """A subject is asked for that the cohort does not have."""


class InternalError(VolstratError, RuntimeError, code="internal_error"):
    """volstrat itself failed; what it stumbled over is the error's cause."""


class SegmentNotFoundError(VolstratError, LookupError, code="segment_not_found"):
    """No segment, ROI or label matches what the case asks for."""


class LesionTableError(VolstratError, ValueError, code="lesion_table_invalid"):
    """A lesion table has a row, word, id or point that does not fit."""


class ReviewTableError(VolstratError, ValueError, code="review_table_invalid"):
    """A closing of a review names none that is open, or ``reviews.csv`` cannot be read."""


class PlanError(CaseError, code="plan_invalid"):
    """A surgical plan names what is not there, or contradicts itself."""


class ProtocolError(VolstratError, ValueError, code="protocol_invalid"):
    """A protocol file has an unknown key or an impossible value."""


class SuvError(VolstratError, ValueError, code="suv_unavailable"):
    """PET units cannot become SUV; the message names the attribute."""


class InputChangedError(VolstratError, OSError, code="input_changed"):
    """A file is not the same at the end of reading it as it was at the beginning."""


class WorkerLostError(VolstratError, RuntimeError, code="worker_lost"):
    """The process that read a case died of it."""


class TimeLimitError(VolstratError, TimeoutError, code="time_limit"):
    """A case took longer than a subject may take."""


class MemoryLimitError(VolstratError, MemoryError, code="memory_limit"):
    """A case needs more memory than a subject may take."""


class MarkConflictError(VolstratError, RuntimeError, code="mark_conflict"):
    """Another reader changed a row of the lesion table that a mark was to replace."""


class ExportError(VolstratError, ValueError, code="export_impossible"):
    """A result cannot go out as DICOM: it has no images to refer to, or would not be what it says."""


class OutputError(VolstratError, OSError, code="output_unwritable"):
    """A result cannot be written."""


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

    An unforeseen one is ``described`` where its own text must not be shown.
    """
    if isinstance(error, VolstratError):
        return error
    if is_want_of_memory(error):
        hint = "Give it more (ulimit -v), or crop its images; in a batch use fewer workers."
        return MemoryLimitError("The case does not fit into the memory that there is.", hint=hint)
    msg = f"volstrat itself failed: {described or f'{type(error).__name__}: {error}'}"
    return InternalError(msg, hint="Please report this, with the case if it can be shared.")
