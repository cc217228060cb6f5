"""What an adapter does to one place of its base: the contract of a small set of forms that every PEFT method comes down to.

Each form names its module, tells what it fits without reading, and gives the exact difference it makes. Where the difference
has factors they are kept; a matrix of the base's size is formed only by `difference`, one module at a time.
"""

from __future__ import annotations

import math
from typing import Protocol

from scanner.delta.stored import Array, Stored


class NeedsBase(Exception):
    """The difference depends on the base's weight, and there is no base."""


class Change(Protocol):
    """The contract of a form."""

    @property
    def module(self) -> str:
        """Name in the base model, without any prefix of a format."""
        ...

    @property
    def parameter(self) -> str:
        """The tensor of that module which differs afterwards."""
        ...

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it can be made to a tensor of this shape; a matrix is (out_features, in_features), an embedding (tokens, width)."""
        ...

    @property
    def parts(self) -> tuple[Stored, ...]:
        """Everything the adapter stores for it."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the difference is known without the base."""
        ...

    def difference(self, weight: Array | None = None) -> Array:
        """Adapted tensor minus base tensor, float32. Raises NeedsBase where `weight`, the base's, is needed."""
        ...


def finite(change: Change) -> bool:
    """Whether every stored value is a number."""
    return all(p.finite for p in change.parts)


def elements(changes: tuple[Change, ...]) -> int:
    """Numbers stored for `changes`."""
    return sum(math.prod(p.shape) for c in changes for p in c.parts)
