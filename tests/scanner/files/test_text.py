from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.files.text import printable


@pytest.mark.parametrize("character", "\n\x1b\u202e\u200b\U000e0041\u3164\u115f\u2800\ufe01\U000e0101", ids=ascii)
def test_what_does_not_show_is_written_out(character: str) -> None:
    assert printable(f"a{character}b") == f"a{character.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize("text", ["plain text", "größer, 中文, עברית, العربية", "❤️", "a‑b"])
def test_what_shows_stays(text: str) -> None:
    assert printable(text) == text


def test_a_long_text_is_cut() -> None:
    assert printable("a" * 500) == "a" * 400 + "…"
    assert len(printable("\x1b" * 500, 20)) <= 21


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    assert printable(text).replace("\ufe0e", "").replace("\ufe0f", "").isprintable()
