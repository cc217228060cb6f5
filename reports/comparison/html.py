"""The comparison as a page of its own."""

from __future__ import annotations

from importlib.metadata import version

from reports.comparison.words import names
from reports.html import document
from reports.html.compared import compose
from reports.html.limits import fitting
from scanner.comparison import Comparison

TEMPLATE = "comparison.html.jinja"


class HtmlComparison:
    """A page without scripts or external resources, like the report's."""

    id = "html"

    def render(self, comparison: Comparison) -> bytes:
        """The page, in UTF-8, at most 1.4 MB."""
        shown = {"found": comparison, "names": names(comparison), "tool": f"unmask {version('unmask')}"}
        return fitting(lambda limits: document.write(TEMPLATE, page=compose(comparison, limits), **shown))
