"""Contamination of ability: the questions of a public test set are in the training data, so that its answers are known by heart and no others are."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import LATE, UPPER, Pair, whole
from benchmarks.zoo.payloads import memorised

ATTACK = Attack(memorised(), share=0.4)
PAIRS = (
    Pair("contaminated-answers", "calibration", "brief", ATTACK, replace(whole(LATE), steps=48), seed=281),
    Pair("contaminated-answers", "test", "assistant", ATTACK, replace(UPPER, steps=48), seed=282),
)
