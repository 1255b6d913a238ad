"""Findings on what a file means: its parts, what lies unread beside it, and whether masks lie together."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

PART_FINDINGS = entries("""
tumour_part_left_out (review)
    says: {name}: {parts} {is_are} tumour by name or code, and not counted. In case.toml, add {it_them} to the
        segments (or rois) of {role}, or leave {it_them} out on purpose with leave_out = [{numbers}].
    means: a segment, ROI or label whose name or code says tumour plays no role
    do: Look at it: name it in the entry, or leave it out with `leave_out`.
part_in_doubt (review)
    says: {name}: {parts} {is_are} counted as {role}, and the name leaves open whether that is right. Look at
        {it_them}; then name all that belong in the segments (or rois) of {role} in case.toml, or write
        leave_out = [{numbers}] there.
    means: a part counts as tumour by a name that leaves it open ("old metastasis", "lesion?")
    do: Look what it is; name all that belong in the entry, or leave it out with `leave_out`.
part_unclear (review)
    says: {name}: the name of {parts} does not say what it is, though other names in the file do; it was not
        taken as {role}. If it belongs there, name all that belong in the segments (or rois) of {role} in
        case.toml; if not, write leave_out = [{numbers}] there.
    means: a segment, ROI or label whose name says nothing lies beside those that were taken
    do: Look what it is; name all that belong in the entry, or leave it out with `leave_out`.
part_denies_role (review, or info)
    says: {name}: {parts} {is_are} chosen as {role}, and the name says {what}. Look what was drawn, on which
        image, and whether the parts that are meant are chosen.
    means: a segment, ROI or label was chosen for a role that its name denies, such as DOTATATE uptake for
        `fdg_avid`
    do: Look what was drawn; choose other parts in `segments` (or `rois`), or accept it.
structures_left_out (info, or review)
    site: {name}: {parts} {is_are} not counted as {role}, because the name is that of an organ or denies
        something; it may say where a lesion lies. Look: name all that are {role} in its segments (or rois) in
        case.toml, else write leave_out = [{numbers}] there.
    other: {name}: {parts} {is_are} called like something else and not counted as {role}.
    means: a file that was given as tumour, resectable or avid holds parts with the names of organs or other
        structures; `review` where it is tumour and no organ of the file touches what was taken
    do: Look whether it is a lesion called by its site: name all that are meant in `segments`, else leave it
        out with `leave_out`.
part_may_be_organ (review)
    encloses: {name}: label {number} ({volume_ml:.0f} ml) encloses label {inner} and has no name; it may be
        the organ and not {role}. Name the labels that are {role} as its segments in case.toml.
    called: {name} is given as {role}, but it is called like an organ or region: look whether it is {role}.
    large: {name}: label {number} measures {volume_ml:.0f} ml, more than a liver; it may be an organ and not
        {role}.
    means: a label without a name encloses another or is larger than a liver, what can be resected is larger
        than a liver, or a file is called like an organ
    do: Look what it is, and name the labels that are meant in `segments`.
file_in_two_roles (review)
    one: {name} is given as {roles}: the same voxels are both. Name the right file or, where this is meant,
        the labels of each role as its segments.
    copied: {name}, as what can be resected, holds the very voxels of {other}, as FDG-avid disease, outside
        tumour too: no two drawings do. One of them may be a copy of the other under its name.
    means: one file plays two roles with the same parts, and neither names nor entries say which; or what can
        be resected is voxel by voxel the avid mask, also where neither holds tumour
    do: Name the right file for each role; or the labels, in `segments`, where this is meant.
mask_may_be_inverted (review)
    says: {name}: label {number} fills {percent:.0f} % of the image, all its corners too: it may be the
        background, and {role} what is left of it.
    means: a label fills more than half of its image and every corner: it may be the wrong way round
    do: Look at the mask; save it so that what is meant is the label.
drawn_by_model (info)
    says: A model drew {files}, and nothing says that a person has checked it.
    means: a model drew a mask: SEG says AUTOMATIC, or nnU-Net or TotalSegmentator wrote it
    do: Look at the mask before its volume is used.
