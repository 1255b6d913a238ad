"""Tables for a terminal of 80 columns."""

from __future__ import annotations

import re
import string
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from volstrat.case.record_types import PREDICATES, given
from volstrat.cli.options import printable
from volstrat.show.plan_words import ARITHMETIC, plan_rows
from volstrat.show.verdict_words import (
    change_texts,
    counted_text,
    criterion_text,
    liver_text,
    margin_text,
    remnant_text,
    share_text,
    shift_text,
    still_to_mark,
)
from volstrat.show.words import MET, STATUS_SENTENCE, STRATA, ml_text, percent_text
from volstrat.terms.wording import more_than, shown_ml, shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.case.record_types import CaseRecord, FindingRecord, LesionRecord, SearchRecord

WIDTH = 80
_RESEARCH = "Research use. The multidisciplinary team decides."
_NAMES, _SIDE_BY_SIDE, _MOST_UNIONS = 16, 3, 40
_MOST_LESIONS = 60
_KEPT_TOGETHER = re.compile(r"(?<=\d) (?=(?:%|ml|mm)\b|%)|(?<=[Ss]tratum) (?=\d)")
"""Spaces between a number and its unit, and in the name of a stratum."""
_SCREEN_LINES = 40


def case_table(record: CaseRecord) -> str:
    """Render a case record for a person."""
    lines = _wrapped(
        f"{record['subject']}: {STRATA[record['stratum']].upper()} - {STATUS_SENTENCE[record['status']]}", ""
    )
    lines.append("")
    if record["error"] is not None:
        lines += _wrapped(f"{record['error']['message']} {record['error']['hint']}".strip())
        return "\n".join(lines)
    if record["stratum"] is None and still_to_mark(record):
        lines += _wrapped(f"{still_to_mark(record)}.")
    lines += [*_criteria(record), "", *_volumes(record), ""]
    # how far the case is from another stratum, and what would take it there
    said = [margin_text(record), shift_text(record), *change_texts(record), remnant_text(record["remnant"])]
    lines += [*(part for line in said for part in _wrapped(line)), ""]
    if record["lesions"] or record["pet_only_regions"]:
        rows = [*record["lesions"], *record["pet_only_regions"]]
        lines += [*_lesions(rows, _segment_names(record)), ""]
    lines += _findings(record["findings"])
    return "\n".join([*lines, _RESEARCH])


def _criteria(record: CaseRecord) -> list[str]:
    lines = [f"{'Criterion':<34}{'resectable':>26}{'needs':>8}{'':>12}"]
    for key, name in zip(PREDICATES, ("1 debulking, of the tumour", "2 all FDG-avid disease"), strict=True):
        p = given(record["predicates"])[key]
        needs = f"{p['threshold_percent']:g} %"
        lines.append(f"{name:<34}{share_text(p):>26}{needs:>8}{MET[p['holds']]:>12}")
        counted = counted_text(p)
        lines += _wrapped(criterion_text(record, key) + (f" ({counted})" if counted else ""), "  ")
    return lines


def _volumes(record: CaseRecord) -> list[str]:
    volumes = given(record["volumes"])
    needed = given(record["predicates"])["stratum_1"]["threshold_percent"]
    total, alone = ml_text(volumes["total_tumour_ml"]), ml_text(volumes["pet_only_ml"])
    resectable, residual = ml_text(volumes["resectable_tumour_ml"]), ml_text(volumes["residual_tumour_ml"])
    avid, avid_resectable = ml_text(volumes["fdg_avid_ml"]), ml_text(volumes["fdg_avid_resectable_ml"])
    avid_share = volumes["fdg_avid_fraction"]
    share = "not assessed" if avid_share is None else percent_text(100 * avid_share)
    unseen = [row["lesion_id"] for row in record["lesions"] if row["fdg_avidity"] == "not_assessed"]
    if avid_share is not None and unseen:
        share = f"at least {share} ({shown_names(unseen, last=' and ')} not assessed)"
    return [
        f"Tumour, total      {total:>14}   FDG-avid (PET)     {avid:>14}",
        f"  resectable       {resectable:>14}     resectable       {avid_resectable:>14}",
        f"  residual         {residual:>14}     on PET only      {alone:>14}",
        *_wrapped(f"Avid share of the tumour volume: {share}"),
        *_wrapped(liver_text(record["liver_burden"], needed)),
    ]


def _segment_names(record: CaseRecord) -> dict[str, str]:
    """Return the names of lesions that are a segment, ROI or label each, by lesion id."""
    tumour = [one["segments"] for one in record["inputs"] if one["role"] == "tumour"]
    segments = {(s["number"], s["name"]) for listed in tumour for s in listed if s["voxels"]}
    if len({number for number, _ in segments}) < 2:  # then lesions are the pieces of one
        return {}
    return {f"L{number}": name for number, name in sorted(segments, key=str) if name}


