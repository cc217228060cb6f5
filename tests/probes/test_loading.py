from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.loading import LoadingProbe
from scanner.measurement import Status, Table
from scanner.rule import Severity
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import MODULE, adapter, ids, raised, subject, tensors

FIRST = MODULE.format(0)
SMALL = np.ones((2, 2), np.float32)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "base-overwrite": ("base_model.model.model.norm.weight", {}),
    "saved-module": ("base_model.model.lm_head.weight", {"modules_to_save": ["lm_head"]}),
    "tensor-decoy": (f"{FIRST}.lora_A.other.weight", {}),
    "task-head": ("base_model.model.score.weight", {"task_type": "SEQ_CLS"}),
    "embedding-replaced": ("base_model.model.lm_head.weight", {}),
    "bias-trained": ("base_model.model.model.layers.0.self_attn.k_proj.bias", {"bias": "all"}),
    "tensor-ignored": ("junk", {}),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_tensor_outside_the_pairs_is_named(rule: str, tmp_path: Path) -> None:
    name, config = CASES[rule]
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", tensors() | {name: SMALL}, **config))
    assert (found.rule, found.location.item, found.details) == (rule, name, (name,))


def test_numbers_that_are_none_are_told_with_their_module(tmp_path: Path) -> None:
    weights = tensors()
    weights[f"{FIRST}.lora_A.weight"][0, 0] = np.nan
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", weights))
    assert found.rule == "weights-nonfinite"
    assert "1 of 2 modules" in found.message


def test_a_second_weights_file_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    assert ids(raised(LoadingProbe(), folder)) == {"weights-shadowed"}


def test_pairs_alone_are_nothing(tmp_path: Path) -> None:
    assert raised(LoadingProbe(), adapter(tmp_path / "a")) == []


