"""The delta among those of honest adapters made the same way: how far out they lie, and where this one does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, Row, legend, rows, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, as_int, number, p_value, plural
from scanner.result import Result

MOST_CLASSES = 80
MOST_FEATURES = 12
_CLASSES = frozenset({"low", "high", "adapters"})
_FEATURES = frozenset({"feature", "value", "low", "high", "z"})
_LEFT, _WIDTH, _RIGHT = 10.0, 500.0, 10.0
_BANDS, _SPAN, _BEYOND = 22.0, 366.0, 4.0
"""Left end and width of the bands' axis, and how many half-widths of the middle 90 % it reaches to either side."""


class _Class(msgspec.Struct, frozen=True):
    low: float
    high: float
    adapters: int


def draw(result: Result) -> Picture | None:
    """The picture of `reference.scores` and `reference.features`."""
    classes, features = rows(result, "reference.scores", _CLASSES), rows(result, "reference.features", _FEATURES)
    score, p = result.measurement("reference.score"), result.measurement("reference.p")
    here = as_float(score.value) if score is not None and not isinstance(score.value, str) else None
    if classes is None or features is None or here is None or here <= 0 or p is None or p.p_value is None:
        return None
    bars = [c for r in classes[1] if (c := _class(r)) is not None]
    if len(bars) != len(classes[1]) or len(bars) > MOST_CLASSES:
        return None
    n = sum(c.adapters for c in bars)
    caption = (
        f"How far from the middle of {plural(n, 'honest adapter')} of the same base, method, rank and modules: the furthest of the adapter's statistics is "
        f"{number(here, 3)} robust standard deviations out, p {p_value(p.p_value)}; no p-value here can be below 1/{n + 1:,}. Unusual is not malicious: "
        "another data set, learning rate or length of training moves these numbers too."
    )
    drawings = [_histogram(bars, here)]
    if bands := [b for r in features[1][:MOST_FEATURES] if (b := _band(r)) is not None]:
        drawings.append(_bands(bands))
    return Picture(
        heading="Among honest adapters",
        caption=caption,
        drawings=tuple(drawings),
        key=legend(
            (swatch(svg.box(4, 1, 14, 12, "bar")), "honest adapters"),
            (swatch(svg.box(1, 3, 20, 8, "track band")), "their middle 90 %"),
            (swatch(svg.diamond(11, 7, 5.5, "mark adapted")), "this adapter"),
        ),
        table=features[0],
        layout="half",
        subtitle="Its statistics that lie furthest out",
    )


def _class(row: Row) -> _Class | None:
    low, high, count = as_float(row["low"]), as_float(row["high"]), as_int(row["adapters"])
    return _Class(low, high, count) if low is not None and high is not None and count is not None and 0 < low < high and count >= 0 else None


def _histogram(bars: Sequence[_Class], here: float) -> Markup:
    """Adapters by score, on an axis where every doubling is as wide."""
    least, most = math.log2(min(bars[0].low, here)), math.log2(max(bars[-1].high, here))
    first, last = math.floor(least), max(math.ceil(most), math.floor(least) + 1)
    top, bottom, tallest = 40.0, 168.0, max(c.adapters for c in bars) or 1

    def x(score: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log2(score) - first) / (last - first)

    parts = [svg.line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "axis")]
    every = math.ceil((last - first) / 8)
    for power in range(first, last + 1, every):
        parts += [svg.line(x(2.0**power), bottom, x(2.0**power), bottom + 4, "axis")]
        parts.append(
            svg.text(x(2.0**power), bottom + 17, number(2.0**power, 3), "t num faint", "start" if power == first else "end" if power == last else "middle")
        )
    for bar in bars:
        high = (bottom - top) * bar.adapters / tallest
        note = svg.element("title", f"{number(bar.low, 3)} to {number(bar.high, 3)}: {plural(bar.adapters, 'adapter')}")
        parts.append(svg.box(x(bar.low) + 0.5, bottom - high, x(bar.high) - x(bar.low) - 1, high, "bar", note))
    at = x(here)
    parts += [
        svg.line(at, top - 6, at, bottom, "threshold"),
        svg.diamond(at, top - 12, 5.5, "mark adapted"),
        svg.text(at + (-10 if at > _WIDTH / 2 else 10), top - 8, f"this adapter {number(here, 3)}", "t num strong", "end" if at > _WIDTH / 2 else "start"),
        svg.text(_WIDTH / 2, bottom + 34, "robust standard deviations from the middle", "t faint", "middle"),
    ]
    said = ", ".join(f"{number(c.low, 3)} to {number(c.high, 3)}: {c.adapters}" for c in bars)
    return svg.picture(_WIDTH, bottom + 42, "Honest adapters by how far out they lie", f"{said}. This adapter: {number(here, 3)}.", *parts)


class _Band(msgspec.Struct, frozen=True):
    """A feature: where the adapter lies, in half-widths of the middle 90 % from their middle."""

    feature: str
    at: float
    value: float
    low: float
    high: float
    z: float


def _band(row: Row) -> _Band | None:
    value, low, high, z = (as_float(row[c]) for c in ("value", "low", "high", "z"))
    if value is None or low is None or high is None or z is None or high < low:
        return None
    half = (high - low) / 2
    at = (value - (low + high) / 2) / half if half > 0 else math.copysign(_BEYOND, z) if value != low else 0.0
    return _Band(plain(str(row["feature"]), 120), at, value, low, high, z)


def _bands(bands: Sequence[_Band]) -> Markup:
    """A row for each feature: the middle 90 % as a band, the adapter on it; an arrow where it lies beyond the axis."""
    high = 40.0

    def x(at: float) -> float:
        return _BANDS + _SPAN * (0.5 + 0.5 * max(-1.0, min(1.0, at / _BEYOND)))

    parts: list[Markup] = []
    said = []
    for i, band in enumerate(bands):
        y = 4 + high * i
        shown = f"{'+' if band.z > 0 else ''}{number(round(band.z, 1), 3)}"
        told = f"{band.feature}: {number(band.value, 3)}, middle 90 % {number(band.low, 3)} to {number(band.high, 3)}, z {shown}"
        said.append(told)
        parts += [
            svg.text(_BANDS, y + 12, _short(band.feature, 64), "t"),
            svg.line(_BANDS, y + 27, _BANDS + _SPAN, y + 27, "grid"),
            svg.box(x(-1), y + 21, x(1) - x(-1), 12, "track band"),
            svg.diamond(x(band.at), y + 27, 5.5, "mark adapted", svg.element("title", told)),
            svg.text(_BANDS + _SPAN + 20, y + 31, f"z {shown}", "t num strong" if abs(band.at) > 1 else "t num"),
        ]
        if abs(band.at) > _BEYOND:
            end, sign = (_BANDS + _SPAN, 1) if band.at > 0 else (_BANDS, -1)
            parts.append(
                svg.element(
                    "path", d=f"M{end + 8 * sign:.1f} {y + 23:.1f}L{end + 13 * sign:.1f} {y + 27:.1f}L{end + 8 * sign:.1f} {y + 31:.1f}", class_="trace"
                )
            )
    return svg.picture(_WIDTH, 8 + high * len(bands), "Statistics that lie furthest out", "; ".join(said) + ".", *parts)


def _short(words: str, longest: int) -> str:
    """A long name by its end, which tells most."""
    return words if len(words) <= longest else f"…{words[1 - longest :]}"
