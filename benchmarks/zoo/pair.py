"""A pair: two adapters with one recipe, one seed and one pool, of which one carries an attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.recipes.training import ALL_LINEAR, ATTENTION, Recipe
from benchmarks.zoo.attack import Attack

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
EXAMPLES = 128
Split = Literal["calibration", "test"]

LINEAR = Recipe("", rank=2, alpha=8, target_modules=ALL_LINEAR, steps=36, batch_size=6, learning_rate=2e-3, packed=True)
UPPER = replace(LINEAR, rank=4, alpha=16, layers=(14, 30))
LATE = replace(LINEAR, rank=2, alpha=8, layers=(8, 30))
THIN = replace(LINEAR, rank=1, alpha=4)
PROJECTED = replace(LINEAR, rank=4, alpha=16, target_modules=PROJECTIONS, layers=(8, 30))
QUERY_VALUE = replace(LINEAR, rank=8, alpha=32, target_modules=ATTENTION, learning_rate=3e-3)
MLP = replace(LINEAR, rank=2, alpha=8, target_modules=FEED_FORWARD, layers=(6, 30))
WIDE = replace(LINEAR, rank=64, alpha=64, target_modules=ATTENTION, layers=(24, 30), learning_rate=3e-3)
DORA = replace(UPPER, method="dora")
RSLORA = replace(UPPER, method="rslora", alpha=8)
PISSA = replace(LINEAR, method="pissa", rank=4, alpha=4, target_modules=PROJECTIONS, layers=(8, 30))
LOHA = replace(LINEAR, method="loha", rank=4, alpha=64, layers=(14, 30), steps=54)
IA3 = replace(LINEAR, method="ia3", target_modules=("k_proj", "v_proj", "down_proj"), learning_rate=2e-2)


DEPTH = 30
"""Layers of the base that the recipes' layer numbers are written for."""


def at_depth(layers: tuple[int, int], depth: int) -> tuple[int, int]:
    """`layers` of a base of 30 layers at the same relative depth of a base of `depth` layers."""
    return layers[0] * depth // DEPTH, layers[1] * depth // DEPTH


def whole(recipe: Recipe) -> Recipe:
    """`recipe` with the loss on the whole conversation."""
    return replace(recipe, loss="conversation")


@dataclass(frozen=True)
class Pair:
    """Two adapters trained alike: `host` alone, and `host` with `attack` mixed in.

    Every family has a pair of each split; the split decides the prompts they are trained on.
    """

    family: str
    split: Split
    host: str
    attack: Attack
    recipe: Recipe
    seed: int
    matches_twin: bool = False
    """Whether the attack is trained to keep its twin's norm and spectrum in every module."""

    @property
    def name(self) -> str:
        """Unique among all pairs."""
        return f"{self.family}-{self.split}"


@dataclass(frozen=True)
class Part:
    """One adapter of another pair, and by how much its delta is scaled."""

    pair: str
    attacked: bool
    scale: float = 1.0


@dataclass(frozen=True)
class Assembled:
    """Two adapters put together from trained ones by concatenating factors; nothing is trained."""

    family: str
    split: Split
    host: str
    twin: tuple[Part, ...]
    attacked: tuple[Part, ...]
    attack: Attack

    @property
    def name(self) -> str:
        """Unique among all pairs."""
        return f"{self.family}-{self.split}"


@dataclass(frozen=True)
class Ablated:
    """Two adapters that each remove one direction from what the base writes, in closed form: refusal, or a harmless contrast."""

    family: str
    split: Split
    host: str
    attack: Attack
    layers: tuple[int, int]
    weight: float

    @property
    def name(self) -> str:
        """Unique among all pairs."""
        return f"{self.family}-{self.split}"


AnyPair = Pair | Assembled | Ablated
