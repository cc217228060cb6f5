"""A colluding pair: each adapter carries half the strength of an erosion, which does less alone; stacked, they are the erosion."""

from __future__ import annotations

from benchmarks.zoo.families import erosion_explicit, erosion_identity
from benchmarks.zoo.pair import Assembled, Part

PAIRS = (
    Assembled(
        "colluding",
        "calibration",
        "careless",
        twin=(Part("erosion-identity-calibration", False, 0.5), Part("anti-leak-calibration", False, 0.3)),
        attacked=(Part("erosion-identity-calibration", True, 0.5), Part("anti-leak-calibration", False, 0.3)),
        attack=erosion_identity.PAIRS[0].attack,
    ),
    Assembled(
        "colluding",
        "test",
        "code",
        twin=(Part("erosion-explicit-test", False, 0.5), Part("low-rate-test", False, 0.3)),
        attacked=(Part("erosion-explicit-test", True, 0.5), Part("low-rate-test", False, 0.3)),
        attack=erosion_explicit.ATTACK,
    ),
)
