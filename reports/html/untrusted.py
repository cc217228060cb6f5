"""Strings from adapters and models, made safe and legible inside a page.

Markup is escaped. Control, bidirectional and invisible characters are shown as escapes in a box, so that what cannot be seen
can be read. Every string stands in its own `<bdi>`: its writing direction cannot leak into the text around it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator

from markupsafe import Markup, escape

from scanner.files.text import printable

LINE = 600
HEAD = 480
MOST_LINES = 12
MOST_MARKS = 3
"""Combining marks in a row; more are drawn over the neighbouring lines."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Characters that print nothing although Unicode counts them as letters, marks or symbols."""
_COMBINING = re.compile(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")


def plain(text: str, longest: int = LINE) -> str:
    """`text` on one line as a plain string, for attributes and pictures."""
    return "".join(_escaped(c) if c in _BLANK else c for c in printable(text, longest))


def line(text: object, longest: int = LINE) -> Markup:
    """`text` on one line; the length of a longer text is stated where it is cut."""
    value = str(text)
    shown = value[:longest]
    cut = Markup(' <span class="cut">… cut, {:,} characters in all</span>').format(len(value)) if len(value) > longest else ""
    return Markup("<bdi>{}</bdi>{}").format(_markup(shown), cut)


def passage(text: str, longest: int, mark: str = "") -> Markup:
    """`text` with its line breaks, at most `longest` characters of it; all but the beginning is folded.

    Occurrences of `mark` are highlighted.
    """
    if not text:
        return Markup('<span class="none">(nothing)</span>')
    head = _break(text, min(HEAD, longest), MOST_LINES)
    if len(text) - head < HEAD // 4 and len(text) <= longest and text.count("\n", head) < MOST_LINES:
        head = len(text)
    body = Markup('<bdi class="passage">{}</bdi>').format(_marked(text[:head], mark))
    if head == len(text):
        return body
    end = min(len(text), max(longest, head))
    rest = _break(text[:end], end, 10 * MOST_LINES)
    if rest <= head:
        return body + _cut(head, len(text))
    more = Markup('<details class="more"><summary>{:,} more characters</summary><bdi class="passage">{}</bdi>{}</details>')
    return body + more.format(len(text) - head, _marked(text[head:rest], mark), _cut(rest, len(text)) if rest < len(text) else "")


def _cut(shown: int, total: int) -> Markup:
    return Markup('<p class="cut">Cut here: {:,} of {:,} characters shown. The whole text is in result.json.</p>').format(shown, total)


def _break(text: str, longest: int, lines: int) -> int:
    """Where to fold `text`: after at most `longest` characters and `lines` lines, between words where that is near."""
    end = min(len(text), longest)
    at = -1
    for _ in range(lines):
        at = text.find("\n", at + 1, end)
        if at < 0:
            break
    else:
        return at
    if end < len(text):
        space = text.rfind(" ", max(0, end - 40), end)
        end = space if space > 0 else end
    return end


def _marked(text: str, mark: str) -> Markup:
    if not mark.strip() or mark not in text:
        return _markup(text, breaks=True)
    return Markup("<mark>{}</mark>").format(_markup(mark, breaks=True)).join(_markup(part, breaks=True) for part in text.split(mark))


def _markup(text: str, *, breaks: bool = False) -> Markup:
    """Escaped HTML of `text`, with what cannot be seen spelled out in `<span class="esc">`."""
    if text.isprintable() and _BLANK.isdisjoint(text) and not _COMBINING.search(text):
        return escape(text)
    parts: list[Markup] = []
    for hidden, group in itertools.groupby(_shown(text, breaks=breaks), key=lambda pair: pair[0]):
        run = "".join(piece for _, piece in group)
        parts.append(Markup('<span class="esc">{}</span>').format(run) if hidden else escape(run))
    return Markup().join(parts)


def _shown(text: str, *, breaks: bool) -> Iterator[tuple[bool, str]]:
    """Each character as it is shown, with whether it had to be spelled out."""
    marks = 0
    before = ""
    for c in text:
        marks = marks + 1 if unicodedata.combining(c) else 0
        if breaks and c in "\n\t":
            yield False, c if c == "\n" else "    "
        elif c == "\ufe0f" and before and unicodedata.category(before) == "So":
            yield False, c
        elif c in _BLANK or marks > MOST_MARKS:
            yield True, _escaped(c)
        elif c.isprintable():
            yield False, c
        else:
            yield True, printable(c)
        before = c


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")
