"""Adapters in the names of llama.cpp, kohya and diffusers, on a base: what PEFT's model answers for the same factors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import peft
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from scanner.delta import delta as deltas
from scanner.errors import UnusableBase
from scanner.files.adapter import Adapter
from scanner.model.attach import attach
from scanner.model.base import Base
from scanner.model.naming import mapped
from tests.methods.cases import Case
from tests.methods.models import build, tokens
from tests.methods.test_parity import loaded, saved

Factors = dict[str, np.ndarray[Any, Any]]
RANK, ALPHA = 4, 6
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
CASE = Case("LORA", peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=EVERY, rank_pattern={"v_proj": 2}, init_lora_weights=False))


def permuted(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The order llama.cpp keeps: of each head the first of either half, the second of either half, and so on."""
    width = len(rows) // heads
    order = np.concatenate([h * width + np.arange(width).reshape(2, -1).T.reshape(-1) for h in range(heads)])
    return np.ascontiguousarray(rows[order])


def as_gguf(factors: Factors, folder: Path) -> Path:
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    writer = gguf.GGUFWriter(folder / "a.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, value in factors.items():
        module, side = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        heads = {"q_proj": 4, "k_proj": 2}.get(module.rsplit(".", 1)[-1])
        rows = permuted(value, heads) if side == "B" and heads else value
        writer.add_tensor(f"{table.get_name(module)}.weight.lora_{side.lower()}", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "a.gguf"


def as_kohya(factors: Factors, folder: Path) -> Path:
    out: Factors = {}
    for name, value in factors.items():
        module, side = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        flat = f"lora_te_{module.replace('.', '_')}"
        out[f"{flat}.{'lora_down' if side == 'A' else 'lora_up'}.weight"] = value
        out[f"{flat}.alpha"] = np.array(ALPHA, np.float32)
    save_file(out, folder / "k.safetensors")
    return folder / "k.safetensors"


def as_diffusers(factors: Factors, folder: Path) -> Path:
    out: Factors = {}
    for name, value in factors.items():
        module, side = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        out[f"text_encoder.{module}.lora_{side}.weight"] = value
        out[f"text_encoder.{module}.alpha"] = np.array(ALPHA, np.float32)
    save_file(out, folder / "d.safetensors")
    return folder / "d.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    build("llama").save_pretrained(folder)
    return Base.open(folder)


@pytest.mark.parametrize("form", [as_gguf, as_kohya, as_diffusers])
@torch.no_grad()
def test_the_deployment_answers_as_pefts_model(form: Callable[[Factors, Path], Path], base: Base, tmp_path: Path) -> None:
    saved(CASE, tmp_path / "peft")
    factors = {n: v for n, v in load_file(tmp_path / "peft" / "adapter_model.safetensors").items() if ".lora_" in n}
    delta = deltas.read(mapped(Adapter.open(form(factors, tmp_path)), base), base)
    assert delta.unmeasured == ()
    assert delta.strays == ()
    assert len(delta.modules) == len(factors) // 2
    model = build("llama")
    with ExitStack() as stack:
        for attachment in attach(model, delta.changes, torch.device("cpu")):
            stack.enter_context(attachment())
        ours = model(tokens()).logits
    wanted = loaded(CASE, tmp_path / "peft")(tokens()).logits
    assert (wanted - build("llama")(tokens()).logits).abs().max() > 1e-2
    torch.testing.assert_close(ours, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_the_order_of_rows_is_the_one_transformers_undoes(heads: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=(heads[1] * 8, 3))
    undone = LlamaTensorProcessor()._reverse_permute_weights(permuted(rows, heads[1]), *heads)
    np.testing.assert_array_equal(undone, rows)


def test_a_module_the_base_does_not_have_is_another_bases(base: Base, tmp_path: Path) -> None:
    factors = {f"lora_unet_mid_to_q.{n}.weight": np.ones(s, np.float32) for n, s in (("lora_down", (2, 8)), ("lora_up", (8, 2)))}
    save_file(factors, tmp_path / "k.safetensors")
    with pytest.raises(UnusableBase, match="lora_unet_mid_to_q, which the base .* does not have: it was made for another base"):
        mapped(Adapter.open(tmp_path / "k.safetensors"), base)


def test_an_architecture_whose_layout_is_not_understood_is_refused(base: Base, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gpt2")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_qkv.weight.lora_a", np.ones((2, 32), np.float32))
    writer.add_tensor("blk.0.attn_qkv.weight.lora_b", np.ones((96, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnusableBase, match="'gpt2', whose layout is not understood; convert it to PEFT"):
        mapped(Adapter.open(tmp_path / "a.gguf"), base)
