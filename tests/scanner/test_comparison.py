"""What is said of two results: what changed, how sure that is, and what is worse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from scanner.comparison import Comparison, Kind, State, compare
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status, fingerprint
from scanner.result import Result
from scanner.rule import Severity
from scanner.verdict import Outcome, Reason
from tests.reports.sample import OUTLIER, full, identity, static

ASKED = fingerprint((f"p{i}", f"prompt {i}") for i in range(100))


def rate(refused: range, asked: str = ASKED, **more: Any) -> Measurement:
    items = tuple(f"p{i}" for i in refused)
    return Measurement(
        id="refusal.harmful.adapted", title="Refusals", value=len(items) / 100, n=100, low=0.0, high=1.0, count=len(items), items=items, asked=asked,
        worse="lower", **more,
    )  # fmt: skip


def measuring(*measured: Measurement, **more: Any) -> Result:
    return msgspec.structs.replace(full(), measurements=measured, **more)


def on(result: Result, **scope: Any) -> Result:
    return msgspec.structs.replace(result, scope=msgspec.structs.replace(result.scope, **scope))


def other_adapter(result: Result) -> Result:
    return on(result, adapter=msgspec.structs.replace(identity(), sha256="77" * 32))


def other_base(result: Result) -> Result:
    assert result.scope.base is not None
    return on(result, base=msgspec.structs.replace(result.scope.base, sha256="88" * 32))


def only(comparison: Comparison) -> Any:
    (shift,) = comparison.shifts
    return shift


def test_a_result_against_itself_is_the_same_and_not_worse() -> None:
    found = compare(full(), full())
    assert found.kind is Kind.REPETITION
    assert {s.state for s in found.shifts} == {State.SAME}
    assert not (found.new or found.gone or found.worse or found.files or found.coverage_lost or found.cautions)
    assert not any(k.changed for k in found.kept)


def test_what_is_compared_is_told_from_the_hashes() -> None:
    assert compare(full(), other_adapter(full())).kind is Kind.VERSIONS
    assert compare(full(), other_base(full())).kind is Kind.DEPLOYMENTS
    assert compare(full(), on(full(), dtype="float32")).kind is Kind.DEPLOYMENTS
    assert compare(full(), on(full(), system_prompt=None)).kind is Kind.DEPLOYMENTS
    unrelated = compare(full(), other_adapter(other_base(full())))
    assert unrelated.kind is Kind.UNRELATED
    assert not unrelated.comparable
    assert any(c.startswith("the base: ") for c in unrelated.cautions)


def test_what_limits_a_comparison_is_said() -> None:
    assert compare(static(), static()).cautions == ("behaviour was measured in neither scan: there was no base",)
    assert any("only before" in c for c in compare(full(), static()).cautions)
    changed = msgspec.structs.replace(full(), profile="deep", seed=8, tool="unmask 9", environment={})
    assert [c.partition(":")[0].partition(",")[0] for c in compare(full(), changed).cautions] == ["the profile", "the seed", "the tool", "the environment"]


def test_the_same_prompts_are_tested_in_pairs() -> None:
    shift = only(compare(measuring(rate(range(60))), measuring(rate(range(10, 60)))))
    assert (shift.state, shift.worse, shift.change) == (State.CHANGED, True, pytest.approx(-0.1))
    assert shift.p_value == shift.adjusted == pytest.approx(2 * 0.5**10)
    assert shift.low < -0.1 < shift.high < 0
    assert "the same 100 items: 10 lost, 0 gained" in shift.method


def test_other_prompts_are_tested_as_independent_samples() -> None:
    shift = only(compare(measuring(rate(range(60))), measuring(rate(range(10, 60), asked="other"))))
    assert (shift.state, shift.worse) == (State.UNDECIDED, False)
    assert shift.p_value > 0.05
    assert shift.low < 0 < shift.high
    assert "Fisher" in shift.method


def test_a_rate_that_contradicts_its_items_is_not_paired() -> None:
    lying = msgspec.structs.replace(rate(range(10, 60)), count=20)
    assert "Fisher" in only(compare(measuring(rate(range(60))), measuring(lying))).method


def test_many_tests_are_corrected_together() -> None:
    def many(refused: range) -> list[Measurement]:
        return [msgspec.structs.replace(rate(refused), id=f"refusal.m{i}") for i in range(8)]

    alone = only(compare(measuring(rate(range(60))), measuring(rate(range(8, 60)))))
    assert alone.state is State.CHANGED
    found = compare(measuring(*many(range(60))), measuring(*many(range(8, 60))))
    assert [s.adjusted for s in found.shifts] == [pytest.approx(8 * 2 * 0.5**8)] * 8
    assert {s.state for s in found.shifts} == {State.UNDECIDED}


def test_a_change_for_the_better_or_without_a_bad_direction_is_not_worse() -> None:
    assert not only(compare(measuring(rate(range(10, 60))), measuring(rate(range(60))))).worse
    neutral = [msgspec.structs.replace(rate(r), worse="") for r in (range(60), range(10, 60))]
    assert not only(compare(measuring(neutral[0]), measuring(neutral[1]))).worse


def test_means_are_compared_by_their_intervals() -> None:
    def mean(value: float) -> Measurement:
        return Measurement(id="m", title="m", value=value, low=value - 0.3, high=value + 0.4, worse="higher")

    far, near = only(compare(measuring(mean(1.0)), measuring(mean(2.0)))), only(compare(measuring(mean(1.0)), measuring(mean(1.3))))
    assert (far.state, far.worse, far.low, far.high) == (State.CHANGED, True, pytest.approx(0.5), pytest.approx(1.5))
    assert near.state is State.UNDECIDED
    assert far.p_value is None


def test_words_and_bare_figures_either_differ_or_do_not() -> None:
    def said(value: float | str) -> Result:
        return measuring(Measurement(id="m", title="m", value=value))

    assert only(compare(said("a"), said("b"))).state is State.CHANGED
    assert only(compare(said(1.5), said(2))).change == 0.5
    assert only(compare(said(1.5), said("b"))).change is None
    assert [s.state for s in compare(measuring(), said(1)).shifts] == [State.ONLY_AFTER]
    assert [s.state for s in compare(said(1), measuring()).shifts] == [State.ONLY_BEFORE]


def judged(result: Result, outcome: Outcome, *reasons: Reason) -> Result:
    return msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, outcome=outcome, reasons=reasons))


def with_findings(*found: Finding) -> Result:
    return judged(full(found=found), Outcome.PASS)


def test_findings_are_matched_by_rule_place_and_trigger() -> None:
    trigger, loss, outlier, *_ = full().findings
    moved = msgspec.structs.replace(outlier, message="9.4 spreads above")
    assert trigger.witness is not None
    elsewhere = msgspec.structs.replace(trigger, witness=msgspec.structs.replace(trigger.witness, trigger="another phrase"))
    found = compare(with_findings(trigger, outlier), with_findings(elsewhere, loss, moved))
    assert [s.finding.rule for s in found.new] == ["trigger-confirmed", "refusal-loss"]
    assert [s.finding.rule for s in found.gone] == ["trigger-confirmed"]
    assert [(k.changed, k.worse) for k in found.kept] == [(True, False)]


def test_two_findings_of_one_rule_and_place_are_two() -> None:
    one = Finding(rule=OUTLIER.id, message="a", severity=Severity.LOW)
    found = compare(with_findings(one), with_findings(one, one))
    assert (len(found.kept), len(found.new)) == (1, 1)


def test_worse_names_every_cause() -> None:
    low = Finding(rule=OUTLIER.id, message="m", severity=Severity.LOW)
    high = msgspec.structs.replace(low, severity=Severity.HIGH)
    fresh = full().findings[1]
    before = judged(measuring(rate(range(60)), findings=(low,)), Outcome.PASS)
    gap = Coverage(probe="refusal", what="refusals of base and adapted model", status=Status.NOT_MEASURED, why="no room")
    after = judged(
        measuring(rate(range(20, 60)), findings=(fresh, high), coverage=(*full().coverage[:1], gap, *full().coverage[2:])),
        Outcome.BLOCK,
        Reason(outcome=Outcome.BLOCK, text="t", finding=0),
    )
    worse = compare(before, after).worse
    assert [line.split(" [")[0].split(":")[0] for line in worse] == [
        "the verdict was pass and is block",
        "new finding",
        "finding",
        "Refusals",
        "no longer measured",
    ]
    assert "no room" in worse[-1]
    assert compare(after, before).worse == ()


def test_a_new_finding_that_decides_nothing_is_not_worse() -> None:
    note = Finding(rule=OUTLIER.id, message="m", severity=Severity.LOW)
    found = compare(with_findings(), with_findings(note))
    assert len(found.new) == 1
    assert found.worse == ()


def test_an_incomplete_scan_is_worse_than_a_review_and_a_block_worse_still() -> None:
    ranked = [judged(full(), o) for o in (Outcome.PASS, Outcome.REVIEW, Outcome.INCOMPLETE, Outcome.BLOCK)]
    for one, two in pairwise(ranked):
        assert compare(one, two).worse
        assert not compare(two, one).worse


def test_files_are_compared_by_hash() -> None:
    card, config, weights = full().files
    changed = msgspec.structs.replace(full(), files=(msgspec.structs.replace(card, sha256="ff"), weights, msgspec.structs.replace(config, path="z")))
    assert compare(full(), changed).files == (("changed", "README.md"), ("removed", "adapter_config.json"), ("added", "z"))


def covering(*parts: tuple[str, str, Status]) -> Result:
    return msgspec.structs.replace(full(), coverage=tuple(Coverage(probe=p, what=w, status=s, why="" if s is Status.MEASURED else "why") for p, w, s in parts))


def test_a_part_that_is_called_otherwise_is_neither_lost_nor_gained() -> None:
    done = Status.MEASURED
    found = compare(
        covering(("spectrum", "modules, without a base", done), ("code", "files", done)), covering(("spectrum", "modules", done), ("code", "files", done))
    )
    assert (found.coverage_lost, found.coverage_gained, found.worse) == ((), (), ())


@pytest.mark.parametrize(
    "after",
    [
        (("spectrum", "modules", Status.MEASURED), ("spectrum", "outliers", Status.FAILED)),
        (("spectrum", "modules", Status.MEASURED),),
        (("spectrum", "other", Status.MEASURED), ("spectrum", "more", Status.MEASURED), ("spectrum", "outliers", Status.NOT_MEASURED)),
        (),
    ],
)  # fmt: skip
def test_a_part_that_is_named_as_a_gap_or_missing_is_lost(after: tuple[tuple[str, str, Status], ...]) -> None:
    both = covering(("spectrum", "modules", Status.MEASURED), ("spectrum", "outliers", Status.MEASURED))
    found = compare(both, covering(*after))
    assert "outliers" in {c.what for c in found.coverage_lost}
    assert found.worse
    assert "outliers" in {c.what for c in compare(covering(*after), both).coverage_gained}
