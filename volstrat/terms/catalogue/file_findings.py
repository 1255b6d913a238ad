"""Findings on files: what was passed over, what a header does not say or says twice."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

FILE_FINDINGS = entries("""
files_skipped (info)
    one: {count} file was skipped: DICOMDIR or not DICOM.
    several: {count} files were skipped: DICOMDIR or not DICOM.
    means: DICOMDIR and files that are not DICOM were passed over
dicom_file_unreadable (warning)
    says: {name}: {reason}; it was left out.
    means: a DICOM file that nothing needs cannot be read
    do: Export the file again.
structures_without_role (info)
    says: {count} segment(s) or ROI(s) were not read, because their names do not say what they are for:
        {names}. If tumour is among them, name it in case.toml.
    means: segments and ROIs of a folder of DICOM that no name pattern fits; they are not read
    do: Name what is tumour among them in case.toml.
segment_unnamed (warning)
    says: {name}: voxels with the value {values} belong to no named segment; they are kept without a name.
    means: voxels carry a value that no segment names
    do: Name the segment where it was drawn.
units_converted (warning)
    says: {name}: the header gives lengths in {unit}; they were converted to millimetres.
    means: a NIfTI in other units than mm
    do: Check the lesions' diameters.
pixdim_ignored (warning)
    says: {name}: the header gives two voxel sizes, {pixdim} (pixdim) and {sform} (sform); the second is used.
        Check the voxel size.
    means: NIfTI pixdim and affine differ; the affine is used
    do: Check the voxel size.
geometry_defaulted (warning)
    says: {name}: has no {fields}; the format's default was taken.
    means: a MetaImage header leaves geometry out, or a NIfTI has the identity for an affine
    do: Save the file again with its geometry: volumes rest on it.
""")

DICOM_FINDINGS = entries("""
slices_irregular (info)
    says: {name}: distances between slices vary from {least_mm:.3f} to {most_mm:.3f} mm; {spacing_mm:.4f} mm
        is used, and no slice is more than {off_mm:.3f} mm off.
    means: slice positions vary within 2 % of the spacing
single_slice (warning, or review)
    series: The series has one slice; its thickness is taken from {attribute}: {thickness_mm:g} mm.
    segmentation: The segmentation has one slice and states no distance between slices; its SliceThickness of
        {thickness_mm:g} mm is taken for it, which may be more. Give its CT.
    means: one slice only: its thickness stands for the spacing; `review` for a segmentation
    do: Check that the whole series is there; give the segmentation's CT.
rescale_missing (warning)
    says: {name}: {count} of {slices} slices state no RescaleSlope; values are taken as they are.
    means: no rescale slope and intercept; 1 and 0 are used
slices_off_lattice (info)
    says: Slices lie up to {off_mm:.3f} mm off an even distance of {spacing_mm:g} mm.
    means: SEG frames lie slightly off the lattice
seg_slice_spacing_inferred (review)
    stated: Slices are taken to be {spacing_mm:g} mm apart, from the positions of the frames, though
        {attribute} says {stated_mm:g} mm. Volumes depend on it: compare with the image.
    not_stated: Slices are taken to be {spacing_mm:g} mm apart, from the positions of the frames, though no
        SpacingBetweenSlices is stated. Volumes depend on it: compare with the image.
    means: a SEG with gaps does not say its slice spacing
    do: Compare with the spacing of the image that it was drawn on.
referenced_series_absent (warning)
    says: {name}: the images it was drawn on are not there; the case's own image is used.
    means: the series a SEG or RTSTRUCT references is not there
    do: Add the series that it was drawn on.
referenced_images_renamed (info)
    says: {name}: the contours were drawn before the images were anonymised; they were placed by position.
        Check one contour.
    means: contours name images by UIDs the series does not have
rtstruct_roi_empty (info)
    says: {roi} has no contours.
    means: a ROI without contours
rtstruct_roi_renumbered (info)
    says: ROI number {number} {name!r} cannot be a label (labels start at 1); it is label {label} here.
    means: a ROI number below 1 was replaced
own_object_ignored (info)
    says: {name} was written by volstrat itself; it is no reader's, and is not read.
    means: an object that `volstrat export` wrote lies in the case
    do: Nothing; or take it out of the case folder.
sop_instance_uid_repeated (warning)
    says: {name}: {count} slices carry one SOPInstanceUID; they are told apart by their positions.
    means: slices of a series share their SOP instance UID
    do: Nothing, unless a slice is missing; export the series again where a PACS must take it.
rtstruct_other_frame (warning)
    says: ROI {number} {name!r} is drawn in another frame of reference than the images, and was left out.
    means: a ROI in another frame of reference was left out
    do: Check that it is not tumour of this image.
rtstruct_contour_off_slice (warning)
    says: {roi}: {count} contour(s) lie up to {off_mm:.2f} mm off the image's slices (every {spacing_mm:g}
        mm); each was taken to the nearest slice.
    means: contours lie off their slice by up to a quarter of the spacing
rtstruct_contour_outside_image (review)
    says: {roi}: {count} of {contours} contours reach outside the image; what lies outside is not counted.
    means: contours reach beyond the image
    do: Check that the structure set is shown on the image it was drawn on.
rtstruct_contour_without_area (info, or review)
    harmless: {roi}: {count} {kind} contour(s) enclose no area and were left out.
    open: {roi}: {count} {kind} contour(s) enclose no area and were left out. If they outline tumour, close
        them and export again.
    means: points, lines and other contours that enclose nothing
    do: If they outline tumour, close them and export again.
rtstruct_contour_repeated (review)
    says: {roi} has {count} contour(s) more than once; each was counted once. Two equal contours would
        otherwise cancel out.
    means: a contour is there twice, however it is written; it counts once
    do: Look at these contours.
rtstruct_contours_cross (review)
    says: {roi}: {count} pair(s) of contours cross on one slice; what both enclose counts as outside. Look at
        these contours.
    means: contours of one ROI cross
    do: Look at these contours.
rtstruct_contour_self_overlap (review)
    says: {roi}: contours run twice around {voxels} voxel(s), which count as outside. Look at these contours.
    means: a contour crosses itself
    do: Look at these contours.
rtstruct_slice_gaps (info, or review)
    between_lesions: {roi}: {count} slice(s) between its first and its last have no contour.
    within_a_lesion: {roi}: {count} slice(s) without a contour lie between slices whose contours overlap
        (image slices every {spacing_mm:g} mm, contours up to {apart_mm:g} mm apart); nothing was filled in,
        so the volume may be too small.
    means: slices without contour inside a ROI
    do: Where they lie within a lesion: fill the slices in between, and export again.
""")
