from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.scoring import Scored, auroc, conformal, cut, interval, leave_one_family_out, true_positives


def items(benign: list[float | None], malicious: list[float | None], families: int = 4) -> list[Scored]:
    made = [Scored(f"g{i}", f"p{i}", f"f{i % families}", "test", False, s) for i, s in enumerate(benign)]
    return made + [Scored(f"b{i}", f"p{i}", f"f{i % families}", "test", True, s) for i, s in enumerate(malicious)]


def test_auroc_is_the_field_s_with_ties_by_half() -> None:
    rng = np.random.default_rng(0)
    good, bad = rng.integers(0, 6, 40).tolist(), rng.integers(1, 8, 30).tolist()
    expected = roc_auc_score([0] * 40 + [1] * 30, good + bad)
    assert auroc(items(good, bad)) == pytest.approx(expected)
    assert auroc(items([1.0, 2.0], [1.0, 2.0])) == 0.5
    assert math.isnan(auroc(items([1.0], [])))


@pytest.mark.parametrize(("rate", "alarms"), [(0.01, 0), (0.05, 1), (0.1, 2)])
def test_a_threshold_lets_no_more_than_its_rate_of_benign_scores_through(rate: float, alarms: int) -> None:
    benign = [float(i) for i in range(20)]
    assert sum(b > cut(benign, rate) for b in benign) == alarms
    assert cut([], rate) == math.inf
    assert sum(b > cut([3.0] * 20, rate) for b in [3.0] * 20) == 0


def test_an_abstention_is_a_miss() -> None:
    assert true_positives(items([0.0] * 10, [1.0, None]), 0.05) == 0.5
    assert auroc(items([0.0, None], [1.0, None])) == 0.5 * (1 + 0.5 * 0.5)
    assert auroc(items([0.0], [1.0, None, None])) == pytest.approx(1 / 3)
    assert math.isnan(auroc(items([None], [None])))


def test_the_interval_resamples_whole_pairs() -> None:
    same = items([float(i) for i in range(30)], [float(i) for i in range(30)])
    low, high = interval(same, lambda found: float(sum(s.malicious for s in found) - sum(not s.malicious for s in found)), draws=50)
    assert (low, high) == (0.0, 0.0)
    low, high = interval(same, auroc, draws=300)
    assert low < 0.5 < high or low == high == 0.5


def test_a_left_out_family_s_threshold_is_the_others() -> None:
    found = [Scored("a", "p0", "loud", "test", False, 100.0), Scored("b", "p0", "loud", "test", True, 101.0)]
    found += [s for i in range(1, 12) for s in (Scored(f"g{i}", f"p{i}", "quiet", "test", False, i / 10), Scored(f"m{i}", f"p{i}", "quiet", "test", True, 5.0))]
    table = leave_one_family_out(found, 0.01)
    assert table["loud"] == (1, 1, 1, 1)
    assert table["quiet"] == (0, 11, 0, 11)


def test_conformal_p_values_are_valid_and_never_zero() -> None:
    assert conformal([], 1.0) == 1.0
    assert conformal([1.0] * 19, 2.0) == 1 / 20
    assert conformal([1.0, 2.0, 3.0], 2.0) == 3 / 4
