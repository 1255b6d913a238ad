"""What the name or code of a segment, ROI or label says: a role, an organ, a denial, or nothing.

Patterns by role are the protocol's (``[naming]``); organs, other structures and denials are the language
itself and stand here, in English, Swedish and the languages that are next to them in trials. Names are
compared in any case of letters, without accents, "_" as a space.
"""

from __future__ import annotations

import re
import unicodedata
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from volstrat.frozen import frozen
from volstrat.terms.roles import ROLE_OF_STEM
from volstrat.terms.tracers import other_tracer_in_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Code = tuple[str, str, str]
    """Value, coding scheme designator and meaning."""

NAMED_ROLES = ("fdg_avid", "resectable", "remnant", "reference", "liver", "tumour")
"""Roles that names can say; a name that fits several plays the first."""

_NOT = (
    r"\b(?:no|non|not|nao|ingen|inget|inga|ej|icke|inte|without|utan|nicht|kein|keine|keinen|ohne|pas|sans|"
    r"sin|senza|ikke|uden|uten|niet|geen|zonder|ei|ilman|never|hardly|unlikely|aldrig|knappast|nie|niemals|"
    r"kaum|jamais)(?:[ :-]+(?:de |d')?)?"
)
_NO = r"(?:no|nej|nein|non|nee|nei|ei|none|nil|absent|aucun\w*|ingen|inget|inga|keine?r?|false|falsch|falskt)"
_FALSE_POSITIVE = r"\b(?:false|falsk\w*|falsch\w*|faux|falso)[ -]?posi"
_DENIALS = {
    "fdg_avid": (
        _NOT + r"(?:fdg|avid|pet\b|upptag|uptake|fixa|captant|hyperm)"
        r"|\b(?:fdg|avid\w*|pet|hypermetabol\w*)[ :=-]+(?:lesions? )?(?:negativ|neg\b|" + _NO + r"$)"
        r"|\bavid\w* ?[:=] ?0$|\b(?:hypo|iso)metabol|"
        + _FALSE_POSITIVE
        + r"|physiolog|fysiolog|fisiolog|\bcold\b"
        r"|\b(?:fdg|avid|pet) ?(?:\(?-\)?$|\(neg|minus\b)"
        r"|\bfdg\b.*\b(?:background|bakgrund|hintergrund|referen[csz]\w*|blood ?pool|blodpool|blutpool)\b"
        r"|^fdg (?:brain|hjarna|gehirn|bladder|urinbl\w*|blase|heart|hjarta|herz|myocard\w*|kidneys?|njur\w*|"
        r"nieren?)$"
    ),
    "resectable": (
        r"(?:\b(?:un|ir|o|on|non|anti)[ -]?|"
        + _NOT
        + r")(?:re[sz]{1,2}e[ckz]|opera|opere|debulk|remov)|\binop"
        r"|can ?not be |can['\u2019]?t be |(?:should|must|may) not be |kan (?:inte|ej) |kann nicht "
        r"|kan (?:ikke|niet) |ne peut |n['\u2019]est pas |\binre[sz]{1,2}e[ckz]"
        r"|re[sz]e[ckz]\w*[ :=(-]+" + _NO + r"\)?$|re[sz]e[ckz]\w* ?[:=] ?0$|[ :=(-](?:no|nej)\)?$"
        r"|\bnever$|\bimpossible\b|\bomojlig|\bunmoglich"
        r"|\bresidu|\bremaining|\bkvar|\bstays?\b|\bleft (?:behind|in place)|\bverbleib|\bbleibt\b|\bresttum"
        r"|\brestant|re[sz]e[ck]\w* (?:cavity|margin|bed)"
    ),
    "remnant": _NOT + r"(?:remnant|flr)",
    "liver": _NOT + r"(?:liver|lever)$|\boutside|\butanfor|\bextrahep",
    "tumour": (
        _NOT + r"(?:tum|metas|lesion|lasion|gtv|neopl|cancer|malign)"
        r"|\b(?:tum\w*|metas\w*|lesion) ?[:=] ?(?:0$|" + _NO + r"$)|\btum\w*?[ -]?(?:neg|free|frei\b|fri\b)"
        r"|\b(?:free of|free from|frei von|fri fran|absence (?:of|de)|avsaknad av) |\b(?:liver|lever|leber|"
        r"foie|higado|figado|fegato|maksa) ?(?:[+&]|(?:and|with|plus|incl\w*|och|med|inkl\w*|und|mit|et|avec|"
        r"y|con|e|com|og|en|ja)\b).*(?:tum|met|lesi|lasi)|peritum|\bbenign|\bgutartig|\bgodartad|"
        r"tumou?r (?:bed|margin|ring|cavity)|\bhealthy\b|\bfrisk"
    ),
}
"""Names that fit a role's patterns and deny that role: "FDG-avid, not resectable" does not deny "avid"."""

