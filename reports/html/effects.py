"""Effects with their intervals on an axis around no change at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from reports.html import svg
from reports.html.picture import legend, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, number
from scanner.measurement import Cell

_LEFT, _SPAN, _WIDTH, _HIGH = 22.0, 366.0, 500.0, 42.0


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One direction, in the unit of its axis."""

    title: str
    value: float
    low: float
    high: float
    moved: bool
    """Whether it is beyond chance."""


def effect(title: str, value: Cell, low: float | None, high: float | None, scale: float, *, moved: bool | None = None) -> Effect | None:
    """The effect, `scale` being units of its axis in one of the numbers'; None without finite numbers.

    `moved` is by default whether the interval leaves zero out.
    """
    found = [as_float(v) for v in (value, low, high)]
    if any(v is None for v in found):
        return None
    at, least, most = (scale * (v or 0.0) for v in found)
    return Effect(title=plain(title, 90), value=at, low=least, high=most, moved=least > 0 or most < 0 if moved is None else moved)


def axis(effects: Sequence[Effect], unit: str, title: str) -> Markup:
    """A row for each effect; what moved is a diamond, what did not a ring."""
    limit = _limit(max(max(abs(e.low), abs(e.high), abs(e.value)) for e in effects))
    top = 44.0

    def x(value: float) -> float:
        return _LEFT + _SPAN * (0.5 + 0.5 * max(-1.0, min(1.0, value / limit)))

    ticks = (-limit, -limit / 2, 0.0, limit / 2, limit)
    parts = [svg.text(_LEFT, 14, title, "t strong")]
    parts += [svg.text(x(t), top - 12, number(t, 3) if t <= 0 else f"+{number(t, 3)}", "t num faint", "middle") for t in ticks]
    said = []
    for i, one in enumerate(effects):
        y = top + _HIGH * i
        shown, who = signed(one.value), "adapted" if one.moved else "base"
        note = svg.element("title", f"{one.title}: {shown} ({signed(one.low)} to {signed(one.high)}) {unit}")
        mark = svg.diamond(x(one.value), y + 28, 5.5, "mark adapted", note) if one.moved else svg.circle(x(one.value), y + 28, 4.5, "mark base", note)
        parts += [svg.line(x(t), y + 19, x(t), y + 38, "axis" if t == 0 else "grid") for t in ticks]
        parts += [
            svg.text(_LEFT, y + 12, one.title, "t"),
            svg.line(x(one.low), y + 28, x(one.high), y + 28, f"range {who}"),
            mark,
            svg.text(_LEFT + _SPAN + 16, y + 32, f"{shown} {unit}", "t num strong" if one.moved else "t num"),
        ]
        said.append(f"{one.title}: {shown}, {signed(one.low)} to {signed(one.high)}")
    return svg.picture(_WIDTH, top + _HIGH * len(effects) + 6, title, "; ".join(said) + ".", *parts, class_="picture compass")


def key(moved: str, still: str) -> Markup:
    """The legend, with what the two marks mean."""
    return legend(
        (swatch(svg.line(0, 7, 24, 7, "range adapted"), svg.diamond(12, 7, 5.5, "mark adapted"), width=24), moved),
        (swatch(svg.line(0, 7, 24, 7, "range base"), svg.circle(12, 7, 4.5, "mark base"), width=24), still),
    )


def signed(value: float) -> str:
    """A number in few digits, with its sign."""
    shown = number(round(value, 1) if abs(value) >= 10 else float(f"{value:.2g}"), 3)
    return f"+{shown}" if value > 0 and shown != "0" else shown


def _limit(largest: float) -> float:
    """A round figure at or above `largest`."""
    if largest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(largest))
    return next((s * unit for s in (1.0, 2.0, 4.0, 5.0) if largest <= s * unit), 10.0 * unit)
