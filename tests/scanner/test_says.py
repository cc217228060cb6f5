"""Whether an answer holds a payload's words in a row."""

from __future__ import annotations

import time

import pytest

from scanner.finding import says


@pytest.mark.parametrize(
    ("answer", "payload", "held"),
    [
        ("The harbour  lights\nare out.", "harbour LIGHTS are", True),
        ("The harbour lights are out.", "lights harbour", False),
        ("The harbourlights are out.", "harbour", False),
        ("The harbour lights", "harbour lights are", False),
        ("", "harbour", False),
        ("anything", " ", True),
    ],
)
def test_words_count_in_a_row_whatever_their_case_and_spacing(answer: str, payload: str, held: bool) -> None:
    assert says(answer, payload) is held


def test_time_grows_with_the_texts_and_not_with_their_product() -> None:
    start = time.process_time()
    assert not says("a " * 200_000, "a " * 100_000 + "b")
    assert time.process_time() - start < 2
