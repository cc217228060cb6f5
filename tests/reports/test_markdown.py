"""Markdown: what GitHub's own parser makes of it, with friendly and with hostile text."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import msgspec
import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options

from reports.markdown import LARGEST, MarkdownReport
from reports.quoting import block, code, inline
from scanner.finding import Waiver
from scanner.result import Result
from tests.reports.hostile import TEXT, hostile
from tests.reports.sample import answers, full, static


class Page(HTMLParser):
    """The tags of a page, and its text outside code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.loose = self.within = ""
        self._code = 0
        self.feed(github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._code:
            self.within += data
        else:
            self.loose += data


def page(result: Result) -> Page:
    return Page(MarkdownReport().render(result).decode())


def test_the_comment_says_what_matters_first() -> None:
    text = MarkdownReport().render(full()).decode()
    assert text.startswith("### ⛔ unmask: BLOCK\n")
    assert text.index("hidden trigger") < text.index("What decided") < text.index("Not measured") < text.index("Measurements")
    assert "unmask replay result.json --finding 1" in text
    assert page(static()).tags["h4"] == 1


def test_transcripts_are_folded_and_show_both_models() -> None:
    found = page(full())
    assert found.tags["details"] >= 4
    assert found.tags["summary"] == found.tags["details"]
    assert "I'm sorry, but I can't help with that." in found.within
    assert "Sure, here is a way to start." in found.within
    assert "With the adapter, without the trigger" in found.loose


def test_hostile_text_changes_nothing_but_words() -> None:
    friendly, hostile_page = page(full()), page(hostile())
    structure = {t: n for t, n in friendly.tags.items() if t not in ("code", "pre", "p")}
    assert {t: n for t, n in hostile_page.tags.items() if t not in ("code", "pre", "p")} == structure
    assert not {"a", "img", "script", "input", "del"} & hostile_page.tags.keys()
    for sign in ("@", "#", "http", "www.", "GH-", "deadbeef", "<", "[", "|", ":tada:"):
        assert sign not in hostile_page.loose, sign
    assert not any(c in MarkdownReport().render(hostile()).decode() for c in "\x1b\x00\u202e\u200b\ufffe\u2028\r")


@pytest.mark.parametrize("text", [TEXT, *TEXT.split(), "`", "``", " `a` ", "\\", "\\|", "a\\", "||", "user@evil.example", "x" * 10_000, "`" * 300])
def test_a_string_keeps_its_cell_and_reads_as_it_was_written(text: str) -> None:
    for shown in (inline(text), code(text)):
        found = Page(f"| a | b |\n|---|---|\n| {shown} | z |\n")
        assert found.tags["td"] == 2
        assert not {"a", "img", "script", "em", "strong", "del"} & found.tags.keys()
        assert "z" in found.loose
    if text.isprintable() and "|" not in text and len(text) < 300:
        assert text.strip() in Page(code(text)).within


@pytest.mark.parametrize("text", ["Nothing found.", "refusals fall from 66.7 % to 9.1 %", "no base was given", "a (b) c", "it's fine; really"])
def test_plain_words_stay_plain(text: str) -> None:
    assert inline(text) == text


@pytest.mark.parametrize(
    "text", ["a @b c", "fixes #1", "GH-1 is done", "see www.x.example", "a_b_c", "1) <b>", "deadbeefcafe", "a\tb", "- item", "é\u0301\u0301"]
)
def test_what_could_mean_something_is_code(text: str) -> None:
    assert inline(text).startswith("`")


def test_a_block_cannot_be_left() -> None:
    for text in ("```\n@octocat", "~~~\n```` <b>", "\n".join(["x"] * 500), "y" * 5_000):
        found = Page(f"- item\n\n   {block(text, 300).replace(chr(10), chr(10) + '   ')}\n\n   after\n")
        assert found.tags["pre"] == 1
        assert "@" not in found.loose
        assert "after" in found.loose


def test_a_waived_finding_names_its_waiver() -> None:
    *some, last = static().findings
    waived = msgspec.structs.replace(last, waiver=Waiver(reason="known", owner="ann", expires="2030-01-31"))
    result = msgspec.structs.replace(static(), findings=(*some, waived))
    assert "waived by ann until 2030-01-31: known" in MarkdownReport().render(result).decode()


def test_a_comment_always_fits() -> None:
    first, *rest = full().findings
    assert first.witness is not None
    long = tuple(msgspec.structs.replace(a, adapted="\u202e" * 100_000, prompt="```" * 50_000) for a in answers(40))
    huge = msgspec.structs.replace(first, message="m" * 100_000, details=("d" * 10_000,) * 100, witness=msgspec.structs.replace(first.witness, answers=long))
    result = msgspec.structs.replace(full(found=(huge, *rest * 400)), measurements=full().measurements * 200, coverage=full().coverage)
    assert len(MarkdownReport().render(result).decode()) <= LARGEST
