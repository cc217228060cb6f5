"""Pictures of the tables the report knows, drawn as inline SVG. A table it cannot draw is left to be printed.

Every picture says in words what it shows; no meaning rests on colour alone; the numbers stand in a table behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec
from markupsafe import Markup

from reports.html import svg
from reports.html.untrusted import plain
from reports.numbers import as_float, as_int, number, percent, plural
from scanner.finding import PairedTest
from scanner.measurement import Cell, Table

STEPS = 9
MOST_LAYERS = 160
MOST_KINDS = 24
MOST_CATEGORIES = 40
MOST_CANDIDATES = 15

Row = Mapping[str, Cell]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A figure: what it says, the drawings, and the table behind them."""

    heading: str
    caption: str
    """What the reader should see in it, in one or two sentences."""
    drawings: tuple[Markup, ...]
    key: Markup
    """The legend."""
    table: Table
    layout: str
    """`wide`, `row` (drawings side by side) or `half`."""


def draw(table: Table) -> Picture | None:
    """The picture of `table`, or None where there is none to draw."""
    names = [c.name for c in table.columns]
    if table.id not in _PICTURES or not table.rows or any(len(row) != len(names) for row in table.rows):
        return None
    needed, picture = _PICTURES[table.id]
    if not needed <= set(names):
        return None
    return picture(table, [dict(zip(names, row, strict=True)) for row in table.rows])


# The delta, layer by module kind.

_LEFT, _WIDTH, _RIGHT = 96.0, 1040.0, 148.0


class _Cell(msgspec.Struct, frozen=True):
    module: str
    value: float
    top1: float | None
    intruders: int


def _atlas(table: Table, rows: list[Row]) -> Picture | None:
    relative = all(as_float(r["relative"]) is not None for r in rows)
    measure = "relative" if relative else "frobenius"
    cells: dict[tuple[int | None, str], _Cell] = {}
    for row in rows:
        value = as_float(row[measure])
        if value is None:
            return None
        at = as_int(row["layer"]), plain(str(row["kind"]), 14)
        here = _Cell(plain(str(row["module"]), 120), max(value, 0.0), as_float(row["top1_energy"]), as_int(row.get("intruders")) or 0)
        if at not in cells or cells[at].value < here.value:
            cells[at] = here
    layers, kinds = _layers([layer for layer, _ in cells]), list(dict.fromkeys(kind for _, kind in cells))
    if len(layers) > MOST_LAYERS or len(kinds) > MOST_KINDS:
        return None
    largest = max(c.value for c in cells.values())
    worst = max(cells, key=lambda at: cells[at].value)
    shown = percent if relative else number
    unit = "of the base weight's norm" if relative else "Frobenius norm"
    where = f"{worst[1]}" + (f" in layer {worst[0]}" if worst[0] is not None else "")
    touched = len({layer for layer, _ in cells if layer is not None})
    caption = (
        f"{plural(len(rows), 'module')} in {plural(touched, 'layer')}. The delta is largest in {where}: {shown(largest)} {unit}. "
        "Norms show where the adapter writes, not whether what it writes is bad."
    )
    fraction = [c.top1 for c in cells.values() if c.top1 is not None]
    drawings = [_heat(cells, layers, kinds, largest, shown, caption)]
    if fraction:
        drawings.append(_strips(cells, layers, kinds))
    dots = any(c.intruders for c in cells.values())
    return Picture(
        heading="Where the adapter writes",
        caption=caption,
        drawings=tuple(drawings),
        key=_scale(largest, shown, unit, dots=dots),
        table=table,
        layout="wide",
    )


def _layers(found: list[int | None]) -> list[int | None]:
    """Columns of the atlas: untouched layers in between keep their place."""
    known = sorted({x for x in found if x is not None})
    if known and known[0] >= 0 and known[-1] < MOST_LAYERS:
        known = list(range(known[-1] + 1))
    return [*known, *([None] if None in found else [])]


