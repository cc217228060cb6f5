"""Small deltas in memory, and their product written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from scanner.delta.lowrank import ModuleDelta


def module(out: int, inputs: int, rank: int, seed: int = 0, scale: float = 2.0, dora: bool = False, name: str = "m") -> ModuleDelta:
    """A delta of normal factors."""
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((rank, inputs), (out, rank)))
    return ModuleDelta(module=name, a=a, b=b, scale=scale, magnitude=np.ones(out, np.float32) if dora else None)


def of(a: Any, b: Any, scale: float = 1.0, name: str = "m") -> ModuleDelta:
    """The delta of given factors."""
    return ModuleDelta(module=name, a=np.asarray(a, np.float32), b=np.asarray(b, np.float32), scale=scale)


def dense(delta: ModuleDelta) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`scale * B @ A` in float64."""
    return np.asarray(delta.scale * delta.b.astype(np.float64) @ delta.a.astype(np.float64))
