"""Encoders with task heads and encoder-decoders: what PEFT saves for them, read without running a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from probes.loading import LoadingProbe
from scanner.delta import delta as deltas
from scanner.delta.delta import Role
from scanner.files.adapter import Adapter
from scanner.rule import Severity
from tests.adapters import raised
from tests.methods.models import build

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Role]]] = {
    "sequence classification": (
        "bert",
        {"task_type": "SEQ_CLS", "target_modules": ["query", "value"]},
        {"classifier.weight": Role.HEAD, "classifier.bias": Role.HEAD},
    ),
    "token classification": (
        "roberta",
        {"task_type": "TOKEN_CLS", "target_modules": ["query", "value"]},
        {"classifier.weight": Role.HEAD, "classifier.bias": Role.HEAD},
    ),
    "no task named, the head saved": (
        "bert",
        {"task_type": None, "target_modules": ["query", "value"], "modules_to_save": ["classifier"]},
        {"classifier.weight": Role.HEAD, "classifier.bias": Role.HEAD},
    ),
    "a head saved beside an encoder and decoder": (
        "t5",
        {"task_type": "SEQ_2_SEQ_LM", "target_modules": ["q", "v"], "modules_to_save": ["lm_head"]},
        {"lm_head.weight": Role.SAVED_MODULE},
    ),
    "an encoder and decoder that classifies": (
        "t5-classifier",
        {"task_type": "SEQ_CLS", "target_modules": ["q", "v"], "modules_to_save": ["classification_head"]},
        {f"classification_head.{n}.{p}": Role.HEAD for n in ("dense", "out_proj") for p in ("weight", "bias")},
    ),
    "encoder and decoder": ("t5", {"task_type": "SEQ_2_SEQ_LM", "target_modules": ["q", "v"]}, {}),
    "a pattern": ("t5", {"task_type": "SEQ_2_SEQ_LM", "target_modules": r".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$"}, {}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dora", [False, True], ids=["LoRA", "DoRA"])
def test_the_head_is_no_overwrite_and_the_delta_is_what_peft_merges(name: str, dora: bool, tmp_path: Path) -> None:
    model, options, heads = CASES[name]
    adapted = peft.get_peft_model(build(model), peft.LoraConfig(r=4, lora_alpha=8, use_dora=dora, init_lora_weights=False, **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    adapted.save_pretrained(tmp_path)
    delta = deltas.read(Adapter.open(tmp_path))
    assert delta.unmeasured == ()
    assert {s.name.removeprefix("base_model.model."): s.role for s in delta.strays} == heads
    before, after = build(model).state_dict(), adapted.merge_and_unload().state_dict()
    changed = {n for n, w in before.items() if not torch.equal(w, after[n])}
    assert {f"{c.module}.{c.parameter}" for c in delta.changes} == changed
    for change in delta.changes:
        weight = before[f"{change.module}.{change.parameter}"]
        merged = (after[f"{change.module}.{change.parameter}"] - weight).numpy()
        np.testing.assert_allclose(change.difference(weight.numpy()), merged, atol=2e-5)
    saved = Role.SAVED_MODULE in heads.values()
    assert {f.severity for f in raised(LoadingProbe(), tmp_path)} <= {Severity.MEDIUM if saved else Severity.INFO}
