"""Findings of comparing readings; they stand in ``agreement.json`` and in no case record."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

READING_FINDINGS = entries("""
protocols_differ (warning)
    says: The readings were made by different protocols: {readings}. Where that carries a difference, it is
        attributed to the protocol.
    means: the readings were made by different protocols
    do: Run both readings by one protocol.
protocol_unknown (warning)
    says: Reading {reading} does not hold its protocol's text; its records are compared.
    means: an output does not hold the text of its protocol; its records are compared
subject_absent (warning)
    says: Not in reading {reading}: {subjects}.
    means: subjects that a reading does not have
    do: Read these subjects too.
one_subject (info)
    says: One subject: there are no statistics over subjects.
    means: statistics over subjects do not exist
row_moved (warning)
    says: Both tables say {word} of {row}, but they mean different lesions: {lesion_a} in A, {matched}, and
        {lesion_b} in B. The numbers changed with the masks; nobody decided differently.
    means: a row that both tables have alike lies on different lesions, since numbers go by size
    do: Let `volstrat lesions` write both tables with points, and compare again.
readings_alike (warning)
    says: Readings {readings} are of the same files, byte for byte: they agree because they are one reading.
    means: two readings are the same files; their agreement says nothing
    do: Name the other reader's folder, output or table.
record_outdated (warning)
    says: Reading {reading}: the files no longer give the record that stands in the output; what they give now
        is compared. The command volstrat verify says what changed.
    means: the files no longer give the record that stands in the output
    do: `volstrat verify` says what changed.
subject_names_differ (warning)
    says: Taken as one subject, {subject!r}, as each reading is a single case: {names}.
    means: single cases of different names are taken as one subject
    do: Check that they are of one subject.
""")
