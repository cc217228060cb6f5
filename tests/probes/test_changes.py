from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.changes import ChangesProbe
from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.measurement import Coverage, Status, Table
from scanner.model.base import Base
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import MODULE, adapter, base, ids, raised, subject, tensors

FIRST = MODULE.format(0)
RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return (0.2 * RNG.normal(size=shape)).astype(np.float32)


METHODS: dict[str, tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]] = {
    "IA3 outputs": ({f"{FIRST}.ia3_l": 1 + noise(8, 1)}, {"peft_type": "IA3"}),
    "IA3 inputs": ({f"{FIRST}.ia3_l": 1 + noise(1, 8)}, {"peft_type": "IA3"}),
    "OFT": ({f"{FIRST}.oft_R.weight": noise(2, 6)}, {"peft_type": "OFT"}),
    "BOFT": ({f"{FIRST}.boft_R": noise(1, 2, 4, 4), f"{FIRST}.boft_s": 1 + noise(8, 1)}, {"peft_type": "BOFT"}),
    "HRA": ({f"{FIRST}.hra_u": noise(8, 2)}, {"peft_type": "HRA"}),
}


def row(folder: Path, against: Path | None) -> tuple[Any, ...]:
    (table,) = (i for i in ChangesProbe().run(subject(folder, against)) if isinstance(i, Table))
    return table.rows[0]


@pytest.mark.parametrize("name", METHODS)
def test_without_a_base_a_change_is_bounded_and_the_bound_holds(name: str, tmp_path: Path) -> None:
    weights, config = METHODS[name]
    folder, against = adapter(tmp_path / "a", weights, **config), base(tmp_path / "base")
    _, _, _, _, norm, relative, known = row(folder, against)
    assert known == "exact"
    weight = Base.open(against).weight("model.layers.0.self_attn.q_proj")
    difference = deltas.read(Adapter.open(folder)).changes[0].difference(weight)
    assert (norm, relative) == pytest.approx((np.linalg.norm(difference), np.linalg.norm(difference) / np.linalg.norm(weight)), rel=1e-5)
    _, _, _, _, nothing, bound, known = row(folder, None)
    assert (nothing, known) == (None, "bounded")
    assert relative <= bound < 20 * relative


def test_a_kronecker_product_is_measured_from_its_factors(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", {f"{FIRST}.lokr_w1": noise(2, 4), f"{FIRST}.lokr_w2": noise(4, 2)}, peft_type="LOKR", r=2, alpha=3)
    (change,) = deltas.read(Adapter.open(folder)).changes
    assert row(folder, None)[4] == pytest.approx(np.linalg.norm(change.difference()), rel=1e-5)


def test_a_replaced_tensor_needs_the_base(tmp_path: Path) -> None:
    weights = tensors() | {"base_model.model.model.layers.1.self_attn.q_proj.weight": noise(8, 8)}
    folder = adapter(tmp_path / "a", weights, target_modules=["layers.0.self_attn.q_proj"], modules_to_save=["layers.1.self_attn.q_proj"])
    (coverage,) = (i for i in ChangesProbe().run(subject(folder)) if isinstance(i, Coverage))
    assert coverage.status is Status.NOT_MEASURED
    assert row(folder, base(tmp_path / "base"))[6] == "exact"


def test_a_change_larger_than_its_tensor_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", {f"{FIRST}.ia3_l": np.full((8, 1), 3, np.float32)}, peft_type="IA3")
    assert ids(raised(ChangesProbe(), folder, base(tmp_path / "base"))) == {"change-dominates"}
    assert raised(ChangesProbe(), adapter(tmp_path / "b"), tmp_path / "base") == []


def test_an_adapter_of_vectors_alone_can_pass(tmp_path: Path) -> None:
    weights, config = METHODS["IA3 outputs"]
    result = scan(adapter(tmp_path / "a", weights, **config))
    assert result.scope.adapter.method == "IA3"
    assert result.verdict.outcome is not Outcome.INCOMPLETE, result.verdict.headline


def filled(value: float, *shape: int) -> np.ndarray[Any, Any]:
    return np.full(shape, value, np.float32)


HADAMARD = {f"{FIRST}.hada_w{i}_{c}": filled(0.1, *((8, 4) if c == "a" else (4, 8))) for i in (1, 2) for c in "ab"}
BEYOND: dict[str, tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]] = {
    "factors": ({f"{FIRST}.ia3_l": filled(1e6, 8, 1)}, {"peft_type": "IA3"}),
    "factors of zero": ({f"{FIRST}.ia3_l": filled(0, 8, 1)}, {"peft_type": "IA3"}),
    "negative factors": ({f"{FIRST}.ia3_l": filled(-1, 1, 8)}, {"peft_type": "IA3"}),
    "a shift": ({f"{FIRST}.beft_bias": filled(100, 8)}, {"peft_type": "BEFT"}),
    "a norm": ({"base_model.model.model.norm.ln_tuning_layers.weight": filled(1e6, 8)}, {"peft_type": "LN_TUNING", "target_modules": ["norm"]}),
    "virtual tokens": ({"prompt_embeddings": filled(1e6, 4, 8)}, {"peft_type": "PROMPT_TUNING", "target_modules": None}),
    "a bias": (tensors() | {"base_model.model.lm_head.bias": filled(1e6, 8)}, {"bias": "all"}),
    "a Kronecker product": ({f"{FIRST}.lokr_w1": filled(30, 2, 4), f"{FIRST}.lokr_w2": filled(30, 4, 2)}, {"peft_type": "LOKR", "r": 2, "alpha": 2}),
    "a Hadamard product": (HADAMARD, {"peft_type": "LOHA", "r": 4, "alpha": 1e6}),
    "diagonals of shared factors": (
        {
            f"{FIRST}.vera_lambda_b": filled(1e6, 8),
            f"{FIRST}.vera_lambda_d": filled(0.1, 2),
            "base_model.vera_A": noise(2, 8),
            "base_model.vera_B": noise(8, 2),
        },
        {"peft_type": "VERA", "r": 2},
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_no_training_reaches_is_told_without_a_base(name: str, tmp_path: Path) -> None:
    weights, config = BEYOND[name]
    (found,) = raised(ChangesProbe(), adapter(tmp_path / "a", weights, **config))
    assert (found.rule, found.severity) == ("change-extreme", "medium")


@pytest.mark.parametrize("name", METHODS)
def test_trained_values_are_not_extreme(name: str, tmp_path: Path) -> None:
    weights, config = METHODS[name]
    assert raised(ChangesProbe(), adapter(tmp_path / "a", weights, **config)) == []


@pytest.mark.parametrize("value", [0.01, 100.0])
def test_biases_as_large_as_those_of_published_bases_are_not_extreme(value: float, tmp_path: Path) -> None:
    weights = tensors() | {"base_model.model.lm_head.bias": filled(value, 8)}
    assert raised(ChangesProbe(), adapter(tmp_path / "a", weights, bias="all")) == []
