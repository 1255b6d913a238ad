"""Findings on lesions, their markings, and the liver that remains."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

LESION_FINDINGS = entries("""
label_in_pieces (warning, or review)
    says: {lesion} is drawn in {pieces} pieces that do not touch; it counts as one lesion.
    means: one label lies in pieces that do not touch; `review` where several files have such a label
    do: Check that it is one lesion; else write `instances = "components"` in its entry.
marks_by_number (review)
    says: The lesion table marks {lesions} by number alone, and these numbers go by size: they change when the
        mask does.
    means: rows of the lesion table name lesions by a number that goes by size
    do: Let `volstrat lesions CASE` write a table with points, and mark in that.
named_lesion_by_number (warning)
    says: The lesion table marks {lesions} by number alone, though these lesions have names.
    means: rows of the lesion table name by number what has a name
    do: Add the name as `segment`, or a point: `volstrat lesions CASE` writes both.
row_volume_differs (review)
    says: The lesion table gives other volumes (ml) than the lesions have: {lesions}. It may be the table of
        another case, or the mask was drawn anew. Check what is marked; the command volstrat lesions writes
        the table as it is now.
    means: rows of the lesion table give volumes that their lesions do not have: more than twice or less than
        half; 10 % for rows by number alone
    do: Check that the table is this case's; let `volstrat lesions CASE -o FILE` write it anew.
row_contradicts (review)
    says: {row}: its point lies in {lesion}, where it counts, and its segment {segment} is the name of
        {other}. Look which of the two is meant.
    means: a row's point lies in one lesion and its segment name is another's
    do: Correct the point or the segment; `volstrat lesions CASE` writes both.
row_renumbered (info)
    says: {row} says {named}, but by its point or segment name it means {lesion}; it counts there.
    means: a row's point or segment lies in a lesion of another number than the row has
    do: Nothing, if the masks were edited; the row went with its tissue.
rows_alike (info)
    says: {row} and {other} both mean {lesion}, and say the same.
    means: two rows of the lesion table lie in one lesion and say the same
    do: Remove one of them.
empty_segment (warning)
    says: Label {number} of the tumour is named but nothing is drawn in it; it is no lesion.
    means: a named segment holds no voxel
    do: Draw the lesion, or take its name away.
overlapping_lesions (warning)
    says: {volume_ml:.3f} ml lie in more than one lesion; they count once, by the less favourable decision.
    means: voxels lie in several lesions; each counts once, worst marking
    do: Check that no lesion was drawn twice.
lesions_below_minimum (warning)
    says: {count} very small lesions (below {minimum_voxels} voxels; {volume_ml:.2g} ml together) are left
        out, as the protocol says.
    means: lesions below the protocol's `minimum_voxels` are left out
partly_resectable_lesion (warning)
    area: The resectable area covers only {percent} % of {lesion}; the rest counts as unresectable.
    parts: The decision differs within {lesion}: {shares}.
    means: a lesion has no one marking on nearly all its voxels
    do: Check that a part of it is meant to stay.
resectable_outside_tumour (info)
    says: Some resectable area lies outside tumour ({volume} ml); it is ignored.
    means: the resectable mask covers more than tumour; that part is ignored
resectable_misplaced (review, or warning)
    empty: Nothing is drawn as resectable: tumour that the lesion table does not mark counts as unresectable.
    off: Something is drawn as resectable, and none of it lies in tumour: the masks may not be of one image,
        or one was saved with its axes turned.
    turned: Only {percent:.0f} % of what is drawn as resectable lies in tumour; {turned} it would be
        {turned_percent:.0f} %: one of the masks was probably saved so.
    swapped: Tumour is voxel by voxel some of the pieces that are drawn as resectable, {percent:.0f} % of them
        by volume; the others hold no tumour. The two masks may be swapped, or lesions be missing from tumour.
    means: nothing of the resectable mask lies in tumour, it would fit tumour with its axes turned, or tumour
        is some of its pieces, as where the two masks are swapped; a warning where it is empty
    do: Look at both masks over one another.
table_over_mask (info)
    says: A reader marked {lesions}; this replaces the drawn resectable area.
    means: the lesion table's marking stands over the resectable mask
tumour_outside_liver (warning)
    says: {volume_ml:.2f} ml of tumour outside the liver are left out.
    means: with `tumour_scope = "liver"`: tumour that is left out
resampled (warning)
    mask: {name} was resampled to the voxels of {other} (nearest neighbour), from which it lay
        {distance_mm:.2f} mm off: {before_ml:.3f} ml became {after_ml:.3f} ml.
    reading: Reading {name} was resampled onto the grid of reading {other} (nearest neighbour): {reason} Its
        own stratum and volumes are those of its own grid.
    means: a mask was resampled, as its entry allows; in a comparison: a reading, onto the other's grid
    do: Compare the two volumes that the sentence gives.
assumed_registered (warning)
    says: {difference} It is taken as registered, as case.toml says.
    means: another frame of reference was accepted, as the entry says
    do: Look at PET and CT over one another.
""")

REMNANT_FINDINGS = entries("""
remnant_below_limit (review)
    nothing: Nothing remains of the liver: the remnant is empty, below any limit.
    any_limit: The remnant is {shares}: below any limit.
    limit: The remnant is {shares}: below the limit of {limit_percent:g} % ({liver_state}).
    share: {percent} % of the {whole}
    means: the remnant is below the limit for the liver's state
    do: Discuss the plan, or what makes the remnant grow.
remnant_not_compared (info)
    says: The remnant of {volume_ml:.0f} ml has nothing to be compared with: give a liver mask, or weight and
        height.
    means: nothing to compare the remnant with
    do: Give a liver mask, or weight and height.
remnant_outside_liver (warning, or review)
    says: {volume_ml:.1f} ml of the remnant lie outside the liver mask and were not counted.
    means: part of the remnant lies outside the liver mask; `review` from a tenth of it
    do: Check that both were drawn on one image.
remnant_holds_resectable (review)
    says: {percent:.0f} % of the liver tumour that can be resected lies in the remnant, which is what stays:
        the remnant may be another part of the liver.
    means: most of the resectable tumour in the liver lies in the remnant mask
    do: Check which part of the liver the remnant mask holds.
liver_without_tumour (info)
    says: No tumour lies in the liver mask: none is there, or the mask was drawn without it.
    means: no tumour lies in the liver mask
liver_state_missing (warning)
    says: The remnant is {shares}; whether that is enough depends on the liver (normal, after chemotherapy,
        fibrosis, cirrhosis), which nobody has stated.
    means: whether the remnant is enough depends on the liver's state
    do: Name it as `liver_state` under [patient] in case.toml.
body_size_implausible (warning, or review)
    not_an_adult: Weight {weight_kg:g} kg and height {height_cm:g} cm are not an adult's; the remnant was not
        set against a standard liver. Give kilograms and centimetres.
    no_volume: The formula gives no liver volume for a body surface of {surface_m2:.2f} m2.
    mass_index: Weight {weight_kg:g} kg and height {height_cm:g} cm give a body-mass index of {index:.1f}
        kg/m2. SUV and the standard liver go by them: look whether these are pounds, or a slip.
    means: weight or height cannot be an adult's, or a body-mass index is below 12 or above 50 kg/m2; `review`
        where the rule is an SUV limit
    do: Give kilograms and centimetres.
""")
