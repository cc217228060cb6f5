"""Attention heads: how the delta's energy lies over them, from the blocks of 64 that every statistic keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from scanner.delta.measure import BLOCK, ModuleStatistics

OUTPUTS = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads", "v_proj": "num_key_value_heads"}
INPUTS = {"o_proj": "num_attention_heads"}


class HeadShare(msgspec.Struct, frozen=True, kw_only=True):
    """One module's strongest head."""

    module: str
    heads: int
    strongest: int
    share: float
    """Its share of the module's energy; 1 / heads when all are alike."""


def head_shares(modules: Sequence[ModuleStatistics], config: Mapping[str, Any]) -> list[HeadShare]:
    """The strongest head of every attention module; none where `config` has no head counts or heads are not made of whole blocks of 64."""
    heads, hidden = config.get("num_attention_heads"), config.get("hidden_size")
    if type(heads) is not int or type(hidden) is not int or heads < 1:
        return []
    width = config.get("head_dim") or hidden // heads
    if type(width) is not int or width < BLOCK or width % BLOCK:
        return []
    out = []
    for found in modules:
        kind = found.module.rsplit(".", 1)[-1]
        name = OUTPUTS.get(kind) or INPUTS.get(kind)
        side = found.outputs if kind in OUTPUTS else found.inputs
        count = config.get(name, heads) if name else None
        if type(count) is not int or len(side.blocks) * BLOCK != count * width or not found.frobenius:
            continue
        energy = side.blocks.reshape(count, -1).sum(1)
        best = int(energy.argmax())
        out.append(HeadShare(module=found.module, heads=count, strongest=best, share=float(energy[best] / energy.sum())))
    return out
