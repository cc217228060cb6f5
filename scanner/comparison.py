"""Two results side by side: two versions of an adapter, or one adapter on two deployments. What changed, and how sure is it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from scanner.files.inventory import File
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status
from scanner.result import Result, Scope
from scanner.statistics import combined_interval, fisher, holm, independent_interval, mcnemar, paired_interval
from scanner.verdict import Outcome

LEVEL = 0.05
"""A tested measurement changed when its p-value, corrected for all that were tested (Holm), is at most this."""
_ORDER = (Outcome.PASS, Outcome.REVIEW, Outcome.INCOMPLETE, Outcome.BLOCK)


class Kind(StrEnum):
    """What is compared."""

    VERSIONS = "two adapters on one deployment"
    DEPLOYMENTS = "one adapter on two deployments"
    REPETITION = "one adapter on one deployment, twice"
    UNRELATED = "two adapters on two deployments"
    """A difference could come from either, so nothing follows from it."""


class State(StrEnum):
    """What became of a measurement."""

    CHANGED = "changed"
    UNDECIDED = "no change shown"
    """Different, and well within what chance does."""
    SAME = "the same"
    ONLY_BEFORE = "only before"
    ONLY_AFTER = "only after"


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement in both results."""

    id: str
    title: str
    unit: str
    before: float | int | str | None
    after: float | int | str | None
    state: State
    change: float | None = None
    """after - before, where both are numbers."""
    low: float | None = None
    high: float | None = None
    """95 % interval of `change`."""
    p_value: float | None = None
    adjusted: float | None = None
    """The p-value corrected by Holm for every test of the comparison."""
    method: str = ""
    """How it was tested, in words."""
    worse: bool = False
    """Changed in the direction that its probe calls bad."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A finding and what its policy made of it."""

    finding: Finding
    title: str
    outcome: Outcome


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of both results."""

    before: Seen
    after: Seen

    @property
    def changed(self) -> bool:
        """Whether its severity, its outcome or its wording is another."""
        one, two = self.before, self.after
        return (one.finding.severity, one.outcome, one.finding.message) != (two.finding.severity, two.outcome, two.finding.message)

    @property
    def worse(self) -> bool:
        """Whether it weighs more than before."""
        one, two = self.before, self.after
        return two.finding.severity.level > one.finding.severity.level or _ORDER.index(two.outcome) > _ORDER.index(one.outcome)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from the first result to the second."""

    before: Scope
    after: Scope
    kind: Kind
    cautions: tuple[str, ...]
    """What else differs between the two scans, or is missing from both, in words."""
    outcomes: tuple[Outcome, Outcome]
    headlines: tuple[str, str]
    new: tuple[Seen, ...]
    gone: tuple[Seen, ...]
    kept: tuple[Kept, ...]
    shifts: tuple[Shift, ...]
    coverage_lost: tuple[Coverage, ...]
    """Measured before and not after."""
    coverage_gained: tuple[Coverage, ...]
    files: tuple[tuple[str, str], ...]
    """`added`, `removed` or `changed`, and the path."""
    worse: tuple[str, ...]
    """Why the second is worse, a line each; empty when it is not."""

    @property
    def comparable(self) -> bool:
        """Whether a difference says something: adapter and deployment did not both change."""
        return self.kind is not Kind.UNRELATED


def compare(before: Result, after: Result) -> Comparison:
    """Compare two results. Findings are matched by rule, place and trigger; rates are tested on the same prompts where both asked them."""
    old, new = _seen(before), _seen(after)
    kept = tuple(Kept(before=old[k], after=new[k]) for k in old if k in new)
    added = tuple(s for k, s in new.items() if k not in old)
    shifts = _shifts(before.measurements, after.measurements)
    lost = tuple(_now(after, c) for c in _only(before, after))
    outcomes = (before.verdict.outcome, after.verdict.outcome)
    return Comparison(
        before=before.scope,
        after=after.scope,
        kind=_kind(before.scope, after.scope),
        cautions=tuple(_cautions(before, after)),
        outcomes=outcomes,
        headlines=(before.verdict.headline, after.verdict.headline),
        new=added,
        gone=tuple(s for k, s in old.items() if k not in new),
        kept=kept,
        shifts=shifts,
        coverage_lost=lost,
        coverage_gained=tuple(_only(after, before)),
        files=tuple(_files(before.files, after.files)),
        worse=tuple(_worse(outcomes, added, kept, shifts, lost)),
    )


