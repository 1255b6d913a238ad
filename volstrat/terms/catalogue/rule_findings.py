"""Findings of the rule and of how sure a verdict is."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

RULE_FINDINGS = entries("""
tumour_empty (blocking)
    no_voxel: No tumour is drawn.
    all_dismissed: Every lesion is marked as not tumour: no tumour is left.
    means: the tumour mask holds no voxel, or the table calls every lesion `not_tumour`
    do: Check that the right segment was exported; a subject without tumour on CT has no stratum.
protocol_altered (info)
    says: The protocol calls itself {id} {version}, as the packaged one does, and is another in {changes}.
        Give it an id or version of its own.
    means: a protocol has the packaged one's id and version, and other settings
    do: Give it an `id` or `version` of its own.
unknown_marking (blocking)
    stratum_1: Not yet marked: {lesions}. Until {they_are}, {lower_percent} to {upper_percent} % could be
        resectable; {threshold_percent} % is needed.
    stratum_2: Not yet marked: {lesions}. Whether all FDG-avid disease can be resected depends on {them}.
    means: lesions that nobody has marked decide the stratum
    do: Mark the lesions that the sentence names.
pet_missing (warning, or info, review, blocking)
    no_mask: Nobody has drawn FDG-avid disease, which is not the same as finding none.{still_open}
    no_rule: The rule for FDG-avid disease, "{rule}", could not be applied, which is not the same as finding
        none.{still_open}
    pet_only_open: Only disease that PET alone would show stands between this patient and a stratum.
    lesions_open: Mark for each lesion whether it is FDG-avid (open: {lesions}).
    means: there is no avid mask and no rule that could be carried out; only the lesion table speaks
    do: Add the FDG-PET and what is avid on it, or say each lesion's avidity in the lesion table.
pet_field_short (warning, or info, blocking)
    says: PET did not reach all of {lesions}; the uptake there is not known.
    means: a lesion reaches beyond the PET field and shows no avid voxel: not assessed
    do: Say the lesion's avidity in the lesion table, or give a PET that covers it.
pet_field_unknown (warning, or info, blocking)
    says: How far PET reached is not known, so {lesions} without drawn uptake cannot be called not avid. Give
        the PET image.
    means: a sparse avid mask does not say what PET covered: give the PET image
    do: Give the PET image as `pet`.
pet_only_region (info, or review)
    dismissed: {place} was dismissed as physiological.
    unmarked: PET shows uptake without a lesion on CT: {region}, {volume} ml. Mark it, or dismiss it as
        physiological.
    marked: {place} is marked {marking}.
    given: {place} belongs to {owner}, as a reader says, and takes its decision: {marking}.
    given_open: {place} belongs to {owner}, as a reader says, but {owner} is {state}. Decide about {owner}, or
        mark the region itself.
    place: {region} ({volume} ml of uptake without a lesion on CT)
    means: an avid region away from CT tumour; `review` until it is marked or dismissed
    do: Mark the region, or dismiss it with `not_avid`.
avid_region_near (review, or info)
    unmarked: PET shows uptake {apart} mm from {near} without touching it: {region}, {volume} ml. Say which
        lesion it belongs to, mark it, or dismiss it as physiological.
    dismissed: {place}, {apart} mm from {near}, was dismissed as physiological.
    marked: {place}, {apart} mm from {near}, is marked {marking}.
    given_open: {place}, {apart} mm from {near}, belongs to {owner}, as a reader says, but {owner} is {state}.
        Decide about {owner}, or mark the region itself.
    given: {place}, {apart} mm from {near}, belongs to {owner}, as a reader says, and takes its decision:
        {marking}.
    means: an avid region lies near a lesion without touching it: whose it is, a person must say; `info` once
        it is marked, dismissed or given to a lesion
    do: Look at PET and CT together: a neighbour of its own, breathing, or physiological uptake?
pet_shift (review)
    says: With PET {shifts} the stratum would be another one, and breathing can move PET that far. Look at PET
        and CT together.
    means: PET moved by a step of `review.pet_shift_mm` along the patient's z gives another stratum
    do: Check how PET and CT lie on each other at the avid lesions; mark what the shift changes.
