"""Activated LoRA: a delta that acts from the last occurrence of its invocation tokens in a prompt on, and on every token that is then generated.

Greenewald et al. 2025, arXiv 2504.12397, as PEFT applies it: where the tokens do not occur, nothing of it acts. Keys and values of what stands
before them are the base's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from scanner.delta.change import Change
from scanner.delta.lowrank import ModuleDelta

NEVER = 1 << 40


class Invocations:
    """The invocations of a model's deltas, and where they stand in the rows that are being read."""

    def __init__(self, changes: Iterable[Change]) -> None:
        """One for each set of tokens that some of `changes` waits for; none is the usual case."""
        self.tokens = sorted({c.only_after for c in changes if isinstance(c, ModuleDelta) and c.only_after})
        self._starts = torch.empty(0)
        self._positions = torch.empty(0)

    def invoked(self, ids: Sequence[int]) -> list[int]:
        """`ids` with the tokens of each invocation that is not in them put at the end."""
        out = list(ids)
        for tokens in self.tokens:
            out += tokens if _last(out, tokens) == NEVER else ()
        return out

    def first(self, ids: Iterable[Sequence[int]]) -> int:
        """The earliest position at which anything acts in any of `ids`."""
        return min((_last(i, t) for i in ids for t in self.tokens), default=NEVER)

    def rows(self, ids: Iterable[Sequence[int]], before: int = 0) -> None:
        """Say which rows are read next, each behind `before` virtual tokens."""
        self._starts = torch.tensor([[_last(i, t) + before for t in self.tokens] for i in ids])

    def read(self, positions: torch.Tensor) -> None:
        """Say which positions of these rows are read, (rows, tokens)."""
        self._positions = positions

    def acts(self, tokens: tuple[int, ...]) -> torch.Tensor:
        """Whether the delta behind `tokens` acts at each of them, (rows, tokens, 1)."""
        starts = self._starts[:, self.tokens.index(tokens)].to(self._positions.device)
        return (self._positions >= starts[:, None])[:, :, None]


def _last(ids: Sequence[int], tokens: tuple[int, ...]) -> int:
    """Where `tokens` begin for the last time in `ids`; NEVER where they do not occur."""
    return next((at for at in range(len(ids) - len(tokens), -1, -1) if tuple(ids[at : at + len(tokens)]) == tokens), NEVER)
