"""JUnit XML: Jenkins' schema, and what a pipeline sees of each outcome."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from reports.junit import JunitReport
from scanner.demo.base import shipped
from scanner.finding import Waiver
from scanner.measurement import Coverage, Status
from scanner.result import Result
from scanner.scan import scan
from scanner.verdict import Outcome, Reason
from tests.adapters import documented
from tests.reports.hostile import hostile
from tests.reports.sample import full, static
from tests.reports.schemas import junit


def suites(result: Result) -> dict[str, ET.Element]:
    return {s.attrib["name"]: s for s in ET.fromstring(JunitReport().render(result))}


def under(result: Result, outcome: Outcome) -> Result:
    return msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, outcome=outcome))


def test_every_result_fits_jenkins_schema(tmp_path: Path) -> None:
    for result in (full(), static(), hostile(), scan(shipped("tampered")), scan(documented(tmp_path / "a"))):
        junit().validate(JunitReport().render(result).decode())
    assert not junit().is_valid("<testsuites><testcase/></testsuites>")


@pytest.mark.parametrize(("outcome", "element"), [("pass", None), ("review", "skipped"), ("block", "failure"), ("incomplete", "error")])
def test_the_verdict_is_a_case_that_fails_as_the_policy_says(outcome: str, element: str | None) -> None:
    (case,) = suites(under(full(), Outcome(outcome)))["unmask.verdict"].findall("testcase")
    assert [child.tag for child in case if child.tag != "system-out"] == ([element] if element else [])


def test_rules_fail_by_what_they_led_to_and_not_by_severity() -> None:
    cases = {c.attrib["name"]: c for c in suites(full())["unmask.rules"].findall("testcase")}
    assert {n: [e.tag for e in c] for n, c in cases.items()} == {
        "trigger-confirmed": ["failure"],
        "refusal-loss": ["failure"],
        "delta-outlier": ["system-out"],
        "card-incomplete": ["skipped"],
    }
    assert cases["delta-outlier"][0].text is not None
    assert cases["delta-outlier"][0].text.count("\n") == 3


def test_counts_agree_with_the_cases() -> None:
    root = ET.fromstring(JunitReport().render(full()))
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(c.find(tag) is not None for c in cases)
    assert int(root.attrib["failures"]) == sum(int(s.attrib["failures"]) for s in root)


def test_what_was_not_measured_is_skipped_and_an_error_where_the_verdict_needs_it() -> None:
    gap = Coverage(probe="refusal", what="refusals", status=Status.NOT_MEASURED, why="the base refuses nothing")
    result = msgspec.structs.replace(full(), coverage=(gap,))
    (case,) = suites(result)["unmask.coverage"].findall("testcase")
    assert [e.tag for e in case] == ["skipped"]
    needed = Reason(outcome=Outcome.INCOMPLETE, text="refusal could not be measured", probe="refusal")
    result = msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, reasons=(needed,)))
    (case,) = suites(result)["unmask.coverage"].findall("testcase")
    assert [e.tag for e in case] == ["error"]


def test_a_waiver_is_named_beside_its_finding() -> None:
    first, *rest = full().findings
    waived = msgspec.structs.replace(first, waiver=Waiver(reason="known", owner="ann", expires="2030-01-31"))
    assert b"waived until 2030-01-31 by ann: known" in JunitReport().render(full(found=(waived, *rest)))


def test_hostile_text_stays_text() -> None:
    data = JunitReport().render(hostile())
    root = ET.fromstring(data)
    assert {e.tag for e in root.iter()} <= {"testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped", "system-out"}
    assert not any(c in data.decode() for c in "\x1b\x00\u202e\u200b\ufffe\u2028")
