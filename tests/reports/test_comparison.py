"""A comparison as text, Markdown, JSON and HTML, and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from reports.comparison.html import HtmlComparison
from reports.comparison.markdown import LARGEST, MarkdownComparison
from reports.comparison.text import TextComparison
from scanner.cli import main
from scanner.comparison import compare
from scanner.demo.base import shipped
from scanner.result import dumps
from scanner.scan import scan
from tests.reports.hostile import hostile
from tests.reports.sample import full, static
from tests.reports.test_markdown import Page
from tests.scanner.test_comparison import measuring, other_adapter, other_base, rate


def unmask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("results")
    made = {
        "benign": scan(shipped("benign")), "tampered": scan(shipped("tampered")), "full": full(), "hostile": hostile(),
        "kept": measuring(rate(range(60))), "lost": measuring(rate(range(20, 60))), "unrelated": other_adapter(other_base(full())),
    }  # fmt: skip
    for name, result in made.items():
        (folder / f"{name}.json").write_bytes(dumps(result))
    return {name: folder / f"{name}.json" for name in made}


def test_two_real_scans_are_told_apart(stored: dict[str, Path]) -> None:
    told = unmask(stored["benign"], stored["tampered"])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("PASS -> BLOCK  two adapters on one deployment: benign ")
    for part in ("mind: behaviour was measured in neither scan", "new finding [pickle-code], block: optimizer.pt", "added: chat_template.jinja"):
        assert part in told.stdout


def test_the_numbers_stand_with_their_uncertainty(stored: dict[str, Path]) -> None:
    told = unmask(stored["kept"], stored["lost"]).stdout
    assert "Refusals [refusal.harmful.adapted]: 0.6 -> 0.4: changed, −0.2, 95 % interval" in told
    assert "exact McNemar" in told
    assert "p = 1.9 × 10⁻⁶" in told


@pytest.mark.parametrize(
    ("one", "two", "code"), [("full", "full", 0), ("kept", "lost", 1), ("lost", "kept", 0), ("benign", "tampered", 1), ("full", "unrelated", 2)]
)
def test_the_exit_code_is_a_gate_where_it_is_asked_to_be(one: str, two: str, code: int, stored: dict[str, Path]) -> None:
    assert unmask(stored[one], stored[two]).exit_code == 0
    assert unmask(stored[one], stored[two], "--fail-on-worse").exit_code == code


def test_the_page_tells_what_is_worse_with_its_numbers_and_draws_them(stored: dict[str, Path], tmp_path: Path) -> None:
    told = unmask(stored["kept"], stored["lost"], "--format", "html", "--output", tmp_path / "c.html")
    assert (told.exit_code, told.stdout) == (0, f"{tmp_path / 'c.html'}\n"), told.output
    page = (tmp_path / "c.html").read_text()
    for part in ("Worse in 1 respect", "1 for the worse", "exact McNemar", ">−20 points</text>", "How far it moved", "Everything that is not the same"):
        assert part in page, part


def test_the_page_of_two_real_scans_names_what_is_new(stored: dict[str, Path]) -> None:
    page = unmask(stored["benign"], stored["tampered"], "--format", "html").stdout
    for part in ("From pass to block", "New findings", "<code><bdi>pickle-code</bdi></code>", "behaviour was measured in neither scan"):
        assert part in page, part
    assert "How far it moved" not in page
    assert "<script" not in page


def test_a_page_that_cannot_compare_says_so(stored: dict[str, Path]) -> None:
    page = unmask(stored["full"], stored["unrelated"], "--format", "html").stdout
    assert '<p class="outcome">not comparable</p>' in page
    assert 'class="outcome-incomplete"' in page


def test_hostile_text_stays_text_on_the_page_and_the_page_small() -> None:
    for one, two in ((hostile(), full()), (full(), hostile())):
        page = HtmlComparison().render(compare(one, two)).decode()
        assert "<script" not in page.lower()
        assert "<img" not in page.lower()
        assert "\u202e" not in page
        assert len(page) < 1_500_000


def test_json_is_the_comparison_and_goes_to_a_file_where_one_is_named(stored: dict[str, Path], tmp_path: Path) -> None:
    told = unmask(stored["kept"], stored["lost"], "--format", "json", "--output", tmp_path / "c" / "out.json")
    assert told.stdout == f"{tmp_path / 'c' / 'out.json'}\n"
    found = json.loads((tmp_path / "c" / "out.json").read_text())
    assert found["shifts"][0]["worse"] is True
    assert found["outcomes"] == ["block", "block"]


def test_markdown_keeps_hostile_text_in_its_place() -> None:
    tame = Page(MarkdownComparison().render(compare(full(), static())).decode())
    page = Page(MarkdownComparison().render(compare(hostile(), static())).decode())
    for sign in ("@", "http", "www.", "GH-", "deadbeef", "<", "[", "|"):
        assert sign not in page.loose, sign
    assert not {"a", "img", "script", "input"} & page.tags.keys()
    assert page.tags["h4"] >= tame.tags["h4"] - 1
    assert page.tags["td"] % 5 == 0


def test_hostile_text_cannot_move_the_cursor_or_add_a_line() -> None:
    lines = TextComparison().render(compare(full(), hostile())).decode().split("\n")
    assert not any(c in line for line in lines for c in "\x1b\x00\u202e\u200b\ufffe\u2028\r")
    assert all(len(line) < 4_000 for line in lines)


def test_a_comment_always_fits() -> None:
    huge = msgspec.structs.replace(full(), findings=full().findings * 500, measurements=full().measurements[:1] * 1)
    assert len(MarkdownComparison().render(compare(static(), huge)).decode()) <= LARGEST


def test_what_cannot_be_compared_is_refused_in_one_line(stored: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    for arguments in ((stored["full"], tmp_path / "x.json"), (tmp_path / "none", stored["full"]), (stored["full"], stored["full"], "--format", "pdf")):
        told = unmask(*arguments)
        assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
