"""The report as people see it: nothing cut off, everything reachable, at every width, light, dark and printed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reports.comparison.html import HtmlComparison
from scanner.comparison import compare
from scanner.result import Result
from tests.reports.browser.conftest import Shown
from tests.reports.sample import full, static
from tests.scanner.test_comparison import measuring, rate

Show = Callable[..., Shown]
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"


@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_nothing_reaches_out_of_the_page(width: int, show: Show) -> None:
    for result, earlier in ((full(), static()), (static(), full())):
        shown = show(result, earlier=earlier, width=width)
        shown.evaluate(OPEN_ALL)
        assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_verdict_and_what_decided_stand_on_the_first_screen(show: Show) -> None:
    shown = show(full())
    for selector in (".outcome", "h1", ".facts", ".reasons"):
        box = shown.page.locator(selector).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, selector
    phone = show(full(), width=390, height=844)
    for selector in (".outcome", "h1", ".means"):
        box = phone.page.locator(selector).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 844, selector


@pytest.mark.parametrize(
    ("result", "earlier", "width", "scheme", "opened"),
    [
        (full(), None, 1280, "light", True),
        (full(), static(), 1280, "dark", False),
        (full(), static(), 390, "light", False),
        (static(), full(), 768, "dark", True),
    ],
    ids=["everything open", "dark", "phone", "static"],
)
def test_axe_finds_no_violation(result: Result, earlier: Result | None, width: int, scheme: str, opened: bool, show: Show) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    shown = show(result, earlier=earlier, width=width, scheme=scheme, bypass_csp=True)
    if opened:
        shown.evaluate(OPEN_ALL)
    found = axe.Axe().run(shown.page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(v["id"], v["impact"], v["nodes"][0]["html"]) for v in found] == []


def compared() -> list[bytes]:
    """Pages of comparisons: for the worse, for the better, and of a scan that had no base with one that had."""
    lost, kept = measuring(rate(range(20, 60))), measuring(rate(range(60)))
    return [HtmlComparison().render(compare(one, two)) for one, two in ((kept, lost), (lost, kept), (static(), full()))]


@pytest.mark.parametrize("width", [768, 320])
def test_nothing_reaches_out_of_a_comparison(width: int, show: Show) -> None:
    for page in compared()[1:]:
        shown = show(page, width=width)
        shown.evaluate(OPEN_ALL)
        assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_axe_finds_no_violation_in_a_comparison(show: Show) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for page, width, scheme in zip(compared(), (1280, 1280, 390), ("light", "dark", "light"), strict=True):
        shown = show(page, width=width, scheme=scheme, bypass_csp=True)
        shown.evaluate(OPEN_ALL)
        found = axe.Axe().run(shown.page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(v["id"], v["impact"], v["nodes"][0]["html"]) for v in found] == []


def test_a_comparison_says_on_the_first_screen_what_became_of_it_and_runs_nothing(show: Show) -> None:
    for page, words in zip(compared(), (("WORSE", "Block, as before"), ("NOT WORSE", "Block, as before"), ("WORSE", "From review to block")), strict=True):
        shown = show(page, width=390, height=844)
        assert (shown.page.locator(".outcome").inner_text(), shown.page.locator("h1").inner_text()) == words
        box = shown.page.locator(".message").first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 844
        assert shown.evaluate("document.scripts.length") == 0
        assert (shown.asked, shown.said) == ([], [])


def test_every_drawing_has_a_name_and_every_picture_its_numbers_in_a_table(show: Show) -> None:
    shown = show(full())
    pictures = shown.evaluate(
        """[...document.querySelectorAll('figure')].map(f => [
            f.querySelector('h3').textContent,
            [...f.querySelectorAll('svg[role=img]')].every(s => s.querySelector('title').textContent && s.querySelector('desc').textContent),
            f.querySelectorAll('details table tbody tr').length])"""
    )
    assert len(pictures) >= 5
    for heading, named, rows in pictures:
        assert named, heading
        assert rows, heading


def test_the_keyboard_reaches_what_the_mouse_reaches(show: Show) -> None:
    shown = show(full())
    scrolled = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length"
    shown.evaluate(OPEN_ALL)
    assert shown.evaluate(scrolled) == 0
    shown.page.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.matches('a, summary, [tabindex]')")
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_links_inside_the_page_lead_somewhere(show: Show) -> None:
    shown = show(full())
    links = shown.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert links
    assert all(link.startswith("#") for link in links)
    assert shown.evaluate("[...document.querySelectorAll('a')].filter(a => !document.getElementById(a.hash.slice(1))).length") == 0


def test_a_term_says_what_it_means_on_hover_and_leads_to_the_glossary(show: Show) -> None:
    shown = show(full())
    term = shown.page.locator("a.term").first
    assert len(term.get_attribute("title")) > 20
    term.click()
    assert shown.evaluate("document.querySelector(location.hash).textContent").strip()
    assert shown.page.locator(":target").is_visible()


def test_printing_keeps_every_finding_and_folds_nothing_that_decides(show: Show) -> None:
    shown = show(full())
    shown.page.emulate_media(media="print")
    for i in range(len(full().findings)):
        assert shown.page.locator(f"#finding-{i}").is_visible(), i
    assert shown.page.locator("details.printed .advice").first.is_visible()
    assert len(shown.page.pdf(prefer_css_page_size=True)) > 20_000


def test_the_page_runs_no_script_and_asks_the_network_for_nothing(show: Show) -> None:
    shown = show(full())
    assert shown.asked == []
    assert shown.said == []
    assert shown.evaluate("document.scripts.length") == 0
