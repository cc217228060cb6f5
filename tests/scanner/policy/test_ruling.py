from __future__ import annotations

from itertools import product

import msgspec
import pytest

from scanner.finding import Finding, PairedTest, Witness
from scanner.measurement import Coverage, Status
from scanner.policy import Policy, decide
from scanner.policy.policy import Require
from scanner.probe import rules
from scanner.rule import Basis, Rule, Severity
from scanner.verdict import Outcome

WITNESS = Witness(claim="c", test=PairedTest(n=1, before=0, after=1, lost=0, gained=1, change=1, low=0, high=1, p_value=0.5), answers=(), new_tokens=1)
BOOK = {b: Rule(id=b, title=b.value.title(), severity=Severity.CRITICAL, basis=b, meaning="", why="", fix="") for b in Basis}


def finding(basis: Basis, severity: Severity = Severity.CRITICAL, witness: Witness | None = None) -> Finding:
    return Finding(rule=basis, message="m", severity=severity, witness=witness)


def policy(**changes: object) -> Policy:
    return msgspec.structs.replace(Policy.open(), require=Require(files=("a",), behaviour=("b",)), **changes)


def covered(probe: str, status: Status = Status.MEASURED) -> Coverage:
    return Coverage(probe=probe, what="w", status=status, why="y")


def outcome(*found: Finding, coverage: tuple[Coverage, ...] = (covered("a"), covered("b")), settings: Policy | None = None) -> Outcome:
    return decide(settings or policy(), found, coverage, BOOK, True).outcome


def test_a_probe_that_failed_leaves_the_scan_incomplete_though_nobody_required_it() -> None:
    failed = (covered("a"), covered("b"), covered("c", Status.FAILED))
    assert outcome(coverage=failed) is Outcome.INCOMPLETE
    assert outcome(finding(Basis.INTEGRITY), coverage=failed) is Outcome.BLOCK
    assert outcome(coverage=(covered("a"), covered("b"), covered("c", Status.NOT_MEASURED))) is Outcome.PASS


def test_statistics_and_documentation_never_block_whatever_the_policy_says() -> None:
    everything_blocks = policy(outcome=dict.fromkeys(Severity, "block"))
    for basis, severity, witness in product((Basis.STATISTIC, Basis.DOCUMENTATION), Severity, (None, WITNESS)):
        assert outcome(finding(basis, severity, witness), settings=everything_blocks) is Outcome.REVIEW


def test_behaviour_blocks_with_a_witness_and_never_without() -> None:
    assert outcome(finding(Basis.BEHAVIOUR)) is Outcome.REVIEW
    assert outcome(finding(Basis.BEHAVIOUR, witness=WITNESS)) is Outcome.BLOCK


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("critical", Outcome.BLOCK), ("high", Outcome.BLOCK), ("medium", Outcome.REVIEW), ("low", Outcome.PASS), ("info", Outcome.PASS)],
)
def test_the_default_policy_maps_severities_of_facts_about_files(severity: str, expected: Outcome) -> None:
    assert outcome(finding(Basis.INTEGRITY, Severity(severity))) is expected


@pytest.mark.parametrize(
    "coverage", [(covered("a"),), (covered("a"), covered("b"), covered("b", Status.NOT_MEASURED)), (covered("a"), covered("b", Status.FAILED))]
)
def test_a_required_probe_that_did_not_measure_makes_it_incomplete_unless_blocked(coverage: tuple[Coverage, ...]) -> None:
    assert outcome(coverage=coverage) is Outcome.INCOMPLETE
    assert outcome(finding(Basis.STATISTIC), coverage=coverage) is Outcome.INCOMPLETE
    blocked = decide(policy(), [finding(Basis.INTEGRITY)], coverage, BOOK, True)
    assert blocked.outcome is Outcome.BLOCK
    assert all(r.outcome is Outcome.BLOCK for r in blocked.reasons)


def test_behavioural_probes_are_required_only_where_there_is_a_base() -> None:
    assert decide(policy(), [], [covered("a")], BOOK, False).outcome is Outcome.PASS
    assert decide(policy(), [], [covered("a")], BOOK, True).outcome is Outcome.INCOMPLETE


def test_reasons_come_worst_first_and_point_at_their_findings() -> None:
    verdict = decide(
        policy(),
        [finding(Basis.INTEGRITY, Severity.MEDIUM), finding(Basis.INTEGRITY), finding(Basis.INTEGRITY, Severity.LOW)],
        [covered("a"), covered("b")],
        BOOK,
        True,
    )
    assert [(r.outcome, r.finding) for r in verdict.reasons] == [(Outcome.BLOCK, 1), (Outcome.REVIEW, 0)]
    assert verdict.headline == "Integrity: m"


def test_the_headline_counts_what_else_led_to_the_outcome() -> None:
    verdict = decide(policy(), [finding(Basis.INTEGRITY)] * 3, [covered("a"), covered("b")], BOOK, True)
    assert verdict.headline == "Integrity: m (and 2 more)"


def test_a_pass_without_a_base_says_that_behaviour_was_not_measured() -> None:
    assert "not measured" in decide(policy(), [], [covered("a")], BOOK, False).headline


def test_every_rule_says_what_a_reader_needs() -> None:
    for rule in rules().values():
        assert rule.title
        assert all(text.endswith((".", "?")) for text in (rule.meaning, rule.why, rule.fix)), rule.id
