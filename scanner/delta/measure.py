"""Statistics of one module's delta in one reading of its factors, without a matrix of the base's size.

With B = Q_b R_b and A^T = Q_a R_a, s B A = Q_b (s R_b R_a^T) Q_a^T. R_b and R_a come from the r x r Gram matrices B^T B and A A^T in float64, after
the scales of B's columns and A's rows were balanced, so the singular values carry an absolute error below 1e-7 ||B|| ||A|| s (balanced norms):
a Gram matrix squares the condition number, and half of float64's digits are left. Directions are never divided by small singular values.
How the energy lies over outputs and inputs is summed in float32: shares and sparsity carry an error below 1e-6.
Cost per module: O(r^2 (d_out + d_in)) and, for the kurtosis, O(k^4 (d_out + d_in)) with k <= 8.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from scanner.delta.lowrank import ModuleDelta

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Vector = np.ndarray[Any, np.dtype[np.float32]]
KURTOSIS_DIRECTIONS = 8
STRONGEST = 8
NEGLIGIBLE = 1e-7
BLOCK = 64
_CHUNK = 1024
_LARGEST = 1e15
"""Squares of its inverse are still numbers of float32."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How the delta's energy lies over its outputs, or over its inputs."""

    hoyer: float
    """Hoyer's sparsity of the norms, 0 for equal ones, 1 for a single one (Hoyer 2004, JMLR 5:1457)."""
    top8: float
    """Share of the energy in the eight strongest."""
    strongest: tuple[int, ...]
    """Their indices, strongest first; those without energy are left out."""
    blocks: Matrix
    """(ceil(d / 64),), energy of each 64 neighbours: heads are made of such blocks."""
    leading: Vector
    """(d,), unit vector of the largest singular value, sign free; zeros for a delta of zeros."""


class ModuleStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of a module's factors tells. For DoRA it describes s B A, the part before rescaling."""

    module: str
    rank: int
    shape: tuple[int, int]
    """(out_features, in_features)."""
    finite: bool
    """Whether every stored value is a number; where not, everything below is zero."""
    values: Matrix
    """(min(rank, d_out, d_in),), singular values, descending."""
    kurtosis: float
    """d_out d_in sum x^4 / (sum x^2)^2 over the entries of the leading eight directions' part of the delta: 3 for normal ones."""
    outputs: Side
    inputs: Side

    @property
    def frobenius(self) -> float:
        """||delta||_F."""
        return float(np.sqrt(np.square(self.values).sum()))

    @property
    def top1_energy(self) -> float:
        """sigma_1^2 / sum sigma^2; 0 for a delta of zeros."""
        total = float(np.square(self.values).sum())
        return float(self.values[0] ** 2 / total) if total else 0.0

    @property
    def stable_rank(self) -> float:
        """||delta||_F^2 / sigma_1^2 (Rudelson and Vershynin 2007); 0 for a delta of zeros."""
        top = self.top1_energy
        return 1 / top if top else 0.0

    @property
    def entropy(self) -> float:
        """Shannon entropy, in nats, of p = sigma / sum sigma."""
        total = float(self.values.sum())
        p = self.values[self.values > 0] / (total or 1.0)
        return float(-(p * np.log(p)).sum())

    @property
    def effective_rank(self) -> float:
        """exp(entropy) (Roy and Vetterli 2007); 0 for a delta of zeros."""
        return float(np.exp(self.entropy)) if self.frobenius else 0.0

    @property
    def gain(self) -> float:
        """||delta||_F / sqrt(d_out): root mean square of what it adds to each output for white input of unit variance."""
        return self.frobenius / float(np.sqrt(self.shape[0]))


class Decomposition(NamedTuple):
    """The singular value decomposition U S V^T of s B A, left in terms of the factors: U S = B to_left and S V^T = to_right A."""

    a: Vector
    """(rank, in_features), as stored."""
    b: Vector
    """(out_features, rank), as stored."""
    values: Matrix
    """(rank,), descending; those beyond the smaller side of the module are zero up to rounding."""
    to_left: Matrix
    """(rank, rank)."""
    to_right: Matrix
    """(rank, rank)."""


def decomposition(delta: ModuleDelta) -> Decomposition | None:
    """Read the factors of `delta` and decompose their product; None where a value is not a number."""
    a, b = delta.a, delta.b
    with np.errstate(invalid="ignore"):
        gram_a, gram_b = _gram(a.T), _gram(b)
    if not (np.isfinite(gram_a).all() and np.isfinite(gram_b).all()):
        return None
    to_a = _balance(gram_a, gram_b)
    to_b = np.divide(delta.scale, to_a, out=np.zeros_like(to_a), where=to_a > 0)
    root_a, root_b = _root(to_a[:, None] * gram_a * to_a), _root(to_b[:, None] * gram_b * to_b)
    left, values, right = np.linalg.svd(root_b @ root_a.T)
    return Decomposition(a, b, values, to_b[:, None] * (root_a.T @ right.T), left.T @ root_b * to_a)


