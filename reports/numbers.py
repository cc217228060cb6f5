"""Numbers as a reader expects them: a true minus sign, few digits, powers of ten."""

from __future__ import annotations

import math

from scanner.measurement import Cell

NONE = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | int, digits: int = 4) -> str:
    """`value` with `digits` significant digits; whole numbers are grouped by thousands."""
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−") if abs(value) < 10**18 else _power(f"{value:.3e}" if abs(value) < 10**300 else "inf")
    if not math.isfinite(value):
        return str(value).replace("-", "−")
    if value == int(value) and abs(value) < 1e6:
        return number(int(value))
    return _power(f"{value:.{digits}g}")


def _power(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    shown = mantissa.replace("-", "−")
    return f"{shown} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}" if exponent else shown


def percent(rate: float, digits: int = 1) -> str:
    """A rate in 0..1 as a percentage."""
    shown = f"{100 * rate:.{digits}f}".replace("-", "−")
    return f"{shown.removesuffix('.0')} %"


def points(change: float, *, sign: bool = True) -> str:
    """A difference of rates in percentage points, signed, without the unit."""
    shown = f"{100 * change:+.1f}" if sign else f"{100 * change:.1f}"
    return "0.0" if float(shown) == 0 else shown.replace("-", "−")


def p_value(p: float) -> str:
    """`= 0.012`, `= 1.1 × 10⁻²⁰`; what a float cannot hold is `< 10⁻³⁰⁰`."""
    if p <= 0:
        return "< 10⁻³⁰⁰"
    return f"= {_power(f'{p:.1e}')}" if p < 0.001 else f"= {p:.2g}"


def size(count: int) -> str:
    """Bytes, in the unit that keeps the figure short."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def seconds(value: float) -> str:
    """A duration."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def as_float(cell: Cell) -> float | None:
    """The cell's finite number, or None."""
    if isinstance(cell, bool) or not isinstance(cell, int | float) or abs(cell) > 1e300:
        return None
    return float(cell) if math.isfinite(cell) else None


def as_int(cell: Cell) -> int | None:
    """The cell's whole number, or None."""
    value = as_float(cell)
    return int(value) if value is not None and value == int(value) and abs(value) < 1e9 else None
