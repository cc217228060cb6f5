"""A value for template variables that nobody but the template knows: it stands for whatever a caller may pass."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

DEEPEST = 4
"""Levels of attributes, items and calls; what lies deeper is empty, so that a template that walks down a tree ends."""
MOST_ASKED = 20_000


class Exhausted(Exception):
    """The values of one rendering were asked more often than MOST_ASKED."""


class Answers:
    """Whether a condition on such a value holds: always (`seed` 0), or by a fixed draw, so that more than one way through a template is taken."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed) if seed else None
        self._asked = 0

    def next(self) -> bool:
        """The next answer. Raises Exhausted."""
        self._asked += 1
        if self._asked > MOST_ASKED:
            raise Exhausted
        return self._draw is None or self._draw.random() < 0.5


class Given:
    """Has every attribute and item, can be called and gone over, writes nothing."""

    unsafe_callable = alters_data = False

    def __init__(self, answers: Answers, depth: int = 0) -> None:
        self._answers, self._depth = answers, depth

    def _below(self) -> Given:
        self._answers.next()
        return Given(self._answers, self._depth + 1)

    def __getattr__(self, name: str) -> Given:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._below()

    def __getitem__(self, key: object) -> Given:
        return self._below()

    def __call__(self, *args: object, **kwargs: object) -> Given:
        """What a call gives."""
        return self._below()

    def __iter__(self) -> Iterator[Given]:
        if self._depth < DEEPEST:
            yield self._below()

    def __len__(self) -> int:
        return int(self._depth < DEEPEST)

    def __bool__(self) -> bool:
        return self._depth < DEEPEST and self._answers.next()

    def __str__(self) -> str:
        return ""

    def __hash__(self) -> int:
        return 0


def _asked(self: Given, other: object) -> bool:
    return self._answers.next()


def _made(self: Given, other: Any = None) -> Any:
    return other if isinstance(other, str) else self._below()


for _name in ("eq", "ne", "lt", "le", "gt", "ge", "contains"):
    setattr(Given, f"__{_name}__", _asked)
for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "mod", "rmod", "floordiv", "rfloordiv", "truediv", "rtruediv", "pow", "rpow", "neg", "pos"):
    setattr(Given, f"__{_name}__", _made)
