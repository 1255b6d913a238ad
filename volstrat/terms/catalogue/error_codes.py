"""The codes of errors: each has a class of error but ``internal_error``."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import ErrorEntry

ERRORS = (
    ErrorEntry("role_missing", "a role that the case needs is not there", "Name the file that plays it."),
    ErrorEntry("role_ambiguous", "two candidates play one role", "Name the one that is meant in case.toml."),
    ErrorEntry(
        "parts_ambiguous",
        "nothing says which segments, ROIs or labels of a file play its role",
        "Name them in `segments` (or `rois`) of the entry in case.toml.",
    ),
    ErrorEntry(
        "case_invalid", "case.toml or a manifest has something that does not fit", "Correct that line."
    ),
    ErrorEntry(
        "plan_invalid",
        "a surgical plan names what is not there, or contradicts itself",
        "Correct the plan in case.toml.",
    ),
    ErrorEntry("subject_duplicate", "two cases carry one subject's name", "Rename one of them."),
    ErrorEntry("file_unreadable", "a file is absent, empty, or cannot be opened", "Check path and rights."),
    ErrorEntry("data_corrupt", "a file is truncated, or its checksum or size does not fit", "Copy it again."),
    ErrorEntry(
        "format_unsupported", "a file is not in a form that volstrat reads", "Export it as one that is."
    ),
    ErrorEntry(
        "not_dicom", "a file that is named as DICOM does not start like it", "Name the DICOM file itself."
    ),
    ErrorEntry("input_changed", "a file changed while it was read", "Run again when nothing writes to it."),
    ErrorEntry("geometry_invalid", "a grid is sheared, irregular or contradicts itself", "Export it again."),
    ErrorEntry(
        "implausible_size",
        "a grid is of no patient's size: metres for millimetres, say",
        "Save the file again with its sizes in millimetres.",
    ),
    ErrorEntry(
        "grid_mismatch",
        "two masks that must share a grid, or a frame of reference, do not",
        "Draw both on one image, or allow resampling in the entry.",
    ),
    ErrorEntry(
        "different_images",
        "two readings that should be of one image are of two",
        "Compare readings of one image.",
    ),
    ErrorEntry(
        "mask_noisy",
        "a mask falls into so many bits (10,000 lesions or avid regions, millions of runs of "
        "voxels) that it is noise, or an image",
        "Clean the mask, or name the file that is the mask.",
    ),
    ErrorEntry(
        "mask_value_invalid",
        "what a mask holds is no label: NaN, negative or not integral",
        "Export labels, or say `threshold` in the entry.",
    ),
    ErrorEntry(
        "segment_not_found",
        "no segment, ROI or label matches what the case asks for",
        "Choose from the list in the sentence.",
    ),
    ErrorEntry(
        "export_impossible",
        "a result cannot go out as DICOM: no images lie on the masks' lattice, or the output is not its own",
        "Give the images as DICOM, or another output folder.",
    ),
    ErrorEntry(
        "lesion_not_found",
        "from the library: a lesion or PET-only region that the case does not have",
        "Name one of those that the message lists.",
    ),
    ErrorEntry(
        "subject_not_found",
        "from the library: a subject that the cohort does not have",
        "Name one of those that the message lists.",
    ),
    ErrorEntry(
        "lesion_table_invalid",
        "a lesion table has a row, word, id or point that does not fit",
        "Correct that row.",
    ),
    ErrorEntry(
        "review_table_invalid",
        "a closing names no open review of the case, or a row of `reviews.csv` is not complete",
        "Close reviews with `volstrat accept`; it writes complete rows.",
    ),
    ErrorEntry(
        "protocol_invalid", "a protocol has an unknown key or an impossible value", "Correct that line."
    ),
    ErrorEntry(
        "suv_unavailable",
        "a rule needs SUV and the PET cannot become it; the attribute is named",
        "Give the attribute at the source or in case.toml.",
    ),
    ErrorEntry(
        "worker_lost",
        "in a batch: the process that read the subject died",
        "Run the subject alone; if it dies again, report it.",
    ),
    ErrorEntry("time_limit", "in a batch: the subject took longer than it may", "Raise `--time-limit`."),
    ErrorEntry(
        "memory_limit",
        "the case needs more memory than there is, or than a subject of a batch may have",
        "Raise the limit (`ulimit -v`), use fewer workers, or raise `--memory-limit`.",
    ),
    ErrorEntry(
        "output_unwritable", "a result cannot be written", "Check the folder, its rights and its space."
    ),
    ErrorEntry(
        "mark_conflict",
        "on the review page: another reader changed the row that a mark was to replace",
        "Look at the row as it stands now, and mark again.",
    ),
    ErrorEntry("usage", "wrong usage, or nothing was found", "`--help` says what a command takes."),
    ErrorEntry(
        "internal_error", "volstrat itself failed", "Please report it, with the case if it can be shared."
    ),
)
