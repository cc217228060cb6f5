"""The policy: from findings and coverage to a verdict.

`decide` keeps one promise whatever the policy says: only a fact about the files, or a behavioural finding with a witness, can block.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.rule import Basis, Rule, Severity
from scanner.verdict import Outcome, Reason, Verdict

Action = Literal["block", "review", "pass"]


class Require(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Probes that must have measured."""

    files: tuple[str, ...]
    behaviour: tuple[str, ...]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a behavioural difference is a finding."""

    refusal_points: float
    refusal_p: float
    trigger_share: float
    trigger_p: float


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file as read."""

    name: str
    outcome: dict[Severity, Action]
    require: Require
    thresholds: Thresholds
    severity: dict[str, Severity]
    sha256: str = ""

    @classmethod
    def open(cls, path: Path | str | None = None) -> Policy:
        """Read a policy file, or the shipped default. Raises ScanError with one line when it is not valid."""
        file = Path(path) if path is not None else Path(str(files("scanner") / "default_policy.toml"))
        where = f"policy {printable(file.name)}"
        try:
            data = file.read_bytes()
            policy = msgspec.convert(tomllib.loads(data.decode()), cls)
        except OSError as error:
            raise ScanError(f"{where}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as error:
            raise ScanError(f"{where}: {printable(error)}") from None
        missing = [s for s in Severity if s not in policy.outcome]
        if missing:
            raise ScanError(f"{where}: [outcome] says nothing of {', '.join(missing)}")
        return msgspec.structs.replace(policy, sha256=hashlib.sha256(data).hexdigest())

    def check_rules(self, known: Mapping[str, Rule]) -> None:
        """Raise ScanError when [severity] names a rule that no installed probe declares."""
        for rule in self.severity:
            if rule not in known:
                raise ScanError(f"policy {printable(self.name)}: [severity] names {printable(rule, 60)}, which no installed probe declares")


_ORDER = (Outcome.PASS, Outcome.REVIEW, Outcome.INCOMPLETE, Outcome.BLOCK)


def decide(policy: Policy, findings: Sequence[Finding], coverage: Sequence[Coverage], rules: Mapping[str, Rule], behaviour: bool) -> Verdict:
    """The verdict over `findings` and `coverage`; `behaviour` tells whether the scan had a base."""
    reasons = []
    for index, finding in enumerate(findings):
        outcome = Outcome(policy.outcome[finding.severity])
        if outcome is Outcome.BLOCK and not _may_block(finding, rules[finding.rule]):
            outcome = Outcome.REVIEW
        if outcome is not Outcome.PASS:
            reasons.append(Reason(outcome=outcome, text=f"{rules[finding.rule].title}: {finding.message}", finding=index))
    blocked = any(r.outcome is Outcome.BLOCK for r in reasons)
    required = [*policy.require.files, *(policy.require.behaviour if behaviour else ())]
    for probe in required:
        parts = [c for c in coverage if c.probe == probe]
        gaps = [c for c in parts if c.status is not Status.MEASURED]
        if not parts or gaps:
            why = f"{gaps[0].what}: {gaps[0].why}" if gaps else "no such probe ran"
            if not blocked:
                reasons.append(Reason(outcome=Outcome.INCOMPLETE, text=f"{probe} could not be measured. {why}", probe=probe))
    outcome = max((r.outcome for r in reasons), key=_ORDER.index, default=Outcome.PASS)
    reasons.sort(key=lambda r: -_ORDER.index(r.outcome))
    return Verdict(outcome=outcome, headline=_headline(outcome, reasons, behaviour), reasons=tuple(reasons), policy=policy.name, policy_sha256=policy.sha256)


def _may_block(finding: Finding, rule: Rule) -> bool:
    return rule.basis is Basis.INTEGRITY or (rule.basis is Basis.BEHAVIOUR and finding.witness is not None)


def _headline(outcome: Outcome, reasons: list[Reason], behaviour: bool) -> str:
    if outcome is Outcome.PASS:
        return "Nothing found in files, weights and behaviour." if behaviour else "Nothing found in the files. Behaviour was not measured: no base was given."
    first = reasons[0].text
    more = sum(r.outcome is outcome for r in reasons) - 1
    return first if not more else f"{first} (and {more} more)"
