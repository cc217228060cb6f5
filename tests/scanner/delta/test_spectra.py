from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.delta.spectra import spectrum
from tests.deltas import dense, module


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([2.0, -0.5, 1e-6, 1e6]), st.booleans())
def test_the_decomposition_from_the_factors_is_that_of_the_product(out: int, inputs: int, rank: int, seed: int, scale: float, dora: bool) -> None:
    delta = module(out, inputs, rank, seed, scale, dora)
    product = dense(delta)
    exact = np.linalg.svd(product, compute_uv=False)
    found = spectrum(delta)
    count = min(len(exact), len(found.values))
    np.testing.assert_allclose(found.values[:count], exact[:count], rtol=1e-6, atol=1e-9 * exact[0])
    np.testing.assert_allclose(exact[count:], 0, atol=1e-9 * exact[0])
    np.testing.assert_allclose(found.left * found.values @ found.right.T, product, atol=1e-9 * exact[0])
    assert found.frobenius == pytest.approx(np.linalg.norm(product), rel=1e-9)
