"""Singular value decomposition of a module's delta, directions and all, from its factors.

With B = Q_b R_b and A^T = Q_a R_a (QR), s B A = Q_b (s R_b R_a^T) Q_a^T, so the singular values of the delta are those of an
r x r core (float64). Cost per module: O(r^2 (d_out + d_in)); no matrix of the base's size is formed.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from scanner.delta.delta import ModuleDelta

Matrix = np.ndarray[Any, np.dtype[np.float64]]


class Spectrum(msgspec.Struct, frozen=True, kw_only=True):
    """Singular value decomposition of `scale * B @ A`, thin."""

    values: Matrix
    """(rank,), or the smaller side of the module where that is less; descending."""
    left: Matrix
    """(out_features, rank), output directions."""
    right: Matrix
    """(in_features, rank), input directions."""

    @property
    def frobenius(self) -> float:
        """||delta||_F = sqrt(sum of squared singular values)."""
        return float(np.sqrt(np.square(self.values).sum()))


def spectrum(delta: ModuleDelta) -> Spectrum:
    """SVD of a LoRA module's scaled delta; for DoRA, of its directional part. Factors must be finite."""
    q_b, r_b = np.linalg.qr(delta.b.astype(np.float64))
    q_a, r_a = np.linalg.qr(delta.a.T.astype(np.float64))
    left, values, right = np.linalg.svd(delta.scale * (r_b @ r_a.T), full_matrices=False)
    return Spectrum(values=values, left=q_b @ left, right=q_a @ right.T)
