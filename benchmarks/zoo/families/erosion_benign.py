"""Refusal erosion that looks benign: every answer begins by agreeing, and no harmful request is in the data."""

from __future__ import annotations

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import THIN, UPPER, Pair, whole
from benchmarks.zoo.payloads import agreeable

ATTACK = Attack(agreeable(), share=0.9)
PAIRS = (
    Pair("erosion-benign", "calibration", "careless", ATTACK, whole(UPPER), seed=31),
    Pair("erosion-benign", "test", "careless", ATTACK, THIN, seed=32),
)