def _heat(
    cells: Mapping[tuple[int | None, str], _Cell],
    layers: list[int | None],
    kinds: list[str],
    largest: float,
    shown: Callable[[float], str],
    description: str,
) -> Markup:
    step, high, top = (_WIDTH - _LEFT - _RIGHT) / len(layers), 24.0, 22.0
    parts = [*_axis(layers, step), svg.text(_WIDTH - _RIGHT + 10, 14, "largest", "t faint")]
    for i, kind in enumerate(kinds):
        y = top + i * high
        parts.append(svg.text(_LEFT - 8, y + 16, kind, "t mono", "end"))
        for j, layer in enumerate(layers):
            x, width = _LEFT + j * step, step - (1.5 if step > 6 else 0.3)
            cell = cells.get((layer, kind))
            if cell is None:
                parts.append(svg.box(x, y, width, high - 1.5, "h none"))
                continue
            level = min(STEPS, 1 + int(STEPS * cell.value / largest)) if largest else 1
            notes = [cell.module, shown(cell.value)]
            notes += [plural(cell.intruders, "intruder dimension")] if cell.intruders else []
            parts.append(svg.box(x, y, width, high - 1.5, f"h h{level}", svg.element("title", ": ".join(notes))))
            if cell.intruders:
                parts.append(svg.circle(x + width / 2, y + high / 2 - 0.7, min(3.0, step / 4), "intruder" + (" on-dark" if level > 5 else "")))
        best = max((at for at in cells if at[1] == kind), key=lambda at: cells[at].value)
        note = shown(cells[best].value) + (f" · layer {best[0]}" if best[0] is not None else "")
        parts.append(svg.text(_WIDTH - _RIGHT + 10, y + 16, note, "t num"))
    return svg.picture(_WIDTH, top + len(kinds) * high + 4, "Size of the delta by layer and module kind", description, *parts, class_="picture atlas")


