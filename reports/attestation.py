"""An in-toto statement: which files were tested, against what, and how it came out. Signed by `--sign`.

Predicate https://in-toto.io/attestation/test-result/v0.1; it has no time of its own, so equal results give equal statements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from reports.encoding import encode
from scanner.attested import PREDICATE, SCAN, STATEMENT
from scanner.files.text import printable
from scanner.measurement import Status
from scanner.result import Result, dumps
from scanner.verdict import Outcome

_RESULT = {Outcome.PASS: "PASSED", Outcome.REVIEW: "WARNED", Outcome.BLOCK: "FAILED", Outcome.INCOMPLETE: "FAILED"}
"""The predicate knows no fourth value: a scan that could not be finished has not passed."""


class AttestationReport:
    """The statement, unsigned."""

    id = "attestation"
    filename = "attestation.intoto.json"

    def render(self, result: Result) -> bytes:
        """Its subjects are the adapter's files by SHA-256; links, which were not followed, are left out."""
        verdict, base = result.verdict, result.scope.base
        raised: Mapping[str, Outcome] = _worst(result)
        gaps = {c.probe for c in result.coverage if c.status is not Status.MEASURED}
        measured = [c.probe for c in result.coverage if c.probe not in gaps]
        configuration = [
            {"name": printable(f"policy {verdict.policy}", 200), "digest": {"sha256": verdict.policy_sha256}},
            {"name": "result.json", "digest": {"sha256": hashlib.sha256(dumps(result)).hexdigest()}, "mediaType": "application/json"},
        ]
        if base:
            configuration.append({"name": printable(f"base {base.name}", 200), "digest": {"sha256": base.sha256}})
        predicate = {
            "result": _RESULT[verdict.outcome],
            "configuration": configuration,
            "passedTests": sorted({f"probe:{p}" for p in measured} | {f"rule:{r}" for r, o in raised.items() if o is Outcome.PASS}),
            "warnedTests": sorted({f"probe:{p}" for p in gaps if p not in _needed(result)} | {f"rule:{r}" for r, o in raised.items() if o is Outcome.REVIEW}),
            "failedTests": sorted({f"probe:{p}" for p in _needed(result)} | {f"rule:{r}" for r, o in raised.items() if o is Outcome.BLOCK}),
            SCAN: {
                "tool": printable(result.tool, 100),
                "profile": printable(result.profile, 60),
                "outcome": verdict.outcome,
                "headline": printable(verdict.headline, 400),
                "scopeSha256": result.scope.sha256,
                "adapter": {"name": printable(result.scope.adapter.name, 200), "sha256": result.scope.adapter.sha256},
                "base": {"name": printable(base.name, 200), "sha256": base.sha256} if base else None,
            },
        }
        subject: list[dict[str, Any]] = [{"name": f.path, "digest": {"sha256": f.sha256}} for f in result.files if f.sha256]
        return encode({"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": predicate})


def _needed(result: Result) -> set[str]:
    return {r.probe for r in result.verdict.reasons if r.probe}


def _worst(result: Result) -> dict[str, Outcome]:
    order = (Outcome.PASS, Outcome.REVIEW, Outcome.BLOCK)
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    worst: dict[str, Outcome] = {}
    for index, finding in enumerate(result.findings):
        worst[finding.rule] = max(worst.get(finding.rule, Outcome.PASS), outcomes.get(index, Outcome.PASS), key=order.index)
    return worst
