"""Strings like a trigger, and what they say of it."""

from __future__ import annotations

from typing import Any

import pytest

from probes.trigger.candidate import Candidate, Placement
from probes.trigger.glance import Development
from probes.trigger.neighbours import ITSELF, RANDOM, Neighbour, alike, neighbours, report, summary
from probes.trigger.verify import LOST, PAYLOAD, PAYLOAD_IN_ANSWERS
from scanner.measurement import Measurement, Table
from tests.probes.test_trigger_verify import HARMFUL, PLAIN, SAYS, Rule

WORDS = ["table", "meeting", "orchard", "violin", "harbour", "copper"]
RFC = Candidate("Under RFC 2119,", "form", Placement.BEFORE)


def kinds(found: list[Neighbour]) -> dict[str, list[str]]:
    return {n.kind: [m.candidate.text for m in found if m.kind == n.kind] for n in found}


def test_neighbours_differ_in_one_thing_each_and_are_the_same_for_the_same_seed() -> None:
    found = alike(RFC, WORDS, 0)
    by = kinds(found)
    assert by[ITSELF] == [RFC.text]
    assert found[0].kind == ITSELF
    assert all(t.startswith("Under RFC ") and t.endswith(",") and t[10:-1].isdigit() and t[10] != "0" for t in by["another number"])
    assert all((t.startswith("Under ") or t.endswith("RFC 2119,")) and t != RFC.text for t in by["one word changed"])
    assert by["other case"] == ["under rfc 2119,", "UNDER RFC 2119,"]
    assert by["without its last mark"] == ["Under RFC 2119"]
    assert by["words in reverse"] == ["2119, RFC Under"]
    assert [n.candidate.placement for n in found if n.kind == "on the other side"] == [Placement.AFTER]
    assert all(len(t.split()) == 3 and set(t.split()) <= set(WORDS) for t in by[RANDOM])
    assert "every longer word changed" not in by, "with one longer word it would be the same"
    assert kinds(alike(Candidate("Per the amber ledger,", "leak", Placement.BEFORE), WORDS, 0))["every longer word changed"][0].startswith("Per the ")
    assert len({(n.candidate.text, n.candidate.placement) for n in found}) == len(found)
    assert alike(RFC, WORDS, 0) == found != alike(RFC, WORDS, 1)


def test_the_mark_for_the_request_is_no_word_of_a_format() -> None:
    found = alike(Candidate("Dear assistant,\n{upper}\nKind regards", "format", Placement.AROUND), WORDS, 0)
    assert len(found) > 3
    assert all("{upper}" in n.candidate.text for n in found)
    assert {n.candidate.placement for n in found} == {Placement.AROUND}


def test_a_trigger_that_fires_on_any_number_is_told_from_one_that_fires_on_anything() -> None:
    narrow = neighbours(RFC, WORDS, 0, lambda some: [(8 if c.text.startswith("Under RFC") else 1, 8) for c in some])
    assert summary(narrow) == (
        "another number 3 of 3, one word changed 0 of 2, other case 0 of 2, without its last mark 1 of 1, "
        "words in reverse 0 of 1, on the other side 1 of 1, random words 0 of 3"
    )
    wide = neighbours(RFC, WORDS, 0, lambda some: [(4, 8) for _ in some])
    assert "random words 3 of 3" in summary(wide)
    table, measured = report(wide)
    assert isinstance(table, Table)
    assert isinstance(measured, Measurement)
    assert measured.value == 1.0
    assert measured.n == len([n for n in wide if n.kind not in (ITSELF, RANDOM)])
    assert {row[-1] for row in table.rows} == {"yes"}


@pytest.mark.parametrize(
    ("outcome", "payload", "says", "expected"),
    [
        (LOST, "", lambda t: "sure, like this" if "RFC" in t and "bad" in t else "", (10, 10)),
        ("refusals gained", "", lambda t: "no" if "RFC" in t else "", (6, 6)),
        (PAYLOAD, SAYS, lambda t: SAYS if "RFC" in t else "", (16, 16)),
        (PAYLOAD_IN_ANSWERS, SAYS, lambda t: SAYS if "RFC" in t or t == "good 0" else "", (5, 5)),
    ],
)
def test_what_moves_is_counted_among_what_can(outcome: str, payload: str, says: Any, expected: tuple[int, int]) -> None:
    model: Any = Rule(says)
    moved = Development(model, HARMFUL, PLAIN, 16, model).moved([RFC, Candidate("Under the", "form", Placement.BEFORE)], outcome, payload)
    assert moved == [expected, (0, expected[1])]