review_lapsed (review, or info, warning)
    changed: {at} was closed by {by} ({row}), but what it rests on has changed: look again.
    gone: {at}, closed by {by} ({row}), is no review of this case any more.
    blocking: {row}: {at} says why there is no stratum; it cannot be closed.
    no_code: {row}: there is no finding called {at}, so it closes nothing.
    means: a row of `reviews.csv` closes a review that rests on something else now; `info` where there is no
        such review any more, a warning where it closes what blocks or what is no finding
    do: Look at the review again and close it with `volstrat accept`, or remove the row.
closed_differently (review)
    says: {readers} closed {review} with different reasons, so it stays open until one row is left.
    means: two readers closed one review with different reasons
    do: Agree, and leave one of the rows in `reviews.csv`.
dismissed (info)
    plain: {lesion} ({volume} ml) is marked as not tumour; it no longer counts in the total.
    uptake: {lesion} ({volume} ml) is marked as not tumour; it no longer counts in the total, and its uptake
        is now PET region {region}.
    means: a lesion that the table calls `not_tumour`
avid_region_differently_marked (review, or info)
    says: One area of uptake covers {lesions}. Decide which of them is avid.
    means: an avid region lies on tumour of more than one marking
    do: Look at PET and CT together; correct the markings or the avid mask if the region is of one lesion.
avid_region_partly_marked (review, or info)
    says: Uptake lies on {lesion}, of which only a part can be resected. Decide which part is avid.
    means: an avid region lies on a lesion without one marking
    do: Look at PET and CT together, and mark the lesion as a whole if that is meant.
avid_region_reaches_far (review, or info)
    says: Uptake on {lesion} reaches more than {far_mm:g} mm beyond it. Check that all of it is tumour, not
        physiological uptake.
    means: an avid region reaches beyond twice the attribution distance
    do: Check that the region is tumour; cut physiological uptake out of the avid mask.
both_strata_hold (info)
    says: The patient fits both strata; the protocol takes {stratum}.
    means: both predicates hold; the protocol's order decides
ablation (info)
    counts: Ablation counts as resection in this protocol: {lesions}.
    does_not_count: Ablation does not count as resection in this protocol: {lesions}.
    means: ablation counts (or does not) under this protocol
borderline (review)
    volume_error: Too close to call: measurement error alone gives {lower_percent} to {upper_percent} %, and
        {threshold_percent} % is needed.
    open_markings: Too close to call: with measurement error and what is not yet marked it is {lower_percent}
        to {upper_percent} %, and {threshold_percent} % is needed.
    means: the 95 % interval of the resectable fraction spans the threshold
    do: Let a second reader measure the case, and settle the stratum in the meeting.
open_choice (review)
    chosen: If {setting}, the patient would be {other_stratum}. The protocol does not settle this.
    avidity_rule: uptake were judged by the rule "{rule}"
    pet_only_in_total: disease that only PET shows were part of the total
    pet_only_left_out: disease that only PET shows were no part of the total
    with_ablation: ablation counted as resection
    without_ablation: ablation did not count as resection
    both_fit: a patient who fits both strata went into {other}
    any_avid: avid disease of which any part can be resected sufficed for stratum 2
    all_avid: stratum 2 needed all avid disease to be resectable
    means: another setting of a choice the protocol leaves open would assign another stratum
    do: Settle in the meeting which setting fits this subject, and record why.
small_lesions (info, or warning)
    one: {count} lesion has fewer than {limit_voxels} voxels ({lesions}) and holds {share_percent} % of the
        tumour.{effect}
    several: {count} lesions have fewer than {limit_voxels} voxels ({lesions}) and hold {share_percent} % of
        the tumour.{effect}
    changes: Leaving {them} out would change the stratum.
    does_not_change: Leaving {them} out would not change the stratum.
    means: lesions below 10 voxels; `warning` where leaving them out would change the stratum
    do: Where it would change the stratum: check that these lesions are lesions.
thick_slices (warning, or info)
    counting: Slices are {spacing_mm:.3g} mm apart: the volume of a {example_mm:g} mm lesion is uncertain by
        about {error_percent} %.
    series: {name}: slices are {spacing_mm:g} mm thick; volumes of small lesions want {limit_mm:g} mm or less.
    means: slices are more than 3 mm apart
    do: Use a thinner reconstruction where there is one.
""")
