"""Changes that nothing can be said about without the base: the files hold less than the difference, and not even its size."""

from __future__ import annotations

import msgspec

from scanner.delta.change import NeedsBase
from scanner.delta.stored import Array, Stored


class Deferred(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a method that is understood, read without a base."""

    module: str
    parts: tuple[Stored, ...]
    parameter: str = "weight"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Its size is not known, so nothing misfits."""
        return True

    @property
    def exact(self) -> bool:
        """Never without the base."""
        return False

    def difference(self, weight: Array | None = None) -> Array:
        """Raises NeedsBase: read the adapter with its base."""
        raise NeedsBase(self.module)
