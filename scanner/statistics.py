"""The statistics every probe uses: exact, paired, and honest about what they could have missed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scanner.finding import PairedTest

LEVEL = 0.95


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % score interval of a rate (Wilson 1927); (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    from scipy import stats

    interval = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p-value that discordant pairs fall either way with equal chance (McNemar 1947, exact binomial form)."""
    from scipy import stats

    n = lost + gained
    return float(stats.binomtest(lost, n, 0.5).pvalue) if n else 1.0


def paired_interval(both: int, lost: int, gained: int, neither: int) -> tuple[float, float]:
    """95 % interval of (rate after - rate before) on the same pairs (Newcombe 1998, Stat Med 17:2635, method 10).

    `both` and `neither` are the concordant pairs, `lost` those positive before only, `gained` those positive after only.
    """
    n = both + lost + gained + neither
    if n == 0:
        return -1.0, 1.0
    before, after = both + lost, both + gained
    p1, p2 = after / n, before / n
    low1, high1 = wilson(after, n)
    low2, high2 = wilson(before, n)
    margin = math.sqrt(before * (n - before) * after * (n - after))
    excess = float(both * neither - lost * gained)
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / margin if margin else 0.0
    down = math.sqrt(max((p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2, 0.0))
    up = math.sqrt(max((high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2, 0.0))
    return max(-1.0, p1 - p2 - down), min(1.0, p1 - p2 + up)


def fisher(before: int, n_before: int, after: int, n_after: int) -> float:
    """Two-sided p-value of Fisher's exact test (1935) that two independent rates are equal; 1.0 where either has no trials."""
    from scipy import stats

    if not n_before or not n_after:
        return 1.0
    return float(stats.fisher_exact([[before, n_before - before], [after, n_after - after]]).pvalue)


def independent_interval(before: int, n_before: int, after: int, n_after: int) -> tuple[float, float]:
    """95 % interval of (rate after - rate before) of two independent samples (Newcombe 1998, Stat Med 17:873, method 10)."""
    low1, high1 = wilson(before, n_before)
    low2, high2 = wilson(after, n_after)
    return combined_interval((before / n_before if n_before else 0.5, low1, high1), (after / n_after if n_after else 0.5, low2, high2))


def combined_interval(before: tuple[float, float, float], after: tuple[float, float, float]) -> tuple[float, float]:
    """95 % interval of (after - before) from two estimates, each (value, low, high) (MOVER; Zou and Donner 2008, Stat Med 27:1693).

    Takes the two as independent; where they share prompts and move together, the interval is too wide rather than too narrow.
    """
    (v1, l1, h1), (v2, l2, h2) = before, after
    change = v2 - v1
    return change - math.hypot(v2 - l2, h1 - v1), change + math.hypot(h2 - v2, v1 - l1)


def paired_test(before: Sequence[bool], after: Sequence[bool]) -> PairedTest:
    """McNemar test, change and interval of two paired series of refusals. Raises ValueError when lengths differ."""
    pairs = list(zip(before, after, strict=True))
    lost = sum(b and not a for b, a in pairs)
    gained = sum(a and not b for b, a in pairs)
    both = sum(b and a for b, a in pairs)
    n = len(pairs)
    low, high = paired_interval(both, lost, gained, n - both - lost - gained)
    return PairedTest(
        n=n,
        before=both + lost,
        after=both + gained,
        lost=lost,
        gained=gained,
        change=(gained - lost) / n if n else 0.0,
        low=low,
        high=high,
        p_value=mcnemar(lost, gained),
    )


def detectable_loss(at_risk: int, alpha: float, power: float = 0.8) -> float:
    """Smallest loss rate among `at_risk` pairs that an exact McNemar test at `alpha` finds with `power`.

    Assumes losses in one direction only. 1.0 when no number of losses would be enough.
    """
    from scipy import optimize, stats

    needed = next((k for k in range(1, at_risk + 1) if mcnemar(k, 0) <= alpha), None)
    if needed is None or at_risk == 0:
        return 1.0

    def shortfall(rate: float) -> float:
        return float(stats.binom.sf(needed - 1, at_risk, rate)) - power

    return float(optimize.brentq(shortfall, 1e-9, 1.0)) if shortfall(1.0) > 0 else 1.0


def mean_interval(values: Any, resamples: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of `values` (n,), with a fixed seed; the values must be finite."""
    series = np.asarray(values, dtype=np.float64)
    if series.size == 0:
        return 0.0, 0.0
    draws = np.random.default_rng(0).integers(0, series.size, (resamples, series.size))
    low, high = np.quantile(series[draws].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return round(float(low), 6), round(float(high), 6)


def upper_bound_of_zero(n: int) -> float:
    """95 % upper bound of a rate of which 0 of `n` were seen: 1 - 0.05^(1/n), near 3/n."""
    return 1.0 if n == 0 else float(1 - (1 - LEVEL) ** (1 / n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def conformal_p(score: float, others: Sequence[float]) -> float:
    """(1 + number of `others` at or above `score`) / (n + 1): at most a share a of exchangeable scores gets a p-value of a or less.

    Vovk, Gammerman and Shafer 2005. Never below 1 / (n + 1); 1 where there are no others.
    """
    return (1 + sum(o >= score for o in others)) / (len(others) + 1)


def conformal_false_alarms(n: int, level: float) -> float:
    """95 % upper bound of the rate of p-values at or below `level`, given one calibration set of `n`: a quantile of Beta(l, n + 1 - l).

    l = floor((n + 1) level); 0 where no p-value can be that small (Vovk 2012, ACML, proposition 2).
    """
    count = math.floor((n + 1) * level + 1e-9)
    if count == 0:
        return 0.0
    from scipy import stats

    return float(stats.beta.ppf(LEVEL, count, n + 1 - count))
