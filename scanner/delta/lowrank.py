"""Low-rank additions, the form of LoRA and of most methods after it."""

from __future__ import annotations

import numpy as np

from scanner.delta.change import NeedsBase, finite
from scanner.delta.stored import Array, Stored, stored


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
        `only_after`: token ids from whose last occurrence in the prompt on the delta acts (aLoRA), empty for everywhere.
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

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the factors multiply to this shape."""
        return shape == self.shape

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
