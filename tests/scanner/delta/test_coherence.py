from __future__ import annotations

import numpy as np
import pytest

from scanner.delta.coherence import coherences
from scanner.delta.measure import measure
from tests.deltas import module, of


def test_random_directions_share_what_chance_gives() -> None:
    outputs, inputs = coherences([measure(module(400, 300, 3, seed=i, name=f"l.{i}.o")) for i in range(20)])
    assert (outputs.kind, outputs.side, outputs.n, inputs.side) == ("l.*.o", "outputs", 20, "inputs")
    assert outputs.mean == pytest.approx(outputs.chance, rel=0.2)
    assert outputs.shared < 0.15


def test_one_direction_in_every_layer_is_seen_whatever_its_sign() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(400, 1)).astype(np.float32)
    deltas = [of(rng.normal(size=(1, 300)), direction, (-1.0) ** i, f"l.{i}.o") for i in range(10)]
    outputs, inputs = coherences([measure(d) for d in deltas])
    assert (outputs.mean, outputs.shared) == pytest.approx((1, 1), abs=1e-5)
    assert inputs.shared < 0.3


def test_too_few_layers_and_unlike_shapes_are_left_out() -> None:
    assert coherences([measure(module(9, 9, 1, name=f"l.{i}.o")) for i in range(3)]) == []
    assert coherences([measure(module(9 + i, 9, 1, name=f"l.{i}.o")) for i in range(8)]) == []
