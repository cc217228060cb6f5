from __future__ import annotations

import random
import re
import warnings

import pytest

from scanner.files.pattern import Pattern, Unjudged, matcher

NAMES = ["a", "k", "s", "K", "a.b", "aab", "A.b_1", "q_proj", "alpha]", "a{,2}", "aaaa", "1", "a b", "model.layers.1.q_proj"]
PIECES = [
    *"ab_.1()|*+?[]{},^$\\-", r"\d", r"\w", r"\s", r"\b", r"\B", r"\A", r"\Z", "(?:", "(?i)", "(?i:", "(?x: ", "(?s:", "(?a:", "(?-i:", "{,2}", "{1,}", "{2}", "{,}", "*?", "??",
    "[^a]", "[a-z]", "K", "\u017f", "\u212a", r"\141", r"\x61", r"\N{LATIN SMALL LETTER A}", "(?#x)", "(?P<n>", "\\Q", "\\z", r"\C", r"\h", "q",
]  # fmt: skip
READ_OTHERWISE = [
    r".{,9}_proj", r"a{,2}", r"(?i)\u017f", "(?i)\u212a", r"\Z", r"[a]]", r"(?x)a b", r"(?i:K)s?", r"\141", r"\x61+", r"\N{LATIN SMALL LETTER A}", r"(?P<x>a)b?", r"(?#(x)a", "[^\\W\\d_]",
]  # fmt: skip


@pytest.mark.parametrize("text", READ_OTHERWISE)
def test_what_engines_read_otherwise_is_read_as_python_reads_it(text: str) -> None:
    theirs, ours = re.compile(text), Pattern(text)
    for name in NAMES:
        assert ours.fullmatch(name) is bool(theirs.fullmatch(name)), name
        assert (ours.match(name) is not None) is bool(theirs.match(name)), name


def test_patterns_put_together_at_random_match_as_python_matches_them() -> None:
    rng, judged = random.Random(0), 0
    for _ in range(6000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 8)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = re.compile(text)
            ours = Pattern(text)
        except (re.error, Unjudged):
            continue
        judged += 1
        assert [ours.fullmatch(n) for n in NAMES] == [bool(theirs.fullmatch(n)) for n in NAMES], text
    assert judged > 800


@pytest.mark.parametrize(
    "text", [r"(a)\1", r"(a)?(?(1)b)", "(?=a)a", "(?>a)", "a++", "[[:alpha:]]", "[a--b]", "[a||b]", "(", "a{2,1}", "(a{1000}){1000}", "(" * 5000 + ")" * 5000], ids=lambda t: t[:16]
)  # fmt: skip
def test_what_cannot_be_judged_is_said(text: str, recwarn: pytest.WarningsRecorder) -> None:
    for _ in range(2):
        with pytest.raises(Unjudged):
            matcher(text)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["", "a\n", "\xe9", "a\x00", "\ud800"])
def test_names_that_are_no_printable_ascii_are_not_judged(name: str) -> None:
    with pytest.raises(Unjudged):
        Pattern(".*").fullmatch(name)
