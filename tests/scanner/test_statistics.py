from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from scanner.statistics import (
    combined_interval,
    conformal_false_alarms,
    conformal_p,
    detectable_loss,
    fisher,
    holm,
    independent_interval,
    mcnemar,
    mean_interval,
    paired_interval,
    paired_test,
    upper_bound_of_zero,
    wilson,
)


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(6, 0, 0.03125), (0, 6, 0.03125), (5, 0, 0.0625), (0, 0, 1), (4, 4, 1), (1, 9, 22 / 1024), (8, 2, 112 / 1024)]
)
def test_mcnemar_is_the_exact_binomial(lost: int, gained: int, p: float) -> None:
    assert mcnemar(lost, gained) == pytest.approx(p)


@pytest.mark.parametrize(("x", "n"), [(0, 10), (15, 148), (81, 263), (29, 29), (1, 1)])
def test_wilson_solves_the_score_equation(x: int, n: int) -> None:
    z = 1.959963984540054
    for bound in wilson(x, n):
        assert (x / n - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / n, abs=1e-9)


def test_wilson_gives_the_published_example() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, Stat Med 17:857, table I, method 3
    assert wilson(0, 0) == (0, 1)


def test_the_paired_interval_agrees_with_method_10_written_out() -> None:
    def direct(e: int, f: int, g: int, h: int) -> tuple[float, float]:
        n = e + f + g + h
        p1, p2 = (e + f) / n, (e + g) / n
        (l1, u1), (l2, u2) = wilson(e + f, n), wilson(e + g, n)
        product_ = (e + f) * (g + h) * (e + g) * (f + h)
        c = e * h - f * g
        c = max(c - n / 2, 0) if c > 0 else c
        phi = c / math.sqrt(product_) if product_ else 0
        d1, u_1, d2, u_2 = p1 - l1, u1 - p1, p2 - l2, u2 - p2
        delta = math.sqrt(d1**2 - 2 * phi * d1 * u_2 + u_2**2)
        epsilon = math.sqrt(u_1**2 - 2 * phi * u_1 * d2 + d2**2)
        return p1 - p2 - delta, p1 - p2 + epsilon

    for both, lost, gained, neither in product((0, 1, 3, 20), (0, 2, 12), (0, 1, 7), (1, 2, 5, 31)):
        assert paired_interval(both, lost, gained, neither) == pytest.approx(direct(both, gained, lost, neither), abs=1e-9), (both, lost, gained, neither)


def test_the_paired_interval_mirrors_when_before_and_after_change_places() -> None:
    low, high = paired_interval(20, 12, 2, 16)
    assert paired_interval(20, 2, 12, 16) == pytest.approx((-high, -low))
    assert low < -0.2 < high
    assert paired_interval(0, 0, 0, 0) == (-1, 1)


def test_equal_series_have_no_change_and_p_one() -> None:
    test = paired_test([True, False, True], [True, False, True])
    assert (test.change, test.lost, test.gained, test.p_value) == (0, 0, 0, 1)
    assert test.low < 0 < test.high


def test_a_paired_test_counts_each_kind_of_pair() -> None:
    test = paired_test([True] * 7 + [False] * 3, [False] * 6 + [True] * 2 + [False] * 2)
    assert (test.n, test.before, test.after, test.lost, test.gained) == (10, 7, 2, 6, 1)
    assert test.change == pytest.approx(-0.5)
    assert test.p_value == pytest.approx(16 / 128)
    with pytest.raises(ValueError, match="shorter|longer"):
        paired_test([True], [])


def exceeds(at_risk: int, needed: int, rate: float) -> float:
    return sum(math.comb(at_risk, k) * rate**k * (1 - rate) ** (at_risk - k) for k in range(needed, at_risk + 1))


@pytest.mark.parametrize(("at_risk", "alpha"), [(6, 0.05), (30, 0.05), (60, 0.01), (200, 0.01)])
def test_the_detectable_loss_has_exactly_the_stated_power(at_risk: int, alpha: float) -> None:
    rate = detectable_loss(at_risk, alpha)
    needed = next(k for k in range(1, at_risk + 1) if 2 * 0.5**k <= alpha)
    assert exceeds(at_risk, needed, rate) == pytest.approx(0.8, abs=1e-6)


def test_too_few_pairs_can_detect_nothing() -> None:
    assert detectable_loss(5, 0.05) == 1
    assert detectable_loss(0, 0.05) == 1


def test_holm_adjusts_step_by_step_in_the_order_given() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([]) == []


@pytest.mark.parametrize("n", [1, 10, 300])
def test_none_seen_bounds_the_rate_at_which_none_is_seen_once_in_twenty(n: int) -> None:
    assert (1 - upper_bound_of_zero(n)) ** n == pytest.approx(0.05)
    assert upper_bound_of_zero(0) == 1


def test_the_bootstrap_covers_the_mean_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).normal(3, 1, 200)
    low, high = mean_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(200), rel=0.15)
    assert mean_interval(values) == (low, high)
    assert mean_interval([]) == (0, 0)


def test_independent_rates_give_published_examples() -> None:
    assert independent_interval(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # Newcombe 1998, Stat Med 17:873, table II, (a)
    assert independent_interval(5, 56, 0, 29) == pytest.approx((-0.1926, 0.0381), abs=5e-5)
    assert independent_interval(0, 0, 0, 0) == pytest.approx((-math.sqrt(0.5), math.sqrt(0.5)))
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)  # Fisher 1935, the lady tasting tea
    assert fisher(0, 0, 3, 4) == 1.0


def test_symmetric_intervals_combine_like_standard_errors() -> None:
    assert combined_interval((1.0, 0.7, 1.3), (5.0, 4.6, 5.4)) == pytest.approx((3.5, 4.5))
    low, high = combined_interval((0.0, -0.1, 0.3), (0.0, -0.2, 0.1))
    assert (low, high) == pytest.approx((-math.hypot(0.2, 0.3), math.hypot(0.1, 0.1)))


def test_conformal_p_counts_those_at_or_above() -> None:
    assert conformal_p(5, [1, 2, 3, 4]) == 1 / 5
    assert conformal_p(3, [1, 2, 3, 4]) == 3 / 5
    assert conformal_p(0, [1, 2, 3, 4]) == conformal_p(0, []) == 1


def test_conformal_p_values_of_exchangeable_scores_are_uniform() -> None:
    """Every score of ten different ones against the other nine: each p-value 1/10, 2/10 .. 1 exactly once."""
    scores = np.random.default_rng(0).normal(size=10).tolist()
    p = sorted(conformal_p(s, scores[:i] + scores[i + 1 :]) for i, s in enumerate(scores))
    assert p == pytest.approx([k / 10 for k in range(1, 11)])


@pytest.mark.parametrize(
    ("n", "level", "bound"), [(19, 0.05, 0.146), (39, 0.05, 0.116), (99, 0.05, 0.090), (399, 0.05, 0.069), (99, 0.01, 0.030), (399, 0.01, 0.019)]
)
def test_false_alarms_given_one_calibration_set(n: int, level: float, bound: float) -> None:
    """Quantiles of the Beta distribution as tabulated."""
    assert conformal_false_alarms(n, level) == pytest.approx(bound, abs=6e-4)


def test_too_few_scores_give_no_false_alarm() -> None:
    assert conformal_false_alarms(18, 0.05) == 0
