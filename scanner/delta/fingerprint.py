"""A fingerprint of a delta: 64 bits a module that depend on what the module adds, and on nothing else.

With dW = U S V^T, bit k of a module is the sign of p_k^T U S^(1/2) V^T q_k for vectors p_k, q_k of +1 and -1 that come from a key (random projections
and their signs: Charikar 2002, STOC). So it does not change when the delta is rescaled, when ranks are permuted, split, rotated (B R, R^-1 A) or
padded, and hardly when weak directions are cut off or the weights are rounded. The square root keeps one huge inert direction from hiding the others.
Two unrelated modules agree in 32 of 64 bits, give or take 4. Whoever knows the key can turn single bits with small changes; an index keeps its own.

Cost per module: O(64 r (d_out + d_in)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import decomposition
from scanner.delta.stream import each

BITS = 64
Signs = np.ndarray[Any, np.dtype[np.float32]]
Fingerprint = dict[str, int]
"""64 bits by module name; modules with a delta of zero or with values that are not numbers have none."""


def fingerprint(modules: Sequence[ModuleDelta], key: bytes) -> Fingerprint:
    """The fingerprint of a whole adapter's modules under `key`."""
    return {m.module: bits for m, bits in zip(modules, each(modules, _with(key)), strict=True) if bits is not None}


def _with(key: bytes) -> Callable[[ModuleDelta], int | None]:
    return lambda delta: module_bits(delta, key)


def module_bits(delta: ModuleDelta, key: bytes) -> int | None:
    """The 64 bits of one module, or None where it adds nothing or something that is not a number."""
    found = decomposition(delta)
    if found is None or not found.values[0]:
        return None
    alive = found.values > np.finfo(np.float32).eps * found.values[0]
    out, into = _signs(key, "out", delta.shape[0]), _signs(key, "in", delta.shape[1])
    left = (out @ found.b.astype(np.float32)).astype(np.float64) @ found.to_left[:, alive]
    right = found.to_right[alive] @ (found.a.astype(np.float32) @ into.T).astype(np.float64)
    # Both sides carry S; their product with S^(-3/2) carries S^(1/2).
    projected = np.einsum("kr,r,rk->k", left, found.values[alive] ** -1.5, right)
    return int.from_bytes(np.packbits(projected > 0).tobytes(), "big")


@lru_cache(maxsize=32)
def _signs(key: bytes, side: str, width: int) -> Signs:
    """(64, width) of +1 and -1 from SHAKE-256 of the key, the side and the width."""
    count = BITS * width
    data = hashlib.shake_256(b"%s\0%s\0%d" % (key, side.encode(), width)).digest(-(-count // 8))
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
    return (bits.astype(np.float32) * 2 - 1).reshape(BITS, width)


def handwriting(delta: ModuleDelta, key: bytes) -> int:
    """64 bits of how the factors are written, up to their scale: bit k is the sign of row k mod r of A against a random vector.

    Another type of number or another alpha leaves them alone; a rotation, permutation or new decomposition does not.
    """
    rows = delta.a[np.arange(BITS) % delta.rank].astype(np.float64)
    signs = np.einsum("kd,kd->k", rows, _signs(key, "hand", delta.shape[1])) > 0
    return int.from_bytes(np.packbits(signs).tobytes(), "big")
