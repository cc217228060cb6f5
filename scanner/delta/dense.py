"""Additions without factors smaller than themselves: the method's own formula, computed one module at a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class Dense(msgspec.Struct, frozen=True, kw_only=True):
    """W' = W + addition(W)."""

    module: str
    shape: tuple[int, int]
    """(out_features, in_features)."""
    parts: tuple[Stored, ...]
    addition: Callable[[Array | None], Array]
    """What is added, (out_features, in_features), computed from W where `exact` is false."""
    scale: float = 1.0
    """What the configuration multiplies the addition by, which it holds already."""
    exact: bool = True
    parameter: str = "weight"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the addition has this shape."""
        return shape == self.shape

    def difference(self, weight: Array | None = None) -> Array:
        """The addition."""
        if weight is None and not self.exact:
            raise NeedsBase(self.module)
        return np.asarray(self.addition(weight), np.float32)
