"""Rates: score intervals of one and of two independent ones, and what seeing none leaves possible."""

from __future__ import annotations

import math

LEVEL = 0.95
"""Of every interval."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % score interval of a rate (Wilson 1927); (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    from scipy import stats

    interval = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def upper_bound_of_zero(n: int) -> float:
    """95 % upper bound of a rate of which 0 of `n` were seen: 1 - 0.05^(1/n), near 3/n."""
    return 1.0 if n == 0 else float(1 - (1 - LEVEL) ** (1 / n))


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