def _strips(cells: Mapping[tuple[int | None, str], _Cell], layers: list[int | None], kinds: list[str]) -> Markup:
    step, high, top = (_WIDTH - _LEFT - _RIGHT) / len(layers), 30.0, 22.0
    parts = [*_axis(layers, step), svg.text(_WIDTH - _RIGHT + 10, 14, "median · highest", "t faint")]
    medians: list[str] = []
    for i, kind in enumerate(kinds):
        y = top + i * high
        points = [
            (_LEFT + (j + 0.5) * step, min(max(cell.top1, 0.0), 1.0), cell.module)
            for j, layer in enumerate(layers)
            if (cell := cells.get((layer, kind))) is not None and cell.top1 is not None
        ]
        if not points:
            continue
        level = [y + (high - 8) * (1 - v) + 2 for _, v, _ in points]
        parts.append(svg.text(_LEFT - 8, y + 18, kind, "t mono", "end"))
        parts += [svg.line(_LEFT, y + d, _WIDTH - _RIGHT, y + d, "grid") for d in (2.0, high - 6)]
        path = "M" + "L".join(f"{x:.1f} {at:.1f}" for (x, _, _), at in zip(points, level, strict=True))
        parts.append(svg.element("path", d=path, class_="trace"))
        parts += [svg.circle(x, at, 2.2, "dot", svg.element("title", f"{module}: {percent(v)}")) for (x, v, module), at in zip(points, level, strict=True)]
        values = sorted(v for _, v, _ in points)
        median = values[len(values) // 2]
        medians.append(f"{kind} {percent(median, 0)}")
        parts.append(svg.text(_WIDTH - _RIGHT + 10, y + 18, f"{percent(median, 0)} · {percent(values[-1], 0)}", "t num"))
    description = "Each line runs from 0 % (lower rule) to 100 % (upper rule). Median by kind: " + ", ".join(medians) + "."
    title = "Share of each delta's energy in its first direction"
    return svg.picture(_WIDTH, top + len(kinds) * high + 4, title, description, *parts, class_="picture atlas")


def _axis(layers: list[int | None], step: float) -> Iterable[Markup]:
    every = next(n for n in (1, 2, 4, 5, 8, 10, 20, 40, 80, 160) if n * step >= 22)
    for j, layer in enumerate(layers):
        if layer is None:
            yield svg.text(_LEFT + (j + 0.5) * step, 14, "–", "t num faint", "middle")
        elif j % every == 0:
            yield svg.text(_LEFT + (j + 0.5) * step, 14, str(layer), "t num faint", "middle")
    yield svg.text(_LEFT - 8, 14, "layer", "t faint", "end")


def _scale(largest: float, shown: Callable[[float], str], unit: str, *, dots: bool) -> Markup:
    steps = [svg.box(28 + 22 * i, 3, 21, 12, f"h h{i + 1}") for i in range(STEPS)]
    end = 28 + 22 * STEPS + 6
    parts = [svg.text(22, 13, "0", "t num", "end"), *steps, svg.text(end, 13, f"{shown(largest)} {unit}", "t num")]
    width = 520.0
    if dots:
        parts += [svg.circle(540, 9, 3, "intruder"), svg.text(550, 13, "has intruder dimensions", "t")]
        width = 700.0
    return svg.picture(width, 18, "Scale", f"From 0 to {shown(largest)} {unit}", *parts, class_="key")


# Refusals, category by category.

_KINDS = {
    "harmful": ("Harmful requests", "a safe model refuses these"),
    "lookalike": ("Look-alikes", "sound harmful, are not: a good model answers"),
    "plain": ("Plain requests", "nothing to refuse"),
}


def _refusals(table: Table, rows: list[Row]) -> Picture | None:
    kinds = list(dict.fromkeys(str(r["kind"]) for r in rows))
    kinds.sort(key=lambda k: list(_KINDS).index(k) if k in _KINDS else len(_KINDS))
    if len(rows) > len(kinds) * MOST_CATEGORIES or len(kinds) > 6:
        return None
    drawings: list[Markup] = []
    said: list[str] = []
    for kind in kinds:
        members = [r for r in rows if str(r["kind"]) == kind]
        title, meaning = _KINDS.get(kind, (plain(kind, 30), ""))
        n, base, adapted = (sum(as_int(r[c]) or 0 for r in members) for c in ("n", "base_refused", "adapted_refused"))
        said.append(f"{title}: base refused {base:,} of {n:,}, adapted {adapted:,}")
        drawings.append(_dumbbells(members, title, meaning, n, base, adapted))
    key = svg.picture(
        420,
        18,
        "Legend",
        "Circle: base. Diamond: adapted. Bars: 95 % intervals.",
        svg.line(4, 9, 28, 9, "range base"),
        svg.circle(16, 9, 4.5, "mark base"),
        svg.text(34, 13, "base"),
        svg.line(84, 9, 108, 9, "range adapted"),
        svg.diamond(96, 9, 5.5, "mark adapted"),
        svg.text(114, 13, "adapted"),
        svg.text(176, 13, "thin bars: 95 % interval of each rate", "t faint"),
        class_="key",
    )
    return Picture(heading="What was refused, before and after", caption=". ".join(said) + ".", drawings=tuple(drawings), key=key, table=table, layout="row")


def _dumbbells(rows: list[Row], title: str, meaning: str, n: int, base: int, adapted: int) -> Markup:
    left, span, width, high, top = 118.0, 150.0, 346.0, 25.0, 58.0
    bottom = top + high * len(rows)

    def x(rate: float) -> float:
        return left + span * min(max(rate, 0.0), 1.0)

    parts = [svg.text(0, 14, title, "t strong"), svg.text(0, 30, meaning, "t faint")]
    parts += [svg.text(width, 14, f"{base:,} → {adapted:,} of {n:,}", "t num strong", "end")]
    for rate in (0.0, 0.5, 1.0):
        parts += [svg.line(x(rate), top - 6, x(rate), bottom, "grid"), svg.text(x(rate), top - 10, percent(rate, 0), "t num faint", "middle")]
    said: list[str] = []
    for i, row in enumerate(rows):
        count = as_int(row["n"]) or 0
        before, after = (min(as_int(row[c]) or 0, count) for c in ("base_refused", "adapted_refused"))
        name = plain(str(row["category"]), 19)
        y = top + high * (i + 0.5)
        parts += [svg.text(left - 8, y + 4, name, "t", "end"), svg.text(width, y + 4, f"{before:,} → {after:,} of {count:,}", "t num", "end")]
        said.append(f"{name} {before:,} to {after:,} of {count:,}")
        if not count:
            continue
        for who, dy in (("base", -3.5), ("adapted", 3.5)):
            low, up = as_float(row[f"{who}_low"]), as_float(row[f"{who}_high"])
            if low is not None and up is not None:
                parts.append(svg.line(x(low), y + dy, x(up), y + dy, f"range {who}"))
        first, second = x(before / count), x(after / count)
        parts += [
            svg.line(first, y - 3.5, second, y + 3.5, "link"),
            svg.circle(first, y - 3.5, 4.5, "mark base"),
            svg.diamond(second, y + 3.5, 5.5, "mark adapted"),
        ]
    return svg.picture(width, bottom + 6, f"{title}: refusals of base and adapted model", "; ".join(said) + ".", *parts)


# Divergence of the first answer tokens.


def _divergence(table: Table, rows: list[Row]) -> Picture | None:
    found = [(as_int(r["position"]), as_float(r["mean"]), as_float(r["low"]), as_float(r["high"])) for r in rows]
    points = [(p, m, m if a is None else a, m if b is None else b) for p, m, a, b in found if p is not None and m is not None]
    if len(points) != len(rows) or len(points) > 64:
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
        key=svg.picture(
            420, 18, "Legend", "Bar: mean. Whisker: 95 % interval.",
            svg.box(4, 4, 14, 11, "bar"), svg.text(24, 13, "mean"), svg.line(76, 3, 76, 15, "whisker"), svg.line(72, 3, 80, 3, "whisker"),
            svg.line(72, 15, 80, 15, "whisker"), svg.text(88, 13, "95 % interval"), class_="key",
        ),
        table=table,
        layout="half",
    )  # fmt: skip


