"""Findings about what a PET is of: its tracer, its patient, its time."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

TRACER_FINDINGS = entries("""
pet_not_fdg (blocking, or warning)
    pet: {name}: {tracer}. This PET, and an avid mask drawn on it, say nothing about FDG-avid disease, which
        stays not assessed; that is not 'no avid disease'. Give the FDG-PET as pet in case.toml, and this one
        as other_pet.
    mask: {name} was drawn on a PET of another tracer ({tracer}): it says nothing about FDG-avid disease and
        is left out. Give what was drawn on the FDG-PET as fdg_avid in case.toml.
    means: the PET, or the PET that the avid mask was drawn on, is of another tracer
    do: Give the FDG-PET and what was drawn on it.
pet_tracer_contradictory (review, or info)
    says: {name}: {tracer}. Check in the PACS or at the scanner what was injected: FDG alone counts here.
    means: the PET's header contradicts itself about the tracer
    do: Correct the header at the source.
pet_tracer_unknown (review, or info)
    says: {name}: the header names a tracer that is not known as FDG. Check what was injected; if it was FDG,
        write tracer = "FDG" in the entry of pet in case.toml.
    means: the PET's header names a tracer that volstrat does not know
    do: Where it is FDG, write `tracer = "FDG"` in the entry of `pet`.
pet_tracer_described (review, or info)
    silent: {name}: nothing in it states the tracer, and its description or file name says {tracer}. Check
        what was injected: if it was FDG, write tracer = "FDG" in the entry of pet in case.toml; if not, give
        this PET as other_pet.
    stated: {name}: its header says FDG, and its description says {tracer}. Check what was injected: if it was
        FDG, write tracer = "FDG" in the entry of pet in case.toml; if not, give this PET as other_pet.
    means: a description or the file's name says another tracer than FDG; the header FDG, or none
    do: Where it is FDG, write `tracer = "FDG"` in the entry of `pet`; else give it as `other_pet`.
pet_tracer_not_stated (info)
    says: {name} does not state its tracer; it is taken as FDG. To say so, write tracer = "FDG" in the entry
        of pet in case.toml.
    means: the PET states no tracer, or F-18 alone
    do: Write `tracer = "FDG"` in the entry of `pet`.
segmentation_without_segments (warning)
    avid: {name} holds no segment at all: nobody has read the PET in it, and no lesion is called not avid by
        it.
    other: {name} holds no segment at all: nobody has drawn in it, and nothing is read from it.
    means: a segmentation names no segment: it is no reading
    do: Draw what is meant, or an empty segment where there is nothing.
other_pet_unreadable (warning)
    says: The other PET, which is only shown, cannot be used: {reason}
    means: `other_pet` cannot be read; nothing rests on it
patients_differ (blocking, or warning)
    refused: The DICOM files of this case name different patients: {files} differ in {keywords}. Take out
        what is another patient's; if it is one patient, write assume_same_patient = true in case.toml.
    assumed: The DICOM files of this case name different patients: {files} differ in {keywords}. They are
        taken as one patient's, as case.toml says.
    means: PatientID, birth date or sex differ between the DICOM files of a case
    do: Take out the other patient's files, or write `assume_same_patient = true` in case.toml.
studies_far_apart (review)
    says: CT and PET were acquired {days} days apart, more than {limit}: check that they show the same
        disease.
    means: CT and PET are further apart than the protocol's `review.max_days_between`
    do: Use images of one time, or judge what changed in between.
""")
