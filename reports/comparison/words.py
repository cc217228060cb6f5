"""What text and Markdown say of a comparison in the same words."""

from __future__ import annotations

from reports import numbers
from scanner.comparison import Comparison, Kind, Shift
from scanner.files.text import printable


def names(found: Comparison) -> tuple[str, str]:
    """What the two sides are called: by what differs between them."""
    one, two = found.before, found.after
    adapters = f"{one.adapter.name} {one.adapter.sha256[:12]}", f"{two.adapter.name} {two.adapter.sha256[:12]}"
    bases = tuple(f"{s.base.name} {s.base.sha256[:12]}" if s.base else "no base" for s in (one, two))
    if found.kind is Kind.DEPLOYMENTS:
        return bases[0], bases[1]
    if found.kind is Kind.UNRELATED:
        return f"{adapters[0]} on {bases[0]}", f"{adapters[1]} on {bases[1]}"
    return adapters


def value(cell: float | int | str | None) -> str:
    """A measured value, in few digits."""
    if cell is None:
        return "not measured"
    return printable(cell, 80) if isinstance(cell, str) else numbers.number(cell)


def change(shift: Shift) -> str:
    """`, +0.12`, or nothing where there is no number."""
    if not shift.change:
        return ""
    return f", {'+' if shift.change > 0 else ''}{numbers.number(shift.change)}"


def uncertainty(shift: Shift) -> str:
    """`, 95 % interval …, p …`, as far as there is one."""
    found = ""
    if shift.low is not None and shift.high is not None:
        found += f", 95 % interval {numbers.number(shift.low)} to {numbers.number(shift.high)}"
    if shift.p_value is not None and shift.adjusted is not None:
        found += f", p {numbers.p_value(shift.p_value)}, corrected {numbers.p_value(shift.adjusted)}"
    return found
