"""What an adapter does to one place of its base: a small set of forms that every PEFT method comes down to.

Each form names its module, tells its shape and size without reading, and gives the exact difference it makes. Where the
difference has factors they are kept; a matrix of the base's size is formed only by `difference`, one module at a time.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec
import numpy as np

from scanner.delta.stored import Array, Stored, stored


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

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of that tensor; a matrix is (out_features, in_features), an embedding (tokens, width)."""
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
        """Adapted tensor minus base tensor, float32, of `shape`. Raises NeedsBase where `weight`, the base's, is needed."""
        ...


def finite(change: Change) -> bool:
    """Whether every stored value is a number."""
    return all(p.finite for p in change.parts)


class ModuleDelta:
    """A low-rank addition: W' = W + scale B A; with DoRA's magnitudes m, each row of W' is rescaled to length m.

    Of an embedding, the rows of W are tokens. Hu et al. 2021, arXiv 2106.09685; Liu et al. 2024, arXiv 2402.09353, eq. 5.
    """

    parameter = "weight"

    def __init__(
        self,
        *,
        module: str,
        a: Array | Stored,
        b: Array | Stored,
        scale: float,
        magnitude: Array | Stored | None = None,
        bias: Array | Stored | None = None,
        columns: bool = False,
        only_after: tuple[int, ...] = (),
    ) -> None:
        """`a` is (rank, in_features), `b` (out_features, rank), `magnitude` (out_features,), `bias` (out_features,), times scale.

        `columns` says that the magnitudes are lengths of columns, (in_features,), as PEFT does it for embeddings.
        `only_after`: token ids after whose last occurrence in the prompt the delta acts (aLoRA), empty for everywhere.
        """
        self.module, self.scale, self.columns, self.only_after = module, scale, columns, only_after
        self._a, self._b = stored(a), stored(b)
        self._magnitude = None if magnitude is None else stored(magnitude)
        self._bias = None if bias is None else stored(bias)

    @property
    def a(self) -> Array:
        """(rank, in_features), float32, read at each access."""
        return self._a.read()

    @property
    def b(self) -> Array:
        """(out_features, rank), float32, read at each access."""
        return self._b.read()

    @property
    def magnitude(self) -> Array | None:
        """DoRA's magnitude vector, or None."""
        return None if self._magnitude is None else self._magnitude.read()

    @property
    def bias(self) -> Array | None:
        """What is added to the output besides, before scaling, (out_features,), or None."""
        return None if self._bias is None else self._bias.read()

    @property
    def rank(self) -> int:
        """Rank of the factors, as stored."""
        return self._a.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(out_features, in_features)."""
        return self._b.shape[0], self._a.shape[1]

    @property
    def parts(self) -> tuple[Stored, ...]:
        """Factors, and magnitudes and bias where there are some."""
        return tuple(p for p in (self._a, self._b, self._magnitude, self._bias) if p is not None)

    @property
    def exact(self) -> bool:
        """DoRA needs the base's row norms."""
        return self._magnitude is None

    @property
    def finite(self) -> bool:
        """Whether every stored value is a number."""
        return finite(self)

    def difference(self, weight: Array | None = None) -> Array:
        """The product scale B A; for DoRA m / ||W + scale B A|| (W + scale B A) - W."""
        product = self.scale * (self.b @ self.a)
        magnitude = self.magnitude
        if magnitude is None:
            return np.asarray(product, np.float32)
        if weight is None:
            raise NeedsBase(self.module)
        turned = weight + product
        axis = 0 if self.columns else 1
        lengths = np.maximum(np.linalg.norm(turned, axis=axis, keepdims=True), np.finfo(np.float32).tiny)
        return np.asarray(turned * (np.expand_dims(magnitude, axis) / lengths) - weight, np.float32)


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of the base that is replaced as a whole."""

    module: str
    parameter: str
    value: Stored
    everywhere: bool = False
    """Whether modules that share the tensor (tied embeddings) change too, because it is overwritten in place."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.value.shape

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

    @property
    def shape(self) -> tuple[int, ...]:
        """(0, width): how many tokens the base has is not known from the rows."""
        return 0, *self.values.shape[1:]

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


def elements(changes: tuple[Change, ...]) -> int:
    """Numbers stored for `changes`."""
    return sum(math.prod(p.shape) for c in changes for p in c.parts)
