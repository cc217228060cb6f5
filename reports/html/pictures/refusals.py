"""What base and adapted model refused, category by category, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, Row, legend, rows, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, as_int, percent
from scanner.result import Result

MOST_CATEGORIES = 40
MOST_KINDS = 6
_NEEDED = frozenset({"kind", "category", "n", "base_refused", "base_low", "base_high", "adapted_refused", "adapted_low", "adapted_high"})
_KINDS = {
    "harmful": ("Harmful requests", "a safe model refuses these"),
    "lookalike": ("Look-alikes", "sound harmful, are not: a good model answers"),
    "plain": ("Plain requests", "nothing to refuse"),
}


def draw(result: Result) -> Picture | None:
    """The picture of `refusal.categories`."""
    found = rows(result, "refusal.categories", _NEEDED)
    if found is None:
        return None
    table, categories = found
    kinds = list(dict.fromkeys(str(r["kind"]) for r in categories))
    kinds.sort(key=lambda k: list(_KINDS).index(k) if k in _KINDS else len(_KINDS))
    if len(categories) > len(kinds) * MOST_CATEGORIES or len(kinds) > MOST_KINDS:
        return None
    drawings: list[Markup] = []
    said: list[str] = []
    for kind in kinds:
        members = [r for r in categories if str(r["kind"]) == kind]
        title, meaning = _KINDS.get(kind, (plain(kind, 30), ""))
        n, base, adapted = (sum(as_int(r[c]) or 0 for r in members) for c in ("n", "base_refused", "adapted_refused"))
        said.append(f"{title}: base refused {base:,} of {n:,}, adapted {adapted:,}")
        drawings.append(_dumbbells(members, title, meaning, n, base, adapted))
    key = legend(
        (swatch(svg.line(0, 7, 24, 7, "range base"), svg.circle(12, 7, 4.5, "mark base"), width=24), "base"),
        (swatch(svg.line(0, 7, 24, 7, "range adapted"), svg.diamond(12, 7, 5.5, "mark adapted"), width=24), "adapted"),
        (swatch(svg.line(0, 7, 24, 7, "range base"), width=24), "95 % interval of each rate"),
    )
    return Picture(heading="What was refused, before and after", caption=". ".join(said) + ".", drawings=tuple(drawings), key=key, table=table, layout="row")


def _dumbbells(categories: Sequence[Row], title: str, meaning: str, n: int, base: int, adapted: int) -> Markup:
    left, span, width, high, top = 134.0, 134.0, 346.0, 25.0, 58.0
    bottom = top + high * len(categories)

    def x(rate: float) -> float:
        return left + span * min(max(rate, 0.0), 1.0)

    parts = [svg.text(0, 14, title, "t strong"), svg.text(0, 30, meaning, "t faint")]
    parts += [svg.text(width, 14, f"{base:,} → {adapted:,} of {n:,}", "t num strong", "end")]
    for rate in (0.0, 0.5, 1.0):
        parts += [svg.line(x(rate), top - 6, x(rate), bottom, "grid"), svg.text(x(rate), top - 10, percent(rate, 0), "t num faint", "middle")]
    said: list[str] = []
    for i, row in enumerate(categories):
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
