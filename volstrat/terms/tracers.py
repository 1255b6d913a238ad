"""PET tracers: which agents and radionuclides are FDG, which are not, and what a header's words amount to.

The trial's rule is about *FDG*-avid disease. Codes are those of DICOM CID 4021 (PET Radiopharmaceuticals) and
CID 4020 (PET Radionuclides), PS3.16, in SNOMED CT and its older SRT form, NCI, UMLS and DICOM's own; beside
them the radionuclides of CID 18 that appear in images stored as PET, and words as sites write them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Literal

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Tracer = Literal["fdg", "other", "contradictory", "not_stated"]
"""What the headers of a PET say of its tracer; ``not_stated``: F-18 alone, or nothing."""

F18_HALF_LIFE_S: Final = 6586.2
_SAME_HALF_LIFE: Final = 0.02

# SNOMED CT, SRT, RxNorm, UNII, MeSH, UMLS, ATC.
_FDG_CODES: Final = frozenset({"35321007", "C-B1031", "4450", "0Z5B2CJX4D", "D019788", "C0046056", "V09IX04"})

_OTHER_AGENTS: Final = """
28H1 126752; 2FA 126713; 7D12 126751; 7E11 126750; Acetate 129513004 C-B1043; AGN-150998 126729
Ammonia 129508003 C-B103C; Anti-B220 126754; ATSM 126700 126701 126702 422855001 C-B07DB
Benralizumab 126722; Bevacizumab 126516; Blinatumomab 126727; Brentuximab 126735; Butanol 422540000 C-B07DC
Carbon dioxide 129507008 C-B103B; Carbon monoxide 129515006 C-B1045 129506004 C-B103A
Carfentanil 129511002 C-B103F; Cetuximab 126513; cG250-F(ab')(2) 126517; Choline 126703
CLR1404 126715 126716; cMAb U36 126746; cU36 126515; DCFBC C96234; Df-[FK](2) 126762
Df-[FK](2)-3PEG(4) 126763; Df-CD45 126520; Df-FK 126760; Df-FK-PEG(3) 126761; DN30 126747
Dotatate 724025002; DPA-713 126765; DPA-714 126766; E4G10 126519; Ecromeximab 126732; Edotreotide C2713594
EDTA 423498000 C-B07DD; Fallypride 126704 126705; FLB 457 126706; Florbetaben 712736002 C-D6858
Florbetapir 456995000 C-E0269; Flortaucipir 879808000; Flubatine 126503; Fluciclatide 456999006 C-E0265
Fluciclovine 457000009 C-E026A; Flumazenil 423543007 C-B07DE 422975006 C-B07DF
Fluorethyltyrosin 424708001 C-B07E0; Fluoro-L-dopa 5811000122108 C-E0241
Fluorobenzothiazole 423546004 C-B07E4; Fluorocholine 456992002 C-E0273; Fluoroestradiol 926372005
Fluoroetanidazole C1541539; Fluoromethane 422763008 C-B07E2; Fluoromisonidazole 422598008 C-B07E1
Fluoropropyl-dihydrotetrabenazine C2934038; Fluorotriopride 126707; Fluorouracil 425236000 C-B07E3
Flurpiridaz 126718; Flutemetamol 456997008 C-E0267; Fresolimumab 126748; GA201 126731
Glembatumumab vedotin 126724; Glutamate 129509006 C-B103D; Glutamine 126709 126710 126711
ISO-1 C2981788; J591 126514; Margetuximab 126740; MEDI-551 126730; Mespiperone 424789007 C-B07E5
Methionine 129510001 C-B103E; MK-6240 C4506764; Mogamulizumab 126738
Monoclonal antibody 126510 126511 423249007 C-114AA; Nanocolloidal albumin 126753; Nifene 126714
Obinituzimab 126721; Ocaratuzumab 126723; Oxygen-water 129505000 C-B1039; Palmitate 129514005 C-B1044
Panitumumab 126736; Pegdinetanib 126728; Piflufolastat C116352; Pinatuzumab vedotin 126725
Pittsburgh compound B 126500; PK11195 C1609883; Polatuzumab vedotin 126726; PSMA-1007 126758
PSMA-11 C118961; PSMA-617 126759; PTSM 422789008 C-B07E7; R1507 126518; Raclopride 129512009 C-B1042
Ranibizumab 126742; Rituximab 126737; RO5323441 126755; RO542908 126756; RO6924963 126719
RO6931643 126720; RO6958948 126757; Roledumab 126733; Rubidium chloride 129503007 C-B1037
SAR3419 126741; Sarcosine C122684; Sodium fluoride 129501009 C-B1032; Sodium iodide 422980002 C-B07E8
Spiperone 129499001 C-B1033; T807 126502; THK5317 C4550127; THK5351 C4279748
Thymidine 129502002 C-B1036; Trastuzumab 126512; TRC105 126749; Ublituximab 126739; UCB-J C4506788
XmAb5574 126734
"""
"""Agents of CID 4021 other than FDG: a name, then its codes. Bare elements stand among the nuclides."""

_NUCLIDES: Final = """
F 18 6586.2 fluorine 77004003 C-111A1; C 11 1221.8 carbon 40565003 C-105A1
C 14 1.8e11 carbon 71647005 C-105A2; N 13 597.9 nitrogen 21576001 C-107A1
O 14 70.6 oxygen 424875009 C-1018C; O 15 122.2 oxygen 129504001 C-B1038
Na 22 8.21e7 sodium 71633006 C-155A1; K 38 458.2 potassium 423764008 C-135A4; Sc 43 14007 scandium 126605
Sc 44 14292 scandium 126600; Ti 45 11088 titanium 75696008 C-166A2; Mn 51 2772 manganese 126601
Mn 52 483062 manganese 37225000 C-149A1; Mn 52m 1266 manganese 126607; Fe 52 29790 iron 69089000 C-130A1
Cu 60 1422 copper 425364008 C-127A4; Cu 61 12010 copper 71425003 C-127A1
Cu 62 580.2 copper 422934004 C-127A5; Cu 64 45724 copper 3932008 C-127A2
Cu 67 222588 copper 53700003 C-127A3; Zn 62 33095 zinc 65054007 C-141A1
Ga 66 34164 gallium 79477007 C-131A1; Ga 67 281768 gallium 2008008 C-131A2
Ga 68 4062.6 gallium 35337001 C-131A3; Ge 68 2.34e7 germanium 53315004 C-128A2; As 70 3156 arsenic 126602
As 72 93600 arsenic 2705002 C-115A2; Se 73 25740 selenium 87437000 C-116A2
Br 75 5802 bromine 17910003 C-113A1; Br 76 58320 bromine 79523006 C-113A2
Br 77 205344 bromine 86521004 C-113A3; Rb 82 76.4 rubidium 79197006 C-159A2
Y 86 53064 yttrium 10738001 C-162A3; Y 90 230760 yttrium 14691008 C-162A7
Zr 89 282276 zirconium 63360001 C-168A4; Nb 90 52560 niobium 126603
Tc 94m 3120 technetium 424079002 C-163AA; Tc 99m 21624 technetium 72454006 C-163A8
In 111 242326 indium 56609000 C-145A4; I 123 47592 iodine 21572004 C-114A4
I 124 360806 iodine 40937006 C-114A5; I 125 5.13e6 iodine 68630002 C-114A6
I 131 693377 iodine 1368003 C-114B1; Xe 133 453382 xenon 80751004 C-172A8
Sm 153 166622 samarium 419804008 C-B1134; Tb 149 14832 terbium; Tb 152 63000 terbium 126606
Tb 155 459648 terbium; Tb 161 595296 terbium; Ho 166 96566 holmium C1943
Lu 177 574344 lutetium 447553000 C-101ED; Re 186 321261 rhenium 395865006 C-11906
Re 188 61218 rhenium 423578007 C-1018D; Tl 201 262837 thallium 60057003 C-138A9
Pb 203 186912 lead 47588004 C-132A8; Pb 212 38304 lead; Bi 213 2736 bismuth
Ra 223 987552 radium 24853006 C-136A2; Ac 225 857088 actinium
"""
"""Radionuclides of CID 4020 and others met in nuclear medicine: symbol, mass, half-life (s), name, codes."""

_OTHER_WORDS: Final = {
    "a somatostatin receptor tracer": r"""
        dota\w* \w*nodaga\w* sstr? sst somato\w* \w*octreo\w* \w*treotide? (si|sar)?tate toc noc netspot
        somakit detectnet lutathera jr_11 lm_3
    """,
    "an exendin tracer": r"exendin\w* glp_1",
    "a PSMA tracer": r"""
        \w*psma\w* piflufolastat pylarify flotufolastat posluma locametz illuccix gozetotide dcf\w+
    """,
    "a FAP inhibitor": r"\w*fapi\w* fap",
    "DOPA": r"\w*dopa\w*",
    "an oestrogen receptor tracer": r"fes \w*estradiol\w* cerianna",
    "choline": r"\w*choline?s? fch",
    "acetate": r"\w*acetat\w*",
    "an amino acid": r"""
        \w*methionin\w* fluciclovin\w* axumin facbc fet \w*tyrosin\w* glutamin\w* glutamat\w*
        sarcosin\w* fspg
    """,
    "thymidine": r"flt \w*thymidin\w*",
    "a hypoxia tracer": r"\w*nidazol\w* f?miso faza \w*atsm",
    "sodium fluoride": r"naf \w*fluorid[ae]? \w*fluorur\w* natriumfluorid",
    "an amyloid or tau tracer": r"""
        florbeta\w* amyvid vizamyl neuraceq flutemetamol flortaucipir tauvid av_1451 thk pib pittsburgh
        \w*amyloid\w* fddnp
    """,
    "a perfusion tracer": r"""
        \w*ammonia\w* rubidium cardiogen water h_2_o flurpiridaz flyrcado ptsm \w*oxid[ey]?
    """,
    "an antibody": r"\w{3,}mab \w*antibod\w* \w*antikor\w* vedotin",
    "a receptor tracer": r"""
        \w*bombesin\w* grpr rm_2 neobomb\w* pentixafor cxcr mibg \w*iobenguan\w* \w*ephedrin\w*
        \w*metomidat\w* mfbg rgd \w*spiperon\w* raclopride?
    """,
    "another sugar": r"""
        fdgal \w*galactos\w* \w*mannos\w* \w*fructos\w* \w*maltos\w* \w*glucosamin\w* glucar\w*
    """,
}
"""Words that name another tracer, whole words of a text as `_words` writes it."""

_NOT_THE_TRACER: Final = re.compile(r"\b(water|lutathera)\b", re.IGNORECASE)
"""What patients drink before the scan, and were treated with before it."""
_FDG_WORDS: Final = r"""
    \w*fdg(?!al)\w* f_d_g \w*gl[uy][ck]+o+[sz](?!am)\w* \w*(deoxy|desoxy|deoksy|dezoxy)gl[uy]\w*
    \w*druvsocker gluscan flucis efdege steripet metatrace
"""
_FDG_FOREIGN: Final = "фдг глюкоз γλυκόζ 葡萄糖 グルコース ブドウ糖 글루코 포도당 لوكوز גלוקוז".split()

# What may stand in a tracer's field and names none: the nuclide of FDG, forms, units, blanks.
_EMPTY_WORDS: Final = r"""
    f fl \d+ m fluor(o|ine?|e|id)? solution losung injection inj iv i_v unknown okand unbekannt other
    none null nil not na n a no specified stated unspecified undefined default standard generic test
    tracer radiotracer radiopharmaceutical radiopharmaka pharmaceutical isotope radioisotope nuclide pet
    ct wb body whole mbq bq kbq mci ci ml anonymi[sz]ed anonymous anon removed deidentified redacted x+
"""


@frozen
class Injection:
    """What one header, or one item of its radiopharmaceutical sequence, says of what was injected."""

    texts: tuple[str, ...] = ()  # free text that names the agent
    # agents, nuclides: code value and meaning of the agent and of the radionuclide
    agents: tuple[tuple[str, str], ...] = ()
    nuclides: tuple[tuple[str, str], ...] = ()
    half_life_s: float | None = None


@frozen
class TracerSaid:
    """What the headers of a PET amount to."""

    tracer: Tracer
    # what is said, in words of this module, never the header's: ``"Ga-68"``, ``"DOPA"``
    names: tuple[str, ...] = ()
    # a name or code stands there that is not known as FDG and not as another tracer
    has_unknown_name: bool = False
    # another tracer that a description or file name says, beside FDG or nothing; in words of this module
    described_as: str = ""


@frozen(kw_only=False)
class _Nuclide:
    symbol: str
    mass: str
    half_life_s: float
    element: str
    codes: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.symbol}-{self.mass}"


_PLAIN_WORDS: Final = frozenset(
    "avid ct fdg label lesion lesions liver mask pet reference remnant resectable tumor tumour".split()
)
"""Words of names that say no tracer: most masks are called so, and need no pattern compiled."""


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """Return a pattern of whole words; an underscore stands for a space."""
    return re.compile(rf"\b({'|'.join(words.split()).replace('_', ' ')})\b")


@cache
def _nuclides() -> tuple[_Nuclide, ...]:
    found = []
    for line in re.split(r"[;\n]", _NUCLIDES.strip()):
        symbol, mass, half_life, element, *codes = line.split()
        found.append(_Nuclide(symbol, mass, float(half_life), element, frozenset(codes)))
    return tuple(found)


@cache
def _agents() -> tuple[dict[str, str], re.Pattern[str]]:
    """Return the name of each code, and a pattern of the names as `_words` writes them."""
    codes: dict[str, str] = {}
    for line in re.split(r"[;\n]", _OTHER_AGENTS.strip()):
        parts = line.split()
        is_code = [bool(re.fullmatch(r"\d{6,}|C-?[0-9A-F]{4,}\d*", part)) for part in parts]
        name = " ".join(part for part, code in zip(parts, is_code, strict=True) if not code)
        codes |= dict.fromkeys((p for p, code in zip(parts, is_code, strict=True) if code), name)
    names = sorted({_words(name) for name in codes.values()}, key=len, reverse=True)
    return codes, re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")


def _folded(text: str) -> str:
    """Return lower-case text without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(c for c in apart if not unicodedata.combining(c)))


