"""Findings of the avidity rules and of SUV."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import Entry

PET_FINDINGS = (
    Entry(
        "pet_only_not_searched",
        "warning",
        "Uptake was looked for only within {margin_mm:g} mm of tumour on CT; disease that CT does not show "
        "was not "
        "looked for.",
        means="the rule searches only round CT tumour",
        do="Look for avid disease that CT does not show, and draw it.",
        also=("review",),
    ),
    Entry(
        "hot_but_not_avid",
        "review",
        "{lesion} is called not FDG-avid and has SUVmax {suv:.1f} ({limit:g} and more is looked at again).",
        means="a lesion that a reader calls not avid is hot on PET",
        do="Look at the lesion on PET; mark it avid, or leave it where the uptake is not its own.",
        also=("info",),
    ),
    Entry(
        "avid_but_cold",
        "review",
        "{lesion} is called FDG-avid and has SUVmax {suv:.2f}, below {limit:g}.",
        means="a lesion that a reader calls avid is cold on PET",
        do="Check that mask, table and PET belong together and lie over one another.",
        also=("info",),
    ),
    Entry(
        "avidity_overruled",
        "review",
        "The lesion table calls {lesions} not FDG-avid, against what is drawn: with the drawing it would be "
        "{stratum}.",
        means="`not_avid` takes drawn avid voxels away, and the stratum would be another with them",
        do="Settle which of the two is right.",
        also=("info",),
    ),
    Entry(
        "small_lesion_not_assessable",
        "warning",
        "{lesions}: too small for PET (below {limit_mm:g} mm), so that no uptake there means nothing. A "
        "reader can "
        "decide.",
        means="not avid, but too small for PET to show",
        do="Say the lesion's avidity in the lesion table.",
    ),
    Entry(
        "avidity_rule_not_evaluated",
        "warning",
        'The rule for FDG-avid disease, "{rule}", could not be applied: {reason}.',
        means="the rule could not be carried out, and why",
        do="Give what the sentence says is missing.",
    ),
    Entry(
        "avidity_reference",
        "info",
        {
            "drawn": (
                "The drawn reference region for {rule} ({volume_ml:.1f} ml) has {metric} {mean:.2f} +- "
                "{sd:.2f}: "
                "a lesion is FDG-avid from {metric} peak {threshold:.2f}."
            ),
            "placed": (
                "The reference region for {rule} ({volume_ml:.1f} ml, placed by volstrat in the right lobe "
                "of the "
                "liver) has {metric} {mean:.2f} +- {sd:.2f}: a lesion is FDG-avid from {metric} peak "
                "{threshold:.2f}."
            ),
        },
        means="the reference region and what was measured in it",
    ),
    Entry(
        "background_not_measurable",
        "warning",
        "{lesions}: too little tissue round it ({shell_mm:g} mm, fewer than {least_voxels} PET voxels) to "
        "compare it "
        "with; its uptake is not known.",
        means="too few PET voxels round a lesion",
        do="Say the lesion's avidity in the lesion table.",
    ),
    Entry(
        "suv_not_finite",
        "warning",
        "{voxels} PET voxels in or round tumour hold no value; they count neither as avid nor as not avid.",
        means="PET voxels without a finite value",
        do="Export the PET again.",
    ),
    Entry(
        "avid_mask_not_used",
        "warning",
        'The protocol goes by the rule "{rule}"; the drawn FDG-avid areas are not used.',
        means="a rule is in force; the drawn avid mask is not used",
        do="Choose the protocol that is meant: a rule, or what a reader drew.",
    ),
    Entry(
        "suv_unavailable",
        "info",
        "No SUV values: {reason}",
        means="the PET image cannot become SUV; SUV values are null",
    ),
    Entry(
        "sul_not_available",
        "info",
        "No SUL (lean body mass): {reason}",
        means="no lean body mass, and why",
    ),
    Entry(
        "suv_factor_by_frame",
        "info",
        "The PET is not decay-corrected to one time: each frame has an SUV factor of its own.",
        means="each frame has an SUV factor of its own",
    ),
    Entry(
        "suv_factors_differ",
        "review",
        "Philips' SUV factor and the one worked out from dose, weight and times differ by {share:.1%}; "
        "Philips' "
        "own ({factor:g}) is used.",
        means="two ways to SUV differ by more than 1 %",
        do="Check dose, weight and times in the header against the record of the examination.",
        also=("warning",),
    ),
    Entry(
        "injection_time_disputed",
        "review",
        {
            "two_times": (
                "RadiopharmaceuticalStartDateTime ({first}) and RadiopharmaceuticalStartTime ({second}) "
                "differ by "
                "{minutes:.0f} min; the first is used."
            ),
            "zone": (
                "{attribute} is told at {offset}, and {zone_attribute}, which tells the zone of the other "
                "times, "
                "is missing; all are taken to be of one zone."
            ),
        },
        means="the header gives two injection times, or one in a zone that its other times do not state",
        do="Check the injection time against the record of the examination.",
        also=("warning",),
    ),
    Entry(
        "pet_not_attenuation_corrected",
        "review",
        "The PET is not attenuation-corrected: its SUV is not valid.",
        means="the PET series is not attenuation-corrected",
        do="Give the attenuation-corrected series.",
        also=("warning",),
    ),
    Entry(
        "pet_decay_contradictory",
        "review",
        {
            "listed": (
                "{attribute} is {correction}, and {other_attribute} lists DECY: they contradict each "
                "other; the "
                "first is used."
            ),
            "not_listed": (
                "{attribute} is {correction}, and {other_attribute} does not list DECY: they contradict each "
                "other; the first is used."
            ),
        },
        means="DecayCorrection and CorrectedImage do not agree on whether decay was corrected",
        do="Ask where the PET was made which of the two is right.",
        also=("warning",),
    ),
    Entry(
        "suv_series_time_early",
        "info",
        "Values are taken as corrected to {reference}, {minutes:.1f} min before the first acquisition: SUVbw "
        "factor {factor:.6g}. By AcquisitionTime it would be {other:.6g}, {percent:.2f} % more.",
        means="SeriesTime, to which values are taken as corrected, is earlier than the acquisition",
        do="Where SUV matters, ask the scanner's maker to what time values are corrected.",
        also=("warning",),
    ),
    Entry(
        "suv_vendor_factor",
        "info",
        {
            "known": "Philips' own SUV factor is used; it refers to {reference}.",
            "unknown": (
                "Philips' own SUV factor is used; the header does not let one tell to what time it refers "
                "(AcquisitionTime, by what its scanners write)."
            ),
        },
        means="a factor of the scanner's maker turns the values into SUV, and to what time it refers",
    ),
    Entry(
        "pet_dose_in_bq",
        "info",
        "RadionuclideTotalDose (0018,1074) of this Enhanced PET is {dose_bq:g}: taken as Bq, though MBq is "
        "the standard's unit there.",
        means="an Enhanced PET states its dose in Bq",
    ),
    Entry(
        "pet_late_phase",
        "warning",
        "The PET was acquired {uptake_minutes:.0f} min after injection, a late phase (60 min is usual).",
        means="more than 90 minutes after injection",
    ),
    Entry(
        "pet_early_phase",
        "warning",
        "The PET was acquired {uptake_minutes:.0f} min after injection, an early phase (60 min is usual).",
        means="less than 30 minutes after injection",
    ),
)
