"""What moved from one result to another, and how surely: the picture of a comparison."""

from __future__ import annotations

from reports.html.effects import Effect, axis, effect, key, signed
from reports.html.picture import Picture
from reports.numbers import p_value
from scanner.comparison import Comparison, Shift, State
from scanner.measurement import Cell, Column, Table

MOST = 24
_NATS = "nats"
_COLUMNS = (
    Column("quantity", "quantity"), Column("change", "after − before"), Column("interval", "95 % interval"), Column("p", "p, corrected"), Column("state", "what it is"),
)  # fmt: skip


def draw(found: Comparison) -> Picture | None:
    """The measurements that are not the same and have an interval: rates in points, log-odds in nats; None where there is none."""
    moved = [s for s in found.shifts if s.state in (State.CHANGED, State.UNDECIDED)]
    rates = [(s, e) for s in moved if s.p_value is not None and (e := _effect(s, 100.0)) is not None][:MOST]
    odds = [(s, e) for s in moved if s.unit == _NATS and (e := _effect(s, 1.0)) is not None][:MOST]
    if not rates and not odds:
        return None
    total, sure = len(rates) + len(odds), sum(e.moved for _, e in (*rates, *odds))
    caption = (
        f"{sure} of {total} {'is' if sure == 1 else 'are'} beyond chance. A rate is tested on the same prompts where both scans asked them, and its p-value is "
        "corrected for every test of the comparison. What is the same in both is not drawn."
    )
    drawings = []
    if rates:
        drawings.append(axis([e for _, e in rates], "points", "Rates, after minus before, in percentage points"))
    if odds:
        drawings.append(axis([e for _, e in odds], _NATS, "Log-odds, after minus before, in nats"))
    return Picture(
        heading="How far it moved",
        caption=caption,
        drawings=tuple(drawings),
        key=key("changed", "no change shown: well within what chance does"),
        table=Table(id="shifts", title="Changes, in points or nats", columns=_COLUMNS, rows=tuple(_row(s, e) for s, e in (*rates, *odds))),
        layout="wide",
    )


def _effect(shift: Shift, scale: float) -> Effect | None:
    return effect(shift.title, shift.change, shift.low, shift.high, scale, moved=shift.state is State.CHANGED)


def _row(shift: Shift, one: Effect) -> tuple[Cell, ...]:
    p = p_value(shift.adjusted).removeprefix("= ") if shift.adjusted is not None else None
    return (one.title, signed(one.value), f"{signed(one.low)} to {signed(one.high)}", p, shift.state.value)
