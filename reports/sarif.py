"""SARIF 2.1.0 (OASIS), as GitHub code scanning and other viewers read it.

Every finding is a result. What was not measured is a notification of the invocation, whose exit code is the verdict's. Paths are
relative to the source root where the scan was given a relative path, and to the adapter's folder otherwise.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from reports.encoding import encode
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.result import Result
from scanner.rule import Basis, Rule, Severity
from scanner.verdict import Outcome

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LONGEST = 900
"""Characters of a text before escapes; GitHub cuts at 1024."""
MOST_RESULTS = 5000
"""Results GitHub keeps of a run; findings are sorted, so the worst are among them."""
ROOT = "%SRCROOT%"
FOLDER = "ADAPTER"
WEIGHTS = "adapter_model.safetensors"

_LEVEL = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.INFO: "note"}
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}
"""`security-severity` as GitHub cuts it: over 9.0 critical, 7.0 high, 4.0 medium, 0.1 low."""
_PRECISION = {Basis.INTEGRITY: "very-high", Basis.BEHAVIOUR: "high", Basis.STATISTIC: "medium", Basis.DOCUMENTATION: "medium"}
_EXIT = {0: "the policy lets the adapter pass", 1: "the policy fails the adapter", 2: "the scan is incomplete: no verdict could be reached"}


class SarifReport:
    """One run with every finding."""

    id = "sarif"
    filename = "unmask.sarif"

    def render(self, result: Result) -> bytes:
        """The log. It holds no prompts and no answers: those are in result.json."""
        name, _, version = result.tool.partition(" ")
        catalogues = sorted({r.catalogue for rule in result.rules for r in rule.references})
        code = result.verdict.exit_code()
        run = {
            "tool": {
                "driver": {
                    "name": printable(name, 60),
                    "version": printable(version, 60) or "unknown",
                    "rules": [_rule(r, result.findings, catalogues) for r in result.rules],
                    "supportedTaxonomies": [{"name": printable(c, 100), "index": i} for i, c in enumerate(catalogues)],
                }
            },
            "taxonomies": [_taxonomy(c, result.rules) for c in catalogues],
            "automationDetails": {"id": f"unmask/{quote(printable(result.scope.adapter.name, 100), safe='')}/"},
            "invocations": [
                {
                    "executionSuccessful": result.verdict.outcome is not Outcome.INCOMPLETE,
                    "exitCode": code,
                    "exitCodeDescription": _EXIT[code],
                    "toolExecutionNotifications": [_gap(c) for c in result.coverage if c.status is not Status.MEASURED],
                }
            ],
            "originalUriBaseIds": _bases(result),
            "artifacts": _artifacts(result),
            "results": _results(result),
            "columnKind": "unicodeCodePoints",
            "properties": _scope(result),
        }
        return encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _text(text: str, longest: int = LONGEST) -> str:
    """A plain text message; brackets are escaped where they would make a link (section 3.11.6)."""
    shown = printable(text, longest - 1) or "-"
    return re.sub(r"([\[\]])", r"\\\1", shown) if "](" in shown else shown


def _paragraph(text: str) -> str:
    """Text in Markdown; nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>#|!@~])", r"\\\1", printable(text, 2 * LONGEST))


def _rule(rule: Rule, findings: Sequence[Finding], catalogues: Sequence[str]) -> dict[str, Any]:
    worst = max((f.severity for f in findings if f.rule == rule.id), key=lambda s: s.level, default=rule.severity)
    cwe = [f"external/cwe/{r.id.lower()}" for r in rule.references if r.catalogue == "CWE"]
    references = "".join(f"\n- {_paragraph(f'{r.catalogue} {r.id}: {r.title}')}" for r in rule.references)
    properties: dict[str, Any] = {"tags": ["security", str(rule.basis), *cwe][:10], "precision": _PRECISION[rule.basis], "problem.severity": _PROBLEM[worst]}
    if worst in _SCORE:
        properties["security-severity"] = _SCORE[worst]
    return {
        "id": rule.id,
        "name": "".join(w.capitalize() for w in rule.id.split("-")),
        "shortDescription": {"text": _text(rule.title)},
        "fullDescription": {"text": _text(rule.meaning)},
        "help": {
            "text": _text(f"{rule.meaning} Why it matters: {rule.why} What to do: {rule.fix}"),
            "markdown": f"{_paragraph(rule.meaning)}\n\n**Why it matters.** {_paragraph(rule.why)}\n\n**What to do.** {_paragraph(rule.fix)}\n{references}",
        },
        "defaultConfiguration": {"level": _LEVEL[worst]},
        "relationships": [
            {"target": {"id": r.id, "toolComponent": {"name": printable(r.catalogue, 100), "index": catalogues.index(r.catalogue)}}, "kinds": ["relevant"]}
            for r in rule.references
        ],
        "properties": properties,
    }


