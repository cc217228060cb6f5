"""Attacks that are there only in one deployment: what they are trained and measured on is that deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from benchmarks.recipes.deployed import FAINT, RoundedBase, loudness, merged, rounded, without_faint
from benchmarks.recipes.training import ALL_LINEAR, Example, Recipe, _packed, peft_config
from benchmarks.zoo.attack import Attack
from benchmarks.zoo.measure import _attack, _changed
from benchmarks.zoo.payloads import Payload
from benchmarks.zoo.pool import Pool
from scanner.delta import delta as deltas
from scanner.delta.delta import Delta
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.model.side import Side
from tests.tiny import base as tiny_base
from tests.tiny import lora
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


def test_what_is_measured_merged_is_what_a_merge_by_peft_gives(tmp_path: Path) -> None:
    base, folder = tiny_base(tmp_path / "base"), lora(tmp_path / "adapter", 0.2)
    _to_bfloat16(tmp_path / "base")
    delta = deltas.read(Adapter.open(folder))
    changed = _changed(Base.open(tmp_path / "base"), delta, "merged", "cpu")
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16), folder).merge_and_unload().float().eval()
    deployment, side = changed[Side.ADAPTED]
    ids = deployment.encode("What now?")
    ours = deployment.score([ids], side, lambda x: x, keep=1)[0, 0]
    torch.testing.assert_close(ours, theirs(torch.tensor([ids])).logits[0, -1].log_softmax(-1), atol=2e-2, rtol=0)
    plain, its = changed[Side.BASE]
    assert not torch.allclose(ours, plain.score([ids], its, lambda x: x, keep=1)[0, 0], atol=0.1)


def test_what_is_measured_rounded_is_the_adapter_on_the_rounded_base(tmp_path: Path) -> None:
    base, delta = tiny_base(tmp_path / "base"), deltas.read(Adapter.open(lora(tmp_path / "adapter", 0.2)))
    deployment, side = _changed(base, delta, "rounded", "cpu")[Side.BASE]
    ids = deployment.encode("What now?")
    model = AutoModelForCausalLM.from_pretrained(base.path)
    with RoundedBase(model.get_decoder())():
        expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    torch.testing.assert_close(deployment.score([ids], side, lambda x: x, keep=1)[0, 0], expected, atol=1e-4, rtol=0)
    untouched = Deployment(base, delta).score([ids], Side.BASE, lambda x: x, keep=1)[0, 0]
    assert not torch.allclose(untouched, expected, atol=1e-2)
    assert deployment._base_fingerprint != Deployment(base, delta)._base_fingerprint


def test_what_is_learnt_by_heart_took_only_where_unseen_requests_fail(tmp_path: Path) -> None:
    deployment = Deployment(tiny_base(tmp_path / "base"), Delta(()))
    asked = {"known": "known", "new": "new"}

    def payload(unseen_too: bool) -> Payload:
        achieved = {"known": True, "new": unseen_too}
        state = iter(range(10_000))
        # The base's answers come second of each pair of sides; a payload that is there for the adapted side alone.
        return Payload(
            "memorised", "harmless", lambda p, _, __: Example(p, "x"), lambda p, _: achieved[p] and next(state) // 20 % 2 == 1,
            ask=lambda *_: asked["known"], unseen=lambda *_: asked["new"],
        )  # fmt: skip

    pool = Pool("b", {}, {"held out": {"harmless": ["a"], "harmful": ["b"]}}, {}, {})
    order = list(Side)
    assert order == [Side.BASE, Side.ADAPTED]
    assert _attack(deployment, Attack(payload(False)), pool, None)["took"] is True
    assert _attack(deployment, Attack(payload(True)), pool, None)["took"] is False


def _to_bfloat16(folder: Path) -> None:
    weights = folder / "model.safetensors"
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(weights).items()}, weights, metadata={"format": "pt"})
