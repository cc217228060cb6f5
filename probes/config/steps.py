"""How many steps Python's matcher takes for a pattern that does not match: one for each way that leads to each part of it, at each place of the name.

`ways` bounds that for every name at once; where the bound is too high to say anything, `Effort` counts on names: those that bases have, and ones
made to reach every part of the pattern that can match in several ways.
"""

from __future__ import annotations

import re._constants as _c  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

import numpy as np

from scanner.files.pattern import ALPHABET, ATOMS, characters, inner_flags

MOST_STEPS = 1_000_000
"""A hundredth of a second for each module of the base."""
FEW, MOST_UNCOUNTED = 20_000, 10_000_000
"""Ways that need no counting, of one pattern and of all together."""
MOST_WORK = 100_000
"""Operations on all names at once: some seconds."""
LONGEST = 64
MOST_DOTS = 6
BATCH = 48
PREFERRED = "a_0.-AbE1/"
"""What stands for a class of characters, the first that it takes."""
NAMES = (
    "model.layers.10.self_attn.k_proj", "model.layers.17.mlp.experts.127.down_proj", "base_model.model.model.layers.31.self_attn.o_proj", "transformer.h.11.attn.c_attn",
    "encoder.block.3.layer.1.EncDecAttention.relative_attention_bias", "model.visual.blocks.10.attn.proj", "model.language_model.layers.24.mlp.gate_up_proj",
    "vision_tower.vision_model.encoder.layers.12.self_attn.out_proj", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0", "lm_head",
)  # fmt: skip
_REPEATS = (_c.MAX_REPEAT, _c.MIN_REPEAT, _c.POSSESSIVE_REPEAT)
_NO_BOUND = 1e100
Counts = np.ndarray[Any, np.dtype[np.float64]]


class TooMany(Exception):
    """More steps than a loader should take, or more work than it takes to tell."""


class Effort:
    """What counting may cost for all patterns of one file together, and the steps that all of them take on a name as bases have them."""

    def __init__(self) -> None:
        """Nothing was counted."""
        self.steps, self.uncounted, self.work = 0.0, 0.0, 0

    def hangs(self, tree: Any) -> bool:
        """Whether a pattern takes more than MOST_STEPS for some name, or for an ordinary one with all patterns before it. Raises RecursionError where it nests too deep."""
        bound = ways(tree, tree.state.flags)
        if bound <= FEW and self.uncounted <= MOST_UNCOUNTED:
            self.uncounted += bound
            return False
        try:
            self.steps += self._count(tree, list(NAMES))
            texts = list(dict.fromkeys(_reaching(tree, tree.state.flags)))
            for start in range(0, len(texts), BATCH):
                self._count(tree, texts[start : start + BATCH])
        except TooMany:
            return True
        return self.steps > MOST_STEPS

    def _count(self, tree: Any, texts: list[str]) -> float:
        names = _Names(self, texts)
        names.run(tree, tree.state.flags, names.start())
        return float(names.steps.max())


class _Names:
    """Several names, and for each the steps taken on it so far."""

    def __init__(self, effort: Effort, texts: list[str]) -> None:
        self._effort = effort
        self._width = max(map(len, texts))
        self._codes = np.array([[ord(c) for c in t.ljust(self._width, "\0")] for t in texts])
        self._lengths = np.array([len(t) for t in texts])
        self._among = "".join(sorted({c for t in texts for c in t}))
        self._masks: dict[Any, Any] = {}
        self.steps: Counts = np.zeros(len(texts))

    def start(self) -> Counts:
        """(names, places): one way to the beginning of each name."""
        counts = np.zeros((len(self._codes), self._width + 1))
        counts[:, 0] = 1
        return counts

    def run(self, parts: Any, flags: int, counts: Counts) -> Counts:
        """Ways to each place after `parts`, from the ways to each place before them."""
        for kind, value in parts:
            if not counts.any():
                return counts
            self._spend(counts)
            counts = self._part(kind, value, flags, counts)
        return counts

    def _spend(self, counts: Counts) -> None:
        self.steps += counts.sum(1)
        self._effort.work += 1
        if self.steps.max() > MOST_STEPS or self._effort.work > MOST_WORK:
            raise TooMany

    def _part(self, kind: Any, value: Any, flags: int, counts: Counts) -> Counts:
        if kind in ATOMS:
            after = np.zeros_like(counts)
            np.multiply(counts[:, :-1], self._taken(kind, tuple(value) if kind is _c.IN else value, flags), out=after[:, 1:])
            return after
        if kind is _c.AT and value in (_c.AT_BEGINNING, _c.AT_BEGINNING_STRING):
            return np.where(np.arange(self._width + 1) == 0, counts, 0.0)
        if kind is _c.AT and value in (_c.AT_END, _c.AT_END_STRING):
            return np.where(np.arange(self._width + 1) == self._lengths[:, None], counts, 0.0)
        if kind in _REPEATS:
            return self._repeat(value, flags, counts)
        if kind is _c.BRANCH:
            return np.asarray(np.sum([self.run(b, flags, counts) for b in value[1]], axis=0), np.float64)
        if kind is _c.SUBPATTERN:
            return self.run(value[-1], inner_flags(value, flags), counts)
        if kind is _c.ATOMIC_GROUP:
            return self.run(value, flags, counts)
        if kind in (_c.ASSERT, _c.ASSERT_NOT):
            self.run(value[1], flags, counts)
        return counts

    def _taken(self, kind: Any, value: Any, flags: int) -> Any:
        """(names, places): whether the character there is one that this part takes."""
        key = kind, value, flags
        if key not in self._masks:
            self._masks[key] = np.isin(self._codes, [ord(c) for c in characters(kind, value, flags, self._among)])
        return self._masks[key]

    def _repeat(self, value: Any, flags: int, counts: Counts) -> Counts:
        least, most, body = value
        if least <= 1 and most is _c.MAXREPEAT and len(body) == 1 and body[0][0] in ATOMS:
            return self._run_of(body, flags, counts, least)
        after = np.zeros_like(counts)
        for turn in range(min(most, max(least, self._width) + 1) + 1):
            if turn >= least:
                after += counts
            if turn < most:
                counts = self.run(body, flags, counts)
            if not counts.any():
                break
        return after

    def _run_of(self, body: Any, flags: int, counts: Counts, least: int) -> Counts:
        """Any number of one character, at once."""
        (kind, value), *_ = body
        taken = self._taken(kind, tuple(value) if kind is _c.IN else value, flags)
        after = counts.copy() if least == 0 else self._part(kind, value, flags, counts)
        for place in range(self._width):
            after[:, place + 1] += after[:, place] * taken[:, place]
        self._spend(after)
        return after