def _lesions(lesions: Sequence[LesionRecord], names: Mapping[str, str]) -> list[str]:
    lines = [
        f"{'Lesion':<7}{'ml':>8}{'axial mm':>10}{'longest':>9}  {'marking':<15}{'FDG':<13}"
        f"{'left, back, head':>16}"
    ]
    for lesion in lesions[:_MOST_LESIONS]:
        x, y, z = lesion["point_mm"]
        marking: str = lesion["resectability"]
        if marking == "partial" and lesion["resectable_fraction"] is not None:
            marking += f" {100 * lesion['resectable_fraction']:.0f} %"
        row = (
            f"{lesion['lesion_id']:<7}{shown_ml(lesion['volume_ml']):>8}{lesion['max_axial_diameter_mm']:>10.1f}"
            f"{lesion['max_diameter_mm']:>9.1f}  {marking:<15}{lesion['fdg_avidity'].replace('_', ' '):<13}"
        )
        place = f"{round(x)}, {round(y)}, {round(z)}"
        if len(row) + len(place) <= WIDTH:
            lines.append(row + place.rjust(WIDTH - len(row)))
        else:
            lines += [row.rstrip(), place.rjust(WIDTH)]
        if lesion["lesion_id"] in names:
            lines += _wrapped(names[lesion["lesion_id"]], " " * 7, hanging=0)
    return lines + _rest(lesions, _MOST_LESIONS)


def _rest(rows: Sequence[object], most: int) -> list[str]:
    """Say how many rows are not shown."""
    return [f"... {more_than(len(rows), most)} (--json lists all)"] if len(rows) > most else []


def _findings(findings: Sequence[FindingRecord]) -> list[str]:
    if not findings:
        return ["No findings.", ""]
    lines = ["Findings"]
    for finding in findings:
        closed = finding.get("closed")  # what inspect lists is nobody's to close
        said = f"closed by {closed['by']}: {closed['reason']}" if closed else finding["severity"]
        has_evidence = finding["severity"] == "review" and "evidence" in finding
        evidence = f", {finding['evidence']}" if has_evidence else ""
        lines += _wrapped(f"[{said}] {finding['message']} ({finding['code']}{evidence})", "  ")
    return [*lines, ""]


