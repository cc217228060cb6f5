"""Intruder dimensions: directions of the adapted weight that the base's weight does not have (Shuttleworth et al. 2024, arXiv 2410.21228)."""

from __future__ import annotations

import numpy as np

from scanner.delta.delta import ModuleDelta
from scanner.delta.spectra import Matrix, spectrum
from scanner.model.base import Base

TOP = 10
COSINE = 0.5


def intruders(base: Base, delta: ModuleDelta) -> int:
    """How many of the first ten left singular vectors of W + delta have no left singular vector of W at cosine 0.5 or more."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds

    found = spectrum(delta)
    weight = base.weight(delta.module).astype(np.float64)
    scaled = found.left * found.values

    def forward(x: Matrix) -> Matrix:
        return np.asarray(weight @ x + scaled @ (found.right.T @ x))

    def backward(y: Matrix) -> Matrix:
        return np.asarray(weight.T @ y + found.right @ (scaled.T @ y))

    smaller = min(weight.shape)
    try:
        if smaller <= TOP:
            raise ArpackError(-3)
        adapted = svds(
            LinearOperator(weight.shape, matvec=forward, rmatvec=backward, dtype=np.float64), k=TOP, v0=np.ones(smaller), return_singular_vectors="u"
        )[0]
    except ArpackError:  # no room for Lanczos, or no convergence
        adapted = np.linalg.svd(weight + scaled @ found.right.T, full_matrices=False)[0][:, :TOP]
    return int((np.abs(adapted.T @ _left_vectors(weight)).max(1) < COSINE).sum())


def _left_vectors(weight: Matrix) -> Matrix:
    """Left singular vectors of `weight`, (d_out, min(d_out, d_in)), through the smaller Gram matrix."""
    if weight.shape[0] <= weight.shape[1]:
        return np.asarray(np.linalg.eigh(weight @ weight.T)[1])
    vectors = weight @ np.linalg.eigh(weight.T @ weight)[1]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-30))
