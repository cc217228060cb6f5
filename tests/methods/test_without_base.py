"""What is said of an adapter whose change needs the base, or cannot be a change of weights at all, by its files alone."""

from __future__ import annotations

import json
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
from scanner.delta.methods.lora import UNKNOWN_PARTS
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.verdict import Outcome
from tests.methods.cases import ACTIVATED, CASES, LINEARS, Case
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
    build("llama").save_pretrained(tmp_path / "base")
    delta = deltas.read(Adapter.open(tmp_path), Base.open(tmp_path / "base"))
    assert [u.what for u in delta.unmeasured] == [name.removeprefix("base_model.model.").rpartition(".")[0]]
    assert "comes last" in delta.unmakeable


def test_invocation_tokens_leave_the_delta_exact_and_are_for_a_person_to_see(tmp_path: Path) -> None:
    saved(ACTIVATED, tmp_path)
    delta = deltas.read(Adapter.open(tmp_path))
    assert (delta.method, delta.unmeasured, {m.only_after for m in delta.modules}) == ("aLoRA", (), {(7, 9)})
    assert scan(tmp_path).verdict.outcome is Outcome.REVIEW


@pytest.mark.parametrize(
    ("field", "value"), [("alora_invocation_tokens", [-1]), ("alora_invocation_tokens", "7"), ("alora_invocation_tokens", []), ("use_dora", True)]
)
def test_an_activated_lora_that_peft_would_not_load_is_not_measured(field: str, value: Any, tmp_path: Path) -> None:
    saved(ACTIVATED, tmp_path)
    rewritten(tmp_path, field, value)
    assert "alora_invocation_tokens" in deltas.read(Adapter.open(tmp_path)).unmakeable


@pytest.mark.parametrize("init", ["corda", "loftq", "pissa_niter_4"])
def test_what_was_taken_out_of_the_base_and_is_not_saved_is_not_measured(init: str, tmp_path: Path) -> None:
    saved(next(c for c in CASES if c.name == "LORA"), tmp_path / "adapter")
    rewritten(tmp_path / "adapter", "init_lora_weights", init)
    build("llama").save_pretrained(tmp_path / "base")
    for base in (None, Base.open(tmp_path / "base")):
        delta = deltas.read(Adapter.open(tmp_path / "adapter"), base)
        assert delta.unmakeable.startswith(f"init_lora_weights {init}: ")
        assert delta.unmakeable.removeprefix(f"init_lora_weights {init}: ") in UNKNOWN_PARTS.values()
    if init == "corda":
        with pytest.raises(ValueError, match="eigens"):
            peft.PeftModel.from_pretrained(build("llama"), tmp_path / "adapter")


def test_kasa_is_known_with_the_base_and_with_its_diagonal_only(tmp_path: Path) -> None:
    saved(next(c for c in CASES if c.name == "LORA KaSA"), tmp_path)
    assert deltas.read(Adapter.open(tmp_path)).unmakeable.startswith("kasa_config: ")
    file = tmp_path / "adapter_model.safetensors"
    save_file({n: t for n, t in load_file(file).items() if "lora_diag" not in n}, file)
    assert all("lora_diag is missing" in u.why for u in deltas.read(Adapter.open(tmp_path)).unmeasured if not u.whole)
    rewritten(tmp_path, "kasa_config", None)
    assert deltas.read(Adapter.open(tmp_path)).unmeasured == ()


def test_factors_of_a_fused_projection_from_before_peft_0_3_are_named(tmp_path: Path) -> None:
    saved(next(c for c in CASES if c.name == "LORA"), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({n: t[:, :, None] if "lora_B" in n else t for n, t in load_file(file).items()}, file)
    assert all("PEFT before 0.3" in u.why for u in deltas.read(Adapter.open(tmp_path)).unmeasured)


def rewritten(folder: Path, field: str, value: Any) -> None:
    """Change one field of the configuration in `folder`."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))


@pytest.mark.parametrize("seed", [0, 42, 1000])
def test_the_normal_numbers_are_pytorchs(seed: int) -> None:
    drawn = torch.normal(0.0, 1.0, (6, 4), generator=torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(first_normals(seed), drawn.reshape(-1)[:8], atol=1e-5)
