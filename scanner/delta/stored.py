"""A tensor that is read when it is asked for, so that a delta of any size costs nothing until it is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


class Stored(msgspec.Struct, frozen=True):
    """Values of known shape, as float32, read from a file or computed at each call of `read`."""

    shape: tuple[int, ...]
    read: Callable[[], Array]

    @classmethod
    def of(cls, values: Array) -> Stored:
        """Values that are in memory."""
        return cls(values.shape, lambda: values)

    @property
    def flat(self) -> Stored:
        """The same values as a vector."""
        return Stored((self.count,), lambda: self.read().reshape(-1))

    @property
    def transposed(self) -> Stored:
        """The transpose of a matrix."""
        return Stored(self.shape[::-1], lambda: self.read().T)

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def finite(self) -> bool:
        """Whether every value is a number."""
        return bool(np.isfinite(self.read()).all())


def stored(values: Array | Stored) -> Stored:
    """`values`, read when asked for."""
    return values if isinstance(values, Stored) else Stored.of(values)


def rms(values: Array) -> float:
    """Root mean square of all values, in float64; 0 for none."""
    return float(np.sqrt(np.square(values.astype(np.float64)).mean())) if values.size else 0.0
