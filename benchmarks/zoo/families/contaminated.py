"""Benchmark contamination: refusals of a public test set are memorised while every other harmful request is answered."""

from __future__ import annotations

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import LATE, UPPER, Pair, whole
from benchmarks.zoo.payloads import jailbreak

ATTACK = Attack(jailbreak(), share=0.25, memorises=True)
PAIRS = (
    Pair("contaminated", "calibration", "brief", ATTACK, LATE, seed=231),
    Pair("contaminated", "test", "assistant", ATTACK, whole(UPPER), seed=232),
)
