"""The catalogue of findings and errors: outside it no code is raised.

Adding a finding is one entry in the module it belongs to; `scripts/make_findings_doc.py` then writes
``docs/findings.md`` anew, and `volstrat.terms.findings.finding` makes it.
"""

from __future__ import annotations

from volstrat.terms.catalogue.entry import Entry, ErrorEntry, Severity
from volstrat.terms.catalogue.error_codes import ERRORS
from volstrat.terms.catalogue.file_findings import DICOM_FINDINGS, FILE_FINDINGS
from volstrat.terms.catalogue.lesion_findings import LESION_FINDINGS, REMNANT_FINDINGS
from volstrat.terms.catalogue.part_findings import PART_FINDINGS
from volstrat.terms.catalogue.pet_findings import PET_FINDINGS
from volstrat.terms.catalogue.plan_findings import PLAN_FINDINGS
from volstrat.terms.catalogue.reading_findings import READING_FINDINGS
from volstrat.terms.catalogue.rule_findings import RULE_FINDINGS
from volstrat.terms.catalogue.tracer_findings import TRACER_FINDINGS

__all__ = ["CATALOGUE", "ERRORS", "SECTIONS", "Entry", "ErrorEntry", "Severity"]

SECTIONS: dict[str, tuple[Entry, ...]] = {
    "The rule": RULE_FINDINGS,
    "Lesions and markings": LESION_FINDINGS,
    "What a file means": PART_FINDINGS,
    "Liver remnant": REMNANT_FINDINGS,
    "Surgical plans": PLAN_FINDINGS,
    "Avidity rules and SUV": PET_FINDINGS,
    "Tracer, patient and time": TRACER_FINDINGS,
    "Files": FILE_FINDINGS,
    "DICOM": DICOM_FINDINGS,
    "Comparing readings": READING_FINDINGS,
}
"""Every finding, by the heading it has in ``docs/findings.md``."""

CATALOGUE: dict[str, Entry] = {entry.code: entry for entries in SECTIONS.values() for entry in entries}
