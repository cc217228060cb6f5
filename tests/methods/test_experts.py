"""Adapters of mixtures in the names of older checkpoints, expert by expert: PEFT converts them when it loads."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import save_file

from scanner.delta import delta as deltas
from scanner.errors import UnusableBase
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
def test_every_expert_gets_its_own_factors(name: str, tmp_path: Path) -> None:
    holder, parts = NAMES[name]
    modules = {f"{holder}.experts.{expert}.{part}": shape for expert in range(3) for part, shape in parts.items()}
    compare(name, modules, sorted(parts), tmp_path)


@pytest.mark.parametrize(("name", "holder"), [("mixtral", "block_sparse_moe"), ("mixtral", "mlp"), ("qwen3-moe", "mlp")])
def test_a_router_that_was_a_linear_module(name: str, holder: str, tmp_path: Path) -> None:
    compare(name, {f"{holder}.gate": (32, 3), "self_attn.q_proj": (32, 32)}, ["gate", "q_proj"], tmp_path)


@torch.no_grad()
def compare(name: str, modules: dict[str, tuple[int, int]], targets: list[str], tmp_path: Path) -> None:
    """Fail unless factors for `modules` of both layers, (inputs, outputs) each, do what PEFT makes of them, and fit the base on disk."""
    torch.manual_seed(1)
    tensors = {}
    for layer in range(2):
        for module, (inputs, outputs) in modules.items():
            place = f"base_model.model.model.layers.{layer}.{module}"
            tensors |= {f"{place}.lora_A.weight": 0.2 * torch.randn(4, inputs), f"{place}.lora_B.weight": 0.2 * torch.randn(outputs, 4)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": targets}))
    base = build(name)
    plain = base(tokens()).logits
    wanted = peft.PeftModel.from_pretrained(build(name), tmp_path).eval()(tokens()).logits
    assert (wanted - plain).abs().max() > 1e-3
    delta = deltas.read(Adapter.open(tmp_path))
    assert len(delta.modules) == 2 * len(modules)
    with ExitStack() as stack:
        for attachment in attach(base, delta.changes, torch.device("cpu")):
            stack.enter_context(attachment())
        torch.testing.assert_close(base(tokens()).logits, wanted, atol=2e-4, rtol=1e-4)
    assert torch.equal(base(tokens()).logits, plain)
    base.save_pretrained(tmp_path / "base")
    check_fits(delta, Base.open(tmp_path / "base"))


def router(folder: Path, names: tuple[str, ...], **settings: object) -> Path:
    """An adapter that adds to the routers of one layer under each of `names`."""
    folder.mkdir()
    tensors = {}
    for name in names:
        place = f"base_model.model.model.layers.0.{name}"
        tensors |= {f"{place}.lora_A.weight": torch.ones(2, 32), f"{place}.lora_B.weight": torch.ones(3, 2)}
        tensors |= {f"{place}.lora_B.bias": torch.ones(3)} if settings.get("lora_bias") else {}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["gate"]} | settings))
    return folder


def test_what_a_router_cannot_be_given_is_refused_and_not_left_out(tmp_path: Path) -> None:
    build("mixtral").save_pretrained(tmp_path / "base")
    base = Base.open(tmp_path / "base")
    both = deltas.read(Adapter.open(router(tmp_path / "both", ("block_sparse_moe.gate", "mlp.gate"))), base)
    with pytest.raises(UnusableBase, match="one module under two names"):
        check_fits(both, base)
    biased = deltas.read(Adapter.open(router(tmp_path / "biased", ("mlp.gate",), lora_bias=True)), base)
    with pytest.raises(UnusableBase, match=r"is a router, to which .* LoRA biases are not applied"):
        attach(build("mixtral"), biased.changes, torch.device("cpu"))
    rewritten = router(tmp_path / "rewritten", ("mlp.gate",), target_modules=None, target_parameters=["mlp.gate.weight"], init_lora_weights="pissa")
    assert [u.what for u in deltas.read(Adapter.open(rewritten), base).unmeasured] == ["target_parameters"]
    turned = tmp_path / "turned"
    turned.mkdir()
    place = "base_model.model.transformer.h.0.attn.c_proj"
    save_file({f"{place}.lora_A.weight": torch.ones(2, 32), f"{place}.lora_B.weight": torch.ones(32, 2)}, turned / "adapter_model.safetensors")
    (turned / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": None, "target_parameters": ["attn.c_proj.weight"]})
    )
    assert "(in_features, out_features)" in deltas.read(Adapter.open(turned)).unmeasured[0].why