def _words(text: str) -> str:
    """Return the words of a text, letters and figures apart, between single spaces.

    >>> _words("[18F]FDG, 2-Fluoro-2-deoxy-D-glucose")
    '18 f fdg 2 fluoro 2 deoxy d glucose'
    """
    return " ".join(re.findall(r"\d+|[^\W\d_]+", _folded(text)))


@cache
def _nuclide_patterns(strict: bool) -> tuple[tuple[_Nuclide, re.Pattern[str]], ...]:
    patterns = []
    for one in _nuclides():
        symbol = one.symbol.lower()
        mass = one.mass.rstrip("m") + (" ?m" if one.mass.endswith("m") else "")
        name = one.element if strict and len(symbol) == 1 else f"{symbol}|{one.element}"
        patterns.append((one, re.compile(rf"\b(({name}) {mass}|{mass} ?({name}))\b")))
    return tuple(patterns)


def _nuclides_in(words: str, *, strict: bool = False) -> list[_Nuclide]:
    """Return the radionuclides that words name ("ga 68"); strictly none of one letter ("N 13" is a node)."""
    return [one for one, pattern in _nuclide_patterns(strict) if pattern.search(words)]


def _agents_in(words: str) -> list[str]:
    """Return the tracers other than FDG that words name."""
    found = [name for name, known in _OTHER_WORDS.items() if _pattern(known).search(words)]
    known = None if found else _agents()[1].search(words)
    return [known[1]] if known else found


