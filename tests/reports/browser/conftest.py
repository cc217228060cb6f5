"""A real Chromium, without network; the tests here are skipped, with the reason, where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.html import HtmlReport
from scanner.comparison import compare
from scanner.result import Result

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser named by UNMASK_CHROMIUM, or the first one found."""
    found = os.environ.get("UNMASK_CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: install it (apt-get install chromium) or name it in UNMASK_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        yield browser
        browser.close()


def _rendered(result: Result, earlier: Result | None) -> bytes:
    return HtmlReport().render_since(result, compare(earlier, result)) if earlier else HtmlReport().render(result)


class Shown:
    """A report in the browser, with what it asked the network for and what it said."""

    def __init__(self, page: Any, asked: list[str], said: list[str]) -> None:
        self.page, self.asked, self.said = page, asked, said

    def evaluate(self, script: str) -> Any:
        """The value of a script that the test runs in the page; the page itself runs none."""
        return self.page.evaluate(script)


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Renders a result, or takes a page that was rendered, and opens it: `show(result, width=1280, scheme="light")`."""
    contexts = []

    def opened(result: Result | bytes, *, earlier: Result | None = None, width: int = 1280, height: int = 900, scheme: str = "light", **more: Any) -> Shown:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_bytes(result if isinstance(result, bytes) else _rendered(result, earlier))
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri(), wait_until="load")
        return Shown(page, [url for url in asked if url != file.as_uri()], said)

    yield opened
    for context in contexts:
        context.close()
