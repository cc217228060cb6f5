"""Directions that layers share: the same module in every layer, by its strongest output and input direction.

For unit vectors u_1..u_n of one kind of module: coherence is the mean of |u_i . u_j| over pairs, near sqrt(2 / (pi d)) for random ones, and the
shared energy is the largest eigenvalue of sum u u^T divided by n, between 1/n and 1. An abliteration or a steering vector written as an
adapter has a shared energy near 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from scanner.delta.family import kind
from scanner.delta.measure import ModuleStatistics, Vector
from scanner.delta.stream import each

SMALLEST = 4


class Coherence(msgspec.Struct, frozen=True, kw_only=True):
    """How alike the strongest directions of one kind of module are."""

    kind: str
    side: str
    """`outputs` or `inputs`."""
    n: int
    """Modules with a delta."""
    mean: float
    """Mean absolute cosine over pairs."""
    chance: float
    """What random directions have."""
    shared: float
    """Energy in the one direction they share most, 1/n..1."""


def coherences(modules: Sequence[ModuleStatistics]) -> list[Coherence]:
    """Both sides of every kind that at least four modules have; kinds whose shapes differ are left out."""
    kinds: dict[str, list[ModuleStatistics]] = {}
    for found in modules:
        if found.frobenius:
            kinds.setdefault(kind(found.module), []).append(found)
    compared = [(name, members) for name, members in kinds.items() if len(members) >= SMALLEST and len({m.shape for m in members}) == 1]
    sides = [(name, side, [getattr(m, side).leading for m in members]) for name, members in compared for side in ("outputs", "inputs")]
    return list(each(sides, lambda s: _coherence(*s)))


def _coherence(name: str, side: str, directions: list[Vector]) -> Coherence:
    stack = np.stack(directions)
    n, d = stack.shape
    cosines = (stack @ stack.T).astype(np.float64)
    mean = float(np.abs(cosines[np.triu_indices(n, 1)]).mean())
    shared = float(np.linalg.eigvalsh(cosines)[-1]) / n
    return Coherence(kind=name, side=side, n=n, mean=min(mean, 1.0), chance=min(float(np.sqrt(2 / (np.pi * d))), 1.0), shared=min(shared, 1.0))
