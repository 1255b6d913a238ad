"""The parts of ``agreement.html`` on single subjects."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from volstrat.compare.agreement_files import STAKES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STRATUM = {"stratum_1": "Stratum 1", "stratum_2": "Stratum 2", "ineligible": "Ineligible", None: "none"}
DASH = "\N{EN DASH}"


def number(value: float | None, digits: int) -> str:
    """Return a number, or a dash for none."""
    return DASH if value is None else f"{value:.{digits}f}"


def carried(attributed_to: str | None) -> str:
    """Return the ingredients that carry a difference, or a dash for none."""
    return DASH if attributed_to is None else escape(attributed_to.replace("+", " + "))


def percent(value: float | None, threshold: float | None = None, digits: int = 1) -> str:
    """Return a percentage that rounding never puts on the other side of a threshold: 69.999 is not 70."""
    if value is None:
        return DASH
    if threshold is not None:
        while digits < 9 and (float(f"{value:.{digits}f}") >= threshold) != (value >= threshold):
            digits += 1
    return f"{value:.{digits}f} %"


def _share(reading: Mapping[str, Any]) -> str:
    """Return what can be resected of the tumour in one reading."""
    fraction = (reading["volumes"] or {}).get("resectable_fraction")
    if fraction is None:
        return DASH
    return percent(100 * fraction, reading["predicates"]["stratum_1"]["threshold_percent"])


def _stratum(reading: Mapping[str, Any]) -> str:
    if reading["source"] == "absent":
        return "absent"
    return "failed" if reading["error"] is not None else STRATUM[reading["stratum"]]


def subject_rows(subject: Mapping[str, Any]) -> str:
    """Return a subject's rows of the table of subjects, one for every two readings."""
    readings = {r["reading"]: r for r in subject["readings"]}
    return "".join(_pair_row(subject["subject"], pair, readings) for pair in subject["pairs"])


def _pair_row(subject: str, pair: Mapping[str, Any], readings: Mapping[str, Any]) -> str:
    a, b = readings[pair["a"]], readings[pair["b"]]
    strata = [_stratum(r) for r in (a, b)]
    kind = "apart strata" if strata[0] != strata[1] else "strata"
    told = strata[0] if strata[0] == strata[1] else " / ".join(strata)
    ml = " / ".join(number((r["volumes"] or {}).get("total_tumour_ml"), 2) for r in (a, b))
    share = " / ".join(_share(r) for r in (a, b))
    start = (
        f'<tr><td>{escape(subject)}</td><td class="strata">{pair["a"]} {pair["b"]}</td>'
        f'<td class="{kind}">{told}</td><td class="n">{ml}</td><td class="n">{share}</td>'
    )
    if pair["outcome"] != "compared":
        return f'{start}<td colspan="7" class=soft>{escape(pair["reason"])}</td></tr>'
    tumour, seen = pair["tumour"], pair["detection"]
    cells = [
        number(tumour["dice"], 3),
        number(tumour["surface_dice"], 3),
        number(tumour["hd95_mm"], 2),
        number(tumour["mean_surface_distance_mm"], 2),
    ]
    lesions = f"{seen['matched']} / {seen['only_a']} / {seen['only_b']}"
    found = pair["discordance"] or {}
    by = carried(found.get("attributed_to"))
    if found.get("level") == "predicates":
        by += " <span class=soft>(predicate)</span>"
    elif found.get("level") == "counts":
        by = "<span class=soft>counts alone</span>"
    return (
        f"{start}{''.join(f'<td class=n>{cell}</td>' for cell in cells)}"
        f'<td class="n">{lesions}</td><td class="n">{number(pair["not_alike_ml"], 2)}</td>'
        f'<td class="strata">{by}</td></tr>'
    )


def subject_details(subject: Mapping[str, Any]) -> str:
    """Return a subject's predicates, swaps and lesions, to be opened."""
    kind = subject["stake"]["kind"]
    parts = [f"<p>{escape(finding['message'])}</p>" for finding in subject["findings"]]
    for pair in subject["pairs"]:
        parts += [f"<p>{escape(finding['message'])}</p>" for finding in pair["findings"]]
        if pair["outcome"] != "compared":
            parts.append(f"<p>{escape(pair['reason'])}</p>")
            continue
        parts += [_predicates(subject, pair), _swaps(pair, _threshold(subject)), _lesion_table(pair)]
    return (
        f"<details><summary>{escape(subject['subject'])} <span class=soft>{escape(STAKES[kind])}</span>"
        f"</summary>{''.join(parts)}</details>"
    )


