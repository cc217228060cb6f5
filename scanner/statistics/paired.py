"""Yes or no on the same items twice: exact test, interval, and the smallest change that would have been seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scanner.finding import PairedTest
from scanner.statistics.rates import wilson


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


def detectable_loss(at_risk: int, alpha: float, power: float = 0.8, least: int = 1) -> float:
    """Smallest loss rate among `at_risk` pairs that an exact McNemar test at `alpha` finds with `power`, where a finding takes `least` losses too.

    Assumes losses in one direction only. 1.0 when no number of losses would be enough.
    """
    from scipy import optimize, stats

    needed = next((k for k in range(max(1, least), at_risk + 1) if mcnemar(k, 0) <= alpha), None)
    if needed is None or at_risk == 0:
        return 1.0

    def shortfall(rate: float) -> float:
        return float(stats.binom.sf(needed - 1, at_risk, rate)) - power

    return float(optimize.brentq(shortfall, 1e-9, 1.0)) if shortfall(1.0) > 0 else 1.0
