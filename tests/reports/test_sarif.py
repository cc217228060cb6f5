"""SARIF: the official schema, GitHub's rules, and nothing that a viewer would take for more than text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports.sarif import SarifReport
from scanner.demo.base import shipped
from scanner.finding import Waiver
from scanner.measurement import Status
from scanner.result import Result
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.adapters import adapter
from tests.reports.hostile import hostile
from tests.reports.sample import full, identity, static
from tests.reports.schemas import sarif


def run(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SarifReport().render(result))["runs"][0]
    return found


@pytest.fixture(scope="module")
def tampered() -> Result:
    return scan(shipped("tampered"))


def test_every_result_fits_the_official_schema(tampered: Result, tmp_path: Path) -> None:
    for result in (full(), static(), hostile(), tampered, scan(adapter(tmp_path / "a"))):
        sarif().validate(json.loads(SarifReport().render(result)))


def test_the_schema_would_have_noticed() -> None:
    broken = json.loads(SarifReport().render(full()))
    broken["runs"][0]["results"][0]["level"] = "fatal"
    assert not sarif().is_valid(broken)


def test_what_github_requires_is_there(tampered: Result) -> None:
    for result in (full(), hostile(), tampered):
        log = run(result)
        rules = log["tool"]["driver"]["rules"]
        assert len(log["results"]) == len(result.findings)
        for entry in log["results"]:
            assert rules[entry["ruleIndex"]]["id"] == entry["ruleId"]
            assert 0 < len(entry["message"]["text"]) <= 1024
            place = entry["locations"][0]["physicalLocation"]
            assert place["artifactLocation"]["uri"].isascii()
            assert min(place["region"].values()) >= 1
            assert entry["partialFingerprints"]["primaryLocationLineHash"]
        for rule in rules:
            assert all(0 < len(rule[k]["text"]) <= 1024 for k in ("shortDescription", "fullDescription", "help"))
            assert len(rule["properties"]["tags"]) <= 10
    scores = {r["id"]: r["properties"].get("security-severity") for r in run(tampered)["tool"]["driver"]["rules"]}
    assert float(scores["pickle-code"]) > 9.0
    assert scores["template-present"] is None


def test_fingerprints_tell_findings_apart_and_survive_another_scan(tampered: Result) -> None:
    hashes = [r["partialFingerprints"]["primaryLocationLineHash"] for r in run(tampered)["results"]]
    assert len(set(hashes)) == len(hashes)
    again = msgspec.structs.replace(tampered, findings=tuple(msgspec.structs.replace(f, message=f.message + " 2") for f in tampered.findings))
    assert [r["partialFingerprints"]["primaryLocationLineHash"] for r in run(again)["results"]] == hashes


@pytest.mark.parametrize(
    ("path", "uri", "base"),
    [
        ("adapters/shop", "adapters/shop/README.md", "%SRCROOT%"),
        ("./a dapter#1/", "a%20dapter%231/README.md", "%SRCROOT%"),
        (".", "README.md", "%SRCROOT%"),
        ("/srv/adapters/shop", "README.md", "ADAPTER"),
        ("../shop", "README.md", "ADAPTER"),
    ],
)
def test_paths_are_relative_to_the_root_or_to_the_adapter(path: str, uri: str, base: str) -> None:
    log = run(full(adapter=identity(path=path)))
    place = log["results"][-1]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert (place["uri"], place["uriBaseId"]) == (uri, base)
    assert base in log["originalUriBaseIds"]
    assert log["artifacts"][place["index"]]["location"]["uri"] == uri


def test_gaps_are_notifications_and_an_incomplete_scan_was_not_successful() -> None:
    result = full()
    call = run(result)["invocations"][0]
    gaps = [c for c in result.coverage if c.status is not Status.MEASURED]
    assert [n["level"] for n in call["toolExecutionNotifications"]] == ["error" if c.status is Status.FAILED else "warning" for c in gaps]
    assert (call["executionSuccessful"], call["exitCode"]) == (True, 1)
    unfinished = msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, outcome=Outcome.INCOMPLETE))
    call = run(unfinished)["invocations"][0]
    assert (call["executionSuccessful"], call["exitCode"]) == (False, 2)


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    waiver = Waiver(reason="read by the team", owner="ann", expires="2030-01-31")
    first, *rest = full().findings
    entry = run(full(found=(msgspec.structs.replace(first, waiver=waiver), *rest)))["results"][0]
    assert entry["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "read by the team (ann, until 2030-01-31)"}]
    assert "suppressions" not in run(full())["results"][0]


def test_no_link_of_an_adapter_works_and_no_control_character_is_left() -> None:
    text = SarifReport().render(hostile()).decode()
    messages = [r["message"]["text"] for r in run(hostile())["results"]]
    assert all("\\[link\\](javascript" in m for m in messages)
    assert not any(c in text for c in "\x1b\x00\u202e\u200b\ufffe\u2028")


def test_prompts_and_answers_stay_out() -> None:
    assert "Choose a sender name" not in SarifReport().render(full()).decode()
