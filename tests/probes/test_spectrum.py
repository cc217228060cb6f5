from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from probes.spectrum import SpectrumProbe, _intruders
from scanner.delta.delta import ModuleDelta
from scanner.delta.spectra import spectrum
from scanner.model.base import Base
from scanner.scan import scan
from tests.adapters import MODULE, adapter, base, ids, raised, tensors


def test_an_adapter_that_changes_nothing_is_told(tmp_path: Path) -> None:
    weights = {k: v * ("lora_A" in k) for k, v in tensors().items()}
    assert ids(raised(SpectrumProbe(), adapter(tmp_path / "a", weights))) == {"delta-empty"}


def test_a_delta_larger_than_the_weight_is_told(tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    small = {k: v * 0.01 for k, v in tensors().items()}
    large = small | {k: v * 10 for k, v in tensors().items() if k.startswith(MODULE.format(1))}
    assert raised(SpectrumProbe(), adapter(tmp_path / "a", small), against) == []
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "b", large), against)
    assert (found.rule, found.location.item) == ("delta-dominates", "model.layers.1.self_attn.q_proj")


def test_one_layer_far_from_its_family_is_told(tmp_path: Path) -> None:
    ordinary = tensors(layers=12, rank=4, width=32)
    assert raised(SpectrumProbe(), adapter(tmp_path / "a", ordinary, r=4)) == []
    odd = ordinary | {f"{MODULE.format(7)}.lora_B.weight": ordinary[f"{MODULE.format(7)}.lora_B.weight"] * 300}
    (found,) = raised(SpectrumProbe(), adapter(tmp_path / "b", odd, r=4))
    assert (found.rule, found.location.item) == ("delta-outlier", "model.layers.7.self_attn.q_proj")


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
        assert (cells["layer"], cells["kind"], cells["rank"]) == (layer, "q_proj", 2)


@pytest.mark.parametrize("config", [{"lora_alpha": 9e14}, {"lora_alpha": -9e14, "r": 1}], ids=str)
def test_the_largest_numbers_still_give_finite_results(config: dict[str, Any], tmp_path: Path) -> None:
    weights = {k: np.full_like(v, 3e38) for k, v in tensors().items()}
    result = scan(adapter(tmp_path / "a", weights, **config))
    norm = result.measurement("spectrum.frobenius")
    assert norm is not None
    assert np.isfinite(float(norm.value))


@pytest.mark.parametrize(("out", "inputs", "rank"), [(1, 8, 2), (8, 1, 2), (2, 40, 4), (40, 5, 8), (11, 11, 3), (30, 20, 4), (1, 1, 1)])
@pytest.mark.parametrize("zero", ["", "base", "delta", "both"])
def test_intruders_are_counted_in_any_shape(out: int, inputs: int, rank: int, zero: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(out, inputs)).astype(np.float32) * (zero not in ("base", "both"))
    b = rng.normal(size=(out, rank)).astype(np.float32) * (zero not in ("delta", "both"))
    delta = ModuleDelta(module="m", a=rng.normal(size=(rank, inputs)).astype(np.float32), b=b, scale=3.0)
    (tmp_path / "config.json").write_text("{}")
    save_file({"m.weight": weight}, tmp_path / "model.safetensors")
    count = _intruders(Base.open(tmp_path), delta, spectrum(delta))
    assert 0 <= count <= min(10, out, inputs)
    if zero == "delta":
        assert count == 0


def test_a_direction_foreign_to_the_weight_is_an_intruder(tmp_path: Path) -> None:
    weight = np.zeros((40, 20), np.float32)
    weight[:20] = np.diag(np.arange(20, 0, -1))
    b = np.zeros((40, 1), np.float32)
    b[39] = 1
    delta = ModuleDelta(module="m", a=np.full((1, 20), 30, np.float32), b=b, scale=1.0)
    (tmp_path / "config.json").write_text("{}")
    save_file({"m.weight": weight}, tmp_path / "model.safetensors")
    assert _intruders(Base.open(tmp_path), delta, spectrum(delta)) == 1