_IN_DOUBT = (
    r"\?|\b(?:possibl[ey]|potential(?:ly)?|probabl[ey]|perhaps|maybe|borderline|marginal(?:ly)?|"
    r"questionabl[ey]|equivocal|uncertain|unclear|mojlig\w*|kanske|tveksam\w*|oklar\w*|eventuell\w*|"
    r"moglich\w*|vielleicht|fraglich\w*|unklar\w*|grenzwertig\w*|unsicher\w*|peut[ -]etre|douteu\w*|limite|"
    r"incertain\w*|misschien|mogelijk|mulig\w*|ehka|suspect\w*|suspicio\w*|misstankt\w*|verdacht\w*)\b|"
    r"\b(?:old|previous(?:ly)?|prior|earlier|tidigare|gammal|fruher\w*|alte?r?|ancien\w*|deleted?|wrong|"
    r"ignored?|excluded?|discard(?:ed)?|obsolete|superseded|rejected|declined|refused|do not use|draft|"
    r"template|utkast|radera\w*|felaktig\w*|complement|komplement|inver[st]\w*|bounding|bbox|(?:all|"
    r"everything|allt?|alles|tout) (?:but|except|utom|ausser|sauf))\b"
)
"""Names that leave open what a person must settle ("FDG-avid?"), or of what may be no more ("old")."""

_IN_DOUBT_AS = {
    "fdg_avid": (
        r"\b(?:bladder|blasa|urinbl\w*|harnblase|ureter\w*|urinledare|kidneys?|njur\w*|nieren?|brain|hjarna|"
        r"heart|hjarta|myocard\w*|bowel\w*|gut|intestin\w*|tarm\w*|darm\w*|colon|kolon|stomach|magsack|"
        r"brown fat|muscles?|inflamm\w*|infekt\w*|infect\w*|infiltrat\w*|injection|injektion\w*|benign\w*|"
        r"reacti\w*|reaktiv\w*|artefa[ck]t\w*|artifact\w*|photopen\w*|low|faint|weak|mild|lag|svag\w*|"
        r"schwach\w*|resolved|ref|deauville [123]|spleen|mjalte\w*|milz|thyroid\w*|tonsil\w*|saliva\w*|vocal|"
        r"larynx|marrow|benmarg|test[ie]s|uterus|urine|urin|scar|post[ -]?op\w*|post[ -]?surg\w*|"
        r"non-?specific|unspecific|ospecifik\w*|unspezifisch\w*|below (?:the )?(?:liver|threshold|"
        r"background)|field|fov|coverage|falt)\b|\b(?:fdg|avid) 0$"
    ),
    "resectable": (
        r"\b(?:if|after|when|once|unless|provided|conditional\w*|om|efter|nar|wenn|falls|nach|apres|tras|"
        r"dopo|downstag\w*|conver\w*|pve|later|future|was|were|in part|part(?:ly|ially)|partiel\w*|delvis|"
        r"teilweise|unlikely|contraindicat\w*|kontraindi\w*)\b|re[sz]e[ck]\w* 0$"
    ),
    "tumour": (
        r"\b(?:cysts?|cysta|zyste|fnh|h(?:a)?emangiom\w*|thromb\w*|[pt]vt|capsule|kapsel|scar|arr|narbe|"
        r"treated|ablated|resected|opererad\w*|behandla\w*|ablation|margin\w*|expanded|dilated|hull|"
        r"[pci]tv\w*|pseudo\w*|resolved|disappeared|vanished|forsvun\w*|verschwund\w*|background|fp|"
        r"(?:tumou?r|metasta)\w*e[ck]tom(?:y|ie?))\b|lesion[ -]?free|" + _FALSE_POSITIVE
    ),
}
"""What leaves one role open: normal uptake, a condition for what is resectable, what once was tumour."""
_NEGATION = (
    r"\b(?:not|nao|ingen|inget|inga|ej|icke|inte|nicht|kein\w*|ikke|niet|geen|ilman|never|aldrig|nie|pas|nem|"
    r"degil)\b|n['\u2019]t\b"
)
"""A word that denies something, where no pattern of `_DENIALS` says what."""
_BRACKETS = r"[()\[\]{}]"
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d", "-"))

