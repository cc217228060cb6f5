"""Limits on measurements, held against the unfavourable end of each interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Measurement, Status
from scanner.policy.policy import Limit, Policy
from scanner.policy.rules import LIMIT
from scanner.rule import Severity
from scanner.verdict import Outcome, Reason


def exceeded(policy: Policy, measurements: Sequence[Measurement]) -> Iterator[tuple[Finding, Outcome]]:
    """A finding for each limit that is not kept, with the outcome its author asked for."""
    known = {m.id: m for m in measurements}
    for limit in policy.threshold:
        measured = known.get(limit.measurement)
        if measured is None or isinstance(measured.value, str):
            continue
        told = _broken(limit, measured, measured.value)
        if told:
            severity = Severity.HIGH if limit.outcome == "block" else Severity.MEDIUM
            yield Finding(rule=LIMIT.id, message=told, severity=severity, location=Location(item=limit.measurement)), Outcome(limit.outcome)


def unmeasured(policy: Policy, measurements: Sequence[Measurement], coverage: Sequence[Coverage], behaviour: bool) -> Iterator[Reason]:
    """A reason for each limit that nothing was measured for.

    Without a base, a limit on a probe that could not run is left out, as its probe is: the verdict says that behaviour was not measured.
    """
    known = {m.id for m in measurements if not isinstance(m.value, str)}
    ran = {c.probe for c in coverage if c.status is Status.MEASURED}
    for limit in policy.threshold:
        probe = limit.measurement.split(".", 1)[0]
        if limit.measurement not in known and (behaviour or probe in ran):
            yield Reason(outcome=Outcome.INCOMPLETE, text=f"the policy sets a limit on {limit.measurement}, and it was not measured", probe=probe)


def _broken(limit: Limit, measured: Measurement, value: float) -> str:
    if limit.at_most is not None:
        end, side, wanted = measured.high, "upper", f"at most {limit.at_most:g}"
        kept = (value if end is None else end) <= limit.at_most
    else:
        assert limit.at_least is not None
        end, side, wanted = measured.low, "lower", f"at least {limit.at_least:g}"
        kept = (value if end is None else end) >= limit.at_least
    if kept:
        return ""
    unit = f" {measured.unit}" if measured.unit else ""
    interval = f"; the {side} end of its interval is {end:.4g}" if end is not None else ""
    return f"{measured.title} [{measured.id}] is {value:.4g}{unit}, the policy wants {wanted}{interval}"
