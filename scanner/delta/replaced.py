"""Tensors of the base that are replaced, whole or row by row: modules_to_save, biases, norms, trained tokens."""

from __future__ import annotations

import msgspec
import numpy as np

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of the base that is replaced as a whole."""

    module: str
    parameter: str
    value: Stored
    everywhere: bool = False
    """Whether modules that share the tensor (tied embeddings) change too, because it is overwritten in place."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether old and new have one shape."""
        return shape == self.value.shape

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The new tensor."""
        return (self.value,)

    @property
    def exact(self) -> bool:
        """The difference needs what was there before."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """New minus old."""
        if weight is None:
            raise NeedsBase(self.module)
        return np.asarray(self.value.read() - weight, np.float32)


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of an embedding that are replaced: trained tokens."""

    module: str
    tokens: tuple[int, ...]
    values: Stored
    """(len(tokens), width)."""
    parameter: str = "weight"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the embedding has these tokens and this width."""
        return shape[1:] == self.values.shape[1:] and max(self.tokens, default=0) < shape[0]

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The new rows."""
        return (self.values,)

    @property
    def exact(self) -> bool:
        """The difference needs the old rows."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """New minus old rows, zero elsewhere."""
        if weight is None:
            raise NeedsBase(self.module)
        change = np.zeros_like(weight)
        rows = list(self.tokens)
        change[rows] = self.values.read() - weight[rows]
        return change
