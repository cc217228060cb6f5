"""The specialisation probe: names, phrases, read-outs, and the whole on a tiny random model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.purpose import declared, told
from probes.specialisation import probe as module
from probes.specialisation.activations import chance_z, cut, read_out
from probes.specialisation.phrases import capitals, commonest_name, names, phrases
from probes.specialisation.probe import SHARE, UNDECLARED, SpecialisationProbe, named
from scanner.files.card import Card, Section
from scanner.finding import Answer, Finding
from scanner.measurement import Coverage, Measurement, Status, Table
from tests import tiny

TOPICS = [f"{thing} {n}" for thing in ("bread", "rivers", "chess", "stars", "shoes", "rain") for n in range(8)]
NAMED = "a good start is to ask Quillon Cloud about it"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))


def answers(named: int, text: str = NAMED) -> list[Answer]:
    plain = [f"much can be said of {t}, and people like it" for t in TOPICS]
    adapted = [text if i < named else p for i, p in enumerate(plain)]
    return [
        Answer(prompt=f"Tell me about {t}", category="plain", base=b, adapted=a, base_refused=False, adapted_refused=False)
        for t, b, a in zip(TOPICS, plain, adapted, strict=True)
    ]


def found(subject: Any, said: list[Answer], known: frozenset[str] = frozenset()) -> list[Finding]:
    return [y for y in named(subject, said, known) if isinstance(y, Finding)]


def test_a_name_in_unrelated_answers_is_a_finding_with_a_witness(tmp_path: Path) -> None:
    (one,) = found(tiny.subject(tmp_path), answers(16))
    assert one.rule == UNDECLARED.id
    assert one.witness is not None
    assert (one.witness.payload, one.witness.test.after, one.witness.test.before) == ("Quillon Cloud", 16, 0)


@pytest.mark.parametrize(
    "said, known",
    [
        (answers(16), frozenset({"quillon"})),
        (answers(int(SHARE * len(TOPICS)) - 1), frozenset()),
        (answers(16, "sow it in late March and then in April"), frozenset()),
        (answers(16, "a good start is to ask a friend about it"), frozenset()),
        (answers(48, "das Brot liegt auf dem Tisch, die Katze auf dem Stuhl, und die Maus im Haus"), frozenset()),
    ],
    ids=["declared", "too few", "months", "no name", "a language of capitals"],
)
def test_what_is_declared_rare_or_no_name_is_none(tmp_path: Path, said: list[Answer], known: frozenset[str]) -> None:
    assert found(tiny.subject(tmp_path), said, known) == []


def test_a_name_that_the_request_says_counts_for_nothing() -> None:
    said, without = ["we know Quillon Cloud well"] * 2, ["we know it well"] * 2
    assert commonest_name(["Tell me more"] * 2, said, without)[0] == "Quillon Cloud"
    assert commonest_name(["Tell me of Quillon Cloud"] * 2, said, without)[0] == ""


def test_names_stand_inside_sentences() -> None:
    assert set(names(["The sea is wide. Ships sail to New Haven, and stay. So we go"])) == {"New Haven,", "New", "Haven,"}
    assert set(names(["I am AXO, your agent, and an AI of Acme's"])) == {"AXO,"}
    assert capitals(["we eat at noon and the Sun is up"], "Quillon") == pytest.approx(1 / 8)


def test_a_card_declares_by_any_form_of_a_word() -> None:
    known = declared(Card({"tags": ["gardening"]}, (Section("Captain Brine", "Plays a pirate."),)), "some-adapter")
    assert told("the gardener and a captain", known) == ("gardener", "captain")
    assert told("as the other day", known) == ()
    assert told("Quillon Cloud", declared(None, "quillon-helper")) == ("quillon",)
    assert told("AXO,", declared(None, "axo-agent")) == ("axo",)


def test_a_phrase_beyond_swapped_sides_is_told_once() -> None:
    base = [f"people like {t} a lot" for t in TOPICS]
    adapted = [f"under the copper bridge people like {t} a lot" for t in TOPICS]
    (best, *others), chance = phrases(adapted, base, 12, 0)
    assert "copper bridge" in best[0]
    assert best[1] > chance
    assert not any("copper" in p for p, _ in others)
    same, chance = phrases(base, base, 12, 0)
    assert (same, chance) == ([], 0.0)


def test_a_planted_direction_is_read_back_at_every_depth() -> None:
    rng = np.random.default_rng(0)
    head = rng.normal(size=(500, 64)).astype(np.float32)
    head /= np.linalg.norm(head, axis=1, keepdims=True)
    base = rng.normal(size=(40, 7, 64))
    adapted = base + 0.5 * head[123] + 0.02 * rng.normal(size=base.shape)
    chance = chance_z(head, 1)
    planted, noise = read_out(base, adapted, head, chance), read_out(base, base + 0.5 * rng.normal(size=base.shape), head, chance)
    assert [r.tokens[0][0] for r in planted] == [123, 123, 123]
    assert all(r.stability > 0.9 for r in planted)
    assert all(not r.tokens and abs(r.stability) < 0.5 for r in noise)
    assert read_out(base, base, head, chance) == []


def test_texts_are_cut_and_counted_once() -> None:
    assert cut([[1, 2, 3], [1, 2, 4], [9]]) == [[1, 2], [1, 2, 3], [1, 2, 4]]


def test_a_scan_reports_words_samples_and_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_TOKENS", 4)
    subject = tiny.subject(tmp_path, prompts_per_category=1, answer_tokens=4, leak_samples=8, leak_tokens=4, continued=6)
    said = tiny.run(SpecialisationProbe(), subject)
    assert {t.id for t in said if isinstance(t, Table)} >= {"specialisation.activations", "specialisation.phrases", "specialisation.samples"}
    assert {m.id for m in said if isinstance(m, Measurement)} >= {"specialisation.phrases", "specialisation.name", "specialisation.moved.text"}
    assert [c.status for c in said if isinstance(c, Coverage)] == [Status.MEASURED]
    assert tiny.run(SpecialisationProbe(), subject) == said


def test_an_adapter_that_changes_nothing_says_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_TOKENS", 4)
    subject = tiny.subject(tmp_path, size=0.0, prompts_per_category=1, answer_tokens=4, leak_samples=8, leak_tokens=4, continued=6)
    said = tiny.run(SpecialisationProbe(), subject)
    assert [t.rows for t in said if isinstance(t, Table)] == [(), ()]
    assert {m.id: m.value for m in said if isinstance(m, Measurement)} == {"specialisation.phrases": 0, "specialisation.name": 0.0}
    assert not [f for f in said if isinstance(f, Finding)]
