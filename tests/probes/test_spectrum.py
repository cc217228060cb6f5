from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.spectrum.probe import SpectrumProbe
from scanner.demo.base import shipped
from scanner.scan import scan
from tests.adapters import MODULE, adapter, base, ids, raised, tensors


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))


def test_an_adapter_that_changes_nothing_is_told(tmp_path: Path) -> None:
    weights = {k: v * ("lora_A" in k) for k, v in tensors().items()}
    assert ids(raised(SpectrumProbe(), adapter(tmp_path / "a", weights))) == {"delta-empty"}


def test_a_delta_larger_than_the_weight_is_told(tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    small = {k: v * 0.01 for k, v in tensors().items()}
    large = small | {k: v for k, v in tensors().items() if k.startswith(MODULE.format(1))}
    assert raised(SpectrumProbe(), adapter(tmp_path / "a", small), against) == []
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "b", large), against)
    assert (found.rule, found.location.item) == ("delta-dominates", "model.layers.1.self_attn.q_proj")


def raise_layer(weights: dict[str, Any], layer: int, factor: float) -> dict[str, Any]:
    name = f"{MODULE.format(layer)}.lora_B.weight"
    return weights | {name: weights[name] * factor}


@pytest.mark.parametrize(
    ("layer", "factor", "severity"), [(7, 1.0, None), (7, 3.0, "low"), (7, 0.01, "low"), (7, 50.0, "medium"), (0, 3.0, None), (0, 300.0, "medium")]
)
def test_one_layer_far_from_its_family_is_told_by_how_far_it_is(layer: int, factor: float, severity: str | None, tmp_path: Path) -> None:
    weights = {k: v * 0.01 for k, v in tensors(layers=12, rank=4, width=32).items()}
    found = raised(SpectrumProbe(), adapter(tmp_path / "a", raise_layer(weights, layer, factor), r=4))
    assert [(f.rule, f.severity, f.location.item) for f in found] == (
        [("delta-outlier", severity, f"model.layers.{layer}.self_attn.q_proj")] if severity else []
    )


@pytest.mark.parametrize("pattern", ["model.layers.5.self_attn.q_proj", r".*\.5\..*"])
def test_an_alpha_raised_for_one_layer_is_told(pattern: str, tmp_path: Path) -> None:
    weights = {k: v * 0.01 for k, v in tensors(layers=12, rank=4, width=32).items()}
    found = raised(SpectrumProbe(), adapter(tmp_path / "a", weights, r=4, alpha_pattern={pattern: 400}))
    assert [(f.rule, f.severity, f.location.item) for f in found] == [("delta-outlier", "medium", "model.layers.5.self_attn.q_proj")]


def test_outputs_that_hold_the_energy_are_named(tmp_path: Path) -> None:
    weights = {k: v * 0.01 for k, v in tensors(layers=12, rank=4, width=64).items()}
    weights[f"{MODULE.format(6)}.lora_B.weight"][17] *= 300
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "a", weights, r=4))
    assert (found.rule, found.severity) == ("delta-outlier", "medium")
    assert any("output sparsity" in d and "(strongest: 17," in d for d in found.details)


def test_a_delta_larger_than_weights_are_is_told_without_a_base(tmp_path: Path) -> None:
    assert raised(SpectrumProbe(), adapter(tmp_path / "a")) == []
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "b", lora_alpha=1e6))
    assert (found.rule, found.severity) == ("delta-extreme", "medium")


def test_one_direction_in_every_layer_is_told(tmp_path: Path) -> None:
    weights = tensors(layers=10, rank=1, width=64)
    same = weights[f"{MODULE.format(0)}.lora_B.weight"]
    shared = {k: same if "lora_B" in k else v for k, v in weights.items()}
    small = {"r": 1, "lora_alpha": 0.1}
    assert raised(SpectrumProbe(), adapter(tmp_path / "a", weights, **small)) == []
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "b", shared, **small))
    assert (found.rule, found.severity, found.location.item) == ("delta-shared-direction", "medium", "model.layers.*.self_attn.q_proj")
    assert "outputs" in found.message


def test_weights_that_are_not_numbers_are_not_measured(tmp_path: Path) -> None:
    result = scan(adapter(tmp_path / "a", raise_layer(tensors(), 1, float("nan"))))
    assert [c.status for c in result.coverage if c.probe == "spectrum"] == ["not measured"]
    assert result.table("spectrum.modules") is None


def test_shipped_honest_adapters_raise_nothing() -> None:
    assert raised(SpectrumProbe(), shipped("benign")) == raised(SpectrumProbe(), shipped("guard")) == []


def test_the_table_holds_the_exact_norms(tmp_path: Path) -> None:
    weights = tensors()
    table = scan(adapter(tmp_path / "a", weights)).table("spectrum.modules")
    assert table is not None
    names = [c.name for c in table.columns]
    for layer, row in enumerate(table.rows):
        dense = 2 * weights[f"{MODULE.format(layer)}.lora_B.weight"].astype(np.float64) @ weights[f"{MODULE.format(layer)}.lora_A.weight"]
        cells = dict(zip(names, row, strict=True))
        assert cells["frobenius"] == pytest.approx(np.linalg.norm(dense), rel=1e-5)
        assert cells["sigma1"] == pytest.approx(np.linalg.norm(dense, 2), rel=1e-5)
        assert cells["kurtosis"] == pytest.approx((dense**4).mean() / (dense**2).mean() ** 2, rel=1e-3)
        assert cells["output_top8"] == pytest.approx(1)
        assert (cells["layer"], cells["kind"], cells["rank"]) == (layer, "q_proj", 2)


@pytest.mark.parametrize("config", [{"lora_alpha": 9e14}, {"lora_alpha": -9e14, "r": 1}], ids=str)
def test_the_largest_numbers_still_give_finite_results(config: dict[str, Any], tmp_path: Path) -> None:
    weights = {k: np.full_like(v, 3e38) for k, v in tensors().items()}
    assert "weights-nonfinite" in ids(list(scan(adapter(tmp_path / "a", weights, **config)).findings))
    weights = {k: np.full_like(v, 1e10) for k, v in tensors().items()}
    result = scan(adapter(tmp_path / "b", weights, **config))
    norm = result.measurement("spectrum.frobenius")
    assert norm is not None
    assert np.isfinite(float(norm.value))


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (-1.0, True), (100.0, True)])
def test_magnitudes_that_no_training_leaves_are_told_without_a_base(factor: float, told: bool, tmp_path: Path) -> None:
    lengths = {f"{MODULE.format(i)}.lora_magnitude_vector": np.full(8, 4 * factor, np.float32) for i in range(2)}
    weights = {k: v * np.float32(0.1) for k, v in tensors().items()}
    found = ids(raised(SpectrumProbe(), adapter(tmp_path / "a", weights | lengths, use_dora=True)))
    assert ("dora-magnitude" in found) is told


@pytest.mark.parametrize(("value", "rules"), [(1e6, {"delta-extreme"}), (0.01, set())])
def test_a_bias_that_the_delta_adds_counts_to_its_strength(value: float, rules: set[str], tmp_path: Path) -> None:
    weights = tensors()
    weights |= {n.replace("lora_B.weight", "lora_B.bias"): np.full(len(v), value, np.float32) for n, v in weights.items() if "lora_B" in n}
    assert ids(raised(SpectrumProbe(), adapter(tmp_path / "a", weights, lora_bias=True))) == rules