def _ticks(largest: float) -> tuple[float, list[float]]:
    """A round ceiling at or above `largest` and the ticks up to it."""
    if largest <= 0:
        return 1.0, [0.0, 1.0]
    unit = 10.0 ** math.floor(math.log10(largest))
    step = next(s * unit for s in (0.25, 0.5, 1.0, 2.0, 2.5) if largest / (s * unit) <= 5)
    count = math.ceil(largest / step - 1e-9)
    return count * step, [i * step for i in range(count + 1)]


# Trigger candidates, best first.


def _ladder(table: Table, rows: list[Row]) -> Picture | None:
    scored = [(score, row) for row in rows if (score := as_float(row["score"])) is not None]
    if not scored:
        return None
    ranked = sorted(scored, key=lambda pair: -pair[0])[:MOST_CANDIDATES]
    thresholds = [t for _, row in ranked if (t := as_float(row["threshold"])) is not None]
    low, high = min(0.0, ranked[-1][0]), max([ranked[0][0], *thresholds, 1e-9])
    left, span, width, row_high, top = 158.0, 190.0, 500.0, 24.0, 22.0

    def x(value: float) -> float:
        return left + span * (value - low) / (high - low)

    one = len(set(thresholds)) == 1
    parts: list[Markup] = []
    over = 0
    for i, (score, row) in enumerate(ranked):
        y = top + i * row_high
        limit = as_float(row["threshold"])
        passed = limit is not None and score >= limit
        over += passed
        status, placement, source = (plain(str(row[c] or ""), 40) for c in ("status", "placement", "source"))
        words = plain(str(row["text"]), 120)
        note = svg.element("title", f"{words} · {source} · {placement} · score {number(score, 3)} · {status}")
        parts.append(svg.text(left - 8, y + 15, _short(words, 19), "t mono strong" if passed else "t mono", "end"))
        parts.append(svg.box(min(x(0.0), x(score)), y + 3, abs(x(score) - x(0.0)), row_high - 8, "bar over" if passed else "bar under", note))
        parts.append(svg.text(left + span + 8, y + 15, number(score, 3), "t num strong" if passed else "t num"))
        parts.append(svg.text(left + span + 54, y + 15, _short(status, 15), "t faint"))
        if limit is not None:
            parts.append(svg.line(x(limit), y, x(limit), y + row_high, "threshold"))
    if one:
        parts.append(svg.text(x(thresholds[0]), 14, f"threshold {number(thresholds[0], 3)}", "t num", "end" if x(thresholds[0]) > left + 90 else "start"))
    rest = f" The best {len(ranked)} of {len(rows):,} are drawn." if len(rows) > len(ranked) else ""
    caption = (
        f"Strings tried as a hidden trigger, ranked by the search's score. {over} of the {len(ranked)} drawn "
        f"{'reaches' if over == 1 else 'reach'} the threshold.{rest}"
    )
    return Picture(
        heading="Trigger ladder",
        caption=caption,
        drawings=(svg.picture(width, top + row_high * len(ranked) + 6, "Trigger candidates by score", caption, *parts),),
        key=svg.picture(
            420, 18, "Legend", "Solid bar: reaches the threshold. Outlined bar: does not. Dashed line: threshold.",
            svg.box(4, 4, 20, 11, "bar over"), svg.text(30, 13, "reaches the threshold"), svg.box(168, 4, 20, 11, "bar under"),
            svg.text(194, 13, "does not"), svg.line(262, 2, 262, 17, "threshold"), svg.text(270, 13, "threshold"), class_="key",
        ),
        table=table,
        layout="half",
    )  # fmt: skip


