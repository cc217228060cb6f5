from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from probes.spectrum.intruders import intruders
from scanner.model.base import Base
from tests.deltas import of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("out", "inputs", "rank"), [(1, 8, 2), (8, 1, 2), (2, 40, 4), (40, 5, 8), (11, 11, 3), (30, 20, 4), (1, 1, 1)])
@pytest.mark.parametrize("zero", ["", "base", "delta", "both"])
def test_intruders_are_counted_in_any_shape(out: int, inputs: int, rank: int, zero: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(out, inputs)) * (zero not in ("base", "both"))
    b = rng.normal(size=(out, rank)) * (zero not in ("delta", "both"))
    delta = of(rng.normal(size=(rank, inputs)), b, 3.0)
    (tmp_path / "config.json").write_text("{}")
    save_file({"m.weight": weight}, tmp_path / "model.safetensors")
    count = intruders(Base.open(tmp_path), delta)
    assert 0 <= count <= min(10, out, inputs)
    if zero == "delta":
        assert count == 0


def test_a_direction_foreign_to_the_weight_is_an_intruder(tmp_path: Path) -> None:
    weight = np.zeros((40, 20))
    weight[:20] = np.diag(np.arange(20, 0, -1))
    b = np.zeros((40, 1))
    b[39] = 1
    delta = of(np.full((1, 20), 30), b, 1.0)
    (tmp_path / "config.json").write_text("{}")
    save_file({"m.weight": weight}, tmp_path / "model.safetensors")
    assert intruders(Base.open(tmp_path), delta) == 1


def test_the_truncated_solver_agrees_with_the_whole_decomposition_and_the_base_is_solved_once(tmp_path: Path, cache: Path) -> None:
    rng = np.random.default_rng(0)
    weight = (rng.normal(size=(700, 600)) * np.geomspace(10, 0.1, 600)).astype(np.float32)
    b, a = rng.normal(size=(700, 3)), rng.normal(size=(3, 600))
    delta = of(a, b, 4.0)
    (tmp_path / "config.json").write_text("{}")
    save_file({"m.weight": weight}, tmp_path / "model.safetensors")
    own = np.linalg.svd(weight.astype(np.float64))[0][:, :128]
    adapted = np.linalg.svd(weight + 4 * b @ a)[0][:, :10]
    expected = int((np.abs(adapted.T @ own).max(1) < 0.5).sum())
    assert expected == 3
    assert intruders(Base.open(tmp_path), delta) == expected
    (kept,) = cache.rglob("left-*.npy")
    written = kept.stat().st_mtime_ns
    assert intruders(Base.open(tmp_path), delta) == expected
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(b"broken")
    assert intruders(Base.open(tmp_path), delta) == expected
