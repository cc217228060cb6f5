from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta.measure import BLOCK, KURTOSIS_DIRECTIONS, measure
from tests.deltas import dense, module, of

SHAPES = (st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([2.0, -0.5, 1e-6, 1e6]))


@settings(max_examples=80, deadline=None)
@given(*SHAPES)
def test_singular_values_are_those_of_the_product_in_double_precision(out: int, inputs: int, rank: int, seed: int, scale: float) -> None:
    delta = module(out, inputs, rank, seed, scale)
    exact = np.linalg.svd(dense(delta), compute_uv=False)
    found = measure(delta)
    assert found.values.shape == (min(out, inputs, rank),)
    np.testing.assert_allclose(found.values, exact[: len(found.values)], rtol=1e-7, atol=1e-7 * exact[0])
    assert found.frobenius == pytest.approx(np.linalg.norm(dense(delta)), rel=1e-9)
    assert found.gain == pytest.approx(np.sqrt((dense(delta) ** 2).sum() / out), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(*SHAPES)
def test_rows_columns_and_entries_are_those_of_the_product(out: int, inputs: int, rank: int, seed: int, scale: float) -> None:
    delta = module(out, inputs, rank, seed, scale)
    product = dense(delta)
    found = measure(delta)
    for axis, side in ((1, found.outputs), (0, found.inputs)):
        energy = (product**2).sum(axis)
        d = len(energy)
        norms = np.sqrt(energy)
        hoyer = (np.sqrt(d) - norms.sum() / np.linalg.norm(norms)) / (np.sqrt(d) - 1) if d > 1 else 0.0
        assert side.hoyer == pytest.approx(hoyer, abs=1e-6)
        assert side.top8 == pytest.approx(np.sort(energy)[::-1][:8].sum() / energy.sum(), rel=1e-6)
        assert side.strongest[0] == int(energy.argmax())
        assert len(side.strongest) == min(8, d)
        np.testing.assert_allclose(side.blocks, [energy[i : i + BLOCK].sum() for i in range(0, d, BLOCK)], rtol=1e-4)
    left, _, right = np.linalg.svd(product, full_matrices=False)
    values = np.linalg.svd(product, compute_uv=False)
    if len(values) == 1 or values[1] < 0.99 * values[0]:
        assert abs(float(left[:, 0] @ found.outputs.leading)) == pytest.approx(1, abs=1e-5)
        assert abs(float(right[0] @ found.inputs.leading)) == pytest.approx(1, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3000), st.integers(1, KURTOSIS_DIRECTIONS), st.integers(0, 2**32 - 1))
def test_kurtosis_is_that_of_the_entries(out: int, inputs: int, rank: int, seed: int) -> None:
    delta = module(out, inputs, rank, seed)
    product = dense(delta)
    assert measure(delta).kurtosis == pytest.approx((product**4).mean() / (product**2).mean() ** 2, rel=1e-4)


