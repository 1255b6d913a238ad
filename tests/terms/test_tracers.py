"""What the words and codes of a PET header say of its tracer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from volstrat.terms.tracers import Injection, other_tracer_in_name, tracer_of

F18 = 6586.2
FDG_CODE, F18_CODE = "35321007", "77004003"


def context_group(cid: int) -> list[tuple[str, str | None, str]]:
    """Return code, older SRT code and meaning of every concept of a context group, as pydicom lists it."""
    known = cast("dict[str, Any]", concepts)  # its annotation stops a level short
    return [
        (code, mapping["SCT"].get(code) if scheme == "SCT" else None, meaning)
        for scheme, names in cid_concepts[cid].items()
        for name in names
        for code, (meaning, groups) in known[scheme][name].items()
        if cid in groups
    ]


AGENTS = [row for row in context_group(4021) if row[0] != FDG_CODE]
ELEMENTS = ("Germanium Ge", "Sodium Na", "Oxygen O")  # they say nothing without their mass
NUCLIDES = [row for row in context_group(4020) if row[0] != F18_CODE]


@pytest.mark.parametrize(("code", "older", "meaning"), AGENTS, ids=[row[2] for row in AGENTS])
def test_every_other_agent_of_cid_4021_is_another_tracer(code: str, older: str | None, meaning: str) -> None:
    """By code, by older code, by name, and by name without its nuclide beside the half-life of F-18."""
    ways = [
        Injection(agents=((code, ""),)),
        Injection(agents=((code, meaning),), half_life_s=F18),
        Injection(texts=(meaning,)),
    ]
    if not meaning.startswith(ELEMENTS):
        ways.append(Injection(texts=(meaning.partition("^")[0],), half_life_s=F18))
    if older:
        ways.append(Injection(agents=((older, ""),)))
    is_element = meaning.startswith(ELEMENTS)
    assert {tracer_of([way]).tracer for way in ways} <= {"other", "contradictory" if is_element else "other"}
    assert tracer_of([ways[0], Injection(texts=("FDG",))]).tracer == "contradictory"


@pytest.mark.parametrize(("code", "older", "meaning"), NUCLIDES, ids=[row[2] for row in NUCLIDES])
def test_every_other_nuclide_of_cid_4020_is_another_tracer(
    code: str, older: str | None, meaning: str
) -> None:
    """By code, older code and name: another tracer; beside FDG or the half-life of F-18 a contradiction."""
    ways = [
        Injection(nuclides=((code, ""),)),
        Injection(nuclides=(("", meaning),)),
        Injection(texts=(meaning,)),
    ]
    if older:
        ways.append(Injection(nuclides=((older, ""),)))
    for way in ways:
        assert tracer_of([way]).tracer == "other"
        assert tracer_of([way, Injection(half_life_s=F18)]).tracer in ("contradictory", "other")
        assert tracer_of([way, Injection(texts=("FDG",))]).tracer == "contradictory"


# Seconds: O-15, N-13, C-11, Ga-68, Cu-64, Zr-89, I-124, Rb-82, Sc-44, Lu-177, Ge-68; then no nuclide.
@pytest.mark.parametrize(
    "seconds",
    [
        122.24,
        597.9,
        1221.8,
        4062.6,
        45723.6,
        282276,
        360806.4,
        76.38,
        14292,
        574344,
        23408352,
        9000,
        6000,
        7200,
    ],
)
def test_a_half_life_alone_says_another_tracer(seconds: float) -> None:
    """Whatever is not the half-life of F-18 is another nuclide's."""
    assert tracer_of([Injection(half_life_s=seconds)]).tracer == "other"
    assert tracer_of([Injection(texts=("FDG",), half_life_s=seconds)]).tracer == "contradictory"


@pytest.mark.parametrize("seconds", [None, 0.0, -1.0, 6586.2, 6588.0, 6584.04, 6600.0, 109.77, 1.83])
def test_the_half_life_of_f18_and_a_blank_contradict_nothing(seconds: float | None) -> None:
    """109.77 and 1.83 are F-18's in minutes and hours: a wrong unit, for SUV to refuse."""
    assert tracer_of([Injection(half_life_s=seconds)]).tracer == "not_stated"
    assert tracer_of([Injection(texts=("FDG",), half_life_s=seconds)]).tracer == "fdg"


