"""JUnit XML, as CI systems show test runs: the verdict, every rule that was raised, and everything that was to be measured.

A finding that blocks is a failure, one that asks for a review is skipped with its reason, and what could not be measured is skipped,
or an error where the verdict needs it. The form is Jenkins': https://github.com/jenkinsci/xunit-plugin.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import groupby

import msgspec

from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.result import Result
from scanner.verdict import Outcome

LONGEST = 400
MOST_LINES = 60


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test case: passed, unless `kind` says otherwise."""

    classname: str
    name: str
    kind: str = ""
    """`failure`, `error`, `skipped`, or empty."""
    type: str = ""
    message: str = ""
    text: tuple[str, ...] = ()


class JunitReport:
    """Three suites: verdict, rules, coverage."""

    id = "junit"
    filename = "junit.xml"

    def render(self, result: Result) -> bytes:
        """The document in UTF-8, every text on lines of its own and free of what XML 1.0 forbids."""
        suites = (("verdict", [_verdict(result)]), ("rules", _rules(result)), ("coverage", _coverage(result)))
        seconds = f"{sum(result.timings.values()):.3f}"
        root = ET.Element("testsuites", {"name": "unmask", "time": seconds} | _counts([c for _, cases in suites for c in cases]))
        for name, cases in suites:
            skipped = str(sum(c.kind == "skipped" for c in cases))
            suite = ET.SubElement(root, "testsuite", {"name": f"unmask.{name}", "skipped": skipped} | _counts(cases))
            if name == "verdict":
                properties = ET.SubElement(suite, "properties")
                for key, value in _properties(result):
                    ET.SubElement(properties, "property", name=key, value=printable(value, LONGEST))
            for case in cases:
                _write(suite, case)
        ET.indent(root)
        document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return document + b"\n"


def _write(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(suite, "testcase", classname=case.classname, name=printable(case.name, LONGEST))
    body = "\n".join(printable(line, LONGEST) for line in case.text[:MOST_LINES])
    if case.kind == "skipped":
        ET.SubElement(element, "skipped").text = "\n".join(filter(None, (printable(case.message, LONGEST), body)))
    elif case.kind:
        ET.SubElement(element, case.kind, type=case.type, message=printable(case.message, LONGEST)).text = body
    elif body:
        ET.SubElement(element, "system-out").text = body


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    kinds = [c.kind for c in cases]
    return {"tests": str(len(cases)), "failures": str(kinds.count("failure")), "errors": str(kinds.count("error"))}


def _properties(result: Result) -> list[tuple[str, str]]:
    base = result.scope.base
    return [
        ("tool", result.tool),
        ("profile", result.profile),
        ("scope.sha256", result.scope.sha256),
        ("adapter", result.scope.adapter.name),
        ("adapter.sha256", result.scope.adapter.sha256),
        ("base", base.name if base else "none"),
        ("base.sha256", base.sha256 if base else "none"),
        ("policy", result.verdict.policy),
        ("policy.sha256", result.verdict.policy_sha256),
    ]


_KIND = {Outcome.PASS: "", Outcome.REVIEW: "skipped", Outcome.BLOCK: "failure", Outcome.INCOMPLETE: "error"}


def _verdict(result: Result) -> Case:
    verdict = result.verdict
    return Case(
        classname="unmask.verdict",
        name=f"{result.scope.adapter.name} under policy {verdict.policy}",
        kind=_KIND[verdict.outcome],
        type=verdict.outcome,
        message=f"{verdict.outcome}: {verdict.headline}",
        text=tuple(f"{r.outcome}: {r.text}" for r in verdict.reasons),
    )


def _rules(result: Result) -> list[Case]:
    outcomes = {r.finding: r.outcome for r in result.verdict.reasons if r.finding is not None}
    worst = (Outcome.PASS, Outcome.REVIEW, Outcome.BLOCK)
    cases = []
    numbered = sorted(enumerate(result.findings), key=lambda pair: pair[1].rule)
    for name, group in groupby(numbered, key=lambda pair: pair[1].rule):
        found = list(group)
        rule = result.rule(name)
        outcome = max((outcomes.get(i, Outcome.PASS) for i, _ in found), key=worst.index)
        cases.append(
            Case(
                classname=f"unmask.{rule.basis}",
                name=name,
                kind=_KIND[outcome],
                type=rule.severity,
                message=f"{rule.title}: {found[0][1].message}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
                text=(*(_line(f) for _, f in found), f"Why: {rule.why}", f"Fix: {rule.fix}"),
            )
        )
    return cases


def _line(finding: Finding) -> str:
    where = " ".join(filter(None, (finding.location.file, finding.location.item)))
    waived = f"; waived until {finding.waiver.expires} by {finding.waiver.owner}: {finding.waiver.reason}" if finding.waiver else ""
    return f"{finding.severity}: {finding.message}" + (f" [{where}]" if where else "") + waived


def _coverage(result: Result) -> list[Case]:
    needed = {r.probe for r in result.verdict.reasons if r.probe}
    return [_part(part, part.probe in needed) for part in result.coverage]


def _part(part: Coverage, needed: bool) -> Case:
    name = f"{part.probe}: {part.what}"
    told = tuple(filter(None, (part.surface and f"looked at: {part.surface}", part.bound and f"could have missed: {part.bound}")))
    if part.status is Status.MEASURED:
        return Case(classname="unmask.coverage", name=name, text=told)
    kind = "error" if needed or part.status is Status.FAILED else "skipped"
    return Case(classname="unmask.coverage", name=name, kind=kind, type=part.status, message=f"{part.status}: {part.why}", text=told)
