"""The HTML report on made-up results: whole, self-contained, deaf to markup."""

from __future__ import annotations

import msgspec

from reports.html import HtmlReport
from scanner.finding import Waiver
from tests.reports.sample import full, identity, static


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
