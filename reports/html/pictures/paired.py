"""One paired test as two bars."""

from __future__ import annotations

from markupsafe import Markup

from reports.html import svg
from reports.numbers import percent
from scanner.finding import PairedTest


def draw(test: PairedTest, first: str, second: str, first_is: str, verb: str) -> Markup:
    """Two bars: to how many prompts the first and the second condition did what `verb` says. `first_is` is the class of the first mark."""
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
    description = f"{first} {verb} {test.before:,} of {test.n:,}. {second} {verb} {test.after:,} of {test.n:,}."
    return svg.picture(width, 54, "The test under both conditions", description, *parts, class_="picture paired")
