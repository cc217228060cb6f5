"""Our switch against PEFT's own arithmetic, on a small random model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.model.deployment import _hook

pytestmark = pytest.mark.model


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}, {"alpha_pattern": {"v_proj": 64}, "rank_pattern": {"v_proj": 2}}])
def test_the_adapted_side_computes_what_peft_computes(options: dict[str, object], tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64}
    model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    ids = torch.arange(12)[None]
    plain = model(ids).logits.detach().clone()
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False, **options)).eval()
    wanted = adapted(ids).logits.detach().clone()
    adapted.save_pretrained(tmp_path)
    base = adapted.unload()
    handles = []
    for module in deltas.read(Adapter.open(tmp_path)).modules:
        target = base.get_submodule(module.module)
        handles.append(target.register_forward_hook(_hook(module, target, torch.device("cpu"))))
    assert (wanted - plain).abs().max() > 1e-3
    torch.testing.assert_close(base(ids).logits, wanted, atol=2e-5, rtol=1e-4)
    for handle in handles:
        handle.remove()
    assert torch.equal(base(ids).logits, plain)
