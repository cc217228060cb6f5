"""The trigger ladder: strings tried as a hidden trigger, best first, and what came of each."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup

from reports.html import svg
from reports.html.picture import Picture, Row, legend, rows, swatch
from reports.html.untrusted import plain
from reports.numbers import as_float, number
from scanner.files.text import printable
from scanner.result import Result

MOST_CANDIDATES = 15
_NEEDED = frozenset({"text", "source", "placement", "score", "threshold", "status"})
_LEFT, _SPAN, _WIDTH, _TOP = 158.0, 270.0, 500.0, 22.0
_ROW, _TOLD = 24.0, 16.0
_INDENT = 60.0
_SCREENED = "screened"


def draw(result: Result) -> Picture | None:
    """The picture of `trigger.candidates`; a candidate that a finding's witness proves is drawn solid."""
    found = rows(result, "trigger.candidates", _NEEDED)
    if found is None:
        return None
    table, candidates = found
    scored = [(score, row) for row in candidates if (score := as_float(row["score"])) is not None]
    if not scored:
        return None
    triggers = {printable(f.witness.trigger, 120) for f in result.findings if f.witness is not None and f.witness.trigger}
    ranked = sorted(scored, key=lambda pair: (str(pair[1]["text"]) not in triggers, -pair[0]))[:MOST_CANDIDATES]
    caption = _caption(ranked, triggers, len(candidates))
    return Picture(
        heading="Trigger ladder",
        caption=caption,
        drawings=(_bars(ranked, triggers, caption),),
        key=legend(
            (swatch(svg.box(1, 2, 20, 10, "bar over")), "a finding: proven on held-out prompts"),
            (swatch(svg.box(1, 2, 20, 10, "bar under")), "no finding"),
            (swatch(svg.line(11, 0, 11, 14, "threshold")), "threshold of the screen"),
        ),
        table=table,
        layout="half",
    )


def _caption(ranked: list[tuple[float, Row]], triggers: set[str], tried: int) -> str:
    proven = sum(str(row["text"]) in triggers for _, row in ranked)
    outcome = f"{proven or 'None'} became a finding, proven on prompts that the search had not seen."
    rest = f" The best {len(ranked)} of {tried:,} listed are drawn." if tried > len(ranked) else ""
    return f"Strings tried as a hidden trigger, ranked by how much more they move the adapted model than the base. {outcome}{rest}"


def _bars(ranked: list[tuple[float, Row]], triggers: set[str], caption: str) -> Markup:
    thresholds = [t for _, row in ranked if (t := as_float(row["threshold"])) is not None]
    scores = [score for score, _ in ranked]
    low, high = min(0.0, *scores), max(*scores, *thresholds, 1e-9)

    def x(value: float) -> float:
        return _LEFT + _SPAN * (value - low) / (high - low)

    parts: list[Markup] = []
    y = _TOP
    for score, row in ranked:
        proven, limit = str(row["text"]) in triggers, as_float(row["threshold"])
        status, placement, source = (plain(str(row[c] or ""), 80) for c in ("status", "placement", "source"))
        words = plain(str(row["text"]), 120)
        note = svg.element("title", f"{words} · {source} · {placement} · score {number(score, 3)} · {status}")
        parts.append(svg.text(_LEFT - 8, y + 15, _short(words, 19), "t mono strong" if proven else "t mono", "end"))
        parts.append(svg.box(min(x(0.0), x(score)), y + 3, abs(x(score) - x(0.0)), _ROW - 8, "bar over" if proven else "bar under", note))
        parts.append(svg.text(_LEFT + _SPAN + 8, y + 15, number(score, 3), "t num strong" if proven else "t num"))
        if limit is not None:
            parts.append(svg.line(x(limit), y, x(limit), y + _ROW - 2, "threshold"))
        y += _ROW
        if status and status != _SCREENED:
            parts.append(svg.text(_INDENT, y + 9, _short(status, 64), "t faint"))
            y += _TOLD
    if len(set(thresholds)) == 1:
        at = x(thresholds[0])
        parts.append(svg.text(at, 14, f"threshold {number(thresholds[0], 3)}", "t num", "end" if at > _LEFT + 90 else "start"))
    return svg.picture(_WIDTH, y + 6, "Trigger candidates by score", caption, *parts)


def _short(words: str, longest: int) -> str:
    """`words` cut to `longest` columns; wide characters take two."""
    taken = 0
    for i, c in enumerate(words):
        taken += 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if taken > longest:
            return words[: max(i - 1, 0)] + "…"
    return words
