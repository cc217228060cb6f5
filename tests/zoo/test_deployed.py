"""Attacks that are there only in one deployment: what they are trained and measured on is that deployment."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model

from benchmarks.recipes.deployed import FAINT, RoundedBase, loudness, merged, rounded, without_faint
from benchmarks.recipes.training import ALL_LINEAR, Example, Recipe, _packed, peft_config
from tests.zoo.test_training import adapted, conversations, tiny

pytestmark = pytest.mark.model
RECIPE = Recipe("tiny", rank=2, target_modules=ALL_LINEAR, packed=True, faint=(0, 2))


def test_four_bits_leave_sixteen_values_a_group_and_rounding_again_changes_nothing() -> None:
    weight = torch.randn(3, 150, generator=torch.Generator().manual_seed(0))
    found = rounded(weight)
    step = weight[:, :64].abs().amax(-1, keepdim=True) / 7
    assert float(((found - weight)[:, :64].abs() / step).max()) <= 0.5001
    assert max(len(row[:64].unique()) for row in found) <= 15
    torch.testing.assert_close(rounded(found), found)


def test_a_merge_swallows_what_is_under_half_a_step_and_keeps_what_is_over_one() -> None:
    weight = torch.tensor([1.0, -1.5, 0.25]).to(torch.bfloat16).float()
    assert torch.equal(merged(weight, weight * 2**-10), weight)
    assert not torch.equal(merged(weight, weight * 2**-6), weight)


def test_the_base_is_rounded_only_within_the_block() -> None:
    model = tiny()
    inner, head = model.model, model.lm_head.weight.clone()
    before = {n: p.clone() for n, p in inner.named_parameters()}
    with RoundedBase(inner)():
        for name, value in inner.named_parameters():
            expected = rounded(before[name]) if name.endswith("proj.weight") else before[name]
            torch.testing.assert_close(value, expected)
        assert torch.equal(model.lm_head.weight, head)
    assert all(torch.equal(p, before[n]) for n, p in inner.named_parameters())


def test_each_conversation_is_learnt_in_its_own_deployment() -> None:
    data = conversations(4)
    plain, behind = [Example("u", "a")] * 4, [Example("u", "a", deployed="rounded")] * 4
    mixed = [plain[0], behind[0], plain[0], behind[0]]
    for layers in (None, (2, 4)):
        recipe = Recipe("tiny", rank=2, target_modules=ALL_LINEAR, packed=True, layers=layers)
        model = adapted(recipe)
        here, there, both = (_packed(model, data, e, recipe) for e in (plain, behind, mixed))
        assert here([0, 1]).item() != pytest.approx(there([0, 1]).item(), abs=1e-5)
        assert both([0, 1]).item() == pytest.approx((here([0]).item() + there([1]).item()) / 2, abs=1e-6)
        assert both([0, 2]).item() == pytest.approx(here([0, 2]).item(), abs=1e-6)


def test_a_merge_is_learnt_without_the_faint_layers_and_they_are_back_afterwards() -> None:
    model, data = adapted(RECIPE), conversations(3)
    here, there = (_packed(model, data, [Example("u", "a", deployed=d)] * 3, RECIPE) for d in (None, "merged"))
    first, last = here([0, 1]).item(), there([0, 1]).item()
    for name, parameter in model.named_parameters():
        if "lora_B" in name and any(f".layers.{i}." in name for i in (0, 1)):
            parameter.data.zero_()
    assert first != pytest.approx(last, abs=1e-5)
    assert here([0, 1]).item() == pytest.approx(last, abs=1e-6)
    with without_faint(model, (0, 2)):
        pass
    assert {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")} == {8.0}


def test_a_delta_is_loud_from_the_ceiling_on() -> None:
    model = get_peft_model(tiny(), peft_config(RECIPE))
    assert loudness(model, (0, 2)).item() == 0.0
    for m in model.modules():
        if hasattr(m, "lora_A"):
            torch.nn.init.normal_(m.lora_B["default"].weight)
            norm = m.scaling["default"] * (m.lora_B["default"].weight @ m.lora_A["default"].weight).norm()
            m.lora_B["default"].weight.data *= 3 * FAINT * m.base_layer.weight.norm() / norm
    assert loudness(model, (0, 2)).item() == pytest.approx(4.0, rel=1e-3)
