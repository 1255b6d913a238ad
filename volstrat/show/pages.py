"""Pages from templates: one environment, one base, one style; what files say is only ever text in them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from volstrat.show.words import AVIDITY, MET, STATUS, STATUS_SENTENCE, STRATA, ml_text, percent_text
from volstrat.terms.wording import more_than, shown_ml, shown_names

if TYPE_CHECKING:
    from jinja2 import Environment

NO_NUMBER = "\N{EN DASH}"
"""Stands where a table has no number."""

BASE_STYLE = "show/templates/base.css"


def asset(name: str) -> str:
    """Return a file of the package as text, by its path below ``volstrat``."""
    return files("volstrat").joinpath(name).read_text(encoding="utf-8")


def render(template: str, /, **values: Any) -> str:  # noqa: ANN401 - whatever the template names
    """Fill in a template of the package, by its path below ``volstrat``.

    Everything that is put in is escaped, but for what `markup` returned.
    """
    return _environment().get_template(template).render(values)


def styled(style: str) -> str:
    """Return the style sheet of a page: the one all pages share, then its own."""
    return asset(BASE_STYLE) + asset(style)


def markup(own: str) -> str:
    """Mark text that volstrat made itself (a style sheet, a drawing) as what it is: not to be escaped."""
    from markupsafe import Markup

    return Markup(own)


def decimals(value: float | None, digits: int) -> str:
    """Write a number, or a dash for none."""
    return NO_NUMBER if value is None else f"{value:.{digits}f}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(asset),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimals=decimals, ml=ml_text, percent=percent_text, names=shown_names, plain_ml=shown_ml
    )
    environment.globals.update(
        strata=STRATA,
        statuses=STATUS,
        status_sentences=STATUS_SENTENCE,
        met=MET,
        avidity=AVIDITY,
        more_than=more_than,
        no_number=NO_NUMBER,
    )
    return environment
