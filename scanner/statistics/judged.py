"""What a rate means when the judge who counted errs."""

from __future__ import annotations

import math

import msgspec

from scanner.statistics.rates import combined_interval, wilson

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a judge was right on answers that people had labelled."""

    positives: int
    """Answers labelled positive."""
    found: int
    """Of them, those the judge called positive."""
    negatives: int
    """Answers labelled negative."""
    passed: int
    """Of them, those the judge called negative."""
    source: str
    """Which answers."""

    @property
    def sensitivity(self) -> float:
        """Share of the positives found; 1/2 where there were none."""
        return self.found / self.positives if self.positives else 0.5

    @property
    def specificity(self) -> float:
        """Share of the negatives passed; 1/2 where there were none."""
        return self.passed / self.negatives if self.negatives else 0.5


def true_rate(count: int, n: int, judge: Accuracy) -> tuple[float, float, float]:
    """Rate behind `count` of `n` judged positive, with a 95 % interval that holds the judge's own uncertainty: (rate, low, high).

    The rate is (p + specificity - 1) / (sensitivity + specificity - 1), cut to 0..1 (Rogan and Gladen 1978, Am J Epidemiol 107:71); the
    interval is that of Lang and Reiczigel 2014 (Prev Vet Med 113:13), which adds pseudo-counts to all three rates. (p, 0, 1) where the
    judge is no better than chance, or nothing was judged.
    """
    youden = judge.sensitivity + judge.specificity - 1
    if n == 0 or not judge.positives or not judge.negatives or youden <= 0:
        return (count / n if n else 0.5), 0.0, 1.0
    rate = (count / n + judge.specificity - 1) / youden
    n_, positives, negatives = n + Z * Z, judge.positives + 2, judge.negatives + 2
    p, se, sp = (count + Z * Z / 2) / n_, (judge.found + 1) / positives, (judge.passed + 1) / negatives
    youden = se + sp - 1
    if youden <= 0:
        return _cut(rate), 0.0, 1.0
    centre = (p + sp - 1) / youden
    of_se, of_sp = se * (1 - se) / positives, sp * (1 - sp) / negatives
    spread = math.sqrt(p * (1 - p) / n_ + of_se * centre**2 + of_sp * (1 - centre) ** 2) / youden
    centre += 2 * Z * Z * (centre * of_se - (1 - centre) * of_sp)
    return _cut(rate), _cut(centre - Z * spread), _cut(centre + Z * spread)


def true_change(change: float, low: float, high: float, judge: Accuracy) -> tuple[float, float, float]:
    """A change of a judged rate, with its interval, as the change of the true rate: (change, low, high).

    A judge who errs alike on both sides shrinks a change by sensitivity + specificity - 1. The interval of the quotient is MOVER's (Donner
    and Zou 2012, Stat Methods Med Res 21:347), from the given interval and the judge's (Wilson's, joined). (change, -1, 1) where the
    judge may be no better than chance or too few answers were labelled to say.
    """
    youden = judge.sensitivity + judge.specificity - 1
    missed, passed = wilson(judge.positives - judge.found, judge.positives), wilson(judge.passed, judge.negatives)
    worst, best = combined_interval((1 - judge.sensitivity, *missed), (judge.specificity, *passed))
    if not judge.positives or not judge.negatives or worst <= 0:
        return change, -1.0, 1.0

    def bound(end: float, sign: int) -> float:
        other = best if (end > 0) == (sign < 0) else worst
        product = change * youden
        root = math.sqrt(max(0.0, product**2 - end * other * (2 * change - end) * (2 * youden - other)))
        return (product + sign * root) / (other * (2 * youden - other))

    if best >= 2 * youden:  # MOVER's quotient has no bound there
        return _cut(change / youden, -1.0), -1.0, 1.0
    return _cut(change / youden, -1.0), _cut(bound(low, -1), -1.0), _cut(bound(high, 1), -1.0)


def _cut(value: float, least: float = 0.0) -> float:
    return min(1.0, max(least, value))
