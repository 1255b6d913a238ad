"""Tables for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 80
_STRATA = {"stratum_1": "STRATUM 1", "stratum_2": "STRATUM 2", "ineligible": "INELIGIBLE", None: "NO STRATUM"}
_STATUS = {
    "assigned": "assigned",
    "review": "a person must look at this case before the stratum is used",
    "not_assessable": "not assessable",
    "failed": "failed",
}
_HOLDS = {True: "yes", False: "no", None: "unknown"}
_MOST_LESIONS = 60
_SCREEN_LINES = 40


def case_table(record: dict[str, Any]) -> str:
    """Render a case record for a person."""
    lines = _wrapped(f"{record['subject']}: {_STRATA[record['stratum']]} - {_STATUS[record['status']]}", "")
    lines.append("")
    if record["error"] is not None:
        lines += _wrapped(f"{record['error']['message']} {record['error']['hint']}".strip(), "")
        return "\n".join(lines)
    lines += [*_predicates(record), "", *_volumes(record["volumes"]), ""]
    lines += [*_certainty(record), ""]
    if record["lesions"] or record["pet_only_regions"]:
        lines += [*_lesions([*record["lesions"], *record["pet_only_regions"]]), ""]
    lines += _findings(record["findings"])
    lines += _wrapped("Research use. The multidisciplinary team decides.", "")
    return "\n".join(lines)


def _predicates(record: dict[str, Any]) -> list[str]:
    lines = [f"{'Predicate':<27}{'resectable / all voxels':>24}{'share':>12}{'needs':>8}{'holds':>9}"]
    for key, name in (("stratum_1", "1 debulking, tumour volume"), ("stratum_2", "2 all FDG-avid disease")):
        p = record["predicates"][key]
        counted = "-" if p["whole_voxels"] is None else f"{_range(p)} / {p['whole_voxels']} {p['unit']}"
        needs = p["threshold_percent"]
        rest = f"{_percent(p['percent'], needs):>12}{f'{needs:g} %':>8}{_HOLDS[p['holds']]:>9}"
        row = f"{name:<27}{counted:>24}"
        lines += [row + rest] if len(counted) <= 24 else [row, rest.rjust(WIDTH)]
    disease = record["predicates"]["stratum_2"]["avid_disease"].replace("_", " ")
    return [*lines, f"FDG-avid disease: {disease}"]


def _range(predicate: dict[str, Any]) -> str:
    low, high = predicate["part_voxels"], predicate["part_voxels_upper"]
    return str(low) if low == high else f"{low}..{high}"


def _percent(value: float | None, threshold: float = 100) -> str:
    """Round for display, but never onto or over a threshold, 0 or 100 that the value itself is not."""
    if value is None:
        return "-"
    marks = (0.0, float(threshold), 100.0)
    for digits in (1, 2, 3, 4):
        shown = f"{value:.{digits}f}"
        if all((float(shown) > m, float(shown) < m) == (value > m, value < m) for m in marks):
            return f"{shown} %"
    near = min(marks, key=lambda m: abs(m - value))
    return f"{'<' if value < near else '>'}{near:g} %"


def _volumes(volumes: dict[str, Any]) -> list[str]:
    def ml(key: str) -> str:
        value = volumes[key]
        return "not assessed" if value is None else f"{value:.2f} ml"

    def share(key: str) -> str:
        value = volumes[key]
        return "" if value is None else f" ({_percent(100 * value)})"

    avid_resectable = ml("fdg_avid_resectable_ml")
    return [
        f"Tumour, total      {ml('total_tumour_ml'):>14}   FDG-avid (PET)     {ml('fdg_avid_ml'):>14}",
        f"  resectable       {ml('resectable_tumour_ml'):>14}     resectable       {avid_resectable:>14}",
        f"  residual         {ml('residual_tumour_ml'):>14}     on PET only      {ml('pet_only_ml'):>14}",
        f"Avid share of the tumour volume: {share('fdg_avid_fraction').strip(' ()') or 'not assessed'}",
    ]


def _certainty(record: dict[str, Any]) -> list[str]:
    """Say how far the case is from another stratum, and what would take it there."""
    robustness = record["robustness"]
    threshold = f"{record['predicates']['stratum_1']['threshold_percent']:g} %"
    lines: list[str] = []
    margin, interval = robustness["margin_ml"], robustness["resectable_fraction_95"]
    if margin is not None and interval is not None:
        side = "above" if margin >= 0 else "short of"
        chance = robustness["probability_stratum_1_holds"]
        odds = "" if chance is None else f"; stratum 1 holds with probability {chance:.2f}"
        lines.append(
            f"Margin: {abs(margin):.2f} ml {side} {threshold}. Volume error alone: "
            f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} % (95 %){odds}."
        )
    shifts = [s for s in robustness["boundary_shift"] if s["resectable_fraction"] is not None]
    if shifts:
        told = ", ".join(f"{s['shift_mm']:+g} mm {100 * s['resectable_fraction']:.1f} %" for s in shifts)
        lines.append(f"Every tumour boundary moved by {told}.")
    way = robustness["shortest_way"]
    if way:
        lines.append(f"Shortest way to {threshold}: {', '.join(way)} would have to become resectable.")
    obstacles = robustness["stratum_2_obstacles"]
    if obstacles and record["stratum"] != "stratum_1":
        lines.append(f"Between this case and stratum 2: {_ids(obstacles)}.")
    lines += _flips(robustness["flips"])
    if record["remnant"] is not None:
        lines.append(_remnant(record["remnant"]))
    return [part for line in lines for part in _wrapped(line, "")]


def _flips(flips: list[dict[str, Any]]) -> list[str]:
    """Group single changes that lead to one stratum."""
    if not flips:
        return ["No single lesion's marking or avidity would change the stratum."]
    groups: dict[tuple[str, str], list[str]] = {}
    for flip in flips:
        groups.setdefault((flip["stratum"], flip["to"]), []).append(flip["lesion_id"])
    told = [
        f"{_ids(ids)} {to.replace('_', ' ')}: {stratum.replace('_', ' ')}"
        for (stratum, to), ids in groups.items()
    ]
    return [f"One change would do it: {'; '.join(told)}."]


def _ids(ids: list[str], most: int = 8) -> str:
    return ", ".join(ids) if len(ids) <= most else f"{', '.join(ids[:most])} and {len(ids) - most} more"


def _remnant(remnant: dict[str, Any]) -> str:
    shares = [
        f"{remnant[key]:.1f} % of {name}"
        for key, name in (("flr_percent", "the liver without tumour"), ("sflr_percent", "the standard liver"))
        if remnant[key] is not None
    ]
    limit = "" if remnant["limit_percent"] is None else f" (limit {remnant['limit_percent']:g} %)"
    return (
        f"Liver remnant: {remnant['flr_ml']:.0f} ml"
        + (f", {', '.join(shares)}" if shares else "")
        + limit
        + "."
    )


def _lesions(lesions: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'Lesion':<7}{'ml':>8}{'axial mm':>10}{'longest':>9}  {'marking':<15}{'FDG':<13}"
        f"{'x, y, z mm LPS':>16}"
    ]
    for lesion in lesions[:_MOST_LESIONS]:
        x, y, z = lesion["centroid_mm"]
        marking = lesion["resectability"]
        if marking == "partial" and lesion["resectable_fraction"] is not None:
            marking += f" {100 * lesion['resectable_fraction']:.0f} %"
        row = (
            f"{lesion['lesion_id']:<7}{lesion['volume_ml']:>8.2f}{lesion['max_axial_diameter_mm']:>10.1f}"
            f"{lesion['max_diameter_mm']:>9.1f}  {marking:<15}{lesion['fdg_avidity'].replace('_', ' '):<13}"
        )
        place = f"{x:.0f}, {y:.0f}, {z:.0f}"
        if len(row) + len(place) <= WIDTH:
            lines.append(row + place.rjust(WIDTH - len(row)))
        else:
            lines += [row.rstrip(), place.rjust(WIDTH)]
    if len(lesions) > _MOST_LESIONS:
        lines.append(f"... and {len(lesions) - _MOST_LESIONS} more (--json lists all)")
    return lines


def _findings(findings: list[dict[str, Any]]) -> list[str]:
    if not findings:
        return ["No findings.", ""]
    lines = ["Findings"]
    for finding in findings:
        lines += _wrapped(f"[{finding['severity']}] {finding['message']} ({finding['code']})", "  ")
    return [*lines, ""]


def _printable(text: str) -> str:
    """Replace what could steer a terminal: names come from files."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def _wrapped(text: str, indent: str, *, hanging: int = 2) -> list[str]:
    return textwrap.wrap(
        _printable(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_on_hyphens=False,
    )


def inspection_table(found: dict[str, Any]) -> str:
    """Render what `inspect_case` found for a person, on one screen where that is possible."""
    whole = _inspection_lines(found, most_segments=_MOST_LESIONS)
    for most in (12, 6, 3):
        if len(whole) <= _SCREEN_LINES:
            break
        whole = _inspection_lines(found, most_segments=most)
    return "\n".join(whole)


def _inspection_lines(found: dict[str, Any], *, most_segments: int) -> list[str]:
    lines = [*_wrapped(f"{found['subject']}: roles from {found['told_by']}", ""), ""]
    frames: dict[str, str] = {}
    for entry in found["inputs"]:
        lines += _wrapped(f"{entry['role']:<11} {entry['path']}", "", hanging=12)
        if entry["error"]:
            lines += _wrapped(f"cannot be read: {entry['error']}", " " * 12)
            continue
        for line in _what(entry, frames):
            lines += _wrapped(line, " " * 12)
        lines += _segments(entry["segments"], most_segments)
    if found["unused"]:
        lines += ["", "Plays no role"]
        for one in found["unused"]:
            lines += _wrapped(_unused(one), "  ")
    if frames:
        lines += ["", "Frame of reference"]
        lines += [f"  {name}  {uid}" for uid, name in frames.items()]
    if found["findings"]:
        lines += ["", *_findings(found["findings"])]
    return lines[:-1] if lines[-1] == "" else lines


def _segments(segments: list[dict[str, Any]], most: int) -> list[str]:
    lines = [
        f"{'':<12}{s['number']:>5}  {_printable(s['name'] or '-'):<36.36}{s['voxels']:>12} voxels"
        for s in segments[:most]
    ]
    if len(segments) > most:
        lines.append(f"{'':<12}... and {len(segments) - most} more (--json lists all)")
    return lines


def _what(entry: dict[str, Any], frames: dict[str, str]) -> list[str]:
    """Describe an entry; frames of reference get a letter each, so that equal ones can be seen."""
    if entry["grid"] is None:
        return [f"{entry['format']}, {entry.get('rows', 0)} rows"]
    shape = " x ".join(str(n) for n in entry["grid"]["shape"])
    spacing = " x ".join(f"{n:.4g}" for n in entry["grid"]["spacing_mm"])
    frame = entry["grid"]["frame_of_reference_uid"]
    about = [f"frame {frames.setdefault(frame, _letters(len(frames)))}"] if frame else []
    if entry["series"] is not None:
        about.append(_series(entry["series"]))
    return [
        f"{entry['format']}, {shape} voxels of {spacing} mm",
        ", ".join(part for part in about if part),
        "" if entry["suv"] is None else _suv(entry["suv"]),
    ]


def _letters(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number)


def _series(series: dict[str, Any]) -> str:
    parts = [repr(series["description"]) if series["description"] else "", series["date"] or ""]
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
    parts += names[:6] + ([f"and {len(names) - 6} more"] if len(names) > 6 else [])
    return ", ".join(part for part in parts if part)


def suv_table(found: dict[str, Any]) -> str:
    """Render what turns a PET series into SUV for a person."""
    lines = [
        f"Units             {found['units'] or 'not said'}",
        f"SUVbw factor      {_figure(found['suvbw_factor'])}",
        f"SUL Janmahasatian {_figure(found['sul_janmahasatian_factor'])}",
        f"SUL James         {_figure(found['sul_james_factor'])}",
        f"Decay reference   {found['decay_reference'] or 'not said'}",
        f"Uptake            {_minutes(found['uptake_minutes'])}",
        "",
        "Read from",
        *(_printable(f"  {s['attribute']} {s['tag']}: {s['value']}")[:WIDTH] for s in found["sources"]),
        "",
    ]
    return "\n".join([*lines, *_findings(found["findings"])]).rstrip()


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.9g}"


def _minutes(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} min"
