"""The drift compass: how far behaviour moved in each direction that was measured, against no change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, legend, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, number, p_value
from scanner.measurement import Cell, Column, Measurement, Table
from scanner.result import Result

MOST_DIRECTIONS = 24
_RATE = ".change"
_NATS = "nats"
_LEFT, _SPAN, _WIDTH, _HIGH = 22.0, 366.0, 500.0, 42.0


class _Effect(msgspec.Struct, frozen=True):
    """One direction, in the unit of its axis."""

    title: str
    value: float
    low: float
    high: float
    measured: Measurement

    @property
    def moved(self) -> bool:
        """Whether the interval leaves no change out."""
        return self.low > 0 or self.high < 0


def draw(result: Result) -> Picture | None:
    """The measured effects with an interval: differences of rates in points, shifts of log-odds in nats."""
    rates = [e for m in result.measurements if m.id.endswith(_RATE) and (e := _effect(m, 100.0)) is not None][:MOST_DIRECTIONS]
    shifts = [e for m in result.measurements if m.unit == _NATS and (e := _effect(m, 1.0)) is not None][:MOST_DIRECTIONS]
    if not rates and not shifts:
        return None
    moved = [e for e in (*rates, *shifts) if e.moved]
    total = len(rates) + len(shifts)
    caption = (
        f"{'No direction' if not moved else f'{len(moved)} of {total} directions'} measured moved beyond chance: an interval that crosses the middle line "
        "is consistent with no change at all. Directions that were not measured are not drawn; they stand under “Coverage”."
    )
    drawings = []
    if rates:
        drawings.append(_axis(rates, "points", "Change of rates, adapted minus base, in percentage points"))
    if shifts:
        drawings.append(_axis(shifts, _NATS, "Shift of log-odds, adapted minus base, in nats"))
    return Picture(
        heading="Drift compass",
        caption=caption,
        drawings=tuple(drawings),
        key=legend(
            (swatch(svg.line(0, 7, 24, 7, "range adapted"), svg.diamond(12, 7, 5.5, "mark adapted"), width=24), "moved: the 95 % interval leaves out zero"),
            (swatch(svg.line(0, 7, 24, 7, "range base"), svg.circle(12, 7, 4.5, "mark base"), width=24), "no change seen: it does not"),
        ),
        table=_table([*rates, *shifts]),
        layout="half",
    )


def _effect(measured: Measurement, scale: float) -> _Effect | None:
    found = [as_float(v) if not isinstance(v, str) else None for v in (measured.value, measured.low, measured.high)]
    value, low, high = ((None if v is None else v * scale) for v in found)
    if value is None or low is None or high is None:
        return None
    return _Effect(plain(measured.title, 90), value, low, high, measured)


def _axis(effects: Sequence[_Effect], unit: str, title: str) -> Markup:
    limit = _limit(max(max(abs(e.low), abs(e.high), abs(e.value)) for e in effects))
    top = 44.0
    bottom = top + _HIGH * len(effects)

    def x(value: float) -> float:
        return _LEFT + _SPAN * (0.5 + 0.5 * max(-1.0, min(1.0, value / limit)))

    parts = [svg.text(_LEFT, 14, title, "t strong")]
    for tick in (-limit, -limit / 2, 0.0, limit / 2, limit):
        parts.append(svg.line(x(tick), top - 8, x(tick), bottom, "axis" if tick == 0 else "grid"))
        parts.append(svg.text(x(tick), top - 12, number(tick, 3) if tick <= 0 else f"+{number(tick, 3)}", "t num faint", "middle"))
    said = []
    for i, effect in enumerate(effects):
        y = top + _HIGH * i
        shown = _signed(effect.value)
        who = "adapted" if effect.moved else "base"
        note = svg.element("title", f"{effect.title}: {shown} ({_signed(effect.low)} to {_signed(effect.high)}) {unit}")
        mark = svg.diamond(x(effect.value), y + 28, 5.5, "mark adapted", note) if effect.moved else svg.circle(x(effect.value), y + 28, 4.5, "mark base", note)
        parts += [
            svg.text(_LEFT, y + 12, effect.title, "t"),
            svg.line(x(effect.low), y + 28, x(effect.high), y + 28, f"range {who}"),
            mark,
            svg.text(_LEFT + _SPAN + 16, y + 32, f"{shown} {unit}", "t num strong" if effect.moved else "t num"),
        ]
        said.append(f"{effect.title}: {shown}, {_signed(effect.low)} to {_signed(effect.high)}")
    return svg.picture(_WIDTH, bottom + 6, title, "; ".join(said) + ".", *parts, class_="picture compass")


def _limit(largest: float) -> float:
    """A round figure at or above `largest`."""
    if largest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(largest))
    return next((s * unit for s in (1.0, 2.0, 4.0, 5.0) if largest <= s * unit), 10.0 * unit)


def _signed(value: float) -> str:
    shown = number(round(value, 1) if abs(value) >= 10 else float(f"{value:.2g}"), 3)
    return f"+{shown}" if value > 0 and shown != "0" else shown


def _table(effects: Sequence[_Effect]) -> Table:
    columns = (Column("direction", "direction"), Column("effect", "adapted − base"), Column("interval", "95 % interval"), Column("p", "p"), Column("n", "n"))

    def row(effect: _Effect) -> tuple[Cell, ...]:
        p = effect.measured.p_value
        shown = p_value(p).removeprefix("= ") if p is not None else None
        return (effect.title, _signed(effect.value), f"{_signed(effect.low)} to {_signed(effect.high)}", shown, effect.measured.n)

    return Table(id="compass", title="Effects by direction, in points or nats", columns=columns, rows=tuple(row(e) for e in effects))
