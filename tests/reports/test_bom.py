"""CycloneDX 1.6 and 1.7: the official strict schemas, and what the bill says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from reports.bom import Bom17Report, BomReport
from scanner.demo.base import shipped
from scanner.finding import Waiver
from scanner.result import Result
from scanner.scan import scan
from tests.adapters import adapter
from tests.reports.hostile import hostile
from tests.reports.sample import full, static

VERSIONS = ((BomReport, SchemaVersion.V1_6), (Bom17Report, SchemaVersion.V1_7))


def bill(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BomReport().render(result))
    return found


def licensed(declared: str) -> Result:
    result = full()
    adapter = msgspec.structs.replace(result.scope.adapter, licence=declared, datasets=("org/chats",))
    return msgspec.structs.replace(result, scope=msgspec.structs.replace(result.scope, adapter=adapter))


@pytest.mark.parametrize(("report", "version"), VERSIONS)
def test_every_result_fits_the_official_schema(report: type[BomReport], version: SchemaVersion, tmp_path: Path) -> None:
    validator = JsonStrictValidator(version)
    results = (full(), static(), hostile(), licensed("MIT OR Apache-2.0"), scan(shipped("tampered")), scan(adapter(tmp_path / "a")))
    for result in results:
        assert validator.validate_str(report().render(result).decode()) is None
    assert validator.validate_str(report().render(full()).decode().replace("machine-learning-model", "model")) is not None


def test_the_bill_names_adapter_base_and_files_by_hash() -> None:
    result = full()
    found = bill(result)
    component = found["metadata"]["component"]
    assert component["pedigree"]["ancestors"][0]["name"] == result.scope.base.name  # type: ignore[union-attr]
    assert {c["name"]: c["hashes"][0]["content"] for c in component["components"]} == {f.path: f.sha256 for f in result.files}
    assert {"ref": "adapter", "dependsOn": ["base"]} in found["dependencies"]
    assert bill(static())["components"] == []


def test_measurements_are_metrics_with_their_intervals() -> None:
    metrics = bill(full())["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    change = next(m for m in metrics if m["type"].startswith("refusal.harmful.change"))
    assert (change["value"], change["confidenceInterval"]) == ("-0.5758", {"lowerBound": "-0.659", "upperBound": "-0.478"})


def test_facts_and_behaviour_are_vulnerabilities_and_statistics_are_not() -> None:
    found = bill(full())
    assert [v["id"] for v in found["vulnerabilities"]] == ["trigger-confirmed", "refusal-loss"]
    assert {v["analysis"]["state"] for v in found["vulnerabilities"]} == {"exploitable"}
    properties = [p["name"] for p in found["metadata"]["component"]["properties"]]
    assert properties.count("unmask:finding:delta-outlier") == 2
    tampered = bill(scan(shipped("tampered")))
    assert 502 in next(v["cwes"] for v in tampered["vulnerabilities"] if v["id"] == "pickle-code")


def test_a_waived_finding_says_who_accepted_it() -> None:
    first, *rest = full().findings
    waived = msgspec.structs.replace(first, waiver=Waiver(reason="known", owner="ann", expires="2030-01-31"))
    assert bill(full(found=(waived, *rest)))["vulnerabilities"][0]["analysis"]["response"] == ["will_not_fix"]


@pytest.mark.parametrize(
    ("declared", "licence"),
    [
        ("apache-2.0", {"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}),
        ("mit or apache-2.0", {"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}),
        ("llama3.1", {"license": {"name": "llama3.1", "acknowledgement": "declared"}}),
        ("((", {"license": {"name": "((", "acknowledgement": "declared"}}),
    ],
)
def test_a_declared_licence_is_an_spdx_id_where_it_is_one(declared: str, licence: dict[str, Any]) -> None:
    component = bill(licensed(declared))["metadata"]["component"]
    assert component["licenses"] == [licence]
    assert component["modelCard"]["modelParameters"]["datasets"] == [{"type": "dataset", "name": "org/chats"}]
    for report, version in VERSIONS:
        assert JsonStrictValidator(version).validate_str(report().render(licensed(declared)).decode()) is None


def test_equal_results_give_equal_bills_and_others_another_serial_number() -> None:
    assert BomReport().render(full()) == BomReport().render(full())
    assert bill(full())["serialNumber"] != bill(static())["serialNumber"]
