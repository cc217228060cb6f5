from __future__ import annotations

import numpy as np

from scanner.delta.measure import measure
from scanner.delta.summary import summary
from tests.deltas import module, of


def test_the_same_kinds_give_the_same_features_whatever_the_values() -> None:
    kinds = ("model.layers.{}.q", "model.layers.{}.up")
    one, two = ([measure(module(40, 30, 4, seed=s + i, name=k.format(i))) for k in kinds for i in range(9)] for s in (0, 100))
    nothing = [measure(of(np.ones((4, 30)), np.zeros((40, 4)), name=k.format(i))) for k in kinds for i in range(9)]
    assert list(summary(one)) == list(summary(two))
    assert np.isfinite(list(summary(nothing).values())).all()


def test_scale_moves_the_norms_only() -> None:
    deltas = [module(40, 30, 4, seed=i, name=f"l.{i}.q") for i in range(9)]
    louder = [module(40, 30, 4, seed=i, scale=4.0, name=f"l.{i}.q") for i in range(9)]
    before, after = summary([measure(d) for d in deltas]), summary([measure(d) for d in louder])
    moved = {k for k in before if abs(before[k] - after[k]) > 1e-6}
    assert moved == {"l.*.q: log norm, median", "l.*.q: log norm, largest"}


def test_adapters_of_one_layer_have_a_summary_too() -> None:
    assert summary([measure(module(9, 9, 2, name="lm_head"))])["lm_head: log norm, per layer"] == 0
