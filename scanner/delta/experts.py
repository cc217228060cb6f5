"""LoRA on a stack of matrices, such as the experts of a mixture, which PEFT reaches through target_parameters."""

from __future__ import annotations

import msgspec
import numpy as np

from scanner.delta.stored import Array, Stored


class Experts(msgspec.Struct, frozen=True, kw_only=True):
    """W'_e = W_e + scale B_e A_e for every expert e: A holds the rows expert by expert, B the columns rank by rank."""

    module: str
    parameter: str
    """The tensor of the module, (experts, ...)."""
    a: Stored
    """(experts rank, in_features)."""
    b: Stored
    """(out_features, rank experts)."""
    rank: int
    scale: float
    exact: bool = True

    @property
    def count(self) -> int:
        """Number of experts."""
        return self.a.shape[0] // self.rank

    @property
    def parts(self) -> tuple[Stored, ...]:
        """Both stacks of factors."""
        return self.a, self.b

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the tensor is so many matrices of this size, in either orientation."""
        return shape in [(self.count, self.b.shape[0], self.a.shape[1]), (self.count, self.a.shape[1], self.b.shape[0])]

    def factors(self) -> tuple[Array, Array]:
        """A as (experts, rank, in_features) and B as (experts, out_features, rank)."""
        a, b = self.a.read(), self.b.read()
        return a.reshape(self.count, self.rank, -1), b.reshape(len(b), self.rank, self.count).transpose(2, 0, 1)

    @property
    def norm(self) -> float:
        """||delta||_F over all experts, from the factors: no matrix of the base's size."""
        a, b = (x.astype(np.float64) for x in self.factors())
        inner, outer = a @ a.transpose(0, 2, 1), b.transpose(0, 2, 1) @ b
        return abs(self.scale) * float(np.sqrt(max(float((inner * outer).sum()), 0.0)))

    def difference(self, weight: Array | None = None) -> Array:
        """The products, in the orientation of `weight`; (experts, out_features, in_features) where that is not given or does not decide."""
        a, b = self.factors()
        product = np.asarray(self.scale * (b @ a), np.float32)
        turned = weight is not None and weight.shape != product.shape
        return product.transpose(0, 2, 1) if turned else product
