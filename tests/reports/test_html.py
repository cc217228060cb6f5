"""The HTML report on made-up results: whole, self-contained, deaf to markup."""

from __future__ import annotations

from reports.html import HtmlReport
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
