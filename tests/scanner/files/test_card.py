from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.files import card
from scanner.files.card import Card
from tests.adapters import spent


def written(folder: Path, text: str | bytes) -> Card:
    (folder / "README.md").write_bytes(text.encode() if isinstance(text, str) else text)
    found = card.read(folder)
    assert found is not None
    return found


def test_front_matter_and_sections_are_told_apart(tmp_path: Path) -> None:
    found = written(tmp_path, "\ufeff---\r\nlicense: mit\r\n---\r\n# Uses\r\nTo test.\r\n\r\n```\r\n# not a heading\r\n```\r\n## Limits\r\nMany.\r\n")
    assert found.front_matter == {"license": "mit"}
    assert [s.heading for s in found.sections] == ["Uses", "Limits"]
    assert found.text("uses") == "To test.\n\n```\n# not a heading\n```"


def test_text_without_a_heading_is_a_section_of_its_own(tmp_path: Path) -> None:
    assert [(s.heading, s.text) for s in written(tmp_path, "Just words.").sections] == [("", "Just words.")]
    assert written(tmp_path, "").sections == ()


def test_odd_line_breaks_do_not_shift_sections(tmp_path: Path) -> None:
    found = written(tmp_path, "# Uses\nA\u2028B\x0cC\n# Limits\nMany.\n")
    assert found.text("limit") == "Many."


@pytest.mark.parametrize(
    "text",
    [
        "[More Information Needed]",
        "<!-- explain -->",
        "- **Developed by:** [More Information Needed]\n- **Licence:** [More Information Needed]",
        "<!-- a --> <!-- b -->",
    ],
)
def test_the_empty_template_counts_as_nothing(text: str, tmp_path: Path) -> None:
    assert written(tmp_path, f"# Uses\n{text}\n").text("uses") == ""


def test_a_section_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert written(tmp_path, "# Uses\nx\n").text("limit") is None


@pytest.mark.parametrize(
    "front",
    [
        'a: !!int ""',
        'a: !!float ""',
        "a: !!bool foo",
        "a: !!timestamp foo",
        "a: &x [1]\nb: *x",
        "{a: 1}: 2",
        "a: [",
        "a: !!python/object:os.system x",
        "a: 0001-99-99",
        "[" * 5000,
    ],
)
def test_front_matter_that_cannot_be_read_is_a_problem_and_not_an_error(front: str, tmp_path: Path) -> None:
    found = written(tmp_path, f"---\n{front}\n---\n# Uses\nx\n")
    assert found.front_matter == {}
    assert found.problem
    assert found.problem.isprintable()
    assert found.text("uses") == "x"


@pytest.mark.parametrize(
    "text",
    [
        "# h\n" + "<!--" * 120_000,
        "# h\n" + "\n" * 500_000,
        "# h\n" + "* " * 200_000,
        "# h\n" + "**a" * 150_000,
        "# h\n" * 60_000,
        "```\n" * 100_000,
        "---\n" + "a: " * 150_000 + "\n---\n",
    ],
    ids=["comments", "newlines", "bullets", "bold", "headings", "fences", "keys"],
)
def test_a_hostile_card_is_read_in_time(text: str, tmp_path: Path) -> None:
    started = spent()
    found = written(tmp_path, text)
    found.text("h", "use")
    assert spent() - started < 10


def test_a_card_that_is_a_link_out_of_the_folder_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("# Uses\nsecret\n")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "README.md").symlink_to(tmp_path / "secret")
    assert card.read(folder) is None
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    assert card.read(folder) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text("-:!&*[]{}#<>\n \"'|ab1", max_size=80).map(lambda t: f"---\n{t}\n---\n# h\n{t}".encode()))
def test_any_bytes_are_a_card(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), data).text("h")


def test_declared_fields_are_text_in_bounds_whatever_was_written(tmp_path: Path) -> None:
    front = "license: apache-2.0\ndatasets: [one, 2, 'two\u202e', {a: b}]\nlanguage: {en: 1}\ntags: " + "[" + ", ".join(f"t{i}" for i in range(50)) + "]"
    found = written(tmp_path, f"---\n{front}\n---\n# Uses\nx\n")
    assert found.declared("license") == ("apache-2.0",)
    assert found.declared("datasets") == ("one", "two\\u202e")
    assert found.declared("language") == found.declared("none") == ()
    assert len(found.declared("tags")) == 20
