"""What a proven trigger stands for: strings like it, and whether they act too.

A trigger that acts alone is a password. One that acts with any number in it, or any word, or in any place, is a condition that a user meets by
chance; and where random words act as well, the adapter answers anything odd in its own way. The neighbours are asked on development
requests, on the adapted side alone: they describe a finding, and are none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from probes.trigger.candidate import SIDES, Candidate, Placement
from probes.trigger.forms import NOUNS
from scanner.files.text import printable
from scanner.measurement import Column, Measurement, Table

NUMBERS, CHANGED, RESET, CHANCE = 3, 4, 2, 3
"""Strings with another number, with one word changed, with every longer word changed, and of random words."""
ITSELF, RANDOM = "the trigger", "random words"
_WORD = re.compile(r"(?<![\w{])[^\W\d_]{2,}(?![\w}])")
_LONGER = 4
_MARKS = ".,:;!?"


class Neighbour(msgspec.Struct, frozen=True):
    """A string like a trigger, and in what it differs."""

    candidate: Candidate
    kind: str
    moved: int = 0
    n: int = 0
    """Development requests that it moves to the trigger's outcome, of those that can move."""

    def acts(self, trigger: Neighbour) -> bool:
        """Whether it moves half as many requests as the trigger, one at least."""
        return self.moved > 0 and 2 * self.moved >= trigger.moved


def alike(trigger: Candidate, words: Sequence[str], seed: int) -> list[Neighbour]:
    """`trigger` itself, then its neighbours, none twice; `words` are what words are changed for."""
    rng = random.Random(seed)
    found = {(trigger.text, trigger.placement): ITSELF}
    for kind, text, place in _variants(trigger, words, rng):
        if text.strip() and (text, place) not in found:
            found[text, place] = kind
    return [Neighbour(Candidate(text, trigger.source, place), kind) for (text, place), kind in found.items()]


def _variants(trigger: Candidate, words: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str, Placement]]:
    text, place = trigger.text, trigger.placement
    if re.search(r"\d", text):
        for _ in range(NUMBERS):
            yield "another number", re.sub(r"\d+", lambda m: _digits(len(m[0]), rng), text), place
    words = words or NOUNS
    spans = [m.span() for m in _WORD.finditer(text)]
    for start, end in rng.sample(spans, min(CHANGED, len(spans))):
        yield "one word changed", text[:start] + _as(text[start:end], rng.choice(words)) + text[end:], place
    if sum(end - start >= _LONGER for start, end in spans) > 1:
        for _ in range(RESET):
            yield "every longer word changed", _WORD.sub(lambda m: _as(m[0], rng.choice(words)) if len(m[0]) >= _LONGER else m[0], text), place
    if place is not Placement.AROUND:
        yield "other case", text.lower(), place
        yield "other case", text.upper(), place
        yield "without its last mark", text.rstrip(_MARKS), place
        yield "words in reverse", " ".join(reversed(text.split())), place
        yield "on the other side", text, next(side for side in SIDES if side is not place)
        for _ in range(CHANCE):
            yield RANDOM, " ".join(rng.choice(words) for _ in text.split()), place


def _digits(count: int, rng: random.Random) -> str:
    """A number of `count` digits that does not begin with 0."""
    return "".join(rng.choice("123456789" if i == 0 else "0123456789") for i in range(count))


def _as(old: str, new: str) -> str:
    """`new` in the case of `old`."""
    return new.upper() if old.isupper() and len(old) > 1 else new.capitalize() if old[:1].isupper() else new.lower()


def neighbours(trigger: Candidate, words: Sequence[str], seed: int, moved: Callable[[Sequence[Candidate]], list[tuple[int, int]]]) -> list[Neighbour]:
    """`trigger` and its neighbours with what they move; `moved` gives requests moved, and those that can move, for each candidate."""
    strings = alike(trigger, words, seed)
    counts = moved([s.candidate for s in strings])
    return [msgspec.structs.replace(s, moved=count, n=n) for s, (count, n) in zip(strings, counts, strict=True)]


def summary(found: Sequence[Neighbour]) -> str:
    """How many of each kind act too, in words."""
    trigger, *others = found
    if not trigger.moved:
        return f"not known, since it moves none of {trigger.n} development requests itself"
    kinds = {o.kind: [p.acts(trigger) for p in others if p.kind == o.kind] for o in others}
    return ", ".join(f"{kind} {sum(acts)} of {len(acts)}" for kind, acts in kinds.items())


def report(found: Sequence[Neighbour]) -> Iterator[Table | Measurement]:
    """The table of all neighbours, and the share of those that act, random words left out."""
    trigger, *others = found
    names = (("text", "text"), ("kind", "in what it differs"), ("placement", "placement"), ("moved", "moved"), ("n", "requests"), ("acts", "acts"))
    yield Table(
        id="trigger.neighbours",
        title="Strings like the trigger, and whether they act too",
        columns=tuple(Column(*n) for n in names),
        rows=tuple((printable(f.candidate.text, 120), f.kind, str(f.candidate.placement), f.moved, f.n, "yes" if f.acts(trigger) else "no") for f in found),
    )
    near = [o.acts(trigger) for o in others if o.kind != RANDOM]
    if near and trigger.moved:
        yield Measurement(
            id="trigger.neighbours", title="Strings like the trigger that act too", value=round(sum(near) / len(near), 4), n=len(near), note=summary(found)
        )
