"""Findings of the avidity rules and of SUV."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

PET_FINDINGS = entries("""
pet_only_not_searched (warning, or review)
    says: Uptake was looked for only within {margin_mm:g} mm of tumour on CT; disease that CT does not show
        was not looked for.
    means: the rule searches only round CT tumour
    do: Look for avid disease that CT does not show, and draw it.
hot_but_not_avid (review, or info)
    says: {lesion} is marked not FDG-avid, but its SUVmax is {suv:.1f}; from {limit:g} on a lesion must be
        looked at again.
    means: a lesion that a reader calls not avid is hot on PET
    do: Look at the lesion on PET; mark it avid, or leave it where the uptake is not its own.
avid_but_cold (review, or info)
    says: {lesion} is marked FDG-avid, but its SUVmax is only {suv:.2f} (below {limit:g}).
    means: a lesion that a reader calls avid is cold on PET
    do: Check that mask, table and PET belong together and lie over one another.
suv_implausible (warning, or info, review)
    dose: The injected dose in the PET's header is {mbq:g} MBq, and of FDG 20 to 1000 MBq are given: SUV
        goes by it, and may be wrong by a factor of ten. Look at the record of the injection.
    reference: The reference region for {rule} has a mean SUV of {mean:.2g}, and healthy liver or blood has
        0.5 to 6: look where it lies. What is FDG-avid goes by it.
    values: The highest SUV in tumour is {suv:.4g}, which no tumour has: the values of the PET are probably
        not SUV (Bq/ml, or scaled).
    means: the values given as SUV cannot be SUV, the dose they rest on is none of FDG, or a reference region
        is no healthy liver or blood; `review` where the rule goes by it
    do: Give the PET as DICOM with its header as it was injected, or values that are SUVbw.
avidity_overruled (review, or info)
    says: {lesions}: marked not FDG-avid, though uptake is drawn there. With what is drawn the patient would
        be {stratum}.
    means: `not_avid` takes drawn avid voxels away, and the stratum would be another with them
    do: Settle which of the two is right.
small_lesion_not_assessable (warning)
    says: {lesions}: too small for PET to show (below {limit_mm:g} mm); no uptake there does not mean not
        avid. A reader can decide.
    means: not avid, but too small for PET to show
    do: Say the lesion's avidity in the lesion table.
avidity_rule_not_evaluated (warning)
    says: The rule for FDG-avid disease, "{rule}", could not be applied: {reason}.
    means: the rule could not be carried out, and why
    do: Give what the sentence says is missing.
avidity_reference (info)
    drawn: The drawn reference region for {rule} ({volume_ml:.1f} ml) has a mean {metric} of {mean:.2f} (SD
        {sd:.2f}): a lesion is FDG-avid from a {metric} peak of {threshold:.2f}.
    placed: The reference region for {rule} ({volume_ml:.1f} ml, placed by volstrat in the right lobe of the
        liver) has a mean {metric} of {mean:.2f} (SD {sd:.2f}): a lesion is FDG-avid from a {metric} peak of
        {threshold:.2f}.
    means: the reference region and what was measured in it
background_not_measurable (warning)
    says: {lesions}: too little tissue around to compare with ({shell_mm:g} mm wide, fewer than {least_voxels}
        PET voxels); the uptake is not known.
    means: too few PET voxels round a lesion
    do: Say the lesion's avidity in the lesion table.
suv_not_finite (warning, or info, review)
    voxels: {voxels} PET voxels in or around tumour hold no value; they count neither as avid nor as not avid.
    lesion: PET holds {value} in all of {lesion}, as where an image was padded: that it is not FDG-avid rests
        on nothing that PET showed.
    means: PET voxels without a finite value; or a lesion that mask or rule call not avid, and where PET holds
        no value at all (`review`) or 0
    do: Export the PET again; say the lesion's avidity in the lesion table.
avid_mask_not_used (warning)
    says: The protocol goes by the rule "{rule}"; the drawn FDG-avid areas are not used.
    means: a rule is in force; the drawn avid mask is not used
    do: Choose the protocol that is meant: a rule, or what a reader drew.
suv_unavailable (info)
    says: No SUV values: {reason}
    means: the PET image cannot become SUV; SUV values are null
sul_not_available (info)
    says: No SUL (lean body mass): {reason}
    means: no lean body mass, and why
suv_factor_by_frame (info)
    says: The PET is not decay-corrected to one time: each slice has an SUV factor of its own.
    means: each frame has an SUV factor of its own
suv_factors_differ (review, or warning)
    says: Philips' SUV factor and the one worked out from dose, weight and times differ by {share:.1%};
        Philips' own ({factor:g}) is used.
    means: two ways to SUV differ by more than 1 %
    do: Check dose, weight and times in the header against the record of the examination.
injection_time_disputed (review, or warning)
    two_times: The header gives two injection times, {first} (RadiopharmaceuticalStartDateTime) and {second}
        (RadiopharmaceuticalStartTime), {minutes:.0f} min apart; the first is used.
    zone: The header gives one time in the time zone {offset} ({attribute}) and the others in none
        ({zone_attribute} is missing); all are taken to be in one zone.
    means: the header gives two injection times, or one in a zone that its other times do not state
    do: Check the injection time against the record of the examination.
pet_not_attenuation_corrected (review, or warning)
    says: The PET is not attenuation-corrected: its SUV is not valid.
    means: the PET series is not attenuation-corrected
    do: Give the attenuation-corrected series.
pet_decay_contradictory (review, or warning)
    listed: The header contradicts itself about decay correction: {attribute} is {correction}, but
        {other_attribute} lists DECY. The first is used.
    not_listed: The header contradicts itself about decay correction: {attribute} is {correction}, but
        {other_attribute} does not list DECY. The first is used.
    means: DecayCorrection and CorrectedImage do not agree on whether decay was corrected
    do: Ask where the PET was made which of the two is right.
suv_series_time_early (info, or warning)
    says: PET values are taken as decay-corrected to {reference}, {minutes:.1f} min before the first
        acquisition (SUVbw factor {factor:.6g}). If they refer to AcquisitionTime, SUV is {percent:.2f} %
        higher (factor {other:.6g}).
    means: SeriesTime, to which values are taken as corrected, is earlier than the acquisition
    do: Where SUV matters, ask the scanner's maker to what time values are corrected.
suv_vendor_factor (info)
    known: Philips' own SUV factor is used; it refers to {reference}.
    unknown: Philips' own SUV factor is used; the header does not say to what time it refers (Philips scanners
        usually mean AcquisitionTime).
    means: a factor of the scanner's maker turns the values into SUV, and to what time it refers
pet_dose_in_bq (info)
    says: The injected dose in the header of this Enhanced PET, RadionuclideTotalDose (0018,1074), is
        {dose_bq:g}: it is taken as Bq, though MBq is the standard's unit there.
    means: an Enhanced PET states its dose in Bq
pet_late_phase (warning)
    says: The PET was acquired {uptake_minutes:.0f} min after injection, a late phase (60 min is usual).
    means: more than 90 minutes after injection
pet_early_phase (warning)
    says: The PET was acquired {uptake_minutes:.0f} min after injection, an early phase (60 min is usual).
    means: less than 30 minutes after injection
""")