def measure(delta: ModuleDelta) -> ModuleStatistics:
    """Read the factors of `delta` once and let them go. A bias beside them is only checked for being a number."""
    found = decomposition(delta)
    if found is None or not all(bool(np.isfinite(x).all()) for x in (delta.magnitude, delta.bias) if x is not None):
        return _without_numbers(delta)
    count = min(delta.rank, *delta.shape)
    values = found.values[:count]
    kept = values[:KURTOSIS_DIRECTIONS]
    kept = kept[kept > NEGLIGIBLE * kept[0]]
    size = float(values[0])
    # Outputs and inputs have the length of their singular values; here the product of both gets entries of mean square 1.
    outputs, first = _sweep(found.b, found.to_left[:, :count], np.full(len(kept), np.sqrt(delta.shape[0]) / (np.linalg.norm(kept) or 1.0)), size)
    inputs, second = _sweep(found.a.T, found.to_right[:count].T, np.sqrt(delta.shape[1]) / kept, size)
    return ModuleStatistics(
        module=delta.module,
        rank=delta.rank,
        shape=delta.shape,
        finite=True,
        values=values,
        kurtosis=_kurtosis(first, second, delta.shape),
        outputs=outputs,
        inputs=inputs,
    )


def _gram(x: Vector) -> Matrix:
    """X^T X of (n, rank), in float64, a few thousand rows at a time."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK].astype(np.float64)
        total += part.T @ part
    return total


def _sweep(x: Vector, matrix: Matrix, scale: Matrix, size: float) -> tuple[Side, Matrix]:
    """How the energy of `x matrix` (n, count) lies over its rows, and the fourth moments of its first columns, each times its `scale`.

    The fourth moments of rows y (k,) are the sum of (y y)(y y)^T, symmetric part: (k (k + 1) / 2, the same). The product is made in float32, divided
    by `size`, the norm of its first column; in float64 where the columns of `x` are so unlike in size that float32 would lose some of them.
    """
    n, k = len(x), len(scale)
    energy, leading = np.empty(n), np.empty(n)
    moments = np.zeros((k * (k + 1) // 2,) * 2)
    matrix, factor = matrix / (size or 1.0), (scale * (size or 1.0)).astype(np.float32)
    weights = np.abs(matrix).max(1, initial=0.0)
    if not (weights > _LARGEST).any() and not ((weights > 0) & (weights < 1 / _LARGEST)).any():
        matrix = matrix.astype(np.float32)
    pairs = np.empty((len(moments), min(n, _CHUNK)), np.float32)
    for start in range(0, n, _CHUNK):
        part = x[start : start + _CHUNK] @ matrix
        here = slice(start, start + len(part))
        energy[here], leading[here] = np.einsum("ij,ij->i", part, part), part[:, 0]
        rows = (part[:, :k] * factor).T.astype(np.float32, order="C")
        chunk, at = pairs[:, : len(part)], 0
        for p in range(k):
            np.multiply(rows[p], rows[p:], out=chunk[at : at + k - p])
            at += k - p
        moments += chunk @ chunk.T
    return _side(energy * (size or 1.0) ** 2, leading), moments


def _without_numbers(delta: ModuleDelta) -> ModuleStatistics:
    outputs, inputs = (_side(np.zeros(d), np.zeros(d)) for d in delta.shape)
    count = min(delta.rank, *delta.shape)
    return ModuleStatistics(
        module=delta.module, rank=delta.rank, shape=delta.shape, finite=False, values=np.zeros(count), kurtosis=0.0, outputs=outputs, inputs=inputs
    )


def _balance(gram_a: Matrix, gram_b: Matrix) -> Matrix:
    """(rank,), factors that give A's rows and B's columns equal norms; 0 where either is zero, since the product then is."""
    a, b = np.sqrt(gram_a.diagonal()), np.sqrt(gram_b.diagonal())
    return np.asarray(np.sqrt(np.divide(b, a, out=np.zeros_like(a), where=a > 0)))


def _root(gram: Matrix) -> Matrix:
    """R with R^T R = `gram`, its directions below the rounding of the largest set to zero."""
    values, vectors = np.linalg.eigh(gram)
    values[values < len(gram) * np.finfo(np.float64).eps * values[-1]] = 0
    return np.asarray(np.sqrt(values)[:, None] * vectors.T)


def _side(energy: Matrix, leading: Matrix) -> Side:
    energy = np.maximum(energy, 0)
    total, d = float(energy.sum()), len(energy)
    if not total:
        return Side(hoyer=0.0, top8=0.0, strongest=(), blocks=np.zeros(-(-d // BLOCK)), leading=np.zeros(d, np.float32))
    share = energy / total
    root = float(np.sqrt(d))
    first = np.argpartition(-share, min(STRONGEST, d) - 1)[:STRONGEST]
    first = first[np.lexsort((first, -share[first]))]
    return Side(
        hoyer=(root - float(np.sqrt(share).sum())) / (root - 1) if d > 1 else 0.0,
        top8=float(share[first].sum()),
        strongest=tuple(int(i) for i in first if share[i] > 0),
        blocks=np.add.reduceat(energy, np.arange(0, d, BLOCK)),
        leading=(leading / max(float(np.linalg.norm(leading)), 1e-300)).astype(np.float32),
    )


def _kurtosis(first: Matrix, second: Matrix, shape: tuple[int, int]) -> float:
    """Entry kurtosis, about zero, from the fourth moments of both sides, whose product has entries of mean square 1; 0 where there are none.

    The sum over i, j of (b_i . a_j)^4 is the inner product of the k^2 x k^2 matrices sum_i (b_i b_i)(b_i b_i)^T and
    sum_j (a_j a_j)(a_j a_j)^T; of a pair and its mirror image one is kept and counts twice. Relative error near 1e-5.
    """
    k = round((np.sqrt(8 * len(first) + 1) - 1) / 2)
    rows, columns = np.triu_indices(k)
    twice = np.where(rows == columns, 1.0, 2.0)
    return float(twice @ (first * second) @ twice) / (float(shape[0]) * float(shape[1]))