def other_tracer_in_name(name: str) -> str:
    """Return what tracer other than FDG the name of a segment or ROI says; empty where it says none.

    >>> other_tracer_in_name("DOTATATE PET avid")
    'a somatostatin receptor tracer'
    >>> other_tracer_in_name("FDG avid node N13")
    ''
    """
    words = _words(name)
    if _PLAIN_WORDS.issuperset(words.split()):
        return ""
    nuclides = (one.name for one in _nuclides_in(words, strict=True) if one.name != "F-18")
    return next(iter((*_agents_in(words), *nuclides)), "")


@lru_cache(maxsize=1)
def tracer_described(texts: tuple[str, ...]) -> str:
    """Return what tracer other than FDG descriptions say; empty where they say none, or FDG.

    The first is the series' own: the others are asked where it says no tracer.

    >>> tracer_described(("WB AC", "PET DOTATOC"))
    'a somatostatin receptor tracer'
    >>> tracer_described(("PET FDG (DOTATOC on Monday)", "PET DOTATOC"))
    ''
    """
    for asked in (texts[:1], texts[1:]):
        if any(map(_says_fdg, asked)):
            return ""
        injected = (_NOT_THE_TRACER.sub(" ", text) for text in asked)
        described = next(filter(None, map(other_tracer_in_name, injected)), "")
        if described:
            return described
    return ""


