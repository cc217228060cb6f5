r"""Regular expressions as Python reads them, matched by RE2, which is linear in the text.

The two engines read some texts otherwise: `x{,3}`, `[[:alpha:]]`, `(?i)`, `$`, `\Z` and `\d` among them. So no text of an adapter reaches RE2:
Python parses it, and what RE2 gets is written from Python's tree, each character class as the characters that Python's own matcher takes.
"""

from __future__ import annotations

import re
import re._compiler as _compiler  # type: ignore[import-not-found]
import re._constants as _c  # type: ignore[import-not-found]
import re._parser as _parser  # type: ignore[import-not-found]
import warnings
from functools import lru_cache
from typing import Any

import re2

from scanner.files.text import printable

ALPHABET = "".join(map(chr, range(32, 127)))
"""What names of modules are made of; on no other name is a pattern judged."""
NOTHING = r"[^\x00-\x{10FFFF}]"
MOST_MEMORY = 1 << 20
ATOMS = (_c.LITERAL, _c.NOT_LITERAL, _c.IN, _c.ANY)
_PLACES = {
    _c.AT_BEGINNING: r"\A", _c.AT_BEGINNING_STRING: r"\A", _c.AT_END: r"\z", _c.AT_END_STRING: r"\z", _c.AT_BOUNDARY: r"\b", _c.AT_NON_BOUNDARY: r"\B",
}  # fmt: skip
_UNSAID = {
    _c.GROUPREF: "refers back to what it matched",
    _c.GROUPREF_EXISTS: "asks whether a group matched",
    _c.ATOMIC_GROUP: "holds an atomic group",
    _c.POSSESSIVE_REPEAT: "repeats possessively",
}


class Unjudged(ValueError):
    """A pattern, or a pattern and a name, of which it cannot be said here what Python makes of them; says why."""


class LooksAround(Unjudged):
    """A pattern that looks ahead or behind, which honest ones do to leave a part of a model out."""


class Pattern:
    """A regular expression of Python's that RE2 can match."""

    def __init__(self, text: str) -> None:
        """Raises Unjudged where `text` is none, or none that RE2 can match."""
        tree = parsed(text)
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MOST_MEMORY
        try:
            self._compiled = re2.compile(_sequence(tree, tree.state.flags, tree.state.groupdict.get("idx")), options)
        except (re2.error, RecursionError):
            raise Unjudged("too large") from None

    def match(self, name: str) -> Any:
        """`re.match`; of the groups only one called `idx` is kept. Raises Unjudged for names that are not printable ASCII, or empty."""
        return self._compiled.match(_plain(name))

    def fullmatch(self, name: str) -> bool:
        """`re.fullmatch`. Raises Unjudged for names that are not printable ASCII, or empty."""
        return self._compiled.fullmatch(_plain(name)) is not None


@lru_cache(maxsize=8192)
def compiled(text: str) -> Pattern | Unjudged:
    """The pattern, or why there is none."""
    try:
        return Pattern(text)
    except Unjudged as error:
        return error


def matcher(text: str) -> Pattern:
    """The pattern, kept for the next time. Raises Unjudged where there is none."""
    found = compiled(text)
    if isinstance(found, Unjudged):
        raise type(found)(str(found))
    return found


def parsed(text: str, doubtful: bool = False) -> Any:
    """Python's tree of `text`. Raises Unjudged where it is none, and, unless `doubtful`, where Python warns that it may come to mean something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if doubtful else "error")
            return _parser.parse(text)
    except Warning:
        raise Unjudged("a set within a set, which other engines, and later versions of Python, read otherwise") from None
    except (re.error, RecursionError, OverflowError) as error:
        raise Unjudged(f"not a regular expression: {printable(error, 80)}") from None


@lru_cache(maxsize=4096)
def characters(kind: Any, value: Any, flags: int, among: str = ALPHABET) -> str:
    """Those of `among` that Python's matcher takes for one part of a pattern: a literal, a set (as a tuple), or any character."""
    if kind is _c.LITERAL and not flags & re.IGNORECASE:
        return chr(value) if chr(value) in among else ""
    return "".join(_compiler.compile(_parser.SubPattern(_parser.State(), [(kind, value)]), flags).findall(among))


def inner_flags(value: Any, flags: int) -> int:
    """The flags inside a group."""
    return int((flags | value[1]) & ~value[2])


def _plain(name: str) -> str:
    if not name or not name.isascii() or not name.isprintable():
        raise Unjudged("a name that is not printable ASCII")
    return name


def _sequence(parts: Any, flags: int, kept: int | None) -> str:
    return "".join(_part(kind, value, flags, kept) for kind, value in parts)


def _part(kind: Any, value: Any, flags: int, kept: int | None) -> str:
    """One part of the tree in RE2's words."""
    if kind in ATOMS:
        return _class(kind, tuple(value) if kind is _c.IN else value, flags)
    if kind is _c.AT and value in _PLACES:
        return _PLACES[value]
    if kind is _c.SUBPATTERN:
        named = "?P<idx>" if value[0] is not None and value[0] == kept else "?:"
        return f"({named}{_sequence(value[-1], inner_flags(value, flags), kept)})"
    if kind is _c.BRANCH:
        return f"(?:{'|'.join(_sequence(b, flags, kept) for b in value[1])})"
    if kind in (_c.MAX_REPEAT, _c.MIN_REPEAT):
        least, most, body = value
        times = f"{{{least},{'' if most is _c.MAXREPEAT else most}}}" if least or most is not _c.MAXREPEAT else "*"
        return f"(?:{_sequence(body, flags, kept)}){times}{'?' if kind is _c.MIN_REPEAT else ''}"
    if kind is getattr(_c, "FAILURE", None):
        return NOTHING
    if kind in (_c.ASSERT, _c.ASSERT_NOT):
        raise LooksAround("looks ahead or behind")
    raise Unjudged(_UNSAID.get(kind, f"holds {printable(str(kind).lower(), 40)}"))


@lru_cache(maxsize=4096)
def _class(kind: Any, value: Any, flags: int) -> str:
    """The class of the characters that a part takes."""
    taken = characters(kind, value, flags)
    if len(taken) == 1 and (taken.isalnum() or taken == "_"):
        return taken
    runs: list[list[int]] = []
    for c in map(ord, taken):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return "[" + "".join(rf"\x{a:02x}-\x{b:02x}" for a, b in runs) + "]" if runs else NOTHING