_OTHER_WORDS = r"""
    liver hepat\w* hepar lever\w* leber\w* foie higado fegato maksa spleen\w* splen\w* mjalte\w* milz
    rate bazo milza kidney\w* njure?\w* nieren? rein rinon\w* rene nyre\w* pancreas pankreas\w*
    bukspott\w* stomach magsack\w* magen estomac estomago stomaco duoden\w* bowel\w* intestin\w* tarm\w*
    darm\w* colon kolon rectum rektum jejun\w* ileum caecum cecum appendix gall_?bladder\w* gallblas\w*
    gallenblase bile gallgang\w* lungs? lung\w* lunge\w* poumon\w* pulmon\w* polmon\w* heart hjart\w*
    herz coeur corazon cuore aorta\w* portal porta cava ivc svc veins? ven\w{0,2} hepatic arter\w*
    vessels? karl blood blod\w* trachea bronch\w* esophag\w* oesophag\w* esofag\w* matstrupe\w*
    adrenal\w* binjure\w* bones? skelet\w* ben spine vertebra\w* kota\w* kotor ribs? sternum clavic\w*
    scapula\w* humer\w* femur femor\w* hips? sacrum pelvis costa\w* skull brain\w* hjarna\w* cord cauda
    muscle\w* muskel\w* gluteus\w* autochthon\w* iliopsoas\w* fat fett skin hud body kropp\w* external
    extern outline ytterkontur couch table bolus thyroid\w* skoldkortel\w* bladder urinbl\w* prostat\w*
    uterus livmoder ovar\w* testis breast\w* parotid\w* eyes? lens optic chiasm mandib\w* larynx thymus
    lymphatics couinaud\w* segment_[ivx]+[ab]? seg_[ivx]+[ab]? lobes? lob lobus cysts? cysta\w* cystor
    zyste\w* h(?:a)?emangiom\w* hemangiom\w* fnh abscess\w* odema edema oedema ascites thromb\w*
    embol\w* [pci]tvs? ptv\w* ctv\w* itv\w* ring shell dose isodose\w* opti\w* avoid\w* oar marker\w*
    fiducial\w* implant\w* stent\w* clips? background bakgrund hintergrund normal_tissue air luft water
    phantom artefact\w* artifact\w*
"""
_OTHER_STRUCTURES = rf"\b(?:{'|'.join(_OTHER_WORDS.split()).replace('_', ' ')})\b"
"""Organs, vessels, other findings, and structures of treatment planning."""

_TUMOUR_CODES = {
    "SCT": frozenset(
        "108369006 4147007 14799000 372087000 86049000 52988006 27925004 1240414004 128462008 363346000 "
        "55342001 94381002 126851005 126859007 93870000 363418001 255046005 109841003 300331000 301766008 "
        "81622000 128928004 35917007 68453008".split()
    ),
    "SRT": frozenset("M-01100 M-03000 M-03010 M-80000 M-80001 M-80003 M-80006 M-82403 M-82463".split()),
    "NCIt": frozenset("C3262 C113842 C81175 C3824 C19151 C3261 C2919 C9305".split()),
}
"""Codes of segmented property types that are tumour: neoplasm, metastasis, mass, nodule, lesion and what is
below them (PS3.16 CID 7159; SNOMED CT, its SRT forms, NCI Thesaurus)."""


@frozen
class Said:
    """What a name, or where it is silent its code, says."""

    # whose patterns fit and that are not denied, in the order of `NAMED_ROLES`; the first is `role`
    roles: tuple[str, ...] = ()
    denied: frozenset[str] = frozenset()  # roles that it denies
    other: bool = False  # it names an organ or another structure, and no role
    tumour: bool = False  # name or code says tumour, whatever else the name says
    by_code: bool = False  # the name says nothing; what is said, the code says
    # roles that it leaves open ("borderline resectable", "FDG-avid?", "old metastasis"); of them it plays
    # tumour alone by itself
    doubted: frozenset[str] = frozenset()

    @property
    def role(self) -> str | None:
        """The role it plays where nobody says otherwise."""
        return self.roles[0] if self.roles else None

    @property
    def silent(self) -> bool:
        """True where neither name nor code fits a role, names an organ or denies anything."""
        return not (self.roles or self.denied or self.other)

    @property
    def name_is_silent(self) -> bool:
        """True where the name says nothing, whatever the code says."""
        return self.by_code or self.silent


