from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scanner.delta import delta as deltas
from scanner.delta.delta import Delta, Role
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import MODULE, adapter, base, tensors

FIRST = MODULE.format(0)
SMALL = np.zeros((2, 2), np.float32)


def read(folder: Path, weights: dict[str, Any], **config: Any) -> Delta:
    return deltas.read(Adapter.open(adapter(folder, weights, **config)))


STRAYS = {
    "base_model.model.model.embed_tokens.weight": Role.EMBEDDING,
    "base_model.model.model.layers.0.self_attn.k_proj.weight": Role.BASE_WEIGHT,
    "base_model.model.model.layers.0.self_attn.k_proj.bias": Role.BASE_WEIGHT,
    "base_model.model.model.layers.0.mlp.experts.gate_up_proj": Role.BASE_WEIGHT,
    f"{FIRST}.base_layer.weight": Role.BASE_WEIGHT,
    f"{FIRST}.weight": Role.OTHER,
    "base_model.model.model.layers.0.self_attn.k_proj.base_layer.weight": Role.OTHER,
    "base_model.model.base_model.model.model.norm.weight": Role.WRAPPED,
    f"{FIRST}.lora_A.other.weight": Role.DECOY,
    f"{FIRST}.lora_B.default.weight": Role.DECOY,
    "base_model.model.base_model.model.q.lora_A.weight": Role.WRAPPED,
    "base_model.model.lm_head.weight": Role.SAVED_MODULE,
    "base_model.model.model.score.dense.weight": Role.SAVED_MODULE,
    "base_model.model.classifier.weight": Role.HEAD,
    "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight": Role.UNTARGETED,
    "base_model.model.classifier.original_module.lora_A.weight": Role.OTHER,
    "model.layers.0.self_attn.q_proj.lora_A.weight": Role.UNPREFIXED,
    "model.norm.weight": Role.OTHER,
    f"{FIRST}.lora_A": Role.OTHER,
    f"{FIRST}.lora_C.weight": Role.OTHER,
    "junk": Role.OTHER,
}


@pytest.mark.parametrize("name", STRAYS)
def test_a_tensor_outside_the_pairs_is_told_by_what_peft_does_with_it(name: str, tmp_path: Path) -> None:
    delta = read(tmp_path / "a", tensors() | {name: SMALL}, modules_to_save=["lm_head", "score"], task_type="SEQ_CLS")
    assert [(s.name, s.role) for s in delta.strays] == [(name, STRAYS[name])]
    assert len(delta.modules) == 2


def test_modules_come_in_the_order_of_their_layers(tmp_path: Path) -> None:
    delta = read(tmp_path / "a", tensors(layers=12))
    assert [m.module for m in delta.modules] == [f"model.layers.{i}.self_attn.q_proj" for i in range(12)]
    assert all((m.rank, m.shape, m.scale) == (2, (8, 8), 2) for m in delta.modules)


