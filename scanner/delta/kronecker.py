"""Kronecker products, the form of LoKr: two small matrices whose every pair of entries is an entry of the delta."""

from __future__ import annotations

import msgspec
import numpy as np

from scanner.delta.stored import Array, Stored


class Kronecker(msgspec.Struct, frozen=True, kw_only=True):
    """W' = W + scale (left (x) right). Its singular values are the products of theirs, times scale. arXiv 2309.14859, section 3."""

    module: str
    left: Stored
    """(out_left, in_left)."""
    right: Stored
    """(out_right, in_right)."""
    scale: float
    parameter: str = "weight"

    @property
    def shape(self) -> tuple[int, int]:
        """(out_features, in_features)."""
        return self.left.shape[0] * self.right.shape[0], self.left.shape[1] * self.right.shape[1]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the product has this shape."""
        return shape == self.shape

    @property
    def parts(self) -> tuple[Stored, ...]:
        """Both factors."""
        return self.left, self.right

    @property
    def exact(self) -> bool:
        """The base is not needed."""
        return True

    def difference(self, weight: Array | None = None) -> Array:
        """The product, written out."""
        return np.asarray(self.scale * np.kron(self.left.read(), self.right.read()), np.float32)
