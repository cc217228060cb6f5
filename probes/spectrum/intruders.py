"""Intruder dimensions: directions of the adapted weight that the base's weight does not have (Shuttleworth et al. 2024, arXiv 2410.21228).

The first ten left singular vectors of W + dW are held against the first 128 of W. Both come from a truncated solver (Lanczos), which needs products
with the weight and no matrix besides; those of W are kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from scanner import cache
from scanner.delta.lowrank import ModuleDelta
from scanner.model.base import Base

TOP = 10
COMPARED = 128
COSINE = 0.5
Floats = np.ndarray[Any, np.dtype[np.float32]]
Product = Callable[[Floats], Floats]


def intruders(base: Base, delta: ModuleDelta) -> int:
    """How many of the first ten left singular vectors of W + dW have none among the first 128 of W at cosine 0.5 or more."""
    weight, a = base.weight(delta.module), delta.a
    b = np.float32(delta.scale) * delta.b

    def forward(x: Floats) -> Floats:
        return np.asarray(weight @ x + b @ (a @ x))

    def backward(y: Floats) -> Floats:
        return np.asarray(weight.T @ y + a.T @ (b.T @ y))

    adapted = _left(weight.shape, forward, backward, TOP)
    return int((np.abs(adapted.T @ _own(base, delta.module, weight)).max(1) < COSINE).sum())


def _own(base: Base, module: str, weight: Floats) -> Floats:
    """The first left singular vectors of the base's weight, (d_out, 128 or fewer), from the cache where they are there."""
    place = cache.root() / "base-work" / base.sha256[:16] / f"left-{hashlib.sha256(f'{COMPARED} {module}'.encode()).hexdigest()[:32]}.npy"
    try:
        kept: Floats = np.load(io.BytesIO(place.read_bytes()), allow_pickle=False)
        if kept.shape[0] == weight.shape[0]:
            return kept
    except (OSError, ValueError, EOFError):
        pass
    vectors = _left(weight.shape, lambda x: weight @ x, lambda y: weight.T @ y, COMPARED)
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    cache.write_atomic(place, buffer.getvalue())
    return vectors


def _left(shape: tuple[int, ...], forward: Product, backward: Product, count: int) -> Floats:
    """The first `count` left singular vectors of the matrix with these products, float32, (d_out, count or the smaller side)."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds

    smaller = min(shape)
    try:
        if smaller <= 4 * count:
            raise ArpackError(-3)
        operator = LinearOperator(shape, matvec=forward, rmatvec=backward, dtype=np.float32)
        return np.asarray(svds(operator, k=count, v0=np.ones(smaller, np.float32), return_singular_vectors="u")[0], np.float32)
    except ArpackError:  # no room for Lanczos, or no convergence
        return np.asarray(np.linalg.svd(forward(np.eye(shape[1], dtype=np.float32)), full_matrices=False)[0][:, :count])
