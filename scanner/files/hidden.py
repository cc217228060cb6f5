"""Characters that a reader does not see, and what they may be there for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum

import msgspec

MOST = 200
"""Findings in one text."""


class Trick(StrEnum):
    """What hidden characters do."""

    BIDI = "text that is shown in another order"
    TAGS = "a message in tag characters"
    RUN = "a run of invisible characters, which can spell a message"
    CONTROL = "a control character"
    JOINED = "an invisible character inside or between words"
    PRIVATE = "a character for private use, which shows nothing or anything"
    LOOKALIKE = "control text with letters of another script"

    @property
    def grave(self) -> bool:
        """Whether it is hardly ever an accident of copying."""
        return self not in (Trick.JOINED, Trick.PRIVATE)


class Hidden(msgspec.Struct, frozen=True):
    """Hidden characters at one place."""

    trick: Trick
    offset: int
    """In characters from the beginning of the text."""
    shown: str
    """The characters by their code points, or the message they spell; fit to print."""


_TAG = r"\U000e0000-\U000e007f"
_SELECTOR = r"\ufe00-\ufe0f\U000e0100-\U000e01ef"
_ZERO = r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
_PRIVATE = r"\ue000-\uf8ff\U000f0000-\U0010fffd"
_BIDI = r"\u202a-\u202e\u2066-\u2069"
_CONTROLS = r"\x00-\x08\x0b\x0e-\x1f\x7f\x80-\x84\x86-\x9f"
_ANY = re.compile(
    f"(?P<tags>[{_TAG}]+)|(?P<bidi>[{_BIDI}]+)|(?P<selectors>[{_SELECTOR}]+)|(?P<zero>[{_ZERO}]+)|(?P<control>[{_CONTROLS}]+)|(?P<private>[{_PRIVATE}]+)"
)
_FLAG = "\U0001f3f4"
_MARKS = re.compile(r"[<＜〈‹\[][|｜/]?[^<>＜＞\[\]\s]{2,40}[|｜]?[>＞〉›\]]")
_SHORT_RUN = 4
"""From this many invisible characters in a row on, it is no accident."""


def hidden(text: str) -> Iterator[Hidden]:
    """Hidden characters of `text` in order, at most MOST; linear in its length. What scripts and emoji need is left out."""
    if text.isascii() and not re.search(f"[{_CONTROLS}]", text):
        return
    found = 0
    for match in _ANY.finditer(text):
        trick = _trick(text, match)
        if trick is not None:
            yield Hidden(trick, match.start(), _shown(match))
            found += 1
            if found == MOST:
                return
    for match in _MARKS.finditer(text):
        if not match[0].isascii() and _mixes(match[0]):
            yield Hidden(Trick.LOOKALIKE, match.start(), match[0].encode("ascii", "namereplace").decode()[:200])


def _trick(text: str, match: re.Match[str]) -> Trick | None:
    start, end, kind = match.start(), match.end(), match.lastgroup
    if kind == "control":
        return Trick.CONTROL
    if kind == "private":
        return Trick.PRIVATE
    if kind == "tags":
        return None if start and text[start - 1] == _FLAG and match[0].endswith("\U000e007f") and len(match[0]) <= 7 else Trick.TAGS
    if kind == "bidi":
        return None if not set(match[0]) & {"\u202d", "\u202e"} and _right_to_left(_line(text, start, end)) else Trick.BIDI
    if kind == "selectors":
        return Trick.RUN if len(match[0]) > 2 or (len(match[0]) > 1 and match[0][-1] > "\uffff") else None
    if start == 0 and match[0] == "\ufeff":
        return None
    if len(match[0]) >= _SHORT_RUN:
        return Trick.RUN
    around = text[start - 1 : start] + text[end : end + 1]
    if set(match[0]) <= {"\u200c", "\u200d", "\u200e", "\u200f", "\u061c", "\u034f", "\u180b", "\u180c", "\u180d", "\u180e", "\u17b4", "\u17b5"}:
        alone = around.isascii() and bool(around.strip()) and not _right_to_left(_line(text, start, end))
        return Trick.JOINED if alone else None
    return Trick.JOINED


def _line(text: str, start: int, end: int) -> str:
    return text[max(0, start - 200) : end + 200]


def _right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)


def _shown(match: re.Match[str]) -> str:
    if match.lastgroup == "tags":
        spelled = "".join(chr(ord(c) - 0xE0000) for c in match[0] if 0xE0020 <= ord(c) < 0xE007F)
        if spelled:
            return f"spells {spelled[:200]!r}"
    points = " ".join(f"U+{ord(c):04X}" for c in match[0][:8])
    return points + (f" and {len(match[0]) - 8} more" if len(match[0]) > 8 else "")


def _mixes(word: str) -> bool:
    """Whether `word` mixes Latin letters with ones of another script that look like them."""
    if not any(c.isalpha() and not c.isascii() for c in word):
        return False
    from confusable_homoglyphs import confusables

    return bool(confusables.is_dangerous(word, preferred_aliases=["latin"]))


def twin(name: str) -> str:
    """`name` with letters of other scripts, and wide ones, replaced by the Latin ones they look like."""
    if name.isascii():
        return name
    from confusable_homoglyphs import confusables

    def plain(character: str) -> str:
        if character.isascii():
            return character
        found = confusables.is_confusable(character, preferred_aliases=[], greedy=True) or []
        alike = [h["c"] for item in found for h in item["homoglyphs"] if h["c"].isascii()]
        return alike[0] if alike else character

    return "".join(map(plain, unicodedata.normalize("NFKC", name)))
