"""LoRA whose factors began as a part of the base's weight, saved as they were trained: PiSSA, OLoRA.

PEFT takes the part out of the base when it loads: W' = W - P + s B A, with P the best approximation of W of rank r (Meng et al. 2024,
arXiv 2404.02948) or the first r steps of its QR decomposition (Büyükakyüz 2024, arXiv 2406.01775). So the change of the base is s B A - P,
which has rank 2 r and needs the base.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from scanner.delta.lowrank import ModuleDelta
from scanner.delta.stored import Array, Stored

Part = Callable[[Array, int, float], tuple[Array, Array]]


def without(delta: ModuleDelta, weight: Callable[[], Array], part: Part) -> ModuleDelta:
    """`delta` on a base from which `part` was taken out; `weight` reads the base's, (out_features, in_features)."""
    rank, (outputs, inputs) = delta.rank, delta.shape

    @cache
    def taken() -> tuple[Array, Array]:
        return part(weight(), rank, delta.scale)

    def a() -> Array:
        return np.vstack([delta.a, taken()[1]])

    def b() -> Array:
        return np.hstack([delta.scale * delta.b, -taken()[0]])

    return ModuleDelta(module=delta.module, a=Stored((2 * rank, inputs), a), b=Stored((outputs, 2 * rank), b), scale=1.0)


def principal(weight: Array, rank: int, _: float) -> tuple[Array, Array]:
    """PiSSA's part, the best approximation of rank `rank`: from the leading eigenvectors of the smaller Gram matrix, float64. O(d^3), d the shorter side."""
    from scipy.linalg import eigh

    whole = weight.astype(np.float64)
    wide = whole.shape[0] > whole.shape[1]
    gram = whole.T @ whole if wide else whole @ whole.T
    vectors = eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))[1]
    left, right = (whole @ vectors, vectors.T) if wide else (vectors, vectors.T @ whole)
    return np.asarray(left, np.float32), np.asarray(right, np.float32)


def leading(weight: Array, rank: int, scale: float) -> tuple[Array, Array]:
    """OLoRA's part, scale Q R of the QR decomposition cut to `rank`. O(d^3)."""
    q, r = np.linalg.qr(weight.astype(np.float64))
    return np.asarray(scale * q[:, :rank], np.float32), np.asarray(r[:rank], np.float32)
