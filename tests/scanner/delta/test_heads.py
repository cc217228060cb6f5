from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scanner.delta.heads import head_shares
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import measure
from tests.deltas import of

CONFIG: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 256}
RNG = np.random.default_rng(0)


def attention(loud: int, by: float) -> list[ModuleDelta]:
    """q, k and o of one layer, head `loud` of each `by` times as strong."""
    made = []
    for kind, out, into in (("q_proj", 256, 256), ("k_proj", 128, 256), ("o_proj", 256, 256), ("up_proj", 256, 256)):
        a, b = RNG.normal(size=(3, into)), RNG.normal(size=(out, 3))
        (a.T if kind == "o_proj" else b)[loud * 64 : (loud + 1) * 64] *= by
        made.append(of(a, b, name=f"model.layers.0.self_attn.{kind}"))
    return made


def test_the_loudest_head_is_named_on_its_own_side() -> None:
    found = head_shares([measure(d) for d in attention(1, 10.0)], CONFIG)
    assert [(h.module.rsplit(".", 1)[-1], h.heads, h.strongest) for h in found] == [("q_proj", 4, 1), ("k_proj", 2, 1), ("o_proj", 4, 1)]
    assert all(h.share > 0.9 for h in found)


def test_equal_heads_share_alike() -> None:
    assert all(h.share * h.heads < 1.4 for h in head_shares([measure(d) for d in attention(1, 1.0)], CONFIG))


@pytest.mark.parametrize("change", [{"num_attention_heads": "4"}, {"hidden_size": None}, {"head_dim": 80}, {"num_attention_heads": 0}, {"head_dim": 128}])
def test_configurations_without_whole_heads_give_none(change: dict[str, Any]) -> None:
    assert head_shares([measure(d) for d in attention(1, 1.0)], CONFIG | change) == []
