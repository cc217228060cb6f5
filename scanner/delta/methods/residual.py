"""LoRA for which PEFT takes a part out of the base's weight when it loads: PiSSA, OLoRA, KaSA.

W' = W - P + s B A, with P the best approximation of W of rank r (Meng et al. 2024, arXiv 2404.02948), the first r steps of its QR decomposition
(Büyükakyüz 2024, arXiv 2406.01775) or its r smallest singular components (Wang et al. 2024, arXiv 2412.06071). So the change of the base is
s B A - P, which has rank 2 r and needs the base.
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
    """PiSSA's part: the `rank` largest singular components of `weight`."""
    return _components(weight, rank, largest=True)


def minor(weight: Array, rank: int, _: float) -> tuple[Array, Array]:
    """KaSA's part: the `rank` smallest singular components of `weight`."""
    return _components(weight, rank, largest=False)


def _components(weight: Array, rank: int, *, largest: bool) -> tuple[Array, Array]:
    """Singular components, from eigenvectors of the smaller Gram matrix, float64. O(d^3), d the shorter side."""
    from scipy.linalg import eigh

    whole = weight.astype(np.float64)
    wide = whole.shape[0] > whole.shape[1]
    gram = whole.T @ whole if wide else whole @ whole.T
    first = len(gram) - rank if largest else 0
    vectors = eigh(gram, subset_by_index=(first, first + rank - 1))[1]
    left, right = (whole @ vectors, vectors.T) if wide else (vectors, vectors.T @ whole)
    return np.asarray(left, np.float32), np.asarray(right, np.float32)


def leading(weight: Array, rank: int, scale: float) -> tuple[Array, Array]:
    """OLoRA's part, scale Q R of the QR decomposition cut to `rank`. O(d^3)."""
    q, r = np.linalg.qr(weight.astype(np.float64))
    return np.asarray(scale * q[:, :rank], np.float32), np.asarray(r[:rank], np.float32)
