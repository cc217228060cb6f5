"""The contract of a report: a result in, bytes out. Found through the entry points `unmask.reports` and `unmask.comparisons`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from scanner.comparison import Comparison
from scanner.errors import ScanError
from scanner.result import Result


class Report(Protocol):
    """One format. Everything it shows comes from the result alone; strings in it are untrusted."""

    id: str
    """What `--format` calls it."""
    filename: str

    def render(self, result: Result) -> bytes:
        """The whole report."""
        ...


@runtime_checkable
class ReportSince(Report, Protocol):
    """A format that can also show what changed since an earlier result."""

    def render_since(self, result: Result, earlier: Comparison) -> bytes:
        """The whole report, `earlier` being the comparison of the earlier result with `result`."""
        ...


class ComparisonReport(Protocol):
    """One format of a comparison; strings in it are untrusted."""

    id: str

    def render(self, comparison: Comparison) -> bytes:
        """The whole report."""
        ...


def reports() -> dict[str, type[Report]]:
    """Installed formats by id. Raises ScanError when one cannot be imported."""
    return _installed("unmask.reports")


def comparison_reports() -> dict[str, type[ComparisonReport]]:
    """Installed formats of a comparison by id. Raises ScanError when one cannot be imported."""
    return _installed("unmask.comparisons")


def _installed(group: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        try:
            found[point.name] = point.load()
        except Exception as error:  # a broken third-party package
            raise ScanError(f"report {point.name}: cannot be loaded ({error})") from None
    return found
