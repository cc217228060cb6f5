"""Waivers: which findings are accepted, by whom, until when."""

from __future__ import annotations

import datetime

import msgspec

from scanner import finding as findings
from scanner.finding import Finding
from scanner.policy.policy import Policy, Waiver


def waive(policy: Policy, finding: Finding, adapter_sha256: str, today: datetime.date) -> tuple[Finding, Waiver | None]:
    """`finding`, waived where a waiver holds on `today`; and else the waiver for it that expired last, if there is one."""
    meant = [w for w in policy.waiver if w.rule == finding.rule and w.adapter == adapter_sha256 and w.path in ("", finding.location.file)]
    latest = max(meant, key=lambda w: w.expires, default=None)
    if latest is None or latest.expires < today:
        return finding, latest
    accepted = findings.Waiver(reason=latest.reason, owner=latest.owner, expires=latest.expires.isoformat())
    return msgspec.structs.replace(finding, waiver=accepted), None
