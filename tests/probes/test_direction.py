from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from probes.direction import _modules
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