def _says_fdg(text: str) -> bool:
    folded = _folded(text)
    foreign = any(_folded(word) in folded for word in _FDG_FOREIGN)
    return foreign or any(_pattern(_FDG_WORDS).search(said) for said in (folded, _words(text)))


def tracer_of(injections: Iterable[Injection]) -> TracerSaid:
    """Tell what a PET's headers say of its tracer.

    Parameters
    ----------
    injections : iterable of Injection
        Of every slice and every item: one of them that says another tracer is enough.

    Examples
    --------
    >>> tracer_of([Injection(texts=("F-18 FDG",), half_life_s=6586.2)]).tracer
    'fdg'
    >>> said = tracer_of([Injection(texts=("FDG",), half_life_s=4062.6)])
    >>> said.tracer, said.names
    ('contradictory', ('FDG', 'Ga-68 by its half-life'))
    """
    said = _Said()
    for one in dict.fromkeys(injections):
        for text in one.texts:
            said.take_agent(text, "")
        for code, meaning in one.agents:
            said.take_agent(meaning, code)
        for code, meaning in one.nuclides:
            said.take_nuclide(code, meaning)
        said.take_half_life(one.half_life_s)
    return said.outcome()


def tracer_text(said: TracerSaid) -> str:
    """Say in a few words what a PET's header says of its tracer, for lists and messages.

    >>> tracer_text(TracerSaid(tracer="other", names=("DOPA",)))
    'tracer DOPA, not FDG'
    """
    described = f", described as {said.described_as}" if said.described_as else ""
    if said.tracer == "fdg":
        return f"tracer FDG{described}"
    if said.tracer == "other":
        return f"tracer {' with '.join(said.names)}, not FDG"
    if said.tracer == "contradictory":
        return f"tracer contradictory: {' and '.join(said.names)}"
    if said.has_unknown_name:
        return "tracer of an unknown name"
    return f"tracer not stated{described}"


