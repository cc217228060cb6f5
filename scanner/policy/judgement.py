"""A result judged by a policy: severities, limits, lists, waivers, baselines, and the verdict."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import msgspec

from scanner.finding import Finding
from scanner.policy.allowed import outside
from scanner.policy.baselines import PROBE, Accepted, worse
from scanner.policy.limits import exceeded, unmeasured
from scanner.policy.policy import Policy
from scanner.policy.rules import RULES, WORSE
from scanner.policy.ruling import decide
from scanner.policy.waivers import waive
from scanner.result import Result
from scanner.rule import Rule
from scanner.verdict import Outcome


def judged(policy: Policy, result: Result, rules: Mapping[str, Rule], baselines: Sequence[Accepted] = (), today: datetime.date | None = None) -> Result:
    """`result` with the policy's own findings, waivers and verdict. What it was judged before does not count, except that comparisons
    with baselines stand where none are given to compare with again.

    `today` decides which waivers hold, and is recorded where the policy has any; the date in UTC otherwise.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    fresh = {r.id for r in RULES} - (set() if baselines else {WORSE.id})
    raised: list[tuple[Finding, Outcome | None]] = [(msgspec.structs.replace(f, waiver=None), None) for f in result.findings if f.rule not in fresh]
    raised += [(f, None) for f in outside(policy, result.scope)]
    raised += exceeded(policy, result.measurements)
    if not baselines:
        return _ruled(policy, result, raised, rules, day)
    alone = _ruled(msgspec.structs.replace(policy, baseline=()), result, raised, rules, day)
    against = [worse(accepted, alone) for accepted in baselines]
    raised += [(f, None) for compared in against for f in compared.findings]
    covered = (*(c for c in result.coverage if c.probe != PROBE), *(compared.coverage for compared in against))
    return _ruled(policy, msgspec.structs.replace(result, coverage=covered), raised, rules, day)


def levelled(policy: Policy, finding: Finding) -> Finding:
    """`finding` with the severity that the policy gives its rule."""
    level = policy.severity.get(finding.rule)
    return msgspec.structs.replace(finding, severity=level) if level else finding


def _ruled(policy: Policy, result: Result, raised: Sequence[tuple[Finding, Outcome | None]], rules: Mapping[str, Rule], day: datetime.date) -> Result:
    found = sorted(((levelled(policy, f), wanted) for f, wanted in raised), key=lambda pair: (-pair[0].severity.level, pair[0].rule, pair[0].message))
    waived = [waive(policy, f, result.scope.adapter.sha256, day) for f, _ in found]
    findings = tuple(f for f, _ in waived)
    verdict = decide(
        policy, findings, result.coverage, rules, result.scope.base is not None,
        wanted={i: w for i, (_, w) in enumerate(found) if w is not None},
        expired={i: late for i, (_, late) in enumerate(waived) if late is not None},
        gaps=list(unmeasured(policy, result.measurements, result.coverage, result.scope.base is not None)), date=day.isoformat() if policy.waiver else "",
    )  # fmt: skip
    return msgspec.structs.replace(result, findings=findings, rules=tuple(rules[r] for r in sorted({f.rule for f in findings})), verdict=verdict)
