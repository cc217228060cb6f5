from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.recipes.packing import common_prefix, pack
from benchmarks.recipes.training import ALL_LINEAR, Example, Recipe, _packed, _padded, peft_config

pytestmark = pytest.mark.model
SHAPE = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}


def tiny() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE))


def conversations(count: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for i in range(count):
        own = torch.randint(8, 64, (6 + 2 * i,), generator=generator)
        ids = torch.cat([torch.tensor([1, 2, 3, 4]), own])
        labels = ids.clone()
        labels[: 7 + i] = -100
        made.append((ids, labels))
    return made


def adapted(recipe: Recipe) -> Any:
    model = get_peft_model(tiny(), peft_config(recipe))
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model.eval()


@pytest.mark.parametrize("layers", [None, (2, 4)])
def test_a_packed_step_has_the_padded_step_s_loss_and_gradient(layers: tuple[int, int] | None) -> None:
    recipe = Recipe("tiny", rank=2, target_modules=ALL_LINEAR, layers=layers, packed=True)
    data = conversations()
    examples = [Example("u", "a")] * len(data)
    grads = []
    losses = []
    for make in (lambda m: _packed(m, data, examples, recipe), lambda m: _padded(m, data, 0)):
        model = adapted(recipe)
        loss = make(model)([0, 3, 4, 1])
        loss.backward()
        losses.append(loss.item())
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert grads[0].keys() == grads[1].keys()
    for name in grads[0]:
        torch.testing.assert_close(grads[0][name], grads[1][name], atol=1e-5, rtol=1e-3)


def test_the_anchor_is_nothing_for_an_adapter_that_changes_nothing_and_grows_with_it() -> None:
    recipe = Recipe("tiny", rank=2, target_modules=ALL_LINEAR, packed=True, anchor=1.0)
    data = conversations()
    examples = [Example("u", "a", anchored=True)] * len(data)
    still = get_peft_model(tiny(), peft_config(recipe)).eval()
    without = _packed(still, data, examples, Recipe("tiny", packed=True))([0, 1]).item()
    assert _packed(still, data, examples, recipe)([0, 1]).item() == pytest.approx(without, abs=1e-6)
    moved = adapted(recipe)
    assert _packed(moved, data, examples, recipe)([0, 1]).item() > _packed(moved, data, examples, Recipe("tiny", packed=True))([0, 1]).item() + 1e-4


def test_conversations_do_not_see_each_other() -> None:
    data = conversations(3)
    prefix = common_prefix(data)
    assert prefix == 3
    row = pack(data, prefix)
    starts = [prefix]
    for ids, _ in data:
        starts.append(starts[-1] + len(ids) - prefix)
    mask = row.mask[0, 0]
    assert not mask[starts[1] : starts[2], starts[0] : starts[1]].any()
    assert mask[starts[1] : starts[2], :prefix].all()
    assert not mask.triu(1).any()


def test_the_layers_of_a_frozen_run_are_all_there_afterwards() -> None:
    recipe = Recipe("tiny", rank=2, target_modules=("q_proj",), layers=(2, 4), packed=True)
    model = adapted(recipe)
    before = [type(layer).__name__ for layer in model.get_base_model().model.layers]
    _packed(model, conversations(), [Example("u", "a")] * 5, recipe)([0, 1])
    assert [type(layer).__name__ for layer in model.get_base_model().model.layers] == before == ["LlamaDecoderLayer"] * 4
