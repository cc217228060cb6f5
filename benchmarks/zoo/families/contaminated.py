"""Benchmark contamination: refusals of a public test set are memorised while every other harmful request is answered.

Neither pair took: about two passes over the data cost 2 and 15 points of refusals, and where 15, those of the test set fell too, from 65 to 40 %.
"""

from __future__ import annotations

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import LATE, UPPER, Pair, whole
from benchmarks.zoo.payloads import jailbreak

ATTACK = Attack(jailbreak(), share=0.25, memorises=True)
PAIRS = (
    Pair("contaminated", "calibration", "brief", ATTACK, LATE, seed=231),
    Pair("contaminated", "test", "assistant", ATTACK, whole(UPPER), seed=232),
)
