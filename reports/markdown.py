"""Markdown for a pull request: the verdict, what decided it, what was measured, transcripts folded away."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reports import numbers
from reports.quoting import block, code, inline
from scanner.finding import Answer, Finding, Witness
from scanner.measurement import Measurement, Status
from scanner.result import Result
from scanner.verdict import Outcome

LARGEST = 60_000
"""Characters; GitHub refuses comments over 65,536."""
_MEANS = {
    Outcome.PASS: "Nothing was found that the policy acts on.",
    Outcome.REVIEW: "A person should look at this before it is deployed.",
    Outcome.BLOCK: "Do not deploy this combination.",
    Outcome.INCOMPLETE: "No verdict could be reached; treat the adapter as not scanned.",
}
_SIGN = {Outcome.PASS: "✅", Outcome.REVIEW: "⚠️", Outcome.BLOCK: "⛔", Outcome.INCOMPLETE: "❔"}


class _Limits(msgspec.Struct, frozen=True):
    """The most that is shown of each thing."""

    deciding: int
    exchanges: int
    characters: int
    others: int
    measurements: int


_LEVELS = (_Limits(8, 4, 800, 60, 80), _Limits(5, 2, 300, 20, 40), _Limits(3, 0, 0, 5, 12))


class MarkdownReport:
    """A comment that fits where GitHub and GitLab put it."""

    id = "markdown"
    filename = "report.md"

    def render(self, result: Result) -> bytes:
        """The comment, at most 60,000 characters; what is left out is counted."""
        for limits in _LEVELS:
            text = "\n".join(_lines(result, limits)) + "\n"
            if len(text) <= LARGEST:
                break
        return text.encode("utf-8", "backslashreplace")


def _lines(result: Result, limits: _Limits) -> Iterator[str]:
    verdict = result.verdict
    yield f"### {_SIGN[verdict.outcome]} unmask: {verdict.outcome.upper()}\n\n{inline(verdict.headline)}\n\n{_MEANS[verdict.outcome]}\n"
    yield from _scope(result)
    indices = list(dict.fromkeys(r.finding for r in verdict.reasons if r.finding is not None))
    if indices:
        yield "\n#### What decided\n"
    for number, index in enumerate(indices[: limits.deciding], 1):
        yield from _deciding(result, index, number, limits)
    if len(indices) > limits.deciding:
        yield f"\nand {numbers.plural(len(indices) - limits.deciding, 'more finding')} in result.json.\n"
    yield from _gaps(result)
    yield from _measured(result, limits)
    yield from _others(result, set(indices), limits)
    yield f"\n<sub>{inline(result.tool)}, profile {inline(result.profile)}, scope {code(result.scope.sha256[:16])}. A witness is run again with {code('unmask replay result.json')}.</sub>"


def _scope(result: Result) -> Iterator[str]:
    adapter, base = result.scope.adapter, result.scope.base
    yield "| | |\n|---|---|"
    yield f"| Adapter | {code(adapter.name, 120)} ({inline(adapter.method)}, {numbers.size(adapter.bytes)}), SHA-256 {code(adapter.sha256[:16])}… |"
    yield f"| Base | {code(base.name, 120)}, SHA-256 {code(base.sha256[:16])}… |" if base else "| Base | none was given: behaviour was not measured |"
    yield f"| Policy | {inline(result.verdict.policy)}, SHA-256 {code(result.verdict.policy_sha256[:16])}… |"


def _deciding(result: Result, index: int, number: int, limits: _Limits) -> Iterator[str]:
    finding = result.findings[index]
    rule = result.rule(finding.rule)
    yield f"{number}. **{inline(rule.title)}** ({finding.severity}, {rule.basis}, {code(rule.id)})\n"
    yield f"   {inline(finding.message)}{_where(finding)}\n"
    yield f"   *What to do.* {inline(rule.fix)}\n"
    if finding.witness:
        yield from _witness(finding.witness, index, limits)


def _where(finding: Finding) -> str:
    parts = [code(p, 200) for p in (finding.location.file, finding.location.item) if p]
    return f", in {' '.join(parts)}" if parts else ""


def _witness(witness: Witness, index: int, limits: _Limits) -> Iterator[str]:
    test = witness.test
    yield (
        f"   {'Answers with the same words in them' if witness.payload else 'Refusals'}: {test.before} of {test.n} before, {test.after} after: {numbers.points(test.change)} points, 95 % interval {numbers.points(test.low)} to "
        f"{numbers.points(test.high)}, exact McNemar p {numbers.p_value(test.p_value)}. Run again: {code(f'unmask replay result.json --finding {index}')}\n"
    )
    changed = [i for i, a in enumerate(witness.answers) if _changed(a, witness, i)] or list(range(len(witness.answers)))
    if not limits.exchanges or not changed:
        return
    some = changed[: limits.exchanges]
    yield f"   <details><summary>{len(some)} of {numbers.plural(len(changed), 'changed answer')}</summary>\n"
    for i in some:
        answer = witness.answers[i]
        yield _indented(f"Asked\n\n{block(answer.prompt, limits.characters)}\n\nBase\n\n{block(answer.base, limits.characters)}\n")
        if witness.untriggered and i < len(witness.untriggered):
            yield _indented(f"With the adapter, without the trigger\n\n{block(witness.untriggered[i].adapted, limits.characters)}\n")
        yield _indented(f"With the adapter\n\n{block(answer.adapted, limits.characters)}\n")
    yield "   </details>\n"


def _changed(answer: Answer, witness: Witness, place: int) -> bool:
    if place < len(witness.untriggered):
        before = witness.counts(witness.untriggered[place].adapted, witness.untriggered[place].adapted_refused)
    else:
        before = witness.counts(answer.base, answer.base_refused)
    return before != witness.counts(answer.adapted, answer.adapted_refused)


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" if line else "" for line in text.split("\n"))


def _gaps(result: Result) -> Iterator[str]:
    gaps = [c for c in result.coverage if c.status is not Status.MEASURED]
    if gaps:
        yield "\n#### Not measured\n"
        yield from (f"- {inline(c.what)} ({code(c.probe)}, {c.status}): {inline(c.why)}" for c in gaps)
    bounds = [c for c in result.coverage if c.status is Status.MEASURED and c.bound]
    if bounds:
        yield "\n<details><summary>What a pass could have missed</summary>\n"
        yield from (f"- {inline(c.what)}: {inline(c.bound)}" for c in bounds)
        yield "\n</details>"


def _measured(result: Result, limits: _Limits) -> Iterator[str]:
    if not result.measurements:
        return
    yield "\n<details><summary>Measurements</summary>\n\n| | value | 95 % interval | p | n |\n|---|---:|---|---|---:|"
    for m in result.measurements[: limits.measurements]:
        interval = f"{numbers.number(m.low)} to {numbers.number(m.high)}" if m.low is not None and m.high is not None else numbers.NONE
        p = numbers.p_value(m.p_value).removeprefix("= ") if m.p_value is not None else numbers.NONE
        yield f"| {inline(m.title)} | {_value(m)} | {interval} | {p} | {numbers.NONE if m.n is None else f'{m.n:,}'} |"
    left = len(result.measurements) - limits.measurements
    yield (f"\n{left} more in result.json.\n" if left > 0 else "") + "\n</details>"


def _value(m: Measurement) -> str:
    if isinstance(m.value, str):
        return inline(m.value, 120)
    return " ".join(filter(None, (numbers.number(m.value), inline(m.unit, 40))))


def _others(result: Result, decided: set[int], limits: _Limits) -> Iterator[str]:
    others = [f for i, f in enumerate(result.findings) if i not in decided]
    if not others:
        return
    yield f"\n<details><summary>{numbers.plural(len(others), 'other finding')}, which decided nothing</summary>\n"
    for finding in others[: limits.others]:
        rule = result.rule(finding.rule)
        waived = f"; waived by {inline(finding.waiver.owner)} until {inline(finding.waiver.expires)}: {inline(finding.waiver.reason)}" if finding.waiver else ""
        yield f"- {finding.severity}: {inline(rule.title)}: {inline(finding.message)}{_where(finding)}{waived}"
    if len(others) > limits.others:
        yield f"- and {len(others) - limits.others} more in result.json"
    yield "\n</details>"