def _predicates(subject: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    readings = {r["reading"]: r for r in subject["readings"]}
    rows = []
    for name in (pair["a"], pair["b"]):
        r = readings[name]
        cells = "".join(f"<td>{_predicate(r['predicates'][key])}</td>" for key in ("stratum_1", "stratum_2"))
        rows.append(f"<tr><td>{name}</td><td>{STRATUM[r['stratum']]}</td><td>{r['status']}</td>{cells}</tr>")
    return (
        "<table><thead><tr><th>Reading</th><th>Stratum</th><th>Status</th><th>1: debulking</th>"
        f"<th>2: all FDG-avid disease</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _predicate(predicate: Mapping[str, Any]) -> str:
    holds = {True: "holds", False: "fails", None: "unknown"}[predicate["holds"]]
    share = percent(predicate["percent"], predicate["threshold_percent"], 2)
    if predicate["whole_voxels"] is None:
        return f"{holds}, {share}"
    counts = f"{predicate['part_voxels']} / {predicate['whole_voxels']} {predicate['unit']} voxels"
    return f"{holds}, {counts}" + ("" if predicate["percent"] is None else f" = {share}")


def _threshold(subject: Mapping[str, Any]) -> float:
    found = (r["predicates"] for r in subject["readings"] if r["predicates"] is not None)
    return float(next(found)["stratum_1"]["threshold_percent"])


def _swaps(pair: Mapping[str, Any], threshold: float) -> str:
    found = pair["discordance"]
    if found is None:
        return f"<p>{escape(pair['discordance_reason'])}</p>"
    if not found["swaps"]:
        return ""
    a, b = pair["a"], pair["b"]
    rows = "".join(
        f"<tr><td>{swap['ingredient']}</td><td>{_swap(swap['a_with_that_of_b'], threshold)}</td>"
        f"<td>{_swap(swap['b_with_that_of_a'], threshold)}</td></tr>"
        for swap in found["swaps"]
    )
    return (
        f"<table><thead><tr><th>Swapped</th><th>{a} with that of {b}</th><th>{b} with that of {a}</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _swap(outcome: Mapping[str, Any], threshold: float) -> str:
    share = outcome["stratum_1_percent"]
    return STRATUM[outcome["stratum"]] + ("" if share is None else f" ({percent(share, threshold, 2)})")


def _lesion_table(pair: Mapping[str, Any]) -> str:
    rows = "".join(_lesion_row(lesion, pair) for lesion in pair["lesions"])
    a, b = pair["a"], pair["b"]
    return (
        f'<div class="wide"><table><thead><tr><th>{a}</th><th>{b}</th><th class="n">ml in {a}</th>'
        f'<th class="n">ml in {b}</th><th class="n">Dice</th><th class="n">Surface Dice</th>'
        '<th class="n">HD95, mm</th><th>Marking</th><th>FDG</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _lesion_row(lesion: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    sides = [lesion["a"], lesion["b"]]
    ids = [DASH if side is None else escape(side["lesion_id"]) for side in sides]
    if lesion["part_of"] is not None:
        here = 0 if sides[0] is None else 1
        ids[here] = f"part of {escape(lesion['part_of'])}"
    volumes = [number(None if side is None else side["volume_ml"], 2) for side in sides]
    return (
        f'<tr><td>{ids[0]}</td><td>{ids[1]}</td><td class="n">{volumes[0]}</td>'
        f'<td class="n">{volumes[1]}</td><td class="n">{number(lesion["dice"], 3)}</td>'
        f'<td class="n">{number(lesion["surface_dice"], 3)}</td>'
        f'<td class="n">{number(lesion["hd95_mm"], 2)}</td>{_words(sides, "resectability", pair)}'
        f"{_words(sides, 'fdg_avidity', pair)}</tr>"
    )


def _words(sides: Iterable[Mapping[str, Any] | None], key: str, pair: Mapping[str, Any]) -> str:
    words = [None if side is None else str(side[key]).replace("_", " ") for side in sides]
    if words[0] == words[1]:
        return f"<td>{words[0]}</td>"
    told = ", ".join(
        f"{name}: {word}"
        for name, word in zip((pair["a"], pair["b"]), words, strict=True)
        if word is not None
    )
    return f'<td class="{"apart" if None not in words else ""}">{told}</td>'
