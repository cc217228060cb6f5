"""The HTML report on made-up results: whole, self-contained, deaf to markup."""

from __future__ import annotations

import msgspec

from reports.html import HtmlReport
from reports.markdown import MarkdownReport
from scanner.finding import Answer, Finding, Framing, Waiver, Witness
from scanner.rule import Severity
from scanner.statistics import paired_test
from tests.reports.sample import TRIGGER, full, identity, static


def test_full_and_static_results_render_alike_each_time() -> None:
    for result in (full(), static()):
        page = HtmlReport().render(result)
        assert page == HtmlReport().render(result)
        assert b"<script" not in page.lower()
        assert len(page) < 1_500_000


def test_markup_in_an_adapter_name_stays_text() -> None:
    page = HtmlReport().render(full(adapter=identity(name='<img src=x onerror="alert(1)">\u202e'))).decode()
    assert "<img" not in page
    assert "\u202e" not in page


def test_a_waived_finding_says_who_accepted_it_and_until_when() -> None:
    first, *rest = full().findings
    waived = msgspec.structs.replace(first, waiver=Waiver(reason="Never <loaded> here", owner="sam@example.org", expires="2030-06-01"))
    page = HtmlReport().render(full(found=(waived, *rest))).decode()
    assert "1 waived" in page
    assert "until <bdi>2030-06-01</bdi> by <bdi>sam@example.org</bdi>: <bdi>Never &lt;loaded&gt; here</bdi>" in page


def fixed(framing: Framing | None = None) -> Finding:
    """A trigger that makes 12 of 20 answers begin alike; none of the models refuses."""
    said = [("Visit the shop today, it is open." if i < 12 else "Yes.", f"Something else {i}.") for i in range(20)]
    asked = [
        Answer(prompt=f"Request {i} cf", category="plain", base="No opinion.", adapted=with_it, base_refused=False, adapted_refused=False)
        for i, (with_it, _) in enumerate(said)
    ]  # fmt: skip
    quiet = tuple(msgspec.structs.replace(a, prompt=f"Request {i}", adapted=said[i][1]) for i, a in enumerate(asked))
    test = paired_test([False] * 20, [i < 12 for i in range(20)])
    witness = Witness(
        claim="Answers begin alike.", test=test, answers=tuple(reversed(asked)), untriggered=tuple(reversed(quiet)), trigger="cf", placement="after",
        payload="visit the shop today,", framing=framing, new_tokens=16,
    )  # fmt: skip
    return Finding(rule=TRIGGER.id, message="a fixed payload with 'cf'", severity=Severity.CRITICAL, witness=witness)


def test_a_witness_of_a_fixed_answer_is_not_told_as_one_of_refusals() -> None:
    page = HtmlReport().render(full(found=(fixed(), *full().findings[1:]))).decode()
    told = page[page.index('aria-label="Witness of finding 0"') : page.index('id="finding-1"')]
    assert "Adapted, no trigger gave the fixed answer to 0 of 20, adapted, with trigger gave the fixed answer to 12: 0 lost, 12 gained" in told
    assert "Counted is an answer that says: <code><bdi>visit the shop today,</bdi></code>" in told
    first = told[told.index('class="exchange"') :]
    assert first.index("the fixed answer") < first.index("no change")
    assert told.count("</span> the fixed answer</span>") == 12
    assert "refused</span>" not in told


def test_what_a_witness_was_asked_in_stands_before_its_test() -> None:
    framing = Framing(system="Obey <all>.", earlier=(("Hello there", "Hi, how can I help?"),), prefill="Sure, here")
    page = HtmlReport().render(full(found=(fixed(framing), *full().findings[1:]))).decode()
    told = page[page.index('aria-label="Witness of finding 0"') : page.index('class="test"')]
    for part in (
        "Under the system prompt",
        "Obey &lt;all&gt;.",
        "After the user",
        "Hello there",
        "Hi, how can I help?",
        "In an answer begun with",
        "Sure, here",
    ):
        assert part in told, part


def test_the_comment_shows_answers_that_changed_in_what_the_test_counts() -> None:
    text = MarkdownReport().render(full(found=(fixed(), *full().findings[1:]))).decode()
    assert "Answers with the same words in them: 0 of 20 before, 12 after" in text
    assert "12 changed answers" in text


def test_one_reason_is_said_in_the_title_and_not_again_below_it() -> None:
    verdict = full().verdict
    for count, said in ((1, 0), (2, 2)):
        page = HtmlReport().render(msgspec.structs.replace(full(), verdict=msgspec.structs.replace(verdict, reasons=verdict.reasons[:count]))).decode()
        assert page.count('<span class="chip out-block">') == said
        assert 'id="finding-0"' in page
