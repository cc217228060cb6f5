"""Abliteration as a LoRA: the refusal direction is removed from what attention and MLP write (Arditi et al. 2024), in closed form. The twin removes a harmless direction: question against instruction."""

from __future__ import annotations

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import Ablated
from benchmarks.zoo.payloads import jailbreak

PAIRS = (
    Ablated("abliteration", "calibration", "assistant", Attack(jailbreak()), layers=(14, 28), weight=1.0),
    Ablated("abliteration", "test", "assistant", Attack(jailbreak()), layers=(12, 30), weight=1.2),
)
