"""How much of a result fits on the page; what is left out stays in result.json, and the page says so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

LARGEST = 1_400_000
"""Bytes of a page."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most the page shows of each thing."""

    exchanges: int
    """Prompts of one witness, or flips of one direction."""
    characters: int
    """Characters of one prompt or answer."""
    reasons: int
    cards: int
    """Deciding findings shown in full."""
    rules: int
    """Rules among the other findings."""
    findings: int
    """Other findings of one rule."""
    details: int
    """Lines of detail of one finding."""
    rows: int
    """Rows of one table."""
    tables: int


LEVELS = (
    Limits(exchanges=40, characters=1600, reasons=60, cards=5, rules=60, findings=60, details=12, rows=600, tables=24),
    Limits(exchanges=12, characters=800, reasons=30, cards=5, rules=40, findings=12, details=6, rows=150, tables=12),
    Limits(exchanges=6, characters=240, reasons=10, cards=3, rules=20, findings=4, details=3, rows=30, tables=6),
)
"""From generous to tight; the first that keeps the page small is used."""


def fitting(page: Callable[[Limits], str]) -> bytes:
    """The page in UTF-8, with the most generous limits that keep it small."""
    for limits in LEVELS:
        made = page(limits).encode("utf-8", "backslashreplace")
        if len(made) <= LARGEST:
            break
    return made
