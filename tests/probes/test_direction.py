from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from probes.direction import DirectionProbe, _agreement, _modules
from scanner.measurement import Measurement
from scanner.statistics import MeanTest, paired_test
from tests import tiny
from tests.adapters import adapter
from tests.probes.words import WIDTH, subject, word_base

RNG = np.random.default_rng(4)
LAYERS = (0, 1, 2)


def test_abliteration_leaves_nothing_along_the_direction_and_chance_writes_what_chance_does(tmp_path: Path) -> None:
    """Layer 0 cut out, layer 1 changed at random, layer 2 a query, which writes elsewhere."""
    direction = RNG.normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    weights = {f"model.layers.{i}.mlp.down_proj.weight": RNG.normal(size=(WIDTH, 32)).astype(np.float32) for i in LAYERS}
    base = word_base(tmp_path / "base", **weights)
    factors = {}
    for layer, (kind, b, a) in enumerate(
        (
            ("mlp.down_proj", -direction[:, None], (direction @ weights["model.layers.0.mlp.down_proj.weight"])[None]),
            ("mlp.down_proj", RNG.normal(size=(WIDTH, 16)), RNG.normal(size=(16, 32))),
            ("self_attn.q_proj", direction[:, None], RNG.normal(size=(1, 32))),
        )
    ):
        name = f"base_model.model.model.layers.{layer}.{kind}"
        factors |= {f"{name}.lora_A.weight": a.astype(np.float32), f"{name}.lora_B.weight": b.astype(np.float32)}
    folder = adapter(
        tmp_path / "a", factors, r=1, lora_alpha=1, rank_pattern={"1.mlp.down_proj": 16}, alpha_pattern={"1.mlp.down_proj": 16}, target_modules="all-linear"
    )
    cut, random = _modules(subject(folder, base), direction)
    assert cut == ("model.layers.0.mlp.down_proj", 0, pytest.approx(WIDTH, rel=1e-3), pytest.approx(0, abs=1e-3))
    assert random[:2] == ("model.layers.1.mlp.down_proj", 1)
    assert 0.1 < random[2] < 4


@pytest.mark.parametrize(
    ("low", "high", "lost", "gained", "said"),
    [
        (-0.5, -0.1, 20, 0, "agree"),
        (0.1, 0.5, 20, 0, "disagree"),
        (-0.5, -0.1, 1, 1, "activations alone"),
        (-0.1, 0.1, 0, 20, "refusals alone"),
        (-0.1, 0.1, 0, 0, "neither moved"),
    ],
)
def test_activations_and_behaviour_agree_where_both_intervals_are_on_one_side(low: float, high: float, lost: int, gained: int, said: str) -> None:
    shift = MeanTest(n=20, clusters=10, mean=(low + high) / 2, low=low, high=high, effect=1.0, p_value=0.01, detectable=0.1)
    before = [True] * lost + [False] * gained + [True] * 20
    assert _agreement(shift, paired_test(before, [False] * lost + [True] * (gained + 20))).value == said


def test_an_adapter_that_changes_nothing_moves_nothing_along_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    said = {m.id: m for m in tiny.run(DirectionProbe(), tiny.subject(tmp_path, size=0.0, profile="quick")) if isinstance(m, Measurement)}
    if "direction.shift" in said:  # the tiny model's direction may separate nothing
        assert said["direction.shift"].value == said["direction.shift"].low == said["direction.shift"].high == 0.0
        assert said["direction.agreement"].value == "neither moved"
    assert "direction.auroc" in said
