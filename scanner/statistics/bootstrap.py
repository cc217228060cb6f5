"""Means of paired differences: bootstrap interval and sign-flip test, by cluster where items hang together; and means of two samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from scanner.statistics.rates import LEVEL

DETECTABLE = 1.959963984540054 + 0.8416212335729143
"""Normal quantiles of 97.5 % and 80 %, added."""
EXACT = 12
"""Clusters up to which every flip of signs is tried."""
AT_ONCE = 1 << 21
"""Values that are resampled at once."""


def mean_interval(values: Any, resamples: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of `values` (n,), with a fixed seed; the values must be finite."""
    series = np.asarray(values, dtype=np.float64)
    if series.size == 0:
        return 0.0, 0.0
    draws = np.random.default_rng(0).integers(0, series.size, (resamples, series.size))
    low, high = np.quantile(series[draws].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return round(float(low), 6), round(float(high), 6)


class MeanTest(msgspec.Struct, frozen=True, kw_only=True):
    """A mean of paired differences."""

    n: int
    """Differences."""
    clusters: int
    mean: float
    low: float
    high: float
    """95 % interval, bootstrap over clusters."""
    effect: float
    """Mean over the standard deviation of the cluster means (Cohen's d of paired differences); 0 where they do not vary."""
    p_value: float
    """Two-sided, from flipping the signs of whole clusters."""
    detectable: float
    """Smallest mean that a test at 5 % finds with power 0.8, by the normal approximation: 2.8 standard errors (clusters of one size)."""


def clustered(differences: Any, clusters: Sequence[str], resamples: int = 4000) -> MeanTest:
    """Mean of `differences` (n,), finite, with whole clusters resampled (Davison and Hinkley 1997, 3.8) and whole clusters' signs flipped.

    The flips are all 2^c of them up to twelve clusters, else `resamples` drawn with a fixed seed, the observed one counted among them
    (Phipson and Smyth 2010). Clusters weigh by their size. Cost: resamples x clusters. Raises ValueError when the lengths differ.
    """
    series = np.asarray(differences, dtype=np.float64)
    if len(series) != len(clusters):
        raise ValueError(f"{len(series)} differences, {len(clusters)} cluster names")
    if not len(series):
        return MeanTest(n=0, clusters=0, mean=0.0, low=0.0, high=0.0, effect=0.0, p_value=1.0, detectable=math.inf)
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    sums, sizes = np.bincount(member, series), np.bincount(member).astype(np.float64)
    count = len(sums)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, count, (resamples, count))
    low, high = np.quantile(sums[draws].sum(1) / sizes[draws].sum(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if count <= EXACT:
        signs = 1 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        extreme, of = 0, len(signs)
    else:
        signs = rng.choice((-1.0, 1.0), (resamples - 1, count))
        extreme, of = 1, resamples
    extreme += int((np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-12)).sum())
    spread = float((sums / sizes).std(ddof=1)) if count > 1 else 0.0
    mean = float(series.mean())
    return MeanTest(
        n=len(series), clusters=count, mean=mean, low=float(low), high=float(high), effect=float((sums / sizes).mean()) / spread if spread else 0.0,
        p_value=extreme / of, detectable=DETECTABLE * spread / math.sqrt(count) if count > 1 else math.inf,
    )  # fmt: skip


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of the means of two independent samples."""

    n: tuple[int, int]
    mean: float
    low: float
    high: float
    """95 % interval, percentile bootstrap, each sample resampled by itself."""
    p_value: float
    """Two-sided, from dealing the values out anew."""


def two_samples(one: Any, other: Any, resamples: int = 4000) -> Difference:
    """Mean of `one` (n,) less that of `other` (m,), all finite, with a fixed seed (Efron and Tibshirani 1993, 8 and 15).

    Where there are fewer than `resamples` ways to deal the values out, all are tried; else the observed one is counted among them (Phipson and Smyth 2010),
    so that p is 2 / (resamples + 1) at least. Cost: resamples x (n + m), in parts of some tens of MB. p is 1 where a sample has no two values.
    """
    from scipy import stats

    samples = tuple(np.asarray(s, dtype=np.float64) for s in (one, other))
    n = len(samples[0]), len(samples[1])
    if min(n) < 2:
        return Difference(n=n, mean=0.0, low=0.0, high=0.0, p_value=1.0)
    mean = float(samples[0].mean() - samples[1].mean())
    part = max(1, AT_ONCE // sum(n))
    test = stats.permutation_test(samples, _apart, n_resamples=resamples, batch=part, vectorized=True, random_state=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    sizes = [min(part, resamples - start) for start in range(0, resamples, part)]
    draws = [np.concatenate([s[rng.integers(0, len(s), (size, len(s)))].mean(1) for size in sizes]) for s in samples]
    low, high = np.quantile(draws[0] - draws[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(n=n, mean=mean, low=float(low), high=float(high), p_value=float(min(1.0, test.pvalue)))


def _apart(one: Any, other: Any, axis: int) -> Any:
    return one.mean(axis=axis) - other.mean(axis=axis)
