"""What is said of an adapter whose change needs the base, or cannot be a change of weights at all, by its files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.numpy import load_file, save_file

from scanner import scan
from scanner.delta import delta as deltas
from scanner.delta.change import NeedsBase
from scanner.delta.deferred import Deferred
from scanner.delta.methods import NOT_MEASURED
from scanner.delta.methods.derived import first_normals
from scanner.files.adapter import Adapter
from scanner.verdict import Outcome
from tests.methods.cases import CASES, LINEARS, Case
from tests.methods.models import build
from tests.methods.test_parity import saved

DEFERRED = ("VERA", "PVERA", "RANDLORA", "FOURIERFT", "WAVEFT", "SHIRA", "MISS", "DEFT", "PEANUT", "FROD", "GLORA", "SUPERTUNING")


@pytest.mark.parametrize("name", DEFERRED)
def test_a_change_that_needs_the_base_is_known_as_one_and_stops_nobody(name: str, tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == name)
    saved(case, tmp_path)
    delta = deltas.read(Adapter.open(tmp_path))
    assert delta.unmeasured == ()
    assert delta.strays == ()
    assert any(isinstance(c, Deferred) for c in delta.changes)
    for change in delta.changes:
        if isinstance(change, Deferred):
            assert change.parts
            with pytest.raises(NeedsBase):
                change.difference()
    result = scan(tmp_path)
    assert result.verdict.outcome is Outcome.PASS
    assert any("known with the base only" in c.surface for c in result.coverage)


def config(kind: str) -> Any:
    asked: dict[str, dict[str, Any]] = {
        "ADAPTION_PROMPT": {"task_type": "CAUSAL_LM", "adapter_len": 2, "adapter_layers": 1},
        "POLY": {"target_modules": LINEARS},
        "PSOFT": {"r": 4, "target_modules": LINEARS},
        "SHADOW": {"task_type": "CAUSAL_LM"},
    }
    return peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)](**asked.get(kind, {"target_modules": LINEARS}))


@pytest.mark.parametrize("kind", sorted(set(NOT_MEASURED) - {"XLORA"}))
def test_a_method_that_is_no_change_of_weights_is_named_and_never_passes(kind: str, tmp_path: Path) -> None:
    peft.get_peft_model(build("llama"), config(kind)).save_pretrained(tmp_path)
    delta = deltas.read(Adapter.open(tmp_path))
    assert [u.what for u in delta.unmeasured if u.whole] == [f"peft_type {kind}"]
    assert delta.unmakeable == f"peft_type {kind}: {NOT_MEASURED[kind]}"
    assert scan(tmp_path).verdict.outcome is Outcome.INCOMPLETE


def test_places_that_a_seed_draws_over_the_whole_model_are_not_measured(tmp_path: Path) -> None:
    saved(Case("UNILORA", peft.UniLoraConfig(r=2, theta_d_length=64, target_modules=LINEARS)), tmp_path)
    assert [u.what for u in deltas.read(Adapter.open(tmp_path)).unmeasured] == ["unilora_indices"]


def test_a_copy_of_a_shared_matrix_that_differs_is_not_measured(tmp_path: Path) -> None:
    saved(next(c for c in CASES if c.name == "RANDLORA"), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if n.endswith("q_proj.randlora_B"))
    save_file({n: t + np.float32(n == name) for n, t in tensors.items()}, file)
    from scanner.model.base import Base

    build("llama").save_pretrained(tmp_path / "base")
    delta = deltas.read(Adapter.open(tmp_path), Base.open(tmp_path / "base"))
    assert [u.what for u in delta.unmeasured] == [name.removeprefix("base_model.model.").rpartition(".")[0]]
    assert "comes last" in delta.unmakeable


def test_invocation_tokens_leave_the_delta_exact_and_the_behaviour_unmeasured(tmp_path: Path) -> None:
    saved(Case("LORA", peft.LoraConfig(r=4, target_modules=LINEARS, init_lora_weights=False, alora_invocation_tokens=[3, 5], task_type="CAUSAL_LM")), tmp_path)
    assert deltas.read(Adapter.open(tmp_path)).unmeasured == ()
    assert scan(tmp_path).verdict.outcome in (Outcome.PASS, Outcome.REVIEW)


@pytest.mark.parametrize("seed", [0, 42, 1000])
def test_the_normal_numbers_are_pytorchs(seed: int) -> None:
    drawn = torch.normal(0.0, 1.0, (6, 4), generator=torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(first_normals(seed), drawn.reshape(-1)[:8], atol=1e-5)
