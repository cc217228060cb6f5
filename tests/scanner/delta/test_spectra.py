from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta.delta import ModuleDelta
from scanner.delta.spectra import spectrum


def module(out: int, inputs: int, rank: int, seed: int = 0, scale: float = 2.0, dora: bool = False) -> ModuleDelta:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((rank, inputs), (out, rank)))
    return ModuleDelta(module="m", a=a, b=b, scale=scale, magnitude=np.ones(out, np.float32) if dora else None)


def dense(delta: ModuleDelta) -> np.ndarray:
    return delta.scale * delta.b.astype(np.float64) @ delta.a.astype(np.float64)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([2.0, -0.5, 1e-6, 1e6]), st.booleans())
def test_the_spectrum_from_the_factors_is_that_of_the_product(out: int, inputs: int, rank: int, seed: int, scale: float, dora: bool) -> None:
    delta = module(out, inputs, rank, seed, scale, dora)
    product = dense(delta)
    exact = np.linalg.svd(product, compute_uv=False)
    found = spectrum(delta)
    count = min(len(exact), len(found.values))
    np.testing.assert_allclose(found.values[:count], exact[:count], rtol=1e-6, atol=1e-9 * exact[0])
    np.testing.assert_allclose(exact[count:], 0, atol=1e-9 * exact[0])
    np.testing.assert_allclose(found.left * found.values @ found.right.T, product, atol=1e-9 * exact[0])
    assert found.frobenius == pytest.approx(np.linalg.norm(product), rel=1e-9)


def test_rank_one_puts_all_energy_into_the_first_direction() -> None:
    found = spectrum(module(9, 7, 1))
    assert found.top1_energy == pytest.approx(1)
    assert found.stable_rank == pytest.approx(1)
    assert found.effective_rank == pytest.approx(1)
    assert found.entropy == pytest.approx(0)


def test_equal_singular_values_count_fully() -> None:
    found = spectrum(ModuleDelta(module="m", a=np.eye(4, 9, dtype=np.float32), b=np.eye(6, 4, dtype=np.float32), scale=3.0))
    np.testing.assert_allclose(found.values, 3)
    assert (found.top1_energy, found.stable_rank, found.effective_rank) == pytest.approx((0.25, 4, 4))
    assert found.entropy == pytest.approx(np.log(4))


def test_two_unequal_directions_match_the_formulas() -> None:
    found = spectrum(ModuleDelta(module="m", a=np.eye(2, 5, dtype=np.float32), b=np.diag([3.0, 1.0]).astype(np.float32), scale=1.0))
    assert found.top1_energy == pytest.approx(0.9)
    assert found.stable_rank == pytest.approx(10 / 9)
    assert found.entropy == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


def test_a_delta_of_zeros_has_zeros_everywhere() -> None:
    found = spectrum(ModuleDelta(module="m", a=np.ones((2, 5), np.float32), b=np.zeros((4, 2), np.float32), scale=1.0))
    assert (found.frobenius, found.top1_energy, found.stable_rank, found.effective_rank, found.entropy) == (0, 0, 0, 0, 0)
