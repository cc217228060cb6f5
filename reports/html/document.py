"""The template, filled in: autoescape always on, undefined names an error, one style sheet pinned by its hash."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import numbers
from reports.html import untrusted
from reports.html.page import interval
from scanner.measurement import Cell

STYLE = "style.css"


def write(template: str, **shown: object) -> str:
    """The whole document: the template, with `shown` under the names it knows them by."""
    style = _style()
    pinned = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return _environment().get_template(template).render(style=Markup(style), style_sha256=pinned, **shown)


@cache
def _style() -> str:
    return resources.files(__package__).joinpath(STYLE).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports.html", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_neutral,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        line=untrusted.line,
        passage=untrusted.passage,
        cell=cell,
        size=numbers.size,
        seconds=numbers.seconds,
        number=numbers.number,
        percent=numbers.percent,
        p_value=numbers.p_value,
        plural=numbers.plural,
        interval=interval,
        hash=digest,
    )
    return environment


def _neutral(value: object) -> object:
    """What Jinja prints: a string that is not markup already loses its control and invisible characters, then is escaped."""
    return untrusted.plain(value, 4000) if isinstance(value, str) and not isinstance(value, Markup) else value


def cell(value: Cell) -> Markup:
    """A table's cell."""
    if value is None or value == "":
        return Markup('<td class="none">{}</td>').format(numbers.NONE)
    if isinstance(value, bool):
        return Markup("<td>{}</td>").format("yes" if value else "no")
    if isinstance(value, int | float):
        return Markup('<td class="n">{}</td>').format(numbers.number(value))
    return Markup("<td>{}</td>").format(untrusted.line(value, 240))


def digest(value: str) -> Markup:
    """A hash that breaks across lines where it must."""
    shown = untrusted.plain(value, 64) or numbers.NONE
    return Markup('<code class="hash">{}</code>').format(shown)
