"""What a report says beside the verdict: who marked what, sites, PET, what was read, who signed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.case.lesion_table import Event, read_events
from volstrat.errors import VolstratError
from volstrat.formats.hashing import sha256_of
from volstrat.pictures.shown_images import image_name
from volstrat.show.words import ml_text, percent_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import RoleEntry
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
class SeenImage:
    """What is told of an image beside the record."""

    role: str
    path: str  # as in the record
    name: str  # as the page calls it
    scanner: str = "scanner not stated"  # else manufacturer and model
    taken: str = ""  # the day in words; "" where it is not told
    # Path, format, grid and hash of an image that the record does not list: a CT.
    file: tuple[str, str, str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a report takes from beside the record."""

    events: tuple[Event, ...] = ()  # what was done to the reading as a whole
    images: tuple[SeenImage, ...] = ()

    @property
    def views(self) -> list[str]:
        """The views that were kept for the report, as JSON."""
        return [event.text for event in self.events if event.kind == "key_image"]


def beside(result: CaseResult, *, dates: bool) -> Beside:
    """Read what stands beside a case: its table's history, its scanners (and ``dates``), its CTs' hashes."""
    table = result.sources.only("lesions")
    events = () if table is None else read_events(table.path)
    return Beside(events=events, images=seen_images(EntryReader(result.sources), dates=dates, hashed=True))


def seen_images(reader: EntryReader, *, dates: bool, hashed: bool) -> tuple[SeenImage, ...]:
    """Return what the headers of a case's images say of scanners and days; of a CT also its file and hash.

    An image that cannot be read is left out: the record says what is wrong with it.
    """
    found = []
    for role in ("ct", "pet", "other_pet"):
        for entry in reader.sources.entries.get(role, ()):
            try:
                found.append(_seen(reader, role, entry, dates=dates, hashed=hashed and role == "ct"))
            except (VolstratError, OSError):
                continue
    return tuple(found)


def _seen(reader: EntryReader, role: str, entry: RoleEntry, *, dates: bool, hashed: bool) -> SeenImage:
    name, scanner, taken, sha256 = image_name(reader, role, entry), "", "", ""
    if reader.reads_from_dicom(entry):
        series = reader.library.series(entry.path, role=role, uid=entry.series)
        scanner = series.scanner
        taken = f"taken on {series.acquired_on}" if dates and series.acquired_on is not None else ""
        if hashed:
            from volstrat.formats.hashing import joint_sha256

            sha256 = joint_sha256(series.paths)
    elif hashed:
        sha256 = sha256_of(entry.path)
    file = None
    if hashed:
        image_format, grid = reader.grid(role, entry)
        file = (entry.path.name, image_format, grid_text(grid.shape, grid.spacing_mm), sha256)
    path = reader.sources.relative(entry.path)
    scanner = f"scanner {scanner}" if scanner else "scanner not stated"
    return SeenImage(role=role, path=path, name=name, scanner=scanner, taken=taken, file=file)


def grid_text(shape: Sequence[int], spacing_mm: Sequence[float]) -> str:
    """Write a grid's size and spacing.

    >>> grid_text((512, 512, 90), (0.75, 0.75, 2.5))
    '512 x 512 x 90, 0.75 x 0.75 x 2.5 mm'
    """
    return f"{' x '.join(map(str, shape))}, {' x '.join(f'{s:.4g}' for s in spacing_mm)} mm"


def details(record: CaseRecord, around: Beside) -> dict[str, Any]:
    """Return what the template shows of it."""
    signed = [e for e in around.events if e.kind in ("complete", "reopened")]
    return {
        "adjudicated": _adjudicated(record),
        "marked": _marked(record),
        "site_rows": _sites(record),
        "images": image_lines(record, around.images),
        "cts": [image.file for image in around.images if image.file is not None],
        "signed": [
            f"{'Signed as complete' if e.kind == 'complete' else 'Opened again'} by {e.by}, {e.at}: {e.text}."
            for e in signed
        ],
        "note": next((e for e in reversed(around.events) if e.kind == "note"), None),
    }


def _adjudicated(record: CaseRecord) -> str:
    """Say whose reading stands, by whom and why; nothing of a record that is of one reading alone."""
    said = record["adjudication"]
    if said is None:
        return ""
    if said["adjudicator"] is None:
        return said["reason"]
    own = said["stands"] == "table"
    stands = "The adjudicator's own marks stand" if own else f"Reading {said['stands']} stands"
    return f"{stands}, decided by {said['adjudicator']} on {said['decided_at']}: {said['reason']}"


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


def image_lines(record: CaseRecord, images: Sequence[SeenImage]) -> list[tuple[str, str]]:
    """Return what is known of each image: scanner, tracer, uptake time, the factor to SUV, days or dates."""
    lines = []
    cts = [image for image in images if image.role == "ct"]
    for n, image in enumerate(cts):
        called = "CT" if len(cts) == 1 else f"CT, {image.name}"
        lines.append((called, _listed(image.scanner, image.taken, "shown only" if n else "")))
    read: Sequence[Mapping[str, Any]] = [i for i in record["inputs"] if i["role"] in ("pet", "other_pet")]
    listed = list(images)
    for entry in read:
        role, path = entry["role"], entry["path"]
        found = [i for i in listed if (i.role, i.path) == (role, path)]
        image = found[0] if found else SeenImage(role=role, path=path, name="")
        listed = [i for i in listed if i is not image]  # several series of a folder: in the record's order
        tracer = f"tracer {_TRACER[entry.get('tracer', 'not_stated')]}"
        said = _listed(image.scanner, image.taken, tracer, *_suv(entry.get("suv")))
        if role == "other_pet":
            said = f"{said}; shown only, does not count"
        lines.append(("PET" if role == "pet" else f"Other PET, {image.name}".removesuffix(", "), said))
    days = next((i["days_from_ct"] for i in read if "days_from_ct" in i), None)
    if days is not None:
        lines.append(("Days between CT and PET", str(days)))
    return lines


def _listed(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _suv(suv: Mapping[str, Any] | None) -> list[str]:
    """Say how a PET's values became SUV."""
    if suv is None:
        return []
    uptake, factor = suv["uptake_minutes"], suv["suvbw_factor"]
    return [
        "uptake time not stated" if uptake is None else f"uptake time {uptake:.0f} min",
        "SUVbw factor differs by slice" if factor is None else f"SUVbw is the value times {factor:.6g}",
        f"decay counted from {suv['decay_reference']}" if suv["decay_reference"] else "",
    ]


def page_heads(record: CaseRecord) -> str:
    """Return the style that writes subject and protocol on every page of a PDF."""
    subject = record["subject"]
    if len(subject) > _LONGEST_HEAD:
        subject = f"{subject[: _LONGEST_HEAD - 1]}\N{HORIZONTAL ELLIPSIS}"
    protocol = record["protocol"]
    made_by = f"Protocol {protocol['id']} {protocol['version']}, volstrat {record['environment']['volstrat']}"
    return (
        f"@page {{ @top-left {{ content: {_css_string(subject)}; }} "
        f"@top-right {{ content: {_css_string(made_by)}; }} }}"
    )


def _css_string(text: str) -> str:
    """Return a text as a string of CSS in which nothing can end it, nor the element it stands in."""
    plain = (c if unicodedata.category(c)[0] in "LMN" or c in " .,-_" else f"\\{ord(c):x} " for c in text)
    return f'"{"".join(plain)}"'
