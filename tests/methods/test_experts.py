"""Adapters of mixtures saved expert by expert, on a model that keeps its experts in one tensor: PEFT converts them when it loads."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import save_file

from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.model.attach import attach
from scanner.model.base import Base
from scanner.scan import check_fits
from tests.methods.models import build, tokens

NAMES = {
    "mixtral": ("block_sparse_moe", {"w1": (32, 24), "w2": (24, 32), "w3": (32, 24)}),
    "qwen3-moe": ("mlp", {"gate_proj": (32, 24), "down_proj": (24, 32), "up_proj": (32, 24)}),
}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_every_expert_gets_its_own_factors(name: str, tmp_path: Path) -> None:
    holder, parts = NAMES[name]
    torch.manual_seed(1)
    tensors = {}
    for layer in range(2):
        for expert in range(3):
            for part, (inputs, outputs) in parts.items():
                module = f"base_model.model.model.layers.{layer}.{holder}.experts.{expert}.{part}"
                tensors |= {f"{module}.lora_A.weight": 0.2 * torch.randn(4, inputs), f"{module}.lora_B.weight": 0.2 * torch.randn(outputs, 4)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": sorted(parts)}))
    base = build(name)
    plain = base(tokens()).logits
    wanted = peft.PeftModel.from_pretrained(build(name), tmp_path).eval()(tokens()).logits
    assert (wanted - plain).abs().max() > 1e-3
    delta = deltas.read(Adapter.open(tmp_path))
    assert len(delta.modules) == 18
    with ExitStack() as stack:
        for attachment in attach(base, delta.changes, torch.device("cpu")):
            stack.enter_context(attachment())
        torch.testing.assert_close(base(tokens()).logits, wanted, atol=2e-4, rtol=1e-4)
    assert torch.equal(base(tokens()).logits, plain)
    base.save_pretrained(tmp_path / "base")
    check_fits(delta, Base.open(tmp_path / "base"))
