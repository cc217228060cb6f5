"""A policy in words, for the person who has to answer for it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from scanner.files.text import printable
from scanner.policy.policy import Limit, Policy, Waiver
from scanner.rule import Basis, Rule, Severity

_MEANS = {"block": "block", "review": "ask for a review", "pass": "decide nothing"}


def explain(policy: Policy, rules: Mapping[str, Rule], today: datetime.date) -> Iterator[str]:
    """Lines that say what the policy does; every string of the file is made printable."""
    extends = f", on top of {', '.join(policy.extends)}" if policy.extends else ""
    yield f"Policy {printable(policy.name)}{extends} (SHA-256 {policy.sha256[:16]}…)"
    yield from _severities(policy, rules)
    yield from _coverage(policy)
    limits = policy.thresholds
    yield (
        f"A change of refusals is a finding from {limits.refusal_points:g} points at p <= {limits.refusal_p:g}; "
        f"a trigger from {limits.trigger_share:.0%} of the held-out prompts it could move at p <= {limits.trigger_p:g}."
    )
    for limit in policy.threshold:
        yield _limit(limit)
    yield from _allowed(policy)
    for baseline in policy.baseline:
        yield f"It must be no worse than {printable(baseline.result)}: a new finding, a change for the worse beyond chance or less coverage asks for a review."
    for waiver in policy.waiver:
        yield _waiver(waiver, today)
    yield (
        f"Unless an option or the environment says otherwise: profile {policy.scan.profile}, reports {', '.join(map(printable, policy.scan.format))}, "
        f"and the command fails on {'review and block' if policy.scan.fail_on == 'review' else 'block'}."
    )
    yield "Whatever stands in a policy: statistics and documentation never block, and behaviour blocks only with a witness."


def expired(policy: Policy, today: datetime.date) -> tuple[Waiver, ...]:
    """Waivers that no longer hold."""
    return tuple(w for w in policy.waiver if w.expires < today)


def _severities(policy: Policy, rules: Mapping[str, Rule]) -> Iterator[str]:
    for action, means in _MEANS.items():
        levels = [s.value for s in reversed(Severity) if policy.outcome[s] == action]
        if levels:
            yield f"Findings that are {_listed(levels)} {means}."
    for rule, level in policy.severity.items():
        declared = rules[rule]
        capped = policy.outcome[level] == "block" and declared.basis in (Basis.STATISTIC, Basis.DOCUMENTATION)
        end = f"; it rests on {'a statistic' if declared.basis is Basis.STATISTIC else 'documentation'}, so it asks for a review and no more" if capped else ""
        yield f"{rule} counts as {level} (it is declared {declared.severity}){end}."


def _coverage(policy: Policy) -> Iterator[str]:
    require = policy.require
    if require.files:
        yield f"Must be measured in every scan: {_listed(require.files)}."
    if require.behaviour:
        yield f"Must be measured where there is a base: {_listed(require.behaviour)}."
    yield (
        "A scan without a base is incomplete."
        if require.base
        else "A scan without a base can pass on files and weights alone, and says that behaviour was not measured."
    )


def _limit(limit: Limit) -> str:
    most = limit.at_most is not None
    wanted = f"at most {limit.at_most:g}" if limit.at_most is not None else f"at least {limit.at_least:g}"
    capped = " (a number has no witness, so its block is a review)" if limit.outcome == "block" else ""
    return (
        f"{printable(limit.measurement, 80)} must be {wanted}, and so must the {'upper' if most else 'lower'} end of its interval; else review{capped}. "
        "Not measured is incomplete."
    )


def _allowed(policy: Policy) -> Iterator[str]:
    allow = policy.allow
    if allow.bases:
        yield f"Bases allowed: {_listed(allow.bases)}."
    if allow.licences:
        yield f"Licences allowed, as the card declares them: {_listed(allow.licences)}."
    if allow.signers:
        yield f"It must be signed by {_listed([s.key or f'{s.identity} (vouched for by {s.issuer})' for s in allow.signers], 'or')}."


def _waiver(waiver: Waiver, today: datetime.date) -> str:
    state = f"EXPIRED on {waiver.expires}: the finding counts again" if waiver.expires < today else f"holds until {waiver.expires}"
    where = f" in {printable(waiver.path, 120)}" if waiver.path else ""
    return (
        f"Waiver of {waiver.rule}{where} for the adapter {waiver.adapter[:16]}…, by {printable(waiver.owner, 80)} ({printable(waiver.reason, 200)}): {state}."
    )


def _listed(names: list[str] | tuple[str, ...], word: str = "and") -> str:
    shown = [printable(n, 80) for n in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