def said_by(name: str, codes: Sequence[Code], naming: Mapping[str, Sequence[str]]) -> Said:
    """Return what a part's name and codes say.

    The name goes first: programs write "Mass" as the type of whatever they segment. A code speaks where
    the name is silent.

    Parameters
    ----------
    name : str
        May be empty.
    codes : sequence of (value, scheme, meaning)
        Segmented property category and type.

    Examples
    --------
    >>> said_by("Liver metastasis 3", (), {"liver": ["liver"], "tumour": ["*metasta*"]}).role
    'tumour'
    >>> said_by("FDG-negative lesion", (), {"fdg_avid": ["fdg*"], "tumour": ["*lesion*"]}).role
    'tumour'
    >>> said_by("Segment_1", (("4147007", "SCT", "Mass"),), {}).role
    'tumour'
    >>> said_by("Segment_1", (), {}).silent
    True
    """
    patterns = tuple((role, tuple(naming.get(role, ()))) for role in NAMED_ROLES)
    by_name = _said_by_name(name, patterns)
    meant = _said_by_name(codes[-1][2], patterns) if codes else Said()
    by_code = meant.tumour or any(_is_tumour(code) for code in codes)
    if by_name.silent and codes:
        roles = ("tumour",) if by_code else meant.roles
        return Said(roles=roles, denied=meant.denied, other=meant.other, tumour=by_code, by_code=True)
    return by_name


@lru_cache(maxsize=4096)
def _said_by_name(name: str, patterns: tuple[tuple[str, tuple[str, ...]], ...]) -> Said:
    words = plain_words(name)
    if not words:
        return Said()
    is_stem = words.replace(" ", "_") in ROLE_OF_STEM  # "tumour": it denies nothing
    denied = frozenset(
        role for role, pattern in _DENIALS.items() if not is_stem and re.search(pattern, words)
    )
    if other_tracer_in_name(name):
        denied |= {"fdg_avid"}
    roles = tuple(
        role
        for role, globs in patterns
        if role not in denied and any(_fits(words, plain_words(glob)) for glob in globs)
    )
    doubted = frozenset(
        role for role in roles if not is_stem and _is_doubted(role, words, is_tumour="tumour" in roles)
    )
    roles = tuple(role for role in roles if role == "tumour" or role not in doubted)
    other = not roles and re.search(_OTHER_STRUCTURES, words) is not None
    return Said(roles=roles, denied=denied, other=other, tumour="tumour" in roles, doubted=doubted)


def _is_doubted(role: str, words: str, *, is_tumour: bool) -> bool:
    """Tell whether a name leaves open whether it plays a role whose patterns it fits."""
    if role not in _IN_DOUBT_AS:
        return False
    if re.search(_IN_DOUBT, words) or _is_negated(role, words):
        return True
    if role == "fdg_avid" and is_tumour:  # "FDG-avid bowel metastasis" is no bowel
        return False
    return re.search(_IN_DOUBT_AS[role], words) is not None


def _is_negated(role: str, words: str) -> bool:
    """Tell whether a word denies something that no other role's denial explains ("avid, not resectable")."""
    other = {"fdg_avid": "resectable", "resectable": "fdg_avid"}.get(role)
    return other is not None and re.search(_NEGATION, re.sub(_DENIALS[other], " ", words)) is not None


def _fits(words: str, glob: str) -> bool:
    """Tell whether words, or what they are without brackets, fit a glob; most are ruled out by a look."""
    literal = "" if "[" in glob else max(glob.replace("?", "*").split("*"), key=len)
    forms = {words, " ".join(re.sub(_BRACKETS, " ", words).split())} if "(" in words else {words}
    return any(literal in form and fnmatchcase(form, glob) for form in forms)


def _is_tumour(code: Code) -> bool:
    value, scheme, _ = code
    return value in _TUMOUR_CODES.get({"99SDM": "SRT", "SNM3": "SRT"}.get(scheme, scheme), ())


def plain_words(name: str) -> str:
    """Return a name as patterns see it: any case of letters, no accents, one kind of dash, single spaces.

    >>> plain_words("Lever_Metastas  Primär")
    'lever metastas primar'
    """
    apart = unicodedata.normalize("NFKD", name).translate(_DASHES).casefold()
    letters = "".join(c for c in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(c))
    return " ".join(letters.replace("_", " ").split())