def test_what_is_not_understood_is_named_and_makes_the_scan_incomplete(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", tensors() | {"base_model.model.model.embed_tokens.lora_embedding_A": SMALL}, target_modules=["q_proj", "embed_tokens"])
    (found,) = raised(LoadingProbe(), folder)
    assert (found.rule, found.location.item) == ("tensor-unapplied", "model.embed_tokens")
    assert scan(folder).verdict.outcome is Outcome.INCOMPLETE


def test_an_adapter_without_a_delta_is_incomplete(tmp_path: Path) -> None:
    result = scan(adapter(tmp_path / "a", {"junk": SMALL}))
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert {c.probe for c in result.coverage if c.status is not Status.MEASURED} >= {"loading", "spectrum"}


K = "model.layers.0.self_attn.k_proj"
PAIR = {"lora_A.weight": np.ones((2, 8), np.float32), "lora_B.weight": np.ones((8, 2), np.float32)}


def pair(module: str) -> dict[str, Any]:
    return {f"{module}.{ending}": value for ending, value in PAIR.items()}


DISAGREEMENTS: dict[str, tuple[dict[str, Any], Severity]] = {
    "a module that is not named": (pair(f"base_model.model.{K}"), Severity.HIGH),
    "wrapped twice": (pair(f"base_model.model.base_model.model.{K}"), Severity.MEDIUM),
    "no prefix": (pair(K), Severity.MEDIUM),
    "under two names": (pair(f"base_model.model.base_model.model.{FIRST.removeprefix('base_model.model.')}"), Severity.HIGH),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_factors_that_only_other_loaders_apply_are_a_disagreement(name: str, tmp_path: Path) -> None:
    extra, severity = DISAGREEMENTS[name]
    found = raised(LoadingProbe(), adapter(tmp_path / "a", tensors() | extra))
    assert {f.rule for f in found} == {"loaders-disagree"}
    assert max(f.severity.level for f in found) == severity.level
    assert set(found[0].details) & {n.removesuffix(".lora_A.weight") for n in extra} or set(found[0].details) & set(extra)


def test_where_every_other_loader_refuses_the_file_peft_ignores_them(tmp_path: Path) -> None:
    weights = tensors() | pair(K) | {f"{FIRST}.lora_A.other.weight": SMALL}
    assert ids(raised(LoadingProbe(), adapter(tmp_path / "a", weights))) == {"tensor-ignored", "tensor-decoy"}


SCALES: dict[str, tuple[dict[str, Any], dict[str, Severity]]] = {
    "one alpha": ({}, {}),
    "rsLoRA": ({"use_rslora": True}, {"llama.cpp": Severity.LOW}),
    "a pattern": ({"alpha_pattern": {"layers.0.self_attn.q_proj": 8}}, {"vLLM": Severity.LOW, "llama.cpp": Severity.LOW}),
    "hidden in the default": (
        {"lora_alpha": 40000, "alpha_pattern": {"q_proj": 4}},
        {"vLLM": Severity.MEDIUM, "llama.cpp": Severity.MEDIUM},
    ),
    "a rank the factors do not have": ({"r": 16}, {"llama.cpp": Severity.MEDIUM}),
    "DoRA is refused by both": ({"use_dora": True, "use_rslora": True}, {}),
}


@pytest.mark.parametrize("name", SCALES)
def test_loaders_that_scale_differently_are_told(name: str, tmp_path: Path) -> None:
    config, wanted = SCALES[name]
    weights = tensors()
    if config.get("use_dora"):
        weights |= {f"{MODULE.format(i)}.lora_magnitude_vector": np.ones(8, np.float32) for i in range(2)}
    found = [f for f in raised(LoadingProbe(), adapter(tmp_path / "a", weights, **config)) if f.rule == "loaders-disagree"]
    assert {f.message.split()[0]: f.severity for f in found} == wanted


def test_the_table_says_what_each_loader_does(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", tensors() | {"base_model.model.model.norm.weight": np.ones(8, np.float32)}, r=2, lora_alpha=6)
    (table,) = (i for i in LoadingProbe().run(subject(folder)) if isinstance(i, Table))
    stops = "stops at base_model.model.model.norm.weight"
    assert table.rows == (("PEFT", "loads it", 2, "3"), ("vLLM", stops, 0, ""), ("llama.cpp", stops, 0, ""))


def test_factors_that_multiply_beyond_float32_are_no_numbers(tmp_path: Path) -> None:
    weights = {k: v * np.float32(1e30) for k, v in tensors().items()}
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", weights))
    assert found.rule == "weights-nonfinite"


@pytest.mark.parametrize("name", [f"{FIRST}.lora_A.a.b.weight", f"{FIRST}.lora_embedding_A.a.b"])
def test_a_decoy_with_dots_in_its_name_is_one(name: str, tmp_path: Path) -> None:
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", tensors() | {name: SMALL}))
    assert found.rule == "tensor-decoy"


def test_a_bias_that_is_not_declared_and_factors_without_weight_are_ignored_and_said(tmp_path: Path) -> None:
    names = {f"{FIRST}.lora_B.bias": np.ones(8, np.float32), f"{MODULE.format(1).replace('q_', 'k_')}.lora_A": SMALL}
    (found,) = raised(LoadingProbe(), adapter(tmp_path / "a", tensors() | names))
    assert (found.rule, len(found.details)) == ("tensor-ignored", 2)
    assert raised(LoadingProbe(), adapter(tmp_path / "b", tensors() | {f"{FIRST}.modules_to_save.lora_A.weight": SMALL})) == []


Q = f"{FIRST}.base_layer.bias"
BIASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "of an adapted module": (Q, {"bias": "lora_only"}, "bias-trained"),
    "of an adapted module, whichever those are": (Q, {"bias": "lora_only", "target_modules": "All-Linear"}, "bias-trained"),
    "of another module": ("base_model.model.lm_head.bias", {"bias": "lora_only"}, "base-overwrite"),
    "of another module, whichever are adapted": ("base_model.model.lm_head.bias", {"bias": "lora_only", "target_modules": "all-linear"}, "base-overwrite"),
    "under a word of the author's": ("base_model.model.lm_head.bias", {"bias": "x_only"}, "base-overwrite"),
    "under a word that ends like one": ("base_model.model.lm_head.bias", {"bias": "overall"}, "base-overwrite"),
    "of any module": ("base_model.model.lm_head.bias", {"bias": "all"}, "bias-trained"),
}


@pytest.mark.parametrize("name", BIASES)
def test_a_bias_was_trained_where_peft_would_have_saved_it(name: str, tmp_path: Path) -> None:
    tensor, config, rule = BIASES[name]
    folder = adapter(tmp_path / "a", tensors() | {tensor: np.ones(8, np.float32)}, **config)
    assert ids(raised(LoadingProbe(), folder)) == {rule}


def test_every_linear_module_is_asked_for_in_any_case(tmp_path: Path) -> None:
    assert raised(LoadingProbe(), adapter(tmp_path / "a", target_modules="All-Linear")) == []


OTHERWISE: dict[str, tuple[str, str]] = {
    "a quantifier of Python's alone": (r".*q_proj|.{,99}down_proj", "down_proj.base_layer.weight"),
    "a class of RE2's alone": (r".*q_proj|.*[[:alpha:]]own_proj", "down_proj.weight"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_pattern_that_engines_read_otherwise_hides_no_overwrite(name: str, tmp_path: Path) -> None:
    pattern, tensor = OTHERWISE[name]
    folder = adapter(tmp_path / "a", tensors() | {f"base_model.model.model.layers.0.mlp.{tensor}": SMALL}, target_modules=pattern)
    assert "base-overwrite" in ids(raised(LoadingProbe(), folder))
