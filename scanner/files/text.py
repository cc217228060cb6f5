"""Strings from strangers, made fit to print in a terminal, a log or a report."""

from __future__ import annotations

import unicodedata

LONGEST = 400


def printable(text: object, longest: int = LONGEST) -> str:
    """`text` on one line: controls, bidi and other invisible characters escaped, cut at `longest` characters."""
    value = str(text)
    shown = "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else c.encode("unicode_escape").decode("ascii") for c in value[: longest + 1])
    return shown if len(value) <= longest and len(shown) <= 2 * longest else shown[:longest] + "…"
