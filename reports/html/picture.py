"""What a picture is: drawings, what they say in words, their legend, and the table behind them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from markupsafe import Markup

from reports.html import svg
from scanner.measurement import Cell, Table
from scanner.result import Result

Row = Mapping[str, Cell]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A figure. Every one says in words what it shows, and no meaning rests on colour alone."""

    heading: str
    caption: str
    """What the reader should see in it, in one or two sentences."""
    drawings: tuple[Markup, ...]
    key: Markup
    """The legend."""
    table: Table
    """The numbers behind it."""
    layout: str
    """`wide`, `row` (drawings side by side) or `half`."""
    subtitle: str = ""
    """Says what the drawings after the first are."""


def legend(*entries: tuple[Markup, str]) -> Markup:
    """Swatches with their meaning; they wrap where the page is narrow."""
    return Markup().join(Markup('<span class="entry">{} {}</span>').format(swatch, meaning) for swatch, meaning in entries)


def swatch(*shapes: str, width: float = 22) -> Markup:
    """A small drawing, 14 units high, for a legend."""
    return svg.element("svg", *shapes, viewBox=f"0 0 {width:g} 14", width=width, height=14, class_="swatch", aria_hidden="true")


def rows(result: Result, table: str, needed: frozenset[str]) -> tuple[Table, list[Row]] | None:
    """The table and its rows by column name; None where it is absent, empty, ragged or lacks a column that is needed."""
    found = result.table(table)
    if found is None or not found.rows:
        return None
    names = [c.name for c in found.columns]
    if not needed <= set(names) or any(len(row) != len(names) for row in found.rows):
        return None
    return found, [dict(zip(names, row, strict=True)) for row in found.rows]