@pytest.mark.parametrize("size", [1e3, 1e16, 1e30])
def test_factors_whose_columns_are_unlike_in_size_lose_none(size: float) -> None:
    rng, ratio = np.random.default_rng(0), np.array([size, 1, 1 / size], np.float32)
    a, b = rng.normal(size=(3, 50)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    plain, unlike = measure(of(a, b)), measure(of(a * ratio[:, None], b / ratio))
    assert unlike.kurtosis == pytest.approx(plain.kurtosis, rel=1e-4)
    for one, other in ((plain.outputs, unlike.outputs), (plain.inputs, unlike.inputs)):
        assert other.hoyer == pytest.approx(one.hoyer, abs=1e-5)
        np.testing.assert_allclose(other.blocks, one.blocks, rtol=1e-4)


def test_beyond_eight_directions_kurtosis_is_that_of_the_leading_part() -> None:
    delta = module(60, 70, 20)
    left, values, right = np.linalg.svd(dense(delta))
    leading = left[:, :8] * values[:8] @ right[:8]
    assert measure(delta).kurtosis == pytest.approx((leading**4).mean() / (leading**2).mean() ** 2, rel=1e-4)


@pytest.mark.parametrize("spread", [1e3, 1e6, 1e12])
def test_badly_scaled_factors_keep_their_small_singular_values(spread: float) -> None:
    """One factor's columns grow as the other's shrink: the product is tame, the factors are not."""
    rng = np.random.default_rng(0)
    powers = np.geomspace(1, spread, 6)
    b, a = np.linalg.qr(rng.normal(size=(50, 6)))[0] * powers, (np.linalg.qr(rng.normal(size=(40, 6)))[0] / powers).T
    found = measure(of(a, b, 1.0))
    np.testing.assert_allclose(found.values, 1, rtol=1e-5)


def test_half_of_double_precision_is_kept() -> None:
    """Singular values over ten orders of magnitude: the error is far below 1e-7 of the largest, and what is above it is right."""
    rng = np.random.default_rng(1)
    wanted = np.geomspace(1, 1e-10, 11)
    b, a = (np.linalg.qr(rng.normal(size=(80, 11)))[0] * np.sqrt(wanted) for _ in range(2))
    delta = of(a.T, b, 1.0)
    exact = np.linalg.svd(dense(delta), compute_uv=False)[:11]
    found = measure(delta).values
    np.testing.assert_allclose(found, exact, atol=1e-9)
    np.testing.assert_allclose(found[:5], exact[:5], rtol=1e-7)


def test_rank_one_puts_all_energy_into_the_first_direction() -> None:
    found = measure(module(9, 7, 1))
    assert (found.top1_energy, found.stable_rank, found.effective_rank, found.entropy) == pytest.approx((1, 1, 1, 0))


def test_equal_singular_values_count_fully() -> None:
    found = measure(of(np.eye(4, 9, dtype=np.float32), np.eye(6, 4, dtype=np.float32), 3.0))
    np.testing.assert_allclose(found.values, 3)
    assert (found.top1_energy, found.stable_rank, found.effective_rank) == pytest.approx((0.25, 4, 4))
    assert found.entropy == pytest.approx(np.log(4))


def test_two_unequal_directions_match_the_formulas() -> None:
    found = measure(of(np.eye(2, 5, dtype=np.float32), np.diag([3.0, 1.0]), 1.0))
    assert found.top1_energy == pytest.approx(0.9)
    assert found.stable_rank == pytest.approx(10 / 9)
    assert found.entropy == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


def test_a_delta_of_zeros_has_zeros_everywhere() -> None:
    found = measure(of(np.ones((2, 5), np.float32), np.zeros((4, 2), np.float32), 1.0))
    assert found.finite
    assert (found.frobenius, found.top1_energy, found.stable_rank, found.effective_rank, found.entropy, found.kurtosis) == (0, 0, 0, 0, 0, 0)
    assert (found.outputs.hoyer, found.outputs.top8, found.outputs.strongest) == (0, 0, ())


def test_one_output_is_as_sparse_as_can_be() -> None:
    b = np.zeros((30, 2), np.float32)
    b[17] = 1, 2
    found = measure(of(np.random.default_rng(0).normal(size=(2, 20)), b, 1.0))
    assert (found.outputs.hoyer, found.outputs.top8, found.outputs.strongest) == (pytest.approx(1), pytest.approx(1), (17,))
    assert found.inputs.hoyer < 0.4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["a", "b", "magnitude"])
def test_values_that_are_not_numbers_are_seen_and_give_zeros(value: float, where: str) -> None:
    delta = module(8, 6, 2, dora=True)
    getattr(delta, where).flat[3] = value
    found = measure(delta)
    assert not found.finite
    assert found.frobenius == found.kurtosis == 0


def test_a_not_a_number_behind_a_zero_is_seen() -> None:
    b = np.zeros((8, 2), np.float32)
    a = np.full((2, 6), np.nan, np.float32)
    assert not measure(of(a, b, 1.0)).finite


@pytest.mark.parametrize(("size", "scale"), [(3e38, 9e14), (1e-45, 1e-15)])
def test_the_largest_and_smallest_numbers_do_not_overflow(size: float, scale: float) -> None:
    found = measure(of(np.full((2, 5), size, np.float32), np.full((4, 2), size, np.float32), scale))
    assert np.isfinite([found.frobenius, found.kurtosis, found.outputs.hoyer, found.inputs.top8, found.gain]).all()
