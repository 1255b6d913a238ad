"""volstrat: tumour volumes, FDG-avid fractions and strata from segmentation masks.

Importing the package does nothing but name its version: what it offers is imported as it is asked for,
and every heavy library by the function that needs it.

Examples
--------
>>> import volstrat as vs
>>> case = vs.read_case("sample_data/S02_stratum_2")
>>> case
Case('S02_stratum_2': stratum_2, assigned; 41.62 ml in 2 lesions)
>>> case.lesions["L1"]
Lesion('L1': 24.32 ml, unresectable, not avid)
"""

__version__ = "0.2.3"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from volstrat.api.case_object import Case
    from volstrat.api.case_sources import assess, read_case
    from volstrat.api.cohort_object import Cohort, Comparison, Table, compare, read_cohort, run_cohort
    from volstrat.api.lesion import Lesion, Lesions
    from volstrat.api.looked_at import Inspection, SuvFactors, inspect, load_protocol, suv
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.certainty.verdict import Volumes
    from volstrat.errors import VolstratError
    from volstrat.terms.findings import Finding

__all__ = [
    "Case",
    "Cohort",
    "Comparison",
    "Finding",
    "Inspection",
    "Lesion",
    "Lesions",
    "LoadedProtocol",
    "SuvFactors",
    "Table",
    "VolstratError",
    "Volumes",
    "__version__",
    "assess",
    "compare",
    "inspect",
    "load_protocol",
    "read_case",
    "read_cohort",
    "run_cohort",
    "suv",
]

_PLACES = {
    "api.case_object": ("Case",),
    "api.case_sources": ("assess", "read_case"),
    "api.cohort_object": ("Cohort", "Comparison", "Table", "compare", "read_cohort", "run_cohort"),
    "api.lesion": ("Lesion", "Lesions"),
    "api.looked_at": ("Inspection", "SuvFactors", "inspect", "load_protocol", "suv"),
    "case.protocol_files": ("LoadedProtocol",),
    "certainty.verdict": ("Volumes",),
    "errors": ("VolstratError",),
    "terms.findings": ("Finding",),
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            from importlib import import_module

            found: object = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = found
            return found
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
