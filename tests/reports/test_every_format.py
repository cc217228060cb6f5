"""Every installed format, on results old and new, friendly and hostile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scanner.comparison import compare
from scanner.report import comparison_reports, reports
from scanner.result import Result, load
from tests.reports.hostile import hostile
from tests.reports.sample import full, static

STORED = sorted((Path(__file__).parents[1] / "scanner" / "results").glob("*.json"))
RESULTS: dict[str, Callable[[], Result]] = {
    "full": full,
    "static": static,
    "hostile": hostile,
    "empty": lambda: msgspec.structs.replace(static(), findings=(), measurements=(), tables=(), coverage=(), rules=(), files=(), timings={}, environment={}),
    **{path.name: (lambda path=path: load(path)) for path in STORED},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("format", reports())
def test_a_format_writes_every_result_the_same_way_twice(format: str, name: str) -> None:
    kind, result = reports()[format], RESULTS[name]()
    assert kind.id == format
    data = kind().render(result)
    assert data == kind().render(result)
    assert data.endswith(b"\n") or format == "html"
    data.decode("utf-8")


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("format", comparison_reports())
def test_a_comparison_is_written_from_any_two_results(format: str, name: str) -> None:
    kind = comparison_reports()[format]
    assert kind.id == format
    assert kind().render(compare(RESULTS[name](), full())).decode("utf-8")
    assert kind().render(compare(full(), RESULTS[name]())).decode("utf-8")


def test_file_names_do_not_meet() -> None:
    names = [kind.filename for kind in reports().values()]
    assert len(set(names)) == len(names)
