"""Findings of the rule and of how sure a verdict is."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import Entry

RULE_FINDINGS = (
    Entry(
        "tumour_empty",
        "blocking",
        "The tumour mask holds no voxel: neither predicate can be assessed.",
        means="the tumour mask holds no voxel",
        do="Check that the right segment was exported; a subject without tumour on CT has no stratum.",
    ),
    Entry(
        "unknown_marking",
        "blocking",
        {
            "stratum_1": (
                "{lesions} not marked: the resectable share lies between {lower_percent} % and "
                "{upper_percent} "
                "%, on both sides of {threshold_percent} %. Mark {them}."
            ),
            "stratum_2": (
                "{lesions} not marked: whether all FDG-avid disease is resectable depends on it. Mark {them}."
            ),
        },
        means="lesions that nobody has marked decide the stratum",
        do="Mark the lesions that the sentence names.",
    ),
    Entry(
        "pet_missing",
        "warning",
        {
            "no_mask": (
                "No FDG-avid mask and no avidity rule: avid disease is assessed from the lesion table "
                "alone{still_open}. This is not 'no avid disease'."
            ),
            "no_rule": (
                'The avidity rule "{rule}" could not be carried out: avid disease is assessed from the '
                "lesion "
                "table alone{still_open}. This is not 'no avid disease'."
            ),
            "pet_only_open": "; only disease that PET alone would show stands between this case and a "
            "stratum",
            "lesions_open": ", which leaves {lesions} open",
        },
        means="there is no avid mask and no rule that could be carried out; only the lesion table speaks",
        do="Add the FDG-PET and what is avid on it, or say each lesion's avidity in the lesion table.",
        also=("info", "blocking"),
    ),
    Entry(
        "pet_field_short",
        "warning",
        "The PET field does not cover {lesions} wholly and shows no avid voxel there: avidity not assessed.",
        means="a lesion reaches beyond the PET field and shows no avid voxel: not assessed",
        do="Say the lesion's avidity in the lesion table, or give a PET that covers it.",
        also=("info", "blocking"),
    ),
    Entry(
        "pet_field_unknown",
        "warning",
        "The avid mask does not say which field PET covered, so {lesions} without avid voxels cannot be "
        "called "
        "not avid. Give the PET image as `pet`.",
        means="a sparse avid mask does not say what PET covered: give the PET image",
        do="Give the PET image as `pet`.",
        also=("info", "blocking"),
    ),
    Entry(
        "pet_only_region",
        "info",
        {
            "dismissed": "{place} is dismissed as physiological.",
            "unmarked": "{place} is not marked: mark it, or dismiss it with `not_avid`, in the lesion table.",
            "marked": "{place} is marked {marking}.",
            "place": "PET-only region {region} ({volume_ml:.2f} ml at {x_mm}, {y_mm}, {z_mm} mm LPS)",
        },
        means="an avid region away from CT tumour; `review` until it is marked or dismissed",
        do="Mark the region, or dismiss it with `not_avid`.",
        also=("review",),
    ),
    Entry(
        "avid_region_differently_marked",
        "review",
        "An FDG-avid region on {lesion} lies on differently marked tumour; check which part is avid.",
        means="an avid region lies on tumour of more than one marking",
        do="Look at PET and CT together; correct the markings or the avid mask if the region is of one "
        "lesion.",
        also=("info",),
    ),
    Entry(
        "avid_region_partly_marked",
        "review",
        "An FDG-avid region lies on {lesion}, which has no one marking; check which part is avid.",
        means="an avid region lies on a lesion without one marking",
        do="Look at PET and CT together, and mark the lesion as a whole if that is meant.",
        also=("info",),
    ),
    Entry(
        "avid_region_reaches_far",
        "review",
        "An FDG-avid region on {lesion} reaches more than {far_mm:g} mm from any tumour voxel; check that it "
        "is tumour and not physiological uptake.",
        means="an avid region reaches beyond twice the attribution distance",
        do="Check that the region is tumour; cut physiological uptake out of the avid mask.",
        also=("info",),
    ),
    Entry(
        "both_strata_hold",
        "info",
        "Both predicates hold; the protocol puts such a case into {stratum}.",
        means="both predicates hold; the protocol's order decides",
    ),
    Entry(
        "ablation",
        "info",
        {
            "counts": "Ablation counts as resection under this protocol: {lesions}.",
            "does_not_count": "Ablation does not count as resection under this protocol: {lesions}.",
        },
        means="ablation counts (or does not) under this protocol",
    ),
    Entry(
        "borderline",
        "review",
        {
            "volume_error": (
                "Volume error alone could move the resectable share across {threshold_percent} %: its 95 % "
                "interval runs from {lower_percent} % to {upper_percent} %."
            ),
            "open_markings": (
                "Volume error and open markings could move the resectable share across "
                "{threshold_percent} %: "
                "its 95 % interval runs from {lower_percent} % to {upper_percent} %."
            ),
        },
        means="the 95 % interval of the resectable fraction spans the threshold",
        do="Let a second reader measure the case, and settle the stratum in the meeting.",
    ),
    Entry(
        "open_choice",
        "review",
        "With {setting} the case would be {other_stratum} instead of {stratum}; the protocol leaves this "
        "choice "
        "open.",
        means="another setting of a choice the protocol leaves open would assign another stratum",
        do="Settle in the meeting which setting fits this subject, and record why.",
    ),
    Entry(
        "small_lesions",
        "info",
        {
            "one": "{count} lesion has fewer than {limit_voxels} voxels ({lesions}) and holds "
            "{share_percent} % of "
            "the tumour.{effect}",
            "several": "{count} lesions have fewer than {limit_voxels} voxels ({lesions}) and hold "
            "{share_percent} % "
            "of the tumour.{effect}",
            "changes": " Leaving {them} out would change the stratum.",
            "does_not_change": " Leaving {them} out would not change the stratum.",
        },
        means="lesions below 10 voxels; `warning` where leaving them out would change the stratum",
        do="Where it would change the stratum: check that these lesions are lesions.",
        also=("warning",),
    ),
    Entry(
        "thick_slices",
        "warning",
        {
            "counting": (
                "Slices are {spacing_mm:.3g} mm apart, more than {limit_mm:g} mm: counting voxels alone "
                "puts the "
                "volume of a {example_mm:g} mm lesion off by {error_percent} % (one standard deviation)."
            ),
            "series": (
                "{name}: slices are {spacing_mm:g} mm thick; volumes of small lesions want {limit_mm:g} "
                "mm or "
                "less."
            ),
        },
        means="slices are more than 3 mm apart",
        do="Use a thinner reconstruction where there is one.",
        also=("info",),
    ),
)
