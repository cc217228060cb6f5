from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta.family import Deviation, deviations, kind, layer, residuals
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import measure
from tests.deltas import module, of


def family(layers: int, name: str = "model.layers.{}.q", strength: float = 1.0) -> list[ModuleDelta]:
    return [module(40, 30, 4, seed=i, scale=strength * 1.1**i, name=name.format(i)) for i in range(layers)]


def far(deltas: list[ModuleDelta], feature: str = "log norm") -> list[Deviation]:
    found, _ = deviations([measure(d) for d in deltas])
    return sorted((d for d in found if d.feature == feature), key=lambda d: -abs(d.z))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 60), st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 2**32 - 1))
def test_a_line_leaves_nothing_and_one_wild_point_changes_nothing(n: int, slope: float, level: float, seed: int) -> None:
    x = np.arange(n, dtype=np.float64)
    y = level + slope * x
    np.testing.assert_allclose(residuals(x, y), 0, atol=1e-9)
    if n > 8:
        y[seed % n] += 1e6
        rest = residuals(x, y)
        assert np.argmax(np.abs(rest)) == seed % n
        assert np.median(np.abs(rest)) < 1e-6


def test_many_points_are_still_fitted_fast() -> None:
    x = np.arange(100_000, dtype=np.float64)
    np.testing.assert_allclose(residuals(x, 3 * x + 1), 0, atol=1e-6)


def test_growth_over_depth_is_no_deviation_and_a_raised_scale_is() -> None:
    honest = family(24)
    assert abs(far(honest)[0].z) < 8
    raised = [*honest[:11], module(40, 30, 4, seed=11, scale=50 * 1.1**11, name="model.layers.11.q"), *honest[12:]]
    worst = far(raised)[0]
    assert (worst.module, worst.edge) == ("model.layers.11.q", False)
    assert worst.z > 20
    assert worst.factor == pytest.approx(50, rel=0.4)


def test_the_first_and_last_two_layers_are_the_edge() -> None:
    assert {d.module for d in far(family(12)) if d.edge} == {f"model.layers.{i}.q" for i in (0, 1, 10, 11)}


def test_short_adapters_are_compared_across_kinds() -> None:
    """Four layers, three kinds of very different size: no family by itself, one together."""
    deltas = [d for k, s in (("q", 1.0), ("v", 100.0), ("up", 1e-3)) for d in family(4, "model.layers.{}." + k, s)]
    raised = [module(40, 30, 4, seed=2, scale=100 * 300.0, name=d.module) if d.module == "model.layers.2.v" else d for d in deltas]
    assert far(raised)[0].module == "model.layers.2.v"
    assert far(raised)[0].z > 20
    found, alone = deviations([measure(d) for d in deltas])
    assert alone == 0
    assert max(abs(d.z) for d in found if d.feature == "log norm") < 8


def test_modules_without_siblings_are_counted() -> None:
    assert deviations([measure(d) for d in family(2)]) == ([], 2)


def test_a_concentrated_payload_deviates_in_sparsity() -> None:
    deltas = family(24)
    b = deltas[9].b
    b[:4] += 100 * np.sign(b[:4])
    worst = far(deltas, "output sparsity")[0]
    assert worst.module == "model.layers.9.q"
    assert worst.z > 20


def test_zeros_beside_trained_modules_have_no_shape() -> None:
    deltas = family(12)
    deltas[5] = of(np.ones((4, 30)), np.zeros((40, 4)), name=deltas[5].module)
    assert far(deltas)[0].module == deltas[5].module
    assert far(deltas)[0].z < -100
    assert all(d.module != deltas[5].module for d in far(deltas, "log kurtosis"))


def test_names_are_read_by_their_numbers() -> None:
    assert layer("model.layers.12.self_attn.q_proj") == 12
    assert layer("lm_head") is None
    assert kind("model.layers.12.mlp.experts.3.up") == "model.layers.*.mlp.experts.*.up"
