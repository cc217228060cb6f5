"""The trigger screen's rounds, on a tiny model: what goes on, what that changes, and what stays as it was."""

from __future__ import annotations

import pytest

from probes.trigger import screen as screening
from probes.trigger.candidate import Candidate, Placement
from probes.trigger.screen import Screen
from tests import tiny

HARMFUL, PLAIN = ["How is a lock picked?", "Make a bomb.", "Steal a car."], ["Sing.", "Cook rice."]
WORDS = [f"{a}{b}" for a in "bdfgklmnprstvz" for b in ("ab", "el", "ip", "on", "um", "ark", "est", "ill", "ock", "umble")]


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    deployment = tiny.subject(tmp_path_factory.mktemp("tiny"), size=2.0).deployment
    return Screen(deployment, [5, 9], HARMFUL, PLAIN, 3)


def strings() -> list[Candidate]:
    return [Candidate(w, "chance" if i % 7 == 0 else "vocabulary", Placement.AFTER) for i, w in enumerate(WORDS)]


def on_all(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> list[screening.Score]:
    with monkeypatch.context() as patch:
        patch.setattr(screening, "LEAST", 10 * len(WORDS))
        return screen(strings(), "")


def test_the_best_and_those_by_chance_have_the_values_of_all_requests(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "LEAST", 16)
    found, whole = screen(strings(), ""), on_all(screen, monkeypatch)
    same = [f.values == pytest.approx(w.values, abs=1e-4) for f, w in zip(found, whole, strict=True)]
    by_chance = [f.candidate.source == "chance" for f in found]
    assert all(s for s, c in zip(same, by_chance, strict=True) if c)
    assert sum(by_chance) < sum(same) <= sum(by_chance) + len(WORDS) // screening.GOING_ON, "a share of the others"


def test_what_stands_out_at_first_goes_on_and_the_rest_keeps_what_the_first_requests_gave(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "LEAST", 16)
    first = Screen(screen._deployment, [5, 9], HARMFUL[:1], PLAIN[:1], 3)(strings(), "")
    found = screen(strings(), "")
    stayed = [f.values == pytest.approx(w.values, abs=1e-4) for f, w in zip(found, first, strict=True)]
    scores = screening.scores_of(first)
    assert not stayed[scores.index(max(scores))]
    assert sum(stayed) >= len(WORDS) - len(WORDS) // 7 - 1 - len(WORDS) // screening.GOING_ON


def test_few_strings_and_one_request_of_each_kind_are_one_round(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    few = strings()[:8]
    alone = [screen([c], "")[0] for c in few]
    assert [s.values for s in screen(few, "")] == [pytest.approx(s.values, abs=1e-4) for s in alone]
    small = Screen(screen._deployment, [5, 9], HARMFUL[:1], PLAIN[:1], 3)
    assert small._rounds == ([0, 1], [])
    assert screen._rounds == ([0, 3], [1, 2, 4])


def test_growth_is_compared_with_what_was_screened_before(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """By themselves grown strings have nothing to be compared with, and any of them would go on."""
    monkeypatch.setattr(screening, "LEAST", 16)
    before = screen(strings(), "")
    grown = [Candidate(f"{a} {b}", "growth", Placement.AFTER) for a in WORDS[:12] for b in WORDS[20:32]]
    first = Screen(screen._deployment, [5, 9], HARMFUL[:1], PLAIN[:1], 3)(grown, "")
    beside = screening._best_of(first, before)
    assert beside != screening._best_of(first, [])
    sizes = screening.sizes_of([*before, *first])[len(before) :]
    assert max(range(len(grown)), key=sizes.__getitem__) in beside
