"""The drift compass: how far behaviour moved in each direction that was measured, against no change."""

from __future__ import annotations

from collections.abc import Sequence

from reports.html.effects import Effect, axis, effect, key, signed
from reports.html.picture import Picture
from reports.numbers import p_value
from scanner.measurement import Cell, Column, Measurement, Table
from scanner.result import Result

MOST_DIRECTIONS = 24
_AXES = (
    ("", 100.0, "points", "Rates, adapted − base, percentage points"),
    ("nats", 1.0, "nats", "Log-odds, adapted − base, nats"),
    ("nats a token", 1.0, "nats", "Likelihoods, adapted − base, nats a token"),
    ("tokens", 1.0, "tokens", "Depth of refusals, adapted − base, tokens"),
)
"""The unit of a measurement, units of the axis in one of it, the axis's unit and its title; what has no unit is a rate."""
_RATE = ".change"
_Found = tuple[Measurement, Effect]


def draw(result: Result) -> Picture | None:
    """The measured effects with an interval: differences of rates in points, shifts of log-odds and likelihoods in nats, depths in tokens."""
    groups = [
        ([(m, e) for m in result.measurements if _belongs(m, unit) and (e := _effect(m, scale)) is not None][:MOST_DIRECTIONS], shown, title)
        for unit, scale, shown, title in _AXES
    ]
    found = [pair for group, *_ in groups for pair in group]
    if not found:
        return None
    moved = sum(e.moved for _, e in found)
    caption = (
        f"{'No interval' if not moved else f'{moved} of {len(found)} intervals'} of 95 % leave{'s' if moved < 2 else ''} out zero; one that crosses the "
        "middle line is consistent with no change at all, and of twenty without any change one is beside it by chance. Directions that were not measured are not drawn; they stand under “Coverage”."
    )
    drawings = [axis([e for _, e in group], shown, title) for group, shown, title in groups if group]
    return Picture(
        heading="Drift compass",
        caption=caption,
        drawings=tuple(drawings),
        key=key("moved: the 95 % interval leaves out zero", "no change seen: it does not"),
        table=_table(found),
        layout="half",
    )


def _belongs(measured: Measurement, unit: str) -> bool:
    return measured.unit == unit and (bool(unit) or measured.id.endswith(_RATE))


def _effect(measured: Measurement, scale: float) -> Effect | None:
    return None if isinstance(measured.value, str) else effect(measured.title, measured.value, measured.low, measured.high, scale)


def _table(found: Sequence[_Found]) -> Table:
    columns = (Column("direction", "direction"), Column("effect", "adapted − base"), Column("interval", "95 % interval"), Column("p", "p"), Column("n", "n"))

    def row(measured: Measurement, one: Effect) -> tuple[Cell, ...]:
        shown = p_value(measured.p_value).removeprefix("= ") if measured.p_value is not None else None
        return (one.title, signed(one.value), f"{signed(one.low)} to {signed(one.high)}", shown, measured.n)

    return Table(id="compass", title="Effects by direction, in the unit of its axis", columns=columns, rows=tuple(row(m, e) for m, e in found))