def _wrapped(text: str, indent: str = "", *, hanging: int = 2) -> list[str]:
    lines = textwrap.wrap(
        _KEPT_TOGETHER.sub("\N{NO-BREAK SPACE}", printable(text)),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def inspection_table(found: dict[str, Any]) -> str:
    """Render what `inspect_case` found for a person, on one screen where that is possible."""
    whole = _inspection_lines(found, most_segments=_MOST_LESIONS)
    for most in (12, 6, 3):
        if len(whole) <= _SCREEN_LINES:
            break
        whole = _inspection_lines(found, most_segments=most)
    return "\n".join(whole)


def _inspection_lines(found: dict[str, Any], *, most_segments: int) -> list[str]:
    lines = [*_wrapped(f"{found['subject']}: roles from {found['told_by']}"), ""]
    frames: dict[str, str] = {}
    for entry in found["inputs"]:
        lines += _wrapped(f"{entry['role']:<11} {entry['path']}", "", hanging=12)
        if entry["error"]:
            lines += _wrapped(f"cannot be read: {entry['error']}", " " * 12)
            continue
        for line in _what(entry, frames):
            lines += _wrapped(line, " " * 12)
        lines += _parts(entry, most_segments)
    if found["unused"]:
        lines += ["", "Plays no role"]
        for one in found["unused"]:
            lines += _wrapped(_unused(one), "  ")
    if found["findings"]:
        lines += ["", *_findings(found["findings"])]
    return lines[:-1] if lines[-1] == "" else lines


def _parts(entry: Mapping[str, Any], most: int) -> list[str]:
    """List the parts of a mask file; behind those that this role leaves out, what they play."""
    parts = entry["parts"]
    lines = []
    for part in parts[:most]:
        voxels = "" if part["voxels"] is None else f"{part['voxels']} voxels"
        row = f"{'':<12}{part['number']:>5}  {printable(part['name'] or '-'):<28.28}{voxels:>18}"
        other = part["role"] or "not taken"
        lines.append(row if part["role"] == entry["role"] else f"{row}  {other}")
    return lines + [f"{'':<12}{line}" for line in _rest(parts, most)]


def _what(entry: dict[str, Any], frames: dict[str, str]) -> list[str]:
    """Describe an entry; frames of reference get a letter each, so that equal ones can be seen."""
    if entry["grid"] is None:
        return [f"{entry['format']}, {entry.get('rows', 0)} rows"]
    shape = " x ".join(str(n) for n in entry["grid"]["shape"])
    spacing = " x ".join(f"{n:.4g}" for n in entry["grid"]["spacing_mm"])
    frame = entry["grid"]["frame_of_reference_uid"]
    letter = string.ascii_uppercase[len(frames)] if len(frames) < 26 else str(len(frames))
    about = [f"frame {frames.setdefault(frame, letter)}"] if frame else []
    if entry["series"] is not None:
        about.append(_series(entry["series"]))
    return [
        f"{entry['format']}, {shape} voxels of {spacing} mm",
        ", ".join(part for part in about if part),
        "" if entry["suv"] is None else _suv(entry["suv"]),
    ]


def _series(series: dict[str, Any]) -> str:
    number = "" if series["number"] is None else f"number {series['number']}"
    parts = [f"series {series['series']}", number, series["tracer_says"] or ""]
    if series["attenuation_corrected"] is False:
        parts.append("not attenuation-corrected")
    return ", ".join(part for part in parts if part)


def _suv(suv: dict[str, Any]) -> str:
    if suv["problem"] is not None:
        return f"no SUV: {suv['problem']}"
    factor = "by slice" if suv["suvbw_factor"] is None else f"= value x {suv['suvbw_factor']:.6g}"
    uptake = "" if suv["uptake_minutes"] is None else f", uptake {suv['uptake_minutes']:.0f} min"
    return f"SUVbw {factor} ({suv['units']}{uptake})"


def _unused(one: dict[str, Any]) -> str:
    parts = [one["kind"] if one["count"] == 1 else f"{one['count']} x {one['kind']}"]
    if one["path"] is not None:
        parts.append(one["path"])
    if one["series"] is not None:
        parts += [_series(one["series"]), f"{one['series']['slices']} slices"]
    names = [s["name"] or str(s["number"]) for s in one["segments"]]
    parts.append(shown_names(names))
    return ", ".join(part for part in parts if part)


_TRACERS = {"fdg": "FDG", "other": "not FDG", "contradictory": "contradictory", "not_stated": "not stated"}


def suv_table(found: dict[str, Any]) -> str:
    """Render what turns a PET series into SUV for a person."""
    lines = [
        f"Tracer            {_TRACERS[found['tracer']]}",
        f"Units             {found['units'] or 'not said'}",
        f"SUVbw factor      {_known(found['suvbw_factor'], '{:.9g}')}",
        f"SUL Janmahasatian {_known(found['sul_janmahasatian_factor'], '{:.9g}')}",
        f"SUL James         {_known(found['sul_james_factor'], '{:.9g}')}",
        f"Decay reference   {found['decay_reference'] or 'not said'}",
        f"Uptake            {_known(found['uptake_minutes'], '{:.1f} min')}",
        "",
        "Read from",
        *(printable(f"  {s['attribute']} {s['tag']}: {s['value']}")[:WIDTH] for s in found["sources"]),
        "",
    ]
    return "\n".join([*lines, *_findings(found["findings"])]).rstrip()


def _known(value: float | None, form: str) -> str:
    return "not known" if value is None else form.format(value)


def plans_table(record: CaseRecord) -> str:
    """Render a record's plans side by side, three at a time, with what to look at below."""
    chosen = record["chosen_plan"]
    said = "no plan chosen" if chosen is None else f"plan {chosen} chosen"
    head = f"{record['subject']}: {STRATA[record['stratum']].upper()} - {said}"
    lines = [*_wrapped(f"{head}; {STATUS_SENTENCE[record['status']]}"), ""]
    plans = record["plans"]
    for first in range(0, len(plans), _SIDE_BY_SIDE):
        some = slice(first, first + _SIDE_BY_SIDE)
        lines += [*_block([(row.name, row.cells[some]) for row in plan_rows(record)]), ""]
    every = [(plan["name"], finding) for plan in plans for finding in plan["findings"]]
    reviews = [(name, one) for name, one in every if one["severity"] in {"blocking", "review"}]
    for name, finding in reviews:
        lines += _wrapped(f"{name}: {finding['message']} ({finding['code']})")
    return "\n".join([*lines, *([""] if reviews else []), _RESEARCH])


def search_table(found: SearchRecord) -> str:
    """Render the unions that would do, by falling remnant."""
    unions = found["search"]
    lines = _wrapped(
        f"{found['subject']}: {len(unions)} of {found['tried']} unions of segments. {ARITHMETIC}"
    )
    if not unions:
        return "\n".join(lines)
    lines += ["", f"{'Cut out':<20}{'ablated':<26}{'debulked':>11}{'FLR':>10}{'':>2}stratum"]
    for union in unions[:_MOST_UNIONS]:
        ablated = textwrap.shorten(shown_names(union["ablate"]) or "-", 25, placeholder=" ...")
        debulked = percent_text(100 * union["resectable_fraction"], found["threshold_percent"])
        flr = percent_text(union["flr_percent"])
        cut = union["notation"] or "nothing"
        lines.append(f"{cut:<20}{ablated:<26}{debulked:>11}{flr:>10}  {STRATA[union['stratum']].lower()}")
    return "\n".join([*lines, *_rest(unions, _MOST_UNIONS)])


def _block(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    count = len(rows[0][1])
    width = (WIDTH - _NAMES) // max(count, 2) - 1
    lines = []
    for name, cells in rows:
        if not any(cells):
            continue
        folded = [textwrap.wrap(printable(cell), width, break_on_hyphens=False) or [""] for cell in cells]
        for n, parts in enumerate(zip_longest(*folded, fillvalue="")):
            label = name if n == 0 else ""
            lines.append((f"{label:<{_NAMES}}" + "".join(f"{part:<{width + 1}}" for part in parts)).rstrip())
    return lines
