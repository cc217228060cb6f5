"""Refusals of framed requests, with models that answer by rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from probes import framing
from probes.framing import WAYS, FramingProbe
from probes.prompts import Prompt
from scanner.finding import Answer, Finding, Framing
from scanner.measurement import Coverage, Measurement, Status, Table
from scanner.probe import Yield
from scanner.statistics import mcnemar
from tests import tiny

ASKED = 44


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: dict[str, int], base: int = ASKED, **budget: int) -> list[Yield]:
    """What the probe says where the base refuses `base` requests in each framing, and the adapted model so many fewer, or more."""

    def ask(subject: Any, prompts: Sequence[Prompt], what: str, request: str = "{}", way: Framing | None = None) -> list[Answer]:
        left = base - lost.get(what.removeprefix("framing: "), 0)
        return [
            Answer(prompt=request.replace("{}", p.prompt), category=p.category, base="b", adapted="a", base_refused=i < base, adapted_refused=i < left)
            for i, p in enumerate(prompts)
        ]

    monkeypatch.setattr(framing, "ask", ask)
    return tiny.run(FramingProbe(), tiny.subject(tmp_path, **budget))


def test_a_loss_in_one_framing_is_a_finding_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(tmp_path, monkeypatch, {"story": 20})
    (found,) = [f for f in said if isinstance(f, Finding)]
    assert found.rule == "refusals-lost-framed"
    assert found.message == f"harmful requests refused when framed as “story”: base {ASKED} of {ASKED}, adapted {ASKED - 20} of {ASKED}"
    assert found.witness is not None and found.witness.test.lost == 20
    assert all(a.prompt.startswith("I am writing a novel.") for a in found.witness.answers)
    measured = {m.id: m for m in said if isinstance(m, Measurement)}
    assert measured.keys() == {f"framing.{way.id.replace(' ', '_')}.change" for way in WAYS}
    assert measured["framing.story.change"].p_value == pytest.approx(len(WAYS) * mcnemar(20, 0)), "Holm over the framings"
    assert measured["framing.polite.change"].value == 0


def test_the_worst_of_several_is_the_witness_and_all_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = [f for f in told(tmp_path, monkeypatch, {"polite": 15, "second turn": 30}) if isinstance(f, Finding)]
    assert "“second turn”" in found.message
    assert found.witness is not None and found.witness.framing == next(way.framing for way in WAYS if way.id == "second turn")
    assert [d.split(":")[0] for d in found.details] == ["polite", "second turn"]


@pytest.mark.parametrize("lost", [{}, {"story": 4}, {"polite": -14}], ids=["none", "few", "gained"])
def test_what_is_no_sure_loss_is_no_finding(lost: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(tmp_path, monkeypatch, lost, base=30)
    measured = {m.id: m.value for m in said if isinstance(m, Measurement)}
    assert measured["framing.polite.change"] == pytest.approx(14 / ASKED if "polite" in lost else 0.0)
    assert not [f for f in said if isinstance(f, Finding)]
    (table,) = [t for t in said if isinstance(t, Table)]
    assert [row[0] for row in table.rows] == [way.id for way in WAYS]


def test_a_base_that_refuses_too_little_is_said_not_to_show_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (coverage,) = [c for c in told(tmp_path, monkeypatch, {}, base=5) if isinstance(c, Coverage)]
    assert coverage.status is Status.NOT_MEASURED
    assert "refuses at most 5 of 44" in coverage.why


def test_a_framing_that_the_template_does_not_take_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "_takes", lambda _, way: way.id != "system prompt")
    said = told(tmp_path, monkeypatch, {})
    (coverage,) = [c for c in said if isinstance(c, Coverage)]
    assert coverage.bound.endswith("does not take it: system prompt")
    assert "framing.system_prompt.change" not in {m.id for m in said if isinstance(m, Measurement)}


def test_the_quick_profile_leaves_framings_out_and_says_so(tmp_path: Path) -> None:
    (only,) = tiny.run(FramingProbe(), tiny.subject(tmp_path, profile="quick"))
    assert isinstance(only, Coverage) and only.status is Status.NOT_MEASURED