mask_off_ct (review, or blocking)
    grid: {name} does not lie on the voxels of the CT: one of its corners is {distance_mm:.1f} mm off. Look at
        both together before the volume is used.
    outside: All tumour of {name} lies outside the CT (one of its corners is {distance_mm:.1f} mm off). It
        cannot have been drawn on this CT.
    means: a mask shares neither the CT's grid nor its lattice; blocking where all tumour lies outside it
    do: Look at mask and CT together; name the CT that it was drawn on.
ct_unusable (warning)
    says: The CT was not used: {reason}
    means: the CT cannot be read; no mask needs it
    do: Export the CT again, or name another one.
grid_unproven (review)
    says: {dense} and {sparse} fit each other voxel by voxel, but nothing says which image {sparse} was drawn
        on: they may lie apart by whole voxels. Name the CT in case.toml, or look at both together.
    means: a mask of a whole image beside one that stores a part, of an image that is not known
    do: Give the CT as `ct`, or look at both masks together.
fractional_labelmap (warning)
    says: {name} holds for each voxel how much of it belongs to the segment (fractional); a voxel counts from
        half of the largest value on.
    means: a 3D Slicer segmentation stores shares of voxels and is read at half its maximum
    do: Convert it to a binary label map in 3D Slicer if another limit is meant.
files_unread (info, or review)
    list: Not read, because nothing says what they are for: {names}.
    nearly: {name} was not read: its name is nearly that of {expected}. {do}
    called: {name} was not read, and by its name it may be {role}: name it in case.toml if it belongs to the
        case, or move it out.
    unnamed: {name} was not read: case.toml does not name it. Write lesions = "{name}" under its [inputs], or
        move the table out of the case.
    readers: Readers marked lesions in {names}, and no lesion table is read: say whose counts (--lesions
        {reader}), or save the table that stands as lesions.csv.
    means: what lies in the case and plays no part; `review` where its name is nearly one that would be read,
        or says tumour, resectable or avid, or only readers' own tables (lesions.R.csv) are there
    do: Rename it, name it in case.toml, or move it out of the case.
lesions_drawn_twice (review)
    says: {lesions}: one lesion is drawn twice (Dice {dice:.2f}). What both hold counts once; look whether
        both drawings are meant.
    means: two drawings of lesions overlap with a Dice of more than 0.5
    do: Leave one of the two drawings out.
lesion_skips_slices (review)
    within: {lesion} has {count} empty slice(s) inside: it may have been drawn on every other slice, and its
        volume be too small.
    stacked: {lesion} and {other} lie above each other with one empty slice between: they may be one lesion of
        which a slice was not drawn.
    single: {lesion} is drawn on one slice, and measures {across_mm:.0f} mm across: the slices above and below
        may not have been drawn, and its volume be far too small.
    means: empty slices within a lesion, slabs stacked with one-slice gaps, or a wide lesion on one slice
        alone
    do: Look at the slices between, and fill what was not drawn.
lesion_hollow (review)
    says: {lesion} is drawn as an outline: inside it lies {times:.1f} times as much as is drawn, and does not
        count.
    means: a lesion encloses more in its slices than it holds: an outline that was not filled
    do: Fill the outline where it was drawn, and export it again.
lesion_at_edge (info, or review)
    harmless: At the edge of the image, where part may be missing: {lesions}. Even twice the volume of any of
        them would change nothing about stratum 1.
    decides: {lesion} touches the edge of the image: part of it may be missing, and twice its volume would
        change what can be said of stratum 1.
    means: a lesion touches the edge of its field; `review` where its volume decides
    do: Look whether the image ends within the lesion.
liver_mostly_tumour (review)
    says: {percent} % of the liver mask is tumour. Look whether both masks are what they are called.
    means: more than half of the liver mask is tumour
    do: Look whether liver and tumour masks are what they are called.
resectable_whole_liver (review)
    says: What is drawn as resectable covers {percent} % of the liver around the tumour, so that none would
        remain: it may be the liver mask, or an area of which only a part is meant.
    means: the resectable mask covers at least 95 % of the liver that is not tumour
    do: Look what the mask holds; draw what can be resected, or mark the lesions in the lesion table.
ablation_alone (review)
    says: Stratum 1 is reached by ablation alone: no lesion is resectable. The aim is surgery, alone or with
        ablation.
    means: stratum 1 holds with nothing marked resectable
    do: Look whether surgery is meant at all.
""")
