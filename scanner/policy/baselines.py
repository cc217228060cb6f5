"""Baselines: an accepted result, and whether another one is worse."""

from __future__ import annotations

import hashlib

import msgspec

from scanner import result as results
from scanner.comparison import compare
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.policy.policy import Policy
from scanner.policy.rules import WORSE
from scanner.result import Result

PROBE = "policy"
"""What coverage of a baseline is recorded under."""


class Accepted(msgspec.Struct, frozen=True):
    """A result that somebody accepted."""

    name: str
    """Its path as the policy gives it."""
    sha256: str
    result: Result


class Compared(msgspec.Struct, frozen=True):
    """What came of comparing a result with one baseline."""

    coverage: Coverage
    findings: tuple[Finding, ...] = ()


def accepted(policy: Policy) -> tuple[Accepted, ...]:
    """The policy's baselines, read. Raises ScanError when one is not a result."""
    found = []
    for baseline in policy.baseline:
        path = policy.folder / baseline.result
        read = results.load(path)
        found.append(Accepted(printable(baseline.result, 200), hashlib.sha256(path.read_bytes()).hexdigest(), read))
    return tuple(found)


def worse(baseline: Accepted, result: Result) -> Compared:
    """A finding where `result` is worse than `baseline`; not measured where the two cannot be compared."""
    comparison = compare(baseline.result, result)
    what = f"no worse than {baseline.name}"
    if not comparison.comparable:
        why = "adapter and deployment are both others, so a difference says nothing"
        return Compared(Coverage(probe=PROBE, what=what, status=Status.NOT_MEASURED, why=why))
    coverage = Coverage(
        probe=PROBE,
        what=what,
        status=Status.MEASURED,
        surface=f"{comparison.kind}: {len(comparison.shifts)} measurements and every finding, against SHA-256 {baseline.sha256[:16]}…",
        bound="; ".join(f"the two scans differ in {c}" for c in comparison.cautions[:3]),
    )
    if not comparison.worse:
        return Compared(coverage)
    more = f" (and {len(comparison.worse) - 1} more)" if len(comparison.worse) > 1 else ""
    finding = Finding(
        rule=WORSE.id,
        message=printable(f"against {baseline.name}: {comparison.worse[0]}{more}"),
        severity=WORSE.severity,
        details=tuple(printable(line, 300) for line in comparison.worse[:20]),
    )
    return Compared(coverage, findings=(finding,))
