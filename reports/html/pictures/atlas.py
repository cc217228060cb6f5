"""The delta atlas: how large the delta is and how concentrated, layer by module kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, legend, rows, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, as_int, number, percent, plural
from scanner.result import Result

STEPS = 9
MOST_LAYERS = 160
MOST_KINDS = 24
_NEEDED = frozenset({"module", "layer", "kind", "relative", "frobenius", "top1_energy"})
_LEFT, _WIDTH, _RIGHT = 96.0, 1040.0, 148.0


class _Cell(msgspec.Struct, frozen=True):
    module: str
    value: float
    top1: float | None
    intruders: int


def draw(result: Result) -> Picture | None:
    """The picture of `spectrum.modules`."""
    found = rows(result, "spectrum.modules", _NEEDED)
    if found is None:
        return None
    table, modules = found
    relative = all(as_float(r["relative"]) is not None for r in modules)
    measure = "relative" if relative else "frobenius"
    cells: dict[tuple[int | None, str], _Cell] = {}
    for row in modules:
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
        f"{plural(len(modules), 'module')} in {plural(touched, 'layer')}. The delta is largest in {where}: {shown(largest)} {unit}. "
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
        subtitle="Share of energy in the first direction, 0 to 100 %, by layer" if fraction else "",
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
    ramp = swatch(*(svg.box(21 * i, 1, 20, 12, f"h h{i + 1}") for i in range(STEPS)), width=21.0 * STEPS)
    entries = [(ramp, f"0 to {shown(largest)} {unit}"), (swatch(svg.box(1, 1, 20, 12, "h none")), "not adapted")]
    if dots:
        entries.append((swatch(svg.circle(11, 7, 3, "intruder")), "has intruder dimensions"))
    return legend(*entries)
