"""Strings of adapters, models and other people's files inside Markdown: they stay what they are, text.

A string that could mean anything to Markdown, GitHub or GitLab (markup, a mention, an issue number, a link) stands in a code span or
a fenced block, where nothing is interpreted and nobody is notified.
"""

from __future__ import annotations

import re

from scanner.files.text import printable

LINE = 400
_TAME = re.compile(r"[^\W_][^\W_ ,.;%()'’“”–\u2212\u00d7]*(?:[ ,.;%()'’“”–\u2212\u00d7-]+[^\W_]+)*[ .)%’”]*")
_LINKING = re.compile(r"www\.|\bGH-\d|\b[0-9a-f]{7,40}\b", re.IGNORECASE)


def inline(text: object, longest: int = LINE) -> str:
    """`text` on one line, fit for a sentence or a table cell; plain words stay plain, everything else becomes a code span."""
    shown = printable(text, longest).strip()
    if not shown:
        return ""
    return shown if _TAME.fullmatch(shown) and not _LINKING.search(shown) else code(shown, longest)


def code(text: object, longest: int = LINE) -> str:
    """`text` on one line in a code span; a pipe, which would end a table cell even there, is written as an escape."""
    shown = printable(text, longest).replace("|", "\\x7c")
    if not shown.strip():
        return ""
    fence = "`" * (_longest_run(shown, "`") + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def block(text: str, longest: int, lines: int = 40) -> str:
    """`text` with its line breaks in a fenced block, at most `longest` characters and `lines` lines of it; says where it was cut."""
    kept = text[:longest].split("\n")
    body = "\n".join(printable(line, longest) for line in kept[:lines])
    cut = "" if len(text) <= longest and len(kept) <= lines else f"\n(cut here: {len(text):,} characters in all, see result.json)"
    fence = "`" * max(3, _longest_run(body, "`") + 1)
    return f"{fence}text\n{body}\n{fence}{cut}"


def _longest_run(text: str, character: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", text)), default=0)