def _worse(outcomes: tuple[Outcome, Outcome], new: Sequence[Seen], kept: Sequence[Kept], shifts: Sequence[Shift], lost: Sequence[Coverage]) -> Iterator[str]:
    if _ORDER.index(outcomes[1]) > _ORDER.index(outcomes[0]):
        yield f"the verdict was {outcomes[0]} and is {outcomes[1]}"
    for seen in new:
        if seen.outcome is not Outcome.PASS:
            yield f"new finding [{seen.finding.rule}], {seen.outcome}: {seen.finding.message}"
    for pair in kept:
        if pair.worse:
            yield (
                f"finding [{pair.after.finding.rule}] was {pair.before.finding.severity}, {pair.before.outcome}, and is {pair.after.finding.severity}, "
                f"{pair.after.outcome}: {pair.after.finding.message}"
            )
    for shift in shifts:
        if shift.worse:
            yield f"{shift.title} [{shift.id}] changed for the worse"
    for part in lost:
        yield f"no longer measured: {part.probe}, {part.what}" + (f": {part.why}" if part.why else "")


def _seen(result: Result) -> dict[tuple[str, str, str, str, int], Seen]:
    """Findings by what makes them the same in another scan."""
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    count: Counter[tuple[str, str, str, str]] = Counter()
    found = {}
    for index, finding in enumerate(result.findings):
        key = (finding.rule, finding.location.file, finding.location.item, finding.witness.trigger if finding.witness else "")
        found[*key, count[key]] = Seen(finding=finding, title=result.rule(finding.rule).title, outcome=outcomes.get(index, Outcome.PASS))
        count[key] += 1
    return found


def _deployment(scope: Scope) -> tuple[object, ...]:
    return (scope.base.sha256 if scope.base else None, scope.dtype, scope.system_prompt, scope.chat_template_sha256)


def _kind(before: Scope, after: Scope) -> Kind:
    adapter, deployment = before.adapter.sha256 == after.adapter.sha256, _deployment(before) == _deployment(after)
    if adapter:
        return Kind.REPETITION if deployment else Kind.DEPLOYMENTS
    return Kind.VERSIONS if deployment else Kind.UNRELATED


def _cautions(before: Result, after: Result) -> Iterator[str]:
    one, two = before.scope, after.scope
    if one.base is None and two.base is None:
        yield "behaviour was measured in neither scan: there was no base"
    elif one.base is None or two.base is None:
        yield f"behaviour was measured only {'after' if one.base is None else 'before'}: the other scan had no base"
    elif one.base.sha256 != two.base.sha256:
        yield f"the base: {one.base.name} ({one.base.sha256[:12]}), then {two.base.name} ({two.base.sha256[:12]})"
    if one.base and two.base:
        for what, first, second in (
            ("the precision", one.dtype, two.dtype),
            ("the system prompt", one.system_prompt, two.system_prompt),
            ("the chat template", one.chat_template_sha256[:12], two.chat_template_sha256[:12]),
            ("the device", one.device, two.device),
        ):
            if first != second:
                yield f"{what}: {first or 'none'}, then {second or 'none'}"
    for what, first, second in (
        ("the profile, so other prompts or longer answers", before.profile, after.profile),
        ("the seed", str(before.seed), str(after.seed)),
        ("the tool, so possibly other rules", before.tool, after.tool),
        ("the policy", before.verdict.policy_sha256[:12], after.verdict.policy_sha256[:12]),
    ):
        if first != second:
            yield f"{what}: {first}, then {second}"
    versions = sorted(n for n in before.environment.keys() | after.environment.keys() if before.environment.get(n) != after.environment.get(n))
    if versions:
        told = (f"{n} {before.environment.get(n, 'none')}, then {after.environment.get(n, 'none')}" for n in versions)
        yield f"the environment: {'; '.join(told)}"


def _only(one: Result, other: Result) -> Iterator[Coverage]:
    """What `one` measured and `other` did not.

    A part that `other` does not list counts only where its probe measured fewer parts there: with a base to compare with, or in another
    version, a probe calls the same part otherwise.
    """
    measured = [c for c in one.coverage if c.status is Status.MEASURED]
    listed = {(c.probe, c.what): c.status for c in other.coverage}
    parts = [Counter(c.probe for c in r.coverage if c.status is Status.MEASURED) for r in (one, other)]
    for part in measured:
        status = listed.get((part.probe, part.what))
        if status is not Status.MEASURED and (status is not None or parts[1][part.probe] < parts[0][part.probe]):
            yield part