class _Said:
    """What has been said so far, for FDG and against it."""

    def __init__(self) -> None:
        self.is_fdg = self.is_f18 = self.is_unknown = False
        self.agents: dict[str, None] = {}
        self.nuclides: dict[str, None] = {}

    def take_agent(self, text: str, code: str) -> None:
        words = _words(text)
        others = _agents_in(words)
        if code in _agents()[0]:
            others.append(_agents()[0][code])
        by_code = [one for one in _nuclides() if code and code in one.codes]
        nuclides = [*_nuclides_in(words), *by_code]
        is_fdg = code in _FDG_CODES or _says_fdg(text)
        self.agents |= dict.fromkeys(others)
        self._take(nuclides)
        self.is_fdg |= is_fdg
        names_something = any(not _pattern(_EMPTY_WORDS).fullmatch(word) for word in words.split())
        is_unknown = names_something or (bool(code) and not words)
        if is_unknown and not (is_fdg or others or {one.name for one in nuclides} - {"F-18"} or by_code):
            self.is_unknown = True

    def take_nuclide(self, code: str, meaning: str) -> None:
        found = [one for one in _nuclides() if code and code in one.codes]
        found += _nuclides_in(_words(meaning))
        self._take(found)
        if not found and (code or meaning.strip()):
            self.is_unknown = True

    def take_half_life(self, seconds: float | None) -> None:
        if seconds is None or not seconds > 0:
            return
        as_minutes_or_hours = (F18_HALF_LIFE_S / 60, F18_HALF_LIFE_S / 3600)
        if any(abs(seconds / other - 1) <= _SAME_HALF_LIFE for other in as_minutes_or_hours):
            return  # a wrong unit: SUV refuses it; no nuclide lives so long
        near = min(_nuclides(), key=lambda one: abs(seconds / one.half_life_s - 1))
        if abs(seconds / near.half_life_s - 1) > _SAME_HALF_LIFE:
            self.nuclides[f"a half-life of {seconds:g} s"] = None
        elif near.name == "F-18":
            self.is_f18 = True
        elif near.name not in self.nuclides:
            self.nuclides[f"{near.name} by its half-life"] = None

    def _take(self, nuclides: Iterable[_Nuclide]) -> None:
        for one in nuclides:
            if one.name == "F-18":
                self.is_f18 = True
            else:
                self.nuclides[one.name] = None

    def outcome(self) -> TracerSaid:
        against = (*self.agents, *self.nuclides)
        own = ("FDG",) if self.is_fdg else ()
        tracer: Tracer
        if self.is_fdg:
            tracer = "contradictory" if against else "fdg"
        elif self.agents or (self.nuclides and not self.is_f18):
            tracer = "other"
        elif self.nuclides:
            tracer, own = "contradictory", ("F-18",)
        else:
            tracer = "not_stated"
        unknown = self.is_unknown and tracer == "not_stated"
        return TracerSaid(tracer=tracer, names=(*own, *against), has_unknown_name=unknown)
