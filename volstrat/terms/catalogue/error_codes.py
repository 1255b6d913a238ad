"""The codes of errors: each has a class of error but ``internal_error``."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import errors

ERRORS = errors("""
role_missing: a role that the case needs is not there
    do: Name the file that plays it.
role_ambiguous: two candidates play one role
    do: Name the one that is meant in case.toml.
parts_ambiguous: nothing says which segments, ROIs or labels of a file play its role
    do: Name them in `segments` (or `rois`) of the entry in case.toml.
case_invalid: case.toml or a manifest has something that does not fit
    do: Correct that line.
plan_invalid: a surgical plan names what is not there, or contradicts itself
    do: Correct the plan in case.toml.
subject_duplicate: two cases carry one subject's name
    do: Rename one of them.
file_unreadable: a file is absent, empty, or cannot be opened
    do: Check path and rights.
data_corrupt: a file is truncated, or its checksum or size does not fit
    do: Copy it again.
format_unsupported: a file is not in a form that volstrat reads
    do: Export it as one that is.
not_dicom: a file that is named as DICOM does not start like it
    do: Name the DICOM file itself.
input_changed: a file changed while it was read
    do: Run again when nothing writes to it.
geometry_invalid: a grid is sheared, irregular or contradicts itself
    do: Export it again.
implausible_size: a grid is of no patient's size: metres for millimetres, say
    do: Save the file again with its sizes in millimetres.
grid_mismatch: two masks that must share a grid, or a frame of reference, do not
    do: Draw both on one image, or allow resampling in the entry.
different_images: two readings that should be of one image are of two
    do: Compare readings of one image.
mask_noisy: a mask falls into so many bits (10,000 lesions or avid regions, millions of runs of voxels) that
        it is noise, or an image
    do: Clean the mask, or name the file that is the mask.
mask_value_invalid: what a mask holds is no label: NaN, negative or not integral
    do: Export labels, or say `threshold` in the entry.
segment_not_found: no segment, ROI or label matches what the case asks for
    do: Choose from the list in the sentence.
export_impossible: a result cannot go out as DICOM: no images lie on the masks' lattice, or the output is not
        its own
    do: Give the images as DICOM, or another output folder.
lesion_not_found: from the library: a lesion or PET-only region that the case does not have
    do: Name one of those that the message lists.
subject_not_found: from the library: a subject that the cohort does not have
    do: Name one of those that the message lists.
lesion_table_invalid: a lesion table has a row, word, id or point that does not fit
    do: Correct that row.
review_table_invalid: a closing names no open review of the case, or a row of `reviews.csv` is not complete
    do: Close reviews with `volstrat accept`; it writes complete rows.
protocol_invalid: a protocol has an unknown key or an impossible value
    do: Correct that line.
suv_unavailable: a rule needs SUV and the PET cannot become it; the attribute is named
    do: Give the attribute at the source or in case.toml.
worker_lost: in a batch: the process that read the subject died
    do: Run the subject alone; if it dies again, report it.
time_limit: in a batch: the subject took longer than it may
    do: Raise `--time-limit`.
memory_limit: the case needs more memory than there is, or than a subject of a batch may have
    do: Raise the limit (`ulimit -v`), use fewer workers, or raise `--memory-limit`.
output_unwritable: a result cannot be written
    do: Check the folder, its rights and its space.
mark_conflict: on the review page: another reader changed the row that a mark was to replace
    do: Look at the row as it stands now, and mark again.
usage: wrong usage, or nothing was found
    do: `--help` says what a command takes.
internal_error: volstrat itself failed
    do: Please report it, with the case if it can be shared.
""")
