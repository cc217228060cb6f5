"""How far the adapted model's next-token distribution is from the base's, at each of the first tokens of an answer."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, legend, rows, swatch
from reports.numbers import as_float, as_int, number
from scanner.result import Result

MOST_POSITIONS = 64
_NEEDED = frozenset({"position", "mean", "low", "high"})


def draw(result: Result) -> Picture | None:
    """The picture of `refusal.kl`."""
    known = rows(result, "refusal.kl", _NEEDED)
    if known is None:
        return None
    table, positions = known
    found = [(as_int(r["position"]), as_float(r["mean"]), as_float(r["low"]), as_float(r["high"])) for r in positions]
    points = [(p, m, m if a is None else a, m if b is None else b) for p, m, a, b in found if p is not None and m is not None]
    if len(points) != len(positions) or len(points) > MOST_POSITIONS:
        return None
    left, right, width, top, bottom = 44.0, 8.0, 500.0, 16.0, 206.0
    ceiling, ticks = _ticks(max(b for *_, b in points))
    step = (width - left - right) / len(points)

    def y(value: float) -> float:
        return bottom - (bottom - top) * min(max(value, 0.0), ceiling) / ceiling

    parts: list[Markup] = []
    for tick in ticks:
        parts += [svg.line(left, y(tick), width - right, y(tick), "grid"), svg.text(left - 8, y(tick) + 4, number(tick), "t num faint", "end")]
    for i, (position, mean, low, up) in enumerate(points):
        x = left + (i + 0.5) * step
        note = svg.element("title", f"token {position}: {number(mean, 3)} nats ({number(low, 3)} to {number(up, 3)})")
        parts.append(svg.box(x - step * 0.3, y(mean), step * 0.6, bottom - y(mean), "bar", note))
        parts += [svg.line(x, y(low), x, y(up), "whisker"), svg.line(x - 4, y(low), x + 4, y(low), "whisker"), svg.line(x - 4, y(up), x + 4, y(up), "whisker")]
        parts.append(svg.text(x, bottom + 16, str(position), "t num faint", "middle"))
    parts.append(svg.text(left + (width - left - right) / 2, bottom + 34, "token of the answer", "t faint", "middle"))
    peak = max(points, key=lambda p: p[1])
    caption = (
        f"Divergence of the adapted model's next-token distribution from the base's, in nats. It peaks at token {peak[0]} with "
        f"{number(peak[1], 3)}. The first tokens decide between refusing and answering, so a peak there deserves a look."
    )
    return Picture(
        heading="How far the first words move",
        caption=caption,
        drawings=(svg.picture(width, bottom + 42, "KL divergence by answer token", caption, *parts),),
        key=legend(
            (swatch(svg.box(4, 1, 14, 12, "bar")), "mean over prompts"),
            (swatch(svg.line(11, 1, 11, 13, "whisker"), svg.line(7, 1, 15, 1, "whisker"), svg.line(7, 13, 15, 13, "whisker")), "95 % interval"),
        ),
        table=table,
        layout="half",
    )


def _ticks(largest: float) -> tuple[float, list[float]]:
    """A round ceiling at or above `largest` and the ticks up to it."""
    if largest <= 0:
        return 1.0, [0.0, 1.0]
    unit = 10.0 ** math.floor(math.log10(largest))
    step = next(s * unit for s in (0.25, 0.5, 1.0, 2.0, 2.5) if largest / (s * unit) <= 5)
    count = math.ceil(largest / step - 1e-9)
    return count * step, [i * step for i in range(count + 1)]
