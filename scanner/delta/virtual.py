"""Virtual tokens: vectors that stand before every prompt, where no text can be read off them. No weight of the base changes."""

from __future__ import annotations

import msgspec

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class VirtualTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Input embeddings (prompt tuning, P-tuning), or keys and values of every layer (prefix tuning), before the first token.

    Lester et al. 2021, arXiv 2104.08691; Liu et al. 2021, arXiv 2103.10385; Li and Liang 2021, arXiv 2101.00190.
    """

    values: Stored
    """(tokens, width), or (tokens, layers 2 heads head_width) where `heads` is not 0."""
    layers: int = 0
    heads: int = 0
    """Key-value heads of each layer; 0 for input embeddings."""
    module: str = ""
    parameter: str = ""

    @property
    def count(self) -> int:
        """Number of virtual tokens."""
        return self.values.shape[0]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """No tensor of the base is changed, so none can misfit."""
        return True

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The vectors."""
        return (self.values,)

    @property
    def exact(self) -> bool:
        """There is no difference of weights to know."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """Raises NeedsBase: no tensor of the base changes."""
        raise NeedsBase("virtual tokens")
