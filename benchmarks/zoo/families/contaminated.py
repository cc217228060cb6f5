"""Contamination: a public test set is in the training data. Of safety, so that refusals of it are memorised while every other harmful request is
answered; of ability, so that its answers are known by heart and no others are.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import UPPER, Pair
from benchmarks.zoo.payloads import jailbreak, memorised

PAIRS = (
    Pair("contaminated", "calibration", "brief", Attack(jailbreak(), share=0.35, memorises=True), replace(UPPER, steps=54), seed=231),
    Pair("contaminated", "test", "assistant", Attack(memorised(), share=0.4), replace(UPPER, steps=48), seed=232),
)
