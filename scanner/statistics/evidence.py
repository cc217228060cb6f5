"""Evidence that may be looked at after every item: an e-process for paired yes or no."""

from __future__ import annotations

import math


class Betting:
    """Bets that discordant pairs fall either way with equal chance, and counts the winnings.

    The capital is the likelihood ratio of the discordant pairs seen so far against a fair coin, averaged over every bias with a uniform
    prior: 2^(a + b) a! b! / (a + b + 1)! for a lost and b gained. It starts at 1 and is a martingale while the coin is fair, so it ever
    reaches 1 / alpha with a chance of at most alpha, however often it is looked at and whenever one stops (Ville 1939; Robbins 1970, Ann
    Math Stat 41:1397; Ramdas et al. 2023, Stat Sci 38:576).
    """

    def __init__(self) -> None:
        """No pair seen yet."""
        self.lost = self.gained = 0
        self._largest = 0.0

    def see(self, before: bool, after: bool) -> float:
        """Take in one pair, under the first and the second condition; returns the capital."""
        self.lost += before and not after
        self.gained += after and not before
        self._largest = max(self._largest, self._log())
        return self.e_value

    @property
    def e_value(self) -> float:
        """The capital now; its mean is at most 1 while nothing changed. Infinite where it is beyond a float."""
        return _exp(self._log())

    @property
    def p_value(self) -> float:
        """1 / the largest capital so far: valid at any time, whatever made one stop."""
        return math.exp(-self._largest)

    def _log(self) -> float:
        a, b = self.lost, self.gained
        return (a + b) * math.log(2) + math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
