"""From findings and coverage to a verdict.

`decide` keeps one promise whatever the policy says: only a fact about the files, or a behavioural finding with a witness, can block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.policy.policy import Policy, Waiver
from scanner.rule import Basis, Rule
from scanner.verdict import Outcome, Reason, Verdict

_ORDER = (Outcome.PASS, Outcome.REVIEW, Outcome.INCOMPLETE, Outcome.BLOCK)


def decide(
    policy: Policy, findings: Sequence[Finding], coverage: Sequence[Coverage], rules: Mapping[str, Rule], behaviour: bool, *,
    wanted: Mapping[int, Outcome] | None = None, expired: Mapping[int, Waiver] | None = None, gaps: Sequence[Reason] = (), date: str = "",
) -> Verdict:  # fmt: skip
    """The verdict over `findings` and `coverage`; `behaviour` tells whether the scan had a base.

    `wanted` holds outcomes that do not follow from the severity and `expired` waivers that no longer hold, both by the finding's index;
    `gaps` are further reasons for an incomplete verdict. `date` is recorded.
    """
    wanted, expired = wanted or {}, expired or {}
    reasons = []
    for index, finding in enumerate(findings):
        if finding.waiver is not None:
            continue
        rule = rules[finding.rule]
        asked = wanted.get(index, Outcome(policy.outcome[finding.severity]))
        outcome = Outcome.REVIEW if asked is Outcome.BLOCK and not may_block(finding, rule) else asked
        late = expired.get(index)
        text = f"{rule.title}: {finding.message}"
        if late is not None:
            text += f" (waived by {late.owner} until {late.expires.isoformat()}: the waiver has expired)"
            outcome = max(outcome, Outcome.REVIEW, key=_ORDER.index)
        if outcome is not Outcome.PASS:
            reasons.append(Reason(outcome=outcome, text=text, finding=index))
    if not any(r.outcome is Outcome.BLOCK for r in reasons):
        reasons += [*_unmeasured(policy, coverage, behaviour), *gaps]
    outcome = max((r.outcome for r in reasons), key=_ORDER.index, default=Outcome.PASS)
    reasons.sort(key=lambda r: -_ORDER.index(r.outcome))
    return Verdict(
        outcome=outcome,
        headline=_headline(outcome, reasons, behaviour) + _waived(findings),
        reasons=tuple(reasons),
        policy=policy.name,
        policy_sha256=policy.sha256,
        date=date,
    )


def may_block(finding: Finding, rule: Rule) -> bool:
    """Whether a finding is a fact about the files, or of behaviour and has a witness."""
    return rule.basis is Basis.INTEGRITY or (rule.basis is Basis.BEHAVIOUR and finding.witness is not None)


def _unmeasured(policy: Policy, coverage: Sequence[Coverage], behaviour: bool) -> list[Reason]:
    reasons = []
    if policy.require.base and not behaviour:
        reasons.append(Reason(outcome=Outcome.INCOMPLETE, text="the policy requires that behaviour is measured, and no base was given (--base)"))
    more = (*(("signature",) if policy.allow.signers else ()), *(("policy",) if policy.baseline else ()))
    for probe in dict.fromkeys((*policy.require.files, *more, *(policy.require.behaviour if behaviour else ()))):
        parts = [c for c in coverage if c.probe == probe]
        gaps = [c for c in parts if c.status is not Status.MEASURED]
        if not parts or gaps:
            why = f"{gaps[0].what}: {gaps[0].why}" if gaps else "no such probe ran"
            reasons.append(Reason(outcome=Outcome.INCOMPLETE, text=f"{probe} could not be measured. {why}", probe=probe))
    told = {r.probe for r in reasons}
    reasons += [
        Reason(outcome=Outcome.INCOMPLETE, text=f"{c.probe} failed. {c.what}: {c.why}", probe=c.probe)
        for c in coverage
        if c.status is Status.FAILED and c.probe not in told
    ]
    return reasons


def _waived(findings: Sequence[Finding]) -> str:
    count = sum(f.waiver is not None for f in findings)
    return f" {count} waived finding{'s' if count > 1 else ''} left aside." if count else ""


def _headline(outcome: Outcome, reasons: list[Reason], behaviour: bool) -> str:
    if outcome is Outcome.PASS:
        return "Nothing found in files, weights and behaviour." if behaviour else "Nothing found in the files. Behaviour was not measured: no base was given."
    first = reasons[0].text
    more = sum(r.outcome is outcome for r in reasons) - 1
    return first if not more else f"{first} (and {more} more)"