def ways(parts: Any, flags: int) -> float:
    """A bound on the ways in which `parts` can match beginnings of one name; 1 where there is nothing to choose."""
    found = 1.0
    for kind, value in parts:
        if kind not in ATOMS:
            found = min(found * _ways(kind, value, flags), _NO_BOUND)
    return found


def _ways(kind: Any, value: Any, flags: int) -> float:
    if kind in _REPEATS:
        least, most, body = value
        most, inner = min(most, LONGEST), ways(body, flags)
        choices = most - min(least, most) + 1
        return choices * inner**most if inner == 1 or most * np.log(inner) < np.log(_NO_BOUND / choices) else _NO_BOUND
    if kind is _c.BRANCH:
        each = [ways(b, flags) for b in value[1]]
        return max(each) if apart(value[1]) else min(sum(each), _NO_BOUND)
    found = 1.0
    for inner in inside(kind, value):
        found = min(found * ways(inner, flags), _NO_BOUND)
    return found


def inside(kind: Any, value: Any) -> Iterator[Any]:
    """The sequences that a part of a pattern is made of."""
    if kind in _REPEATS:
        yield value[2]
    elif kind is _c.SUBPATTERN:
        yield value[-1]
    elif kind is _c.BRANCH:
        yield from value[1]
    elif kind in (_c.ASSERT, _c.ASSERT_NOT):
        yield value[1]
    elif kind is _c.ATOMIC_GROUP:
        yield value
    elif kind is _c.GROUPREF_EXISTS:
        yield from (v for v in value[1:] if v is not None)


def apart(branches: Any) -> bool:
    """Whether the first character tells the alternatives apart."""
    firsts = [b[0] if len(b) else (None, None) for b in branches]
    return all(k is _c.LITERAL for k, _ in firsts) and len({v for _, v in firsts}) == len(firsts)


def _reaching(parts: Any, flags: int, before: str = "") -> Iterator[str]:
    """Names that lead to every repeat and every choice among `parts`, and go on with what it takes."""
    for kind, value in parts:
        if len(before) > 2 * LONGEST:
            return
        within = inner_flags(value, flags) if kind is _c.SUBPATTERN else flags
        varies = (kind in _REPEATS or kind is _c.BRANCH) and _ways(kind, value, flags) > 1
        for inner in inside(kind, value):
            if varies:
                yield _filled(before, _sample(inner, within))
            yield from _reaching(inner, within, before)
        before += _sample([(kind, value)], flags)


def _filled(before: str, more: str) -> str:
    """`before`, and `more` again and again, as far as a name goes."""
    times = min(LONGEST // max(len(more), 1) + 1, MOST_DOTS // more.count(".") if "." in more else LONGEST)
    return (before + more * times)[: max(LONGEST, len(before) + LONGEST // 2)]


def _sample(parts: Any, flags: int) -> str:
    """A short text that `parts` match, as far as that is simple."""
    text = ""
    for kind, value in parts:
        if len(text) > 2 * LONGEST:
            break
        if kind in ATOMS:
            taken = characters(kind, tuple(value) if kind is _c.IN else value, flags, PREFERRED + ALPHABET)
            text += taken[0] if taken else chr(value) if kind is _c.LITERAL else ""
        elif kind in _REPEATS:
            text += _sample(value[2], flags) * min(max(value[0], 1), value[1], LONGEST)
        elif kind is _c.BRANCH:
            text += _sample(value[1][0], flags)
        elif kind is _c.SUBPATTERN:
            text += _sample(value[-1], inner_flags(value, flags))
        elif kind is _c.ATOMIC_GROUP:
            text += _sample(value, flags)
    return text
