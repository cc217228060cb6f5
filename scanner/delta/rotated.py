"""Inputs or outputs of a module turned in their space: the form of OFT, BOFT, HRA and RoAD.

With x a row of inputs and R the turn, x becomes x R, so W' = W R^T; with y a row of outputs, y becomes y R, so W' = R^T W
and the bias turns too. R is kept as the method stores it: blocks on a diagonal, or the identity plus a low-rank matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A square matrix R that is never written out. Its arrays are NumPy's, or a device's after `moved`."""

    blocks: Any = None
    """(count, size, size), on the diagonal, after `order`; or None."""
    order: Any = None
    """(width,): entry i of the permuted row is entry order[i] of the row; None for the identity."""
    back: Any = None
    """(width,): the inverse of `order`."""
    left: Any = None
    """(width, rank): R = I + left right, where there are no blocks."""
    right: Any = None
    """(rank, width)."""
    then: Turn | None = None
    """A turn that follows: R is this one times that one."""

    def apply(self, x: Any) -> Any:
        """Each row of `x`, (..., width), times R."""
        turned = self._alone(x)
        return turned if self.then is None else self.then.apply(turned)

    def _alone(self, x: Any) -> Any:
        if self.blocks is None:
            return x + (x @ self.left) @ self.right
        count, size, _ = self.blocks.shape
        rows = x if self.order is None else x[..., self.order]
        turned = (rows.reshape(*x.shape[:-1], count, 1, size) @ self.blocks).reshape(x.shape)
        return turned if self.back is None else turned[..., self.back]

    @property
    def transposed(self) -> Turn:
        """R^T."""
        return self._transposed(None)

    def _transposed(self, then: Turn | None) -> Turn:
        """R^T, and `then` after it."""
        if self.blocks is None:
            mine = Turn(left=self.right.T, right=self.left.T, then=then)
        else:
            mine = Turn(blocks=self.blocks.swapaxes(1, 2), order=self.order, back=self.back, then=then)
        return mine if self.then is None else self.then._transposed(mine)

    def moved(self, place: Callable[[Any], Any]) -> Turn:
        """The same turn with its arrays put elsewhere."""
        then = None if self.then is None else self.then.moved(place)
        return Turn(**{n: None if (v := getattr(self, n)) is None else place(v) for n in self.__struct_fields__ if n != "then"}, then=then)

    @property
    def distance(self) -> float:
        """Largest singular value of R - I, or, of turns one after the other, the sum of theirs: no vector is moved further, relative to its length."""
        if self.blocks is None:
            core = np.linalg.qr(self.left)[1] @ np.linalg.qr(self.right.T)[1].T
            mine = float(np.linalg.norm(core, 2))
        else:
            mine = float(np.linalg.norm(self.blocks - np.eye(self.blocks.shape[1]), 2, axis=(1, 2)).max())
        return mine if self.then is None else mine + self.then.distance


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """A module behind, or in front of, a turn; outputs may be multiplied entry by entry besides, but not the bias (BOFT)."""

    module: str
    width: int
    """in_features, or out_features where it is the output that is turned."""
    parts: tuple[Stored, ...]
    turn: Callable[[], Turn]
    """Computes R, float32."""
    inputs: bool = True
    gain: Stored | None = None
    """(out_features,), or None."""
    parameter: str = "weight"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the turned side has this width."""
        return len(shape) == 2 and shape[1 if self.inputs else 0] == self.width and (self.gain is None or self.gain.count == shape[0])

    @property
    def exact(self) -> bool:
        """Relative to the base only."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """diag(gain) W R^T - W, or R^T W - W."""
        if weight is None:
            raise NeedsBase(self.module)
        turn = self.turn()
        turned = turn.transposed.apply(weight) if self.inputs else turn.apply(weight.T).T
        if self.gain is not None:
            turned = turned * self.gain.read()[:, None]
        return np.asarray(turned - weight, np.float32)
