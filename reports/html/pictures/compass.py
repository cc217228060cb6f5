"""The drift compass: how far behaviour moved in each direction that was measured, against no change."""

from __future__ import annotations

from collections.abc import Sequence

from reports.html.effects import Effect, axis, effect, key, signed
from reports.html.picture import Picture
from reports.numbers import p_value
from scanner.measurement import Cell, Column, Measurement, Table
from scanner.result import Result

MOST_DIRECTIONS = 24
_RATE = ".change"
_NATS = "nats"
_Found = tuple[Measurement, Effect]


def draw(result: Result) -> Picture | None:
    """The measured effects with an interval: differences of rates in points, shifts of log-odds in nats."""
    rates = [(m, e) for m in result.measurements if m.id.endswith(_RATE) and (e := _effect(m, 100.0)) is not None][:MOST_DIRECTIONS]
    shifts = [(m, e) for m in result.measurements if m.unit == _NATS and (e := _effect(m, 1.0)) is not None][:MOST_DIRECTIONS]
    if not rates and not shifts:
        return None
    moved = sum(e.moved for _, e in (*rates, *shifts))
    caption = (
        f"{'No direction' if not moved else f'{moved} of {len(rates) + len(shifts)} directions'} measured moved beyond chance: an interval that crosses the "
        "middle line is consistent with no change at all. Directions that were not measured are not drawn; they stand under “Coverage”."
    )
    drawings = []
    if rates:
        drawings.append(axis([e for _, e in rates], "points", "Change of rates, adapted minus base, in percentage points"))
    if shifts:
        drawings.append(axis([e for _, e in shifts], _NATS, "Shift of log-odds, adapted minus base, in nats"))
    return Picture(
        heading="Drift compass",
        caption=caption,
        drawings=tuple(drawings),
        key=key("moved: the 95 % interval leaves out zero", "no change seen: it does not"),
        table=_table([*rates, *shifts]),
        layout="half",
    )


def _effect(measured: Measurement, scale: float) -> Effect | None:
    return None if isinstance(measured.value, str) else effect(measured.title, measured.value, measured.low, measured.high, scale)


def _table(found: Sequence[_Found]) -> Table:
    columns = (Column("direction", "direction"), Column("effect", "adapted − base"), Column("interval", "95 % interval"), Column("p", "p"), Column("n", "n"))

    def row(measured: Measurement, one: Effect) -> tuple[Cell, ...]:
        shown = p_value(measured.p_value).removeprefix("= ") if measured.p_value is not None else None
        return (one.title, signed(one.value), f"{signed(one.low)} to {signed(one.high)}", shown, measured.n)

    return Table(id="compass", title="Effects by direction, in points or nats", columns=columns, rows=tuple(row(m, e) for m, e in found))