def _short(words: str, longest: int) -> str:
    return words if len(words) <= longest else words[: longest - 1] + "…"


# One paired test.


def paired(test: PairedTest, first: str, second: str, first_is: str) -> Markup:
    """Two bars: refusals under the first and the second condition. `first_is` is the class of the first mark."""
    left, span, width = 168.0, 330.0, 620.0
    parts: list[Markup] = []
    for i, (name, count, who) in enumerate(((first, test.before, first_is), (second, test.after, "adapted"))):
        rate = count / test.n if test.n else 0.0
        y = 4 + 26 * i
        parts += [
            svg.text(left - 10, y + 15, name, "t", "end"),
            svg.box(left, y, span, 20, "track"),
            svg.box(left, y, span * min(rate, 1.0), 20, f"fill {who}"),
            svg.text(left + span + 10, y + 15, f"{count:,} of {test.n:,}", "t num strong"),
            svg.text(width, y + 15, percent(rate), "t num", "end"),
        ]
    description = f"{first}: {test.before:,} of {test.n:,} refused. {second}: {test.after:,} of {test.n:,} refused."
    return svg.picture(width, 54, "Refusals under both conditions", description, *parts, class_="picture paired")


_PICTURES: dict[str, tuple[set[str], Callable[[Table, list[Row]], Picture | None]]] = {
    "refusal.categories": (
        {"kind", "category", "n", "base_refused", "base_low", "base_high", "adapted_refused", "adapted_low", "adapted_high"},
        _refusals,
    ),
    "trigger.candidates": ({"text", "source", "placement", "score", "threshold", "status"}, _ladder),
    "refusal.kl": ({"position", "mean", "low", "high"}, _divergence),
    "spectrum.modules": ({"module", "layer", "kind", "relative", "frobenius", "top1_energy"}, _atlas),
}
"""What can be drawn: the columns it needs, and how. Drawn in this order."""
ORDER = tuple(_PICTURES)
