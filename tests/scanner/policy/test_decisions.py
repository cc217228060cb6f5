"""Statistics against known answers, and the promise about what can block."""

from __future__ import annotations

import pytest

from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.policy import Policy, decide
from scanner.rule import Basis, Rule, Severity
from scanner.statistics import detectable_loss, holm, mcnemar, paired_test, upper_bound_of_zero
from scanner.verdict import Outcome


def test_statistics_give_known_answers() -> None:
    assert mcnemar(6, 0) == pytest.approx(0.03125)
    assert mcnemar(0, 0) == 1.0
    assert upper_bound_of_zero(100) == pytest.approx(0.0295, abs=1e-4)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert detectable_loss(5, 0.01) == 1.0
    test = paired_test([True] * 10 + [False] * 10, [False] * 8 + [True] * 2 + [False] * 10)
    assert (test.lost, test.gained, test.change) == (8, 0, -0.4)
    assert test.low < -0.4 < test.high < 0


@pytest.mark.parametrize("basis", Basis)
def test_only_facts_about_files_block_without_a_witness(basis: Basis) -> None:
    policy = Policy.open()
    rule = Rule(id="x", title="x", severity=Severity.CRITICAL, basis=basis, meaning="", why="", fix="")
    covered = [Coverage(probe=p, what="", status=Status.MEASURED) for p in policy.require.files]
    verdict = decide(policy, [Finding(rule="x", message="m", severity=Severity.CRITICAL)], covered, {"x": rule}, behaviour=False)
    assert verdict.outcome is (Outcome.BLOCK if basis is Basis.INTEGRITY else Outcome.REVIEW)


def test_a_required_probe_that_did_not_measure_makes_the_verdict_incomplete() -> None:
    assert decide(Policy.open(), [], [], {}, behaviour=False).outcome is Outcome.INCOMPLETE