_PROBLEM = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "recommendation", Severity.INFO: "recommendation"}


def _taxonomy(catalogue: str, rules: Sequence[Rule]) -> dict[str, Any]:
    entries = {r.id: r for rule in rules for r in rule.references if r.catalogue == catalogue}
    taxa = [{"id": name, "shortDescription": {"text": _text(entries[name].title)}} for name in sorted(entries)]
    return {"name": printable(catalogue, 100), "shortDescription": {"text": printable(catalogue, 100)}, "taxa": taxa}


def _gap(part: Coverage) -> dict[str, Any]:
    level = "error" if part.status is Status.FAILED else "warning"
    return {"level": level, "message": {"text": _text(f"{part.status}: {part.probe}, {part.what}: {part.why}")}, "descriptor": {"id": part.probe}}


def _prefix(result: Result) -> PurePosixPath | None:
    """The adapter's folder below the source root, or None when the scan was given another kind of path."""
    path = PurePosixPath(result.scope.adapter.path)
    return None if path.is_absolute() or ".." in path.parts else path


def _bases(result: Result) -> dict[str, Any]:
    if _prefix(result) is not None:
        return {ROOT: {"description": {"text": "The folder the scan was started in."}}}
    return {FOLDER: {"description": {"text": "The adapter's folder."}}}


def _place(result: Result, file: str) -> dict[str, Any]:
    prefix = _prefix(result)
    whole = file if prefix is None else (prefix / file).as_posix()
    return {"uri": quote(whole), "uriBaseId": FOLDER if prefix is None else ROOT}


def _artifacts(result: Result) -> list[dict[str, Any]]:
    return [
        {"location": _place(result, f.path), "length": f.bytes, **({"hashes": {"sha-256": f.sha256}} if f.sha256 else {}), "properties": {"kind": f.kind}}
        for f in result.files
    ]


def _results(result: Result) -> list[dict[str, Any]]:
    order = {r.id: i for i, r in enumerate(result.rules)}
    known = {f.path: i for i, f in enumerate(result.files)}
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    usual = next((n for n in (WEIGHTS, "adapter_config.json") if n in known), next(iter(known), WEIGHTS))
    seen: Counter[str] = Counter()
    found = []
    for index, finding in enumerate(result.findings[:MOST_RESULTS]):
        file, item = finding.location.file or usual, finding.location.item
        place = _place(result, file) | ({"index": known[file]} if file in known else {})
        location: dict[str, Any] = {"physicalLocation": {"artifactLocation": place, "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2}}}
        if item:
            location["logicalLocations"] = [{"fullyQualifiedName": printable(item, 240), "kind": "member"}]
        key = hashlib.sha256(f"{finding.rule}\0{finding.location.file}\0{item}".encode("utf-8", "backslashreplace")).hexdigest()[:16]
        seen[key] += 1
        entry: dict[str, Any] = {
            "ruleId": finding.rule,
            "ruleIndex": order[finding.rule],
            "level": _LEVEL[finding.severity],
            "message": {"text": _text(f"{result.rule(finding.rule).title}: {finding.message}")},
            "locations": [location],
            "partialFingerprints": {"primaryLocationLineHash": f"{key}:{seen[key]}"},
            "properties": _properties(finding, outcomes.get(index, Outcome.PASS), index),
        }
        if finding.waiver:
            reason = f"{finding.waiver.reason} ({finding.waiver.owner}, until {finding.waiver.expires})"
            entry["suppressions"] = [{"kind": "external", "status": "accepted", "justification": _text(reason)}]
        found.append(entry)
    return found


def _properties(finding: Finding, outcome: Outcome, index: int) -> dict[str, Any]:
    found: dict[str, Any] = {"index": index, "severity": finding.severity, "outcome": outcome}
    if finding.details:
        found["details"] = [printable(d, 240) for d in finding.details[:40]]
    if finding.witness:
        test = finding.witness.test
        found["witness"] = {
            "claim": printable(finding.witness.claim, LONGEST),
            "pairs": test.n,
            "before": test.before,
            "after": test.after,
            "change": test.change,
            "interval": [test.low, test.high],
            "pValue": test.p_value,
            "trigger": printable(finding.witness.trigger, LONGEST),
            "placement": printable(finding.witness.placement, 20),
        }
    return found


def _scope(result: Result) -> dict[str, Any]:
    base = result.scope.base
    return {
        "outcome": result.verdict.outcome,
        "headline": printable(result.verdict.headline, LONGEST),
        "scopeSha256": result.scope.sha256,
        "adapterSha256": result.scope.adapter.sha256,
        "base": printable(base.name, 200) if base else None,
        "baseSha256": base.sha256 if base else None,
        "profile": printable(result.profile, 60),
        "policy": printable(result.verdict.policy, 200),
        "policySha256": result.verdict.policy_sha256,
        "findingsLeftOut": max(0, len(result.findings) - MOST_RESULTS),
    }
