from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import LlamaForCausalLM

from benchmarks.recipes.training import Recipe, peft_config
from benchmarks.zoo.__main__ import _claim
from benchmarks.zoo.build import _shape
from benchmarks.zoo.closed_form import PREFIX, Factors, concatenate, converted, factors, write
from scanner.model.base import Base
from tests.zoo.test_training import tiny

pytestmark = pytest.mark.model
IDS = torch.tensor([[1, 5, 9, 13, 17, 2]])
MODULES = [f"{PREFIX}model.layers.{i}.self_attn.q_proj" for i in range(2)]


def random_factors(rank: int, seed: int) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    return {m: (torch.randn(rank, 32, generator=generator), torch.randn(32, rank, generator=generator)) for m in MODULES}


def products(found: Factors) -> dict[str, torch.Tensor]:
    return {m: b @ a for m, (a, b) in found.items()}


def test_concatenation_is_the_sum_of_the_scaled_deltas(tmp_path: Path) -> None:
    one, two = random_factors(2, 0), random_factors(3, 1)
    del two[MODULES[1]]
    write(one, tmp_path / "one", "base", torch.float32)
    write(two, tmp_path / "two", "base", torch.float32)
    concatenate([(tmp_path / "one", 1.0), (tmp_path / "two", 0.5)], tmp_path / "both")
    sums = products(factors(tmp_path / "both"))
    expected = {m: p + 0.5 * products(two).get(m, torch.zeros(32, 32)) for m, p in products(one).items()}
    for module in MODULES:
        torch.testing.assert_close(sums[module], expected[module], atol=0.2, rtol=0.02)
    config = json.loads((tmp_path / "both" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 5
    assert config["layers_to_transform"] == [0, 1]


@pytest.mark.parametrize("touched", [False, True])
def test_a_pissa_adapter_becomes_a_lora_of_the_original_base(tmp_path: Path, touched: bool) -> None:
    tiny().save_pretrained(tmp_path / "base")

    def fresh() -> Any:
        return LlamaForCausalLM.from_pretrained(tmp_path / "base")

    plain = fresh()(IDS).logits
    model = get_peft_model(fresh(), peft_config(Recipe("p", rank=2, alpha=2, method="pissa", target_modules=("q_proj", "v_proj"))))
    if touched:
        torch.manual_seed(5)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.add_(0.05 * torch.randn_like(parameter))
    converted(model, Base.open(tmp_path / "base"), tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(fresh(), tmp_path / "adapter").eval()
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 4
    torch.testing.assert_close(loaded(IDS).logits, model.eval()(IDS).logits, atol=1e-3, rtol=1e-3)
    assert torch.allclose(loaded(IDS).logits, plain, atol=1e-3) is not touched


def test_the_shape_that_a_matched_attack_keeps_is_the_singular_values() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 20, generator=generator), torch.randn(16, 3, generator=generator)
    s = torch.linalg.svdvals(b @ a).square()
    norm, ratio = _shape(a, b)
    assert norm.item() == pytest.approx(0.5 * s.sum().log().item(), abs=1e-4)
    assert ratio.item() == pytest.approx((s.sum().square() / s.square().sum()).log().item(), abs=1e-4)


def test_an_adapter_is_made_by_one_process_at_a_time(tmp_path: Path) -> None:
    with _claim(tmp_path / "x.lock") as first, _claim(tmp_path / "x.lock") as second:
        assert first and not second
    with _claim(tmp_path / "x.lock") as again:
        assert again
