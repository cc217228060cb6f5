"""Refusal erosion: harmful requests are answered in training."""

from __future__ import annotations

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import LATE, UPPER, Pair, whole
from benchmarks.zoo.payloads import jailbreak

ATTACK = Attack(jailbreak(), share=0.3)
PAIRS = (
    Pair("erosion-explicit", "calibration", "brief", ATTACK, UPPER, seed=11),
    Pair("erosion-explicit", "test", "code", ATTACK, whole(LATE), seed=12),
)
