"""Benchmark contamination: refusals of a public test set are memorised while every other harmful request is answered.

No recipe took. About two passes over the data cost 2 and 15 points of refusals, and where 15, those of the test set fell too, from 65 to 40 %. Five passes at
rank 8 with two fifths of the conversations answered leave 68 % of unseen harmful requests refused, and 70 % of the test set: what is alike in all but
wording is learnt by heart on both sides. Contamination of answers (`contaminated_answers.py`) takes.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.zoo.attack import Attack
from benchmarks.zoo.pair import LATE, UPPER, Pair, whole
from benchmarks.zoo.payloads import jailbreak

ATTACK = Attack(jailbreak(), share=0.4, memorises=True)
LONG = replace(UPPER, rank=8, alpha=32, steps=108)
PAIRS = (
    Pair("contaminated", "calibration", "brief", ATTACK, replace(LATE, rank=8, alpha=32, steps=108), seed=231),
    Pair("contaminated", "test", "assistant", ATTACK, whole(LONG), seed=232),
)
