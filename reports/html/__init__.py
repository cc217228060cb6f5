"""report.html: one self-contained page, made to be read in two minutes and kept for years."""

from __future__ import annotations

from reports.html import document
from reports.html.limits import fitting
from reports.html.page import compose
from scanner.comparison import Comparison
from scanner.result import Result

TEMPLATE = "report.html.jinja"


class HtmlReport:
    """A page without scripts or external resources; every string of the adapter and of the models in it is neutralised."""

    id = "html"
    filename = "report.html"

    def render(self, result: Result) -> bytes:
        """The page, in UTF-8. What would make it larger than 1.4 MB is cut further, and the page says where."""
        return self._page(result, None)

    def render_since(self, result: Result, earlier: Comparison) -> bytes:
        """The page with what changed since an earlier result."""
        return self._page(result, earlier)

    def _page(self, result: Result, earlier: Comparison | None) -> bytes:
        return fitting(lambda limits: document.write(TEMPLATE, page=compose(result, limits, earlier), result=result))
