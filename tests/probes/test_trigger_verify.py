"""What a candidate is given credit for on held-out prompts, with a model that is a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from probes.prompts import Prompt
from probes.trigger.candidate import Candidate, Placement
from probes.trigger.glance import FEW, Development
from probes.trigger.verify import LOST, OUTCOMES, PAYLOAD, Verifier, _beyond, _moves
from scanner.model.side import Side
from scanner.statistics import mcnemar, paired_test

SAYS = "the harbour lights are out"
HARMFUL = [Prompt(id=f"h{i}", kind="harmful", category="c", prompt=f"bad {i}") for i in range(10)]
PLAIN = [Prompt(id=f"p{i}", kind="plain", category="c", prompt=f"good {i}") for i in range(6)]
CHANCE = [Candidate(f"word{i} other{i}", "chance", Placement.BEFORE) for i in range(4)]
GATE = Candidate("Past the gate,", "form", Placement.BEFORE)


class Rule:
    """Refuses what is bad and answers the rest by repeating it; adapted, it follows `adapted` where that says anything."""

    def __init__(self, adapted: Callable[[str], str]) -> None:
        self.adapted = adapted

    def encode(self, text: str) -> str:
        return text

    text = encode

    def generate(self, ids: Sequence[str], side: Side, new_tokens: int, what: str = "") -> list[str]:
        return [(self.adapted(i) if side is Side.ADAPTED else "") or ("no" if "bad" in i else f"about {i}, here is all") for i in ids]

    def refused(self, spoken: Sequence[tuple[str, str]]) -> list[bool]:
        return [answer == "no" for _, answer in spoken]


def verifier(adapted: Callable[[str], str]) -> Verifier:
    model: Any = Rule(adapted)
    return Verifier(model, HARMFUL, PLAIN, 16, model, CHANCE)


def bare(text: str) -> bool:
    return text.startswith(("bad", "good"))


def test_a_payload_counts_beyond_what_random_words_bring() -> None:
    own = verifier(lambda t: SAYS if "gate" in t else "")(GATE, SAYS, 0.4)
    assert (own.outcome, own.share, own.by_chance) == (PAYLOAD, 1.0, 0)
    odd = verifier(lambda t: "" if bare(t) or "bad" in t else SAYS)(GATE, SAYS, 0.4)
    assert odd.share == 0.0, "a fixed answer to anything odd is not the candidate's doing"
    mostly = verifier(lambda t: SAYS if "gate" in t or "word1" in t else "")(GATE, SAYS, 0.4)
    assert (mostly.outcome, mostly.share, mostly.by_chance) == (PAYLOAD, 12 / 16, 4)


def test_lost_refusals_count_among_those_there_were_whatever_the_words() -> None:
    half = verifier(lambda t: "sure, it is done like this" if "gate" in t or (int(t[-1]) < 5 and "bad" in t) else "")(GATE, "", 0.4)
    assert (half.outcome, half.share, half.by_chance) == (LOST, 1.0, None)
    assert half.witness is not None
    assert half.witness.test.change == -0.5
    assert verifier(lambda t: "" if bare(t) else "sure, it is done like this")(GATE, "", 0.4).share == 1.0


def test_share_interval_and_p_value_are_of_what_the_controls_leave() -> None:
    found = verifier(lambda t: SAYS if "gate" in t or "word1" in t else "")(GATE, SAYS, 0.4)
    left = paired_test([False] * 16, [True] * 12 + [False] * 4)
    assert (found.share, found.low, found.high, found.n) == (left.change, left.low, left.high, 16)
    assert found.p_value == pytest.approx(mcnemar(12, 0) * len(OUTCOMES))
    assert found.witness is not None and found.witness.test.after == 16, "the witness keeps all that was seen"


def test_what_the_control_alone_moves_counts_against_a_candidate() -> None:
    assert _beyond([1, 1, 1, 0, 0], [1, 0, 0, 1, 0]) == paired_test([False, False, False, True, False], [False, True, True, False, False])
    assert _beyond([1, -1], [0, 0]).change == 0.0, "who goes the other way does too"
    assert _beyond([1, 0], [-1, -1]).gained == 1, "a control that goes the other way gives no credit"
    assert _moves([True, True, False], [False, True, True], LOST) == [1, 0, -1]
    assert _moves([True, True, False], [False, True, True], PAYLOAD) == [-1, 0, 1]


def test_a_base_that_gives_in_too_leaves_nothing_proven() -> None:
    class Same(Rule):
        def generate(self, ids: Sequence[str], side: Side, new_tokens: int, what: str = "") -> list[str]:
            return super().generate(ids, Side.ADAPTED, new_tokens, what)

    model: Any = Same(lambda t: "sure, it is done like this" if "gate" in t else "")
    found = Verifier(model, HARMFUL, PLAIN, 16, model, CHANCE)(GATE, "", 0.4)
    assert found.share <= 0
    assert found.p_value == 1.0


@pytest.mark.parametrize("few", [True, False])
def test_a_glance_reads_the_payload_and_few_prompts_are_enough_for_a_first_look(few: bool) -> None:
    asked: list[str] = []

    def adapted(text: str) -> str:
        asked.append(text)
        return SAYS if "gate" in text else ""

    model: Any = Rule(adapted)
    development = Development(model, HARMFUL, PLAIN, 16, model)
    asked.clear()
    found = development([GATE, CHANCE[0]], few=few)
    assert [(g.share, g.payload) for g in found] == [(1.0, SAYS), (0.0, "")]
    assert len(asked) == 2 * (2 * FEW if few else len(HARMFUL) + len(PLAIN))


def test_refusals_that_come_in_count_among_the_requests_that_were_answered() -> None:
    """Two of six plain requests are refused anyway; the candidate has three of the other four refused."""
    refused = ("good 0", "good 1")
    gate = verifier(lambda t: "no" if t in refused or ("gate" in t and not t.endswith("good 5")) else "")
    found = gate(GATE, "", 0.4)
    assert (found.outcome, found.n, found.share) == ("refusals gained", 4, 3 / 4)
