"""One score among others that are exchangeable with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scanner.statistics.rates import LEVEL


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
