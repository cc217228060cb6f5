"""Strings from strangers, made fit to print in a terminal, a log or a report."""

from __future__ import annotations

import unicodedata

LONGEST = 400
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(c) for c in (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))}
"""Characters of other categories that show nothing."""


def printable(text: object, longest: int = LONGEST) -> str:
    """`text` on one line: controls, bidi and other invisible characters escaped, cut at `longest` characters."""
    value = str(text)
    shown = "".join(c if _shows(c) else c.encode("unicode_escape").decode("ascii") for c in value[: longest + 1])
    return shown if len(value) <= longest and len(shown) <= 2 * longest else shown[:longest] + "…"


def _shows(character: str) -> bool:
    return character == " " or (unicodedata.category(character)[0] not in "CZ" and character not in _BLANK)
