"""A machine-learning bill of materials in CycloneDX JSON: adapter, base, files, licences, what was measured and what was found.

Findings about files or behaviour are vulnerabilities of the adapter; statistics and gaps in the documentation are properties.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from typing import Any

from reports.encoding import encode
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Measurement, Status
from scanner.result import Result, dumps
from scanner.rule import Basis
from scanner.verdict import Outcome

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:unmask:result")
ADAPTER, BASE = "adapter", "base"
LONGEST = 1000
MOST = 2000
"""Findings and files of each kind."""


class BomReport:
    """CycloneDX 1.6, which most tools read."""

    id = "bom"
    filename = "bom.cdx.json"
    version = "1.6"

    def render(self, result: Result) -> bytes:
        """The bill; its serial number is derived from the result, so equal results give equal bills."""
        base = result.scope.base
        document: dict[str, Any] = {
            "$schema": f"http://cyclonedx.org/schema/bom-{self.version}.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": self.version,
            "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, dumps(result).decode())}",
            "version": 1,
            "metadata": {"tools": {"components": [_tool(result)]}, "component": _adapter(result)},
            "components": [_base(result)] if base else [],
            "dependencies": [{"ref": ADAPTER, **({"dependsOn": [BASE]} if base else {})}, *([{"ref": BASE}] if base else [])],
            "vulnerabilities": [_vulnerability(result, i, f) for i, f in enumerate(result.findings[:MOST]) if _is_weakness(result, f)],
        }
        return encode(document)


class Bom17Report(BomReport):
    """CycloneDX 1.7."""

    id = "bom-1.7"
    filename = "bom-1.7.cdx.json"
    version = "1.7"


def _tool(result: Result) -> dict[str, Any]:
    name, _, version = result.tool.partition(" ")
    return {"type": "application", "name": printable(name, 60), "version": printable(version, 60)}


def _adapter(result: Result) -> dict[str, Any]:
    adapter, base = result.scope.adapter, result.scope.base
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": ADAPTER,
        "name": printable(adapter.name, 200) or "adapter",
        "version": adapter.sha256[:16],
        "description": f"{printable(adapter.method, 60)} adapter, rank {adapter.rank}, {adapter.modules} modules, {adapter.parameters:,} parameters",
    }
    if adapter.licence:
        component["licenses"] = [_licence(adapter.licence)]
    if base:
        component["pedigree"] = {"ancestors": [_base(result) | {"bom-ref": "ancestor"}], "notes": "The adapter was measured on this base."}
    if any(f.path == "README.md" and f.sha256 for f in result.files):
        card = next(f for f in result.files if f.path == "README.md")
        component["externalReferences"] = [{"type": "model-card", "url": "README.md", "hashes": [{"alg": "SHA-256", "content": card.sha256}]}]
    component["components"] = [_file(f.path, f.bytes, f.sha256, f.kind) for f in result.files[:MOST]]
    component["modelCard"] = _model_card(result)
    component["properties"] = _properties(result)
    return component


def _licence(declared: str) -> dict[str, Any]:
    """The declared licence: an SPDX id or expression where it is one, and its name otherwise."""
    from license_expression import ExpressionError, get_spdx_licensing

    licensing = get_spdx_licensing()
    try:
        found = licensing.parse(declared, validate=True) if len(declared) <= 200 else None
    except (ExpressionError, ValueError, TypeError):
        found = None
    if found is None:
        return {"license": {"name": printable(declared, 200), "acknowledgement": "declared"}}
    if getattr(found, "key", "") and not str(found.key).startswith("LicenseRef"):
        return {"license": {"id": found.key, "acknowledgement": "declared"}}
    return {"expression": str(found), "acknowledgement": "declared"}


def _base(result: Result) -> dict[str, Any]:
    base = result.scope.base
    assert base is not None
    return {
        "type": "machine-learning-model",
        "bom-ref": BASE,
        "name": printable(base.name, 200) or "base",
        "version": base.sha256[:16],
        "properties": _named({"sha256": base.sha256, "architecture": base.architecture, "parameters": str(base.parameters)}),
    }


def _file(path: str, size: int, sha256: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "name": printable(path, 400), "properties": _named({"bytes": str(size), "kind": kind})}
    if sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    return found


def _named(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": f"unmask:{name}", "value": printable(value, LONGEST)} for name, value in values.items()]


def _model_card(result: Result) -> dict[str, Any]:
    base = result.scope.base
    parameters: dict[str, Any] = {"modelArchitecture": printable(f"{result.scope.adapter.method} adapter", 100)}
    if base:
        parameters["architectureFamily"] = printable(base.architecture, 100)
    if result.scope.adapter.datasets:
        parameters["datasets"] = [{"type": "dataset", "name": printable(name, 200)} for name in result.scope.adapter.datasets]
    gaps = [f"not measured: {c.what}: {c.why}" for c in result.coverage if c.status is not Status.MEASURED]
    bounds = [f"{c.what}: {c.bound}" for c in result.coverage if c.status is Status.MEASURED and c.bound]
    card: dict[str, Any] = {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": [_metric(m) for m in result.measurements]},
        "considerations": {"technicalLimitations": [printable(text, LONGEST) for text in (*gaps, *bounds)]},
    }
    return card


def _metric(measured: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": printable(f"{measured.id}: {measured.title}" + (f" ({measured.unit})" if measured.unit else ""), 300),
        "value": printable(measured.value, 200),
    }
    if measured.n is not None:
        found["slice"] = f"{measured.n} items"
    if measured.low is not None and measured.high is not None:
        found["confidenceInterval"] = {"lowerBound": repr(measured.low), "upperBound": repr(measured.high)}
    return found


def _properties(result: Result) -> list[dict[str, str]]:
    adapter, verdict = result.scope.adapter, result.verdict
    found = _named(
        {
            "verdict": verdict.outcome,
            "headline": verdict.headline,
            "policy": verdict.policy,
            "policy:sha256": verdict.policy_sha256,
            "profile": result.profile,
            "scope:sha256": result.scope.sha256,
            "adapter:sha256": adapter.sha256,
            "adapter:declared-base": adapter.declared_base,
        }
    )
    rest = [f for f in result.findings[:MOST] if not _is_weakness(result, f)]
    return found + [{"name": f"unmask:finding:{f.rule}", "value": printable(f"{f.severity}: {f.message}", LONGEST)} for f in rest]


def _is_weakness(result: Result, finding: Finding) -> bool:
    return result.rule(finding.rule).basis in (Basis.INTEGRITY, Basis.BEHAVIOUR)


def _vulnerability(result: Result, index: int, finding: Finding) -> dict[str, Any]:
    rule = result.rule(finding.rule)
    outcome = next((r.outcome for r in result.verdict.reasons if r.finding == index), Outcome.PASS)
    where = " ".join(filter(None, (finding.location.file, finding.location.item)))
    state = "exploitable" if outcome is Outcome.BLOCK else "in_triage"
    analysis: dict[str, Any] = {"state": state, "detail": f"the policy says: {outcome}"}
    if finding.waiver:
        waiver = finding.waiver
        analysis = {
            "state": "exploitable",
            "response": ["will_not_fix"],
            "detail": printable(f"accepted by {waiver.owner} until {waiver.expires}: {waiver.reason}", LONGEST),
        }
    cwes = [int(r.id.removeprefix("CWE-")) for r in rule.references if r.catalogue == "CWE" and r.id.removeprefix("CWE-").isdigit()]
    return {
        "bom-ref": f"finding-{index}",
        "id": rule.id,
        "source": {"name": "unmask"},
        "ratings": [{"source": {"name": "unmask"}, "severity": finding.severity, "method": "other"}],
        **({"cwes": cwes} if cwes else {}),
        "description": printable(f"{rule.title}: {finding.message}", LONGEST),
        "detail": printable(f"{rule.meaning} {rule.why}", LONGEST),
        "recommendation": printable(rule.fix, LONGEST),
        "analysis": analysis,
        "affects": [{"ref": ADAPTER}],
        "properties": _named({"basis": rule.basis} | ({"where": where} if where else {})),
    }
