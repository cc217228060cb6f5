from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from scanner.statistics import (
    Accuracy,
    benjamini_hochberg,
    clustered,
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
    true_change,
    true_rate,
    two_samples,
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


def test_losses_that_a_finding_takes_besides_are_part_of_the_power() -> None:
    rate = detectable_loss(100, 0.01, least=14)
    assert exceeds(100, 14, rate) == pytest.approx(0.8, abs=1e-6)
    assert rate > detectable_loss(100, 0.01)
    assert detectable_loss(10, 0.01, least=11) == 1


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


def test_benjamini_and_hochbergs_own_example() -> None:
    """The fifteen p-values of their paper: four are rejected at 5 %, where Bonferroni's and Holm's rule reject three."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    assert [a <= 0.05 for a in benjamini_hochberg(p)] == [True] * 4 + [False] * 11
    assert [a <= 0.05 for a in holm(p)] == [True] * 3 + [False] * 12
    assert benjamini_hochberg(p[::-1]) == benjamini_hochberg(p)[::-1]
    assert benjamini_hochberg(p)[3] == pytest.approx(0.0095 * 15 / 4)
    assert benjamini_hochberg([]) == []


def test_a_perfect_judge_changes_nothing_but_an_erring_one_does() -> None:
    perfect = Accuracy(positives=10**9, found=10**9, negatives=10**9, passed=10**9, source="")
    rate, low, high = true_rate(30, 100, perfect)
    adjusted, n = (30 + 1.959964**2 / 2) / (100 + 1.959964**2), 100 + 1.959964**2  # Agresti and Coull 1998
    assert rate == pytest.approx(0.3)
    assert (low + high) / 2 == pytest.approx(adjusted, abs=1e-6)
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(adjusted * (1 - adjusted) / n), abs=1e-6)
    assert true_change(-0.3, -0.4, -0.2, perfect) == pytest.approx((-0.3, -0.4, -0.2), abs=1e-6)


def test_rogan_and_gladens_rate_undoes_the_judge() -> None:
    judge = Accuracy(positives=200, found=160, negatives=400, passed=360, source="")
    observed = 0.4 * 0.8 + 0.6 * 0.1
    rate, low, high = true_rate(round(observed * 1000), 1000, judge)
    assert rate == pytest.approx(0.4)
    assert low < 0.4 < high
    change, down, up = true_change(-0.35, -0.45, -0.25, judge)
    assert change == pytest.approx(-0.5)
    assert down < -0.45 / 0.7 < change < -0.25 / 0.7 < up < 0, "wider than a judge whose rates were known would make it"
    assert true_change(-0.05, -0.15, 0.05, judge)[1:] == pytest.approx((-0.15 / 0.7, 0.05 / 0.7), abs=0.02)
    assert true_change(0.35, 0.25, 0.45, judge) == pytest.approx((-change, -up, -down))


def test_the_judged_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        judge = Accuracy(positives=120, found=int(rng.binomial(120, 0.85)), negatives=150, passed=int(rng.binomial(150, 0.95)), source="")
        _, low, high = true_rate(int(rng.binomial(132, 0.6 * 0.85 + 0.4 * 0.05)), 132, judge)
        hits += low <= 0.6 <= high
    assert 0.94 <= hits / 2000 <= 0.98


def test_a_judge_no_better_than_chance_says_nothing() -> None:
    useless = Accuracy(positives=10, found=5, negatives=10, passed=5, source="")
    unknown = Accuracy(positives=0, found=0, negatives=0, passed=0, source="")
    for judge in (useless, unknown):
        assert true_rate(3, 10, judge) == (0.3, 0.0, 1.0)
        assert true_change(-0.2, -0.3, -0.1, judge) == (-0.2, -1.0, 1.0)


def test_a_corrected_change_stays_within_what_a_change_can_be_however_few_answers_were_labelled() -> None:
    for found, positives in ((3, 30), (4, 30), (2, 4), (15, 30)):
        judge = Accuracy(positives=positives, found=found, negatives=1000, passed=990, source="")
        for change, low, high in ((-0.3, -0.4, -0.2), (0.3, 0.2, 0.4), (0.0, -0.1, 0.1)):
            value, down, up = true_change(change, low, high, judge)
            assert -1 <= down <= up <= 1
            assert down <= value <= up


def test_signs_are_flipped_by_whole_clusters() -> None:
    """Five clusters that all say more: only all five up and all five down are as extreme, 2 of 2^5, however many items each has."""
    test = clustered([0.2, 0.3, 0.25, 0.5, 0.1, 0.4, 0.6], ["a", "a", "a", "b", "c", "d", "e"])
    assert (test.n, test.clusters, test.p_value) == (7, 5, 2 / 32)
    assert test.mean == pytest.approx(2.35 / 7)
    assert test.low < test.mean < test.high
    assert test.effect == pytest.approx(np.mean([0.25, 0.5, 0.1, 0.4, 0.6]) / np.std([0.25, 0.5, 0.1, 0.4, 0.6], ddof=1))
    assert clustered([0.0, 0.0], ["a", "b"]).p_value == 1.0
    assert clustered([], []).p_value == 1.0
    with pytest.raises(ValueError, match="cluster names"):
        clustered([1.0], [])


def test_clusters_widen_the_interval_of_what_is_repeated() -> None:
    values = np.random.default_rng(3).normal(0.1, 1, 40)
    alone = clustered(values, [str(i) for i in range(40)])
    repeated = clustered(np.repeat(values, 25), [str(i) for i in range(40) for _ in range(25)])
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))
    assert repeated.p_value == alone.p_value
    assert alone.detectable == pytest.approx(2.8016 * values.std(ddof=1) / math.sqrt(40), rel=1e-4)


def test_two_samples_are_dealt_out_in_every_way_where_these_are_few() -> None:
    found = two_samples([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.n, found.mean) == ((3, 3), 3.0)
    assert found.p_value == pytest.approx(2 / math.comb(6, 3)), "no other of the 20 ways lies as far apart, but its mirror"
    assert two_samples([1.0], [2.0, 3.0]).p_value == 1.0


def test_the_interval_of_two_samples_is_near_the_normal_one_and_the_same_each_time() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.4, 1, 300), rng.normal(0, 2, 200)
    found = two_samples(one, other)
    error = math.sqrt(one.var(ddof=1) / 300 + other.var(ddof=1) / 200)
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.03)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.03)
    assert found == two_samples(one, other)


def test_equal_samples_are_rarely_called_different() -> None:
    rng = np.random.default_rng(5)
    p = [two_samples(rng.exponential(1, 20), rng.exponential(1, 30), resamples=400).p_value for _ in range(300)]
    assert 0.02 <= np.mean(np.asarray(p) <= 0.05) <= 0.09