FDG_NAMES = [
    "FDG", "F-18 FDG", "18F-FDG", "[18F]FDG", "2-[18F]FDG", "18-FDG", "F18FDG", "18FFDG", "F.D.G.", "FDG_WB",
    "^18^F-FDG", "FDG -- fluorodeoxyglucose", "FDG 370 MBq", "Fluorodeoxyglucose", "Fluorodeoxyglucose F^18^",
    "FLUDEOXYGLUCOSE F18", "Fludeoxyglucose (18F)", "2-deoxy-2-[18F]fluoro-D-glucose", "Fluorine-18 FDG",
    "Fluorodeoxyglucose F 18 injection", "fluorodésoxyglucose", "Fluordesoxyglukose", "fluorodesoxiglucosa",
    "fluordeoxiglukos", "fluorodesossiglucosio", "fluorodeoksyglukoza", "fluorodeoksiglukoosi",
    "fluorodezoxiglükóz", "florodeoksiglukoz", "фтордезоксиглюкоза", "18F-ФДГ", "φθοριοδεοξυγλυκόζη",
    "脱氧葡萄糖", "フルデオキシグルコース", "플루오로데옥시글루코스",
]  # fmt: skip


@pytest.mark.parametrize("name", FDG_NAMES)
def test_fdg_is_known_however_it_is_written(name: str) -> None:
    """As text and as a code's meaning, a private code too."""
    assert tracer_of([Injection(texts=(name,), half_life_s=F18)]).tracer == "fdg"
    assert tracer_of([Injection(agents=(("Y-X1743", name),))]).tracer == "fdg"


@pytest.mark.parametrize("code", [FDG_CODE, "C-B1031", "4450"])
def test_fdg_is_known_by_its_codes(code: str) -> None:
    """SNOMED CT, SRT and RxNorm."""
    assert tracer_of([Injection(agents=((code, ""),), texts=("Solution",))]).tracer == "fdg"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "Solution",
        "F-18",
        "18F",
        "^18^Fluorine",
        "Fluor 18",
        "unknown",
        "N/A",
        "None",
        "F18 solution",
    ],
)
def test_a_field_that_names_no_tracer_is_not_stated(text: str) -> None:
    """The nuclide of FDG, a form or a blank; nothing to look at."""
    said = tracer_of([Injection(texts=(text,), half_life_s=F18)])
    assert (said.tracer, said.has_unknown_name) == ("not_stated", False)


def test_a_name_that_is_not_known_is_said_to_be_one() -> None:
    """Neither FDG nor another tracer that is known: somebody must look."""
    said = tracer_of([Injection(texts=("18F-Novotrace",), half_life_s=F18)])
    assert (said.tracer, said.has_unknown_name) == ("not_stated", True)
    assert not tracer_of([Injection(texts=("18F-Novotrace", "FDG"))]).has_unknown_name


@pytest.mark.parametrize(
    "text",
    ["68Ga-HA-DOTATATE", "DOTATOC", "DOTANOC", "NETSPOT", "Octreotide", "exendin-4", "F-FES", "PSMA-1007",
     "FAPI-46", "18F-DOPA", "FDOPA", "C-11 acetate", "18F-FET", "FLT", "NaF", "FDGal", "18F-SiTATE",
     "Pentixafor", "177Lu"],
)  # fmt: skip
def test_other_tracers_are_known_by_the_words_of_sites(text: str) -> None:
    """Names that no context group lists."""
    assert tracer_of([Injection(texts=(text,))]).tracer == "other"


def test_one_injection_of_another_tracer_is_enough() -> None:
    """A dual-tracer scan: one item says FDG, the other Ga-68."""
    said = tracer_of([Injection(texts=("FDG",)), Injection(half_life_s=4062.6)])
    assert said.tracer == "contradictory"
    assert said.names == ("FDG", "Ga-68 by its half-life")


@pytest.mark.parametrize(
    "name",
    ["DOTATATE PET avid", "68Ga avid", "SSTR positive", "octreotide +", "Exendin avid", "FES", "PSMA-avid",
     "DOPA avid lesion", "fapi avid", "avid (somatostatin)", "Avid_DOTATOC_1", "Cu-64 avid"],
)  # fmt: skip
def test_a_segment_named_after_another_tracer_says_so(name: str) -> None:
    """Whatever else its name says."""
    assert other_tracer_in_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "FDG PET avid",
        "avid met 1",
        "FDG-avid N13",
        "LN 11C",
        "FDG avid segment 4",
        "Lever met 3",
        "pet positiv",
    ],
)
def test_a_segment_that_names_no_other_tracer_says_none(name: str) -> None:
    """A numbered node is no nitrogen."""
    assert other_tracer_in_name(name) == ""


def test_plain_words_say_no_tracer() -> None:
    """Each of them, and all in a row: what is passed over unread would have said nothing."""
    from volstrat.terms import tracers

    for name in (*tracers._PLAIN_WORDS, " ".join(sorted(tracers._PLAIN_WORDS))):
        words = tracers._words(name)
        assert (tracers._agents_in(words), tracers._nuclides_in(words, strict=True)) == ([], [])
