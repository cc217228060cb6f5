"""The HTML report against an earlier result, and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reports.html import HtmlReport
from scanner.cli import main
from scanner.comparison import compare
from scanner.result import dumps
from tests.reports.hostile import hostile
from tests.reports.sample import full
from tests.scanner.test_comparison import measuring, other_adapter, other_base, rate


def report(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Path]:
    made = {"kept": measuring(rate(range(60))), "lost": measuring(rate(range(20, 60))), "unrelated": other_adapter(other_base(full()))}
    for name, result in made.items():
        (tmp_path / f"{name}.json").write_bytes(dumps(result))
    return {name: tmp_path / f"{name}.json" for name in made}


def test_what_got_worse_stands_with_its_numbers(stored: dict[str, Path], tmp_path: Path) -> None:
    made = report(stored["lost"], "--against", stored["kept"], "--output", tmp_path / "out")
    assert made.exit_code == 0, made.output
    page = (tmp_path / "out" / "report.html").read_text()
    for part in ("Since the earlier result", "Worse in 1 respect", "exact McNemar", 'data-label="Before"><bdi>0.6', 'data-label="After"><bdi>0.4', "−0.2"):
        assert part in page, part


def test_what_is_as_good_says_so_and_what_cannot_be_compared_too(stored: dict[str, Path], tmp_path: Path) -> None:
    report(stored["kept"], "--against", stored["kept"], "--output", tmp_path / "same")
    assert "Not worse" in (tmp_path / "same" / "report.html").read_text()
    report(stored["kept"], "--against", stored["unrelated"], "--output", tmp_path / "other")
    assert "Not comparable" in (tmp_path / "other" / "report.html").read_text()


def test_without_an_earlier_result_the_page_has_no_such_section(stored: dict[str, Path], tmp_path: Path) -> None:
    report(stored["kept"], "--output", tmp_path / "alone")
    assert "earlier result" not in (tmp_path / "alone" / "report.html").read_text()


def test_a_format_that_cannot_show_it_says_what_can(stored: dict[str, Path], tmp_path: Path) -> None:
    told = report(stored["kept"], "--against", stored["kept"], "--format", "sarif", "--output", tmp_path / "out")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "--against: sarif cannot show" in told.stderr
    assert not (tmp_path / "out").exists()


def test_a_hostile_earlier_result_stays_text() -> None:
    for one, two in ((hostile(), full()), (full(), hostile())):
        page = HtmlReport().render_since(two, compare(one, two)).decode()
        assert "<script" not in page.lower()
        assert "<img" not in page.lower()
        assert "\u202e" not in page
        assert len(page) < 1_500_000