def _now(result: Result, part: Coverage) -> Coverage:
    """The part as `result` has it, with its reason, or as it was where the result does not know it."""
    return next((c for c in result.coverage if (c.probe, c.what) == (part.probe, part.what)), part)


def _files(before: Sequence[File], after: Sequence[File]) -> Iterator[tuple[str, str]]:
    old, new = ({f.path: f.sha256 for f in files} for files in (before, after))
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            yield "added", path
        elif path not in new:
            yield "removed", path
        elif old[path] != new[path]:
            yield "changed", path


def _shifts(before: Sequence[Measurement], after: Sequence[Measurement]) -> tuple[Shift, ...]:
    old, new = ({m.id: m for m in some} for some in (before, after))
    raw = [_shift(old.get(id_), new.get(id_)) for id_ in dict.fromkeys((*old, *new))]
    tested = [i for i, s in enumerate(raw) if s.p_value is not None]
    adjusted = dict(zip(tested, holm([raw[i].p_value or 0.0 for i in tested]), strict=True))
    return tuple(_judged(s, adjusted.get(i), (new.get(s.id) or old[s.id]).worse) for i, s in enumerate(raw))


def _judged(shift: Shift, adjusted: float | None, bad: str) -> Shift:
    state = shift.state
    if adjusted is not None and state is State.CHANGED and adjusted > LEVEL:
        state = State.UNDECIDED
    worse = state is State.CHANGED and shift.change is not None and ((bad == "higher" and shift.change > 0) or (bad == "lower" and shift.change < 0))
    return msgspec.structs.replace(shift, state=state, adjusted=adjusted, worse=worse)


def _shift(before: Measurement | None, after: Measurement | None) -> Shift:
    known = after or before
    assert known is not None
    blank = Shift(
        id=known.id, title=known.title, unit=known.unit, before=before.value if before else None, after=after.value if after else None, state=State.SAME
    )
    if before is None or after is None:
        return msgspec.structs.replace(blank, state=State.ONLY_AFTER if before is None else State.ONLY_BEFORE)
    if isinstance(before.value, str) or isinstance(after.value, str):
        return msgspec.structs.replace(blank, state=State.SAME if before.value == after.value else State.CHANGED)
    change = after.value - before.value
    if before.count is not None and after.count is not None and before.n and after.n:
        return _rates(blank, before, after, change)
    bounds = (before.low, before.high, after.low, after.high)
    if all(b is not None for b in bounds):
        low, high = combined_interval((before.value, bounds[0] or 0.0, bounds[1] or 0.0), (after.value, bounds[2] or 0.0, bounds[3] or 0.0))
        state = State.SAME if change == 0 and before.low == after.low and before.high == after.high else State.UNDECIDED if low <= 0 <= high else State.CHANGED
        method = "interval from the two intervals (MOVER), taken as independent"
        return msgspec.structs.replace(blank, state=state, change=change, low=low, high=high, method=method)
    return msgspec.structs.replace(blank, state=State.CHANGED if change else State.SAME, change=change, method="a figure without an interval")


def _rates(blank: Shift, before: Measurement, after: Measurement, change: float) -> Shift:
    k1, n1, k2, n2 = before.count or 0, before.n or 0, after.count or 0, after.n or 0
    one, two = set(before.items), set(after.items)
    if before.asked and before.asked == after.asked and (n1, len(one), len(two)) == (n2, k1, k2):
        both, lost, gained = len(one & two), len(one - two), len(two - one)
        low, high = paired_interval(both, lost, gained, n1 - both - lost - gained)
        p, method = mcnemar(lost, gained), f"the same {n1} items: {lost} lost, {gained} gained; exact McNemar, Newcombe interval"
        state = State.CHANGED if lost or gained else State.SAME
    else:
        low, high = independent_interval(k1, n1, k2, n2)
        p, method = fisher(k1, n1, k2, n2), f"other items ({n1}, then {n2}): Fisher's exact test, Newcombe interval of independent rates"
        state = State.CHANGED
    return msgspec.structs.replace(blank, state=state, change=change, low=low, high=high, p_value=p, method=method)
