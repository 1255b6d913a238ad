"""What a report says beside the verdict: who marked what, sites, PET, what was read, who signed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.case.reading_events import Event, read_events
from volstrat.errors import VolstratError
from volstrat.formats.hashing import sha256_of
from volstrat.formats.volumes import volume_format
from volstrat.show.words import ml_text, percent_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.case.assess import CaseResult
    from volstrat.case.record_types import CaseRecord

_SITE = {"not_liver": "not in the liver", "not_stated": "not stated"}
_TRACER = {
    "fdg": "FDG",
    "other": "another than FDG",
    "contradictory": "contradictory",
    "not_stated": "not stated",
}
_LONGEST_HEAD = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a report takes from beside the record.

    Parameters
    ----------
    events : tuple of Event
        What was done to the reading as a whole.
    ct : tuple of (path, format, sha256) or None
        The CT, which the record does not rest on.
    """

    events: tuple[Event, ...] = ()
    ct: tuple[str, str, str] | None = None

    @property
    def views(self) -> list[str]:
        """The views that were kept for the report, as JSON."""
        return [event.text for event in self.events if event.kind == "key_image"]


def beside(result: CaseResult) -> Beside:
    """Read what stands beside a case: the history of its table, and the hash of its CT."""
    table = result.sources.only("lesions")
    events = () if table is None else read_events(table.path)
    return Beside(events=events, ct=_ct(result))


def _ct(result: CaseResult) -> tuple[str, str, str] | None:
    entry = result.sources.only("ct")
    if entry is None:
        return None
    try:
        if volume_format(entry.path) is not None:
            return entry.path.name, str(volume_format(entry.path)), sha256_of(entry.path)
        from volstrat.dicom.library import series_sha256

        series = EntryReader(result.sources).library.series(entry.path, role="ct", uid=entry.series)
        return entry.path.name, "dicom-ct", series_sha256(series)
    except (VolstratError, OSError):
        return None


def details(record: CaseRecord, around: Beside) -> dict[str, Any]:
    """Return what the template shows of it."""
    signed = [e for e in around.events if e.kind in ("complete", "reopened")]
    return {
        "marked": _marked(record),
        "site_rows": _sites(record),
        "pet": _pet(record),
        "ct": around.ct,
        "signed": [
            f"{'Signed as complete' if e.kind == 'complete' else 'Opened again'} by {e.by}, {e.at}: {e.text}."
            for e in signed
        ],
        "note": next((e for e in reversed(around.events) if e.kind == "note"), None),
    }


def _marked(record: CaseRecord) -> list[tuple[str, str, str, str]]:
    """Return who marked which lesions on which day, and why, those alike together."""
    rows: Sequence[Mapping[str, Any]] = [*record["lesions"], *record["pet_only_regions"]]
    alike: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for x in rows:
        if x["marked_by"] or x["reason"] or x["recorded_at"]:
            key = (x["marked_by"] or "", (x["recorded_at"] or "")[:10], x["reason"] or "")
            alike.setdefault(key, []).append(x)
    found = []
    for (by, day, why), those in alike.items():
        times = sorted(str(x["recorded_at"] or "")[11:16] for x in those)
        when = f"{day} {times[0]}" + (f" to {times[-1]}" if times[0] != times[-1] else "")
        found.append((by, when.strip(), why, ", ".join(str(x["lesion_id"]) for x in those)))
    return found


def _sites(record: CaseRecord) -> list[tuple[str, str, str, str]]:
    """Return site, tumour, resectable part and share, where more than one site is known."""
    volumes: Mapping[str, Any] = record["volumes_by_site"] or {}
    if set(volumes) <= {"not_stated"}:
        return []
    rows = []
    for site, part in volumes.items():
        total, resectable = part["total_tumour_ml"], part["resectable_tumour_ml"]
        share = None if resectable is None or not total else round(100 * resectable / total, 9)
        name = _SITE.get(site, site)
        rows.append(
            (name, ml_text(total), ml_text(resectable), "-" if share is None else percent_text(share))
        )
    return rows


def _pet(record: CaseRecord) -> list[tuple[str, str]]:
    """Return what is known of the PET: tracer, times, the factor to SUV, the scanner."""
    entry: Mapping[str, Any] | None = next((i for i in record["inputs"] if i["role"] == "pet"), None)
    if entry is None:
        return []
    said = [("Tracer", _TRACER.get(entry.get("tracer", "not_stated"), "not stated"))]
    if entry.get("days_from_ct") is not None:
        said.append(("Days from the CT", str(entry["days_from_ct"])))
    suv = entry.get("suv")
    if suv is not None:
        if suv["uptake_minutes"] is not None:
            said.append(("Uptake time", f"{suv['uptake_minutes']:.0f} min"))
        factor = "by slice" if suv["suvbw_factor"] is None else f"{suv['suvbw_factor']:.6g}"
        said.append(("SUVbw is value times", factor))
        said.append(("Decay counted from", str(suv["decay_reference"] or "not stated")))
        scanner = [
            s["value"] for s in suv["sources"] if s["attribute"] in ("Manufacturer", "ManufacturerModelName")
        ]
        if scanner:
            said.append(("Scanner", " ".join(map(str, scanner))))
    return said


def page_heads(record: CaseRecord) -> str:
    """Return the style that writes subject and protocol on every page of a PDF."""
    subject = record["subject"]
    if len(subject) > _LONGEST_HEAD:
        subject = f"{subject[: _LONGEST_HEAD - 1]}\N{HORIZONTAL ELLIPSIS}"
    protocol = record["protocol"]
    told = f"Protocol {protocol['id']} {protocol['version']}, volstrat {record['environment']['volstrat']}"
    return (
        f"@page {{ @top-left {{ content: {_css_string(subject)}; }} "
        f"@top-right {{ content: {_css_string(told)}; }} }}"
    )


def _css_string(text: str) -> str:
    """Return a text as a string of CSS in which nothing can end it, nor the element it stands in."""
    kept = (c if c.isalnum() or unicodedata.category(c)[0] in "LMN" or c in " .,-_" else None for c in text)
    return (
        '"' + "".join(c if c is not None else f"\\{ord(o):x} " for c, o in zip(kept, text, strict=True)) + '"'
    )
