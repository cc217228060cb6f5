"""Outputs or inputs of a module multiplied entry by entry (IA3), or shifted (BEFT)."""

from __future__ import annotations

import msgspec
import numpy as np

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """W' = diag(gain) W, and the bias too, or W' = W diag(gain). Liu et al. 2022, arXiv 2205.05638, section 3.3."""

    module: str
    gain: Stored
    """(out_features,), or (in_features,) where it is the input that is scaled."""
    inputs: bool
    parameter: str = "weight"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether there is a factor for every output, or input."""
        return len(shape) == 2 and shape[1 if self.inputs else 0] == self.gain.count

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The factors."""
        return (self.gain,)

    @property
    def exact(self) -> bool:
        """Relative to the base only."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """(gain - 1) W, by rows or by columns."""
        if weight is None:
            raise NeedsBase(self.module)
        less = self.gain.read() - 1
        return np.asarray(weight * (less if self.inputs else less[:, None]), np.float32)


class Shifted(msgspec.Struct, frozen=True, kw_only=True):
    """Something added to every output: y' = y + shift."""

    module: str
    shift: Stored
    """(out_features,)."""
    parameter: str = "bias"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether there is an entry for every output of the module's weight, or of its bias."""
        return shape[0] == self.shift.count

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The shift."""
        return (self.shift,)

    @property
    def exact(self) -> bool:
        """The base is not needed."""
        return True

    def difference(self, weight: Array | None = None) -> Array:
        """The shift."""
        return self.shift.read()