def test_digits_that_are_not_decimal_are_names(tmp_path: Path) -> None:
    weights = {"base_model.model.layers.².q.lora_A.weight": SMALL, "base_model.model.layers.².q.lora_B.weight": SMALL}
    assert read(tmp_path / "a", weights, target_modules=["q"]).modules[0].module == "layers.².q"


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in tensors().items() if k != name}


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no A": (without(f"{FIRST}.lora_A.weight"), {}),
    "no B": (without(f"{FIRST}.lora_B.weight"), {}),
    "ranks differ": (tensors() | {f"{FIRST}.lora_B.weight": np.zeros((8, 3), np.float32)}, {}),
    "a vector": (tensors() | {f"{FIRST}.lora_A.weight": np.zeros(8, np.float32)}, {}),
    "a convolution": (tensors() | {f"{FIRST}.lora_A.weight": np.zeros((2, 8, 1, 1), np.float32)}, {}),
    "rank zero": (tensors() | {f"{FIRST}.lora_A.weight": np.zeros((0, 8), np.float32), f"{FIRST}.lora_B.weight": np.zeros((8, 0), np.float32)}, {}),
    "no inputs": (tensors() | {f"{FIRST}.lora_A.weight": np.zeros((2, 0), np.float32)}, {}),
    "no outputs": (tensors() | {f"{FIRST}.lora_B.weight": np.zeros((0, 2), np.float32)}, {}),
    "rank too large": (
        tensors() | {f"{FIRST}.lora_A.weight": np.zeros((1025, 1), np.float32), f"{FIRST}.lora_B.weight": np.zeros((1, 1025), np.float32)},
        {},
    ),
    "integers": (tensors() | {f"{FIRST}.lora_A.weight": np.zeros((2, 8), np.int32)}, {}),
    "DoRA without magnitudes": (tensors(), {"use_dora": True}),
    "magnitudes without DoRA": (tensors() | {f"{FIRST}.lora_magnitude_vector": np.ones(8, np.float32)}, {}),
    "magnitudes alone": ({f"{FIRST}.lora_magnitude_vector": np.ones(8, np.float32)}, {"use_dora": True}),
    "too few magnitudes": (
        tensors(layers=1) | {f"{FIRST}.lora_magnitude_vector": np.ones(7, np.float32)},
        {"use_dora": True},
    ),
    "two magnitude vectors": (
        tensors(layers=1) | {f"{FIRST}.lora_magnitude_vector": np.ones(8, np.float32), f"{FIRST}.lora_magnitude_vector.weight": np.zeros(8, np.float32)},
        {"use_dora": True},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_factors_that_have_no_meaning_are_not_measured_by_name(name: str, tmp_path: Path) -> None:
    weights, config = REFUSED[name]
    delta = read(tmp_path / "a", weights, **config)
    assert delta.unmeasured
    assert all(f"{u.what}: {u.why}".isprintable() for u in delta.unmeasured)
    refused = {u.what.removeprefix("base_model.model.") for u in delta.unmeasured}
    assert not {m.module for m in delta.modules} & refused
    assert scan(tmp_path / "a").verdict.outcome is Outcome.INCOMPLETE


def test_dora_magnitudes_are_read(tmp_path: Path) -> None:
    for name in ("lora_magnitude_vector", "lora_magnitude_vector.weight"):
        (module,) = read(tmp_path / name, tensors(layers=1) | {f"{FIRST}.{name}": np.arange(8, dtype=np.float32)}, use_dora=True).modules
        assert module.magnitude is not None
        assert module.magnitude.tolist() == list(range(8))


def test_a_double_beyond_single_precision_is_not_a_number(tmp_path: Path) -> None:
    delta = read(tmp_path / "a", tensors() | {f"{FIRST}.lora_A.weight": np.full((2, 8), 1e300)})
    assert [m.finite for m in delta.modules] == [False, True]


def test_factors_are_never_read_from_a_file_that_changed(tmp_path: Path) -> None:
    first, second = read(tmp_path / "a", tensors()).modules
    np.testing.assert_array_equal(first.a, tensors()[f"{FIRST}.lora_A.weight"])
    time.sleep(0.01)
    adapter(tmp_path / "a", tensors(seed=1))
    with pytest.raises(UnreadableAdapter, match="changed"):
        _ = second.a


def test_more_patterns_and_modules_than_can_be_matched_are_not_measured(tmp_path: Path) -> None:
    one = np.zeros((1, 1), np.float32)
    many = {f"base_model.model.m{i}.lora_{x}.weight": one for i in range(2000) for x in "AB"}
    started = time.process_time()
    delta = read(tmp_path / "a", many, target_modules=None, rank_pattern={f"x{i}": 1 for i in range(4000)})
    assert "patterns" in delta.unmeasured[0].why
    assert time.process_time() - started < 5


def test_a_method_that_is_not_understood_is_not_measured_by_name(tmp_path: Path) -> None:
    weights = {f"{FIRST}.novel_core.weight": SMALL, "base_model.model.model.norm.weight": SMALL}
    folder = adapter(tmp_path / "a", weights, peft_type="NOVEL", r="any")
    delta = deltas.read(Adapter.open(folder))
    assert (delta.method, delta.unmeasured[0].what) == ("NOVEL", "peft_type NOVEL")
    assert [(s.name, s.role) for s in delta.strays] == [("base_model.model.model.norm.weight", Role.BASE_WEIGHT)]
    result = scan(folder)
    assert result.scope.adapter.method == "NOVEL"
    assert result.verdict.outcome is Outcome.BLOCK
    del weights["base_model.model.model.norm.weight"]
    assert scan(adapter(tmp_path / "b", weights, peft_type="NOVEL")).verdict.outcome is Outcome.INCOMPLETE


def test_a_copy_of_the_base_is_no_change_and_one_altered_row_is(tmp_path: Path) -> None:
    against = Base.open(base(tmp_path / "base"))
    name, kept = "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight", against.weight("model.layers.0.self_attn.q_proj")
    assert [s.role for s in deltas.read(Adapter.open(adapter(tmp_path / "a", tensors() | {name: kept})), against).strays] == [Role.COPY]
    altered = kept.copy()
    altered[3] += 0.5
    delta = deltas.read(Adapter.open(adapter(tmp_path / "b", tensors() | {name: altered})), against)
    assert [s.role for s in delta.strays] == [Role.BASE_WEIGHT]
    (change,) = [c for c in delta.changes if c not in delta.modules]
    assert np.abs(change.difference(kept)).sum(1).nonzero()[0].tolist() == [3]
