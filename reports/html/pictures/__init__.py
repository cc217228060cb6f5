"""Pictures of what the report knows, one a module, drawn as inline SVG. What cannot be drawn is left to be printed as a table."""

from __future__ import annotations

from collections.abc import Callable

from reports.html.picture import Picture
from reports.html.pictures import atlas, compass, divergence, ladder, reference, refusals
from scanner.result import Result

_DRAWN: tuple[Callable[[Result], Picture | None], ...] = (refusals.draw, compass.draw, divergence.draw, ladder.draw, reference.draw, atlas.draw)
"""In the order they stand on the page."""


def draw(result: Result) -> tuple[Picture, ...]:
    """Every picture that `result` has the numbers for."""
    return tuple(p for one in _DRAWN if (p := one(result)) is not None)
