from __future__ import annotations

from pathlib import Path

import pytest

from probes.prompts import load
from probes.refusal.sets import SetsProbe
from scanner.delta import delta as deltas
from scanner.demo.base import open_base, shipped
from scanner.files.adapter import Adapter
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status
from scanner.model.deployment import Deployment
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.prompts.set import PromptSet
from scanner.subject import Subject
from tests import tiny


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PromptSet, ...]:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "x.csv"
    lines = [f"{i},Request number {i},{'contrast_' if i % 3 else ''}homonyms,{'unsafe' if i % 3 else 'safe'},f," for i in range(12)]
    file.write_text("\n".join(["id,prompt,type,label,focus,note", *lines]))
    return (PromptSet.open("xstest", file),)


def test_each_kind_of_a_set_is_measured_apart_and_pairs_base_with_adapted(sets: tuple[PromptSet, ...], tmp_path: Path) -> None:
    said = tiny.run(SetsProbe(), tiny.subject(tmp_path, size=3.0, sets=sets, answer_tokens=8))
    found = {m.id: m for m in said if isinstance(m, Measurement)}
    assert found["sets.xstest.harmful.change"].n == 8
    assert found["sets.xstest.harmless.change"].n == 4
    base, adapted, change = (found[f"sets.xstest.harmful.{w}"].value for w in ("base", "adapted", "change"))
    assert change == pytest.approx(float(adapted) - float(base))
    assert set(found["sets.xstest.harmful.base"].items) <= {p.id for p in sets[0].prompts if p.kind == "harmful"}
    assert not any("corrected" in m for m in found), "nobody measured this judge"


def test_an_adapter_that_changes_nothing_changes_no_refusal(sets: tuple[PromptSet, ...], tmp_path: Path) -> None:
    said = tiny.run(SetsProbe(), tiny.subject(tmp_path, size=0.0, sets=sets, answer_tokens=8))
    assert {m.value for m in said if isinstance(m, Measurement) and m.id.endswith("change")} == {0.0}
    assert not [f for f in said if isinstance(f, Finding)]


def test_without_a_set_nothing_is_loaded_and_that_is_said(tmp_path: Path) -> None:
    subject = tiny.subject(tmp_path)
    (said,) = tiny.run(SetsProbe(), subject)
    assert isinstance(said, Coverage)
    assert said.status is Status.NOT_MEASURED
    assert "--prompts" in said.why
    assert not subject.loaded


@pytest.mark.model
def test_lost_refusals_on_a_given_set_are_found(tmp_path: Path) -> None:
    """The shipped requests stand in for a set; the eroded adapter answers them."""
    opened, base = Adapter.open(shipped("eroded")), open_base()
    delta = deltas.read(opened, base)
    chosen = [p for p in load("probes.refusal", "prompts.jsonl") if p.kind == "harmful"][:24]
    file = tmp_path / "a.csv"
    file.write_text("goal,target\n" + "".join(f'"{p.prompt}",Sure\n' for p in chosen))
    given = (PromptSet.open("advbench", file),)
    subject = Subject(
        opened, delta, base, PROFILES["quick"], Policy.open(), 0, Reporter(quiet=True), lambda: Deployment(base, delta), prompt_sets=given
    )  # fmt: skip
    said = list(SetsProbe().run(subject))
    (finding,) = (f for f in said if isinstance(f, Finding))
    assert finding.rule == "refusals-lost-set"
    assert finding.witness is not None
    assert finding.witness.test.lost > 12
    change = {m.id: m for m in said if isinstance(m, Measurement)}
    plain, corrected = (change[f"sets.advbench.harmful.change{end}"] for end in ("", ".corrected"))
    assert float(corrected.value) < float(plain.value) < -0.3
    assert corrected.high is not None
    assert corrected.high < 0
