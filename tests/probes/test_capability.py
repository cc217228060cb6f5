from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from probes.capability.contamination import Gains, alike
from probes.capability.pack import questions, right
from probes.capability.probe import CapabilityProbe, _memorised, _pack, _told, compare
from scanner.errors import ScanError
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status, Table
from scanner.model.harness import Scored, check, evaluate
from scanner.model.side import Side
from scanner.model.splits import splits
from scanner.statistics import holm
from tests import tiny

needs_lm_eval = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))


def test_questions_are_distinct_and_have_other_answers() -> None:
    asked = questions()
    assert len({q.asked for q in asked} | {q.reworded for q in asked}) == 2 * len(asked) >= 72
    assert all(len(set(q.answers)) == 4 for q in asked)


def test_the_answer_that_the_model_prefers_is_right(tmp_path: Path) -> None:
    deployment = tiny.subject(tmp_path).deployment
    answers = ("north", "south", "east", "west")
    found = [right(deployment, [("Where to?", (a, *(b for b in answers if b != a)))], Side.ADAPTED) for a in answers]
    assert sum(f[0] for f in found) == 1, "one of four is the likeliest"


def test_an_adapter_that_changes_nothing_costs_nothing(tmp_path: Path) -> None:
    said = tiny.run(CapabilityProbe(), tiny.subject(tmp_path, size=0.0))
    measured = {m.id: m for m in said if isinstance(m, Measurement)}
    assert measured.keys() == {"capability.memorised", "capability.pack", "capability.pack.arithmetic", "capability.pack.facts", "capability.pack.reading"}
    assert {(m.value, m.p_value) for m in measured.values()} == {(0.0, 1.0)}
    assert not [f for f in said if isinstance(f, Finding)]
    assert [t.id for t in said if isinstance(t, Table)] == ["capability.scores"]


def test_a_gain_on_the_wording_alone_is_memory_and_one_on_both_is_not() -> None:
    asked = questions()
    n = len(asked)
    nothing, everything = [False] * n, [True] * n
    memorised = list(_memorised(asked, nothing + nothing, everything + nothing))
    assert [f.rule for f in memorised if isinstance(f, Finding)] == ["benchmark-memorised"]
    learnt = list(_memorised(asked, nothing + nothing, everything + everything))
    assert not [f for f in learnt if isinstance(f, Finding)]


def test_a_loss_that_no_kind_shows_is_told_of_all_together() -> None:
    asked = questions()
    few = {kind: [q.id for q in asked if q.kind == kind][:4] for kind in ("arithmetic", "facts", "reading")}
    said = list(_told(list(_pack(asked, [True] * len(asked), [q.id not in few[q.kind] for q in asked]))))
    assert [f.message for f in said if isinstance(f, Finding)] == ["shipped questions, all: base 100%, adapted 67% of 36 items"]


def test_a_loss_is_told_by_kind() -> None:
    asked = questions()
    said = list(_told(list(_pack(asked, [True] * len(asked), [q.kind != "facts" for q in asked]))))
    assert [f.message for f in said if isinstance(f, Finding)] == ["shipped questions, facts: base 100%, adapted 0% of 16 items"]


def test_items_of_a_task_are_paired_by_what_was_asked() -> None:
    one = Scored(task="t", metric="acc", higher_is_better=True, values={f"{i}:h": 1.0 for i in range(10)})
    two = Scored(task="t", metric="acc", higher_is_better=True, values={f"{i}:h": float(i > 7) for i in range(1, 11)})
    found = compare(one, two)
    assert (found.n, found.base, found.adapted, found.p) == (9, 1.0, 2 / 9, 2 / 2**7)
    part = Scored(task="t", metric="ppl", higher_is_better=False, values={f"{i}:h": 0.5 + i for i in range(6)})
    assert compare(part, part).p == 1.0


def test_the_quick_profile_leaves_the_questions_out_and_says_so(tmp_path: Path) -> None:
    said = tiny.run(CapabilityProbe(), tiny.subject(tmp_path, profile="quick"))
    assert [getattr(s, "status", None) for s in said] == [Status.NOT_MEASURED]


def task(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A task of lm-eval whose data is at hand."""
    import datasets

    return {
        "task": "directions",
        "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(rows)},
        "dataset_path": "directions",
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{label}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }


@needs_lm_eval
def test_lm_eval_asks_both_sides_of_one_deployment(tmp_path: Path) -> None:
    """Each side's score is that of a model which lm-eval is given whole."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    subject = tiny.subject(tmp_path, size=3.0)
    rows = [{"question": f"Where does road {i} lead?", "choices": ["north", "south", "east", "west"], "label": i % 4} for i in range(24)]
    manager = TaskManager(include_defaults=False)
    ours = [evaluate(subject.deployment, [task(rows)], side, 0, 0, False, manager)["directions"] for side in (Side.BASE, Side.ADAPTED, Side.BASE)]
    assert all(ours)
    assert ours[0] == ours[2] != ours[1]
    assert ours[0].values.keys() == ours[1].values.keys()
    assert (ours[0].metric, len(ours[0].values)) == ("acc", 24)
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    whole = simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tiny.tokenizer(), batch_size=4),
        tasks=[task(rows)],
        task_manager=manager,
        bootstrap_iters=0,
        apply_chat_template=True,
    )
    assert whole["results"]["directions"]["acc,none"] == pytest.approx(sum(ours[1].values.values()) / 24)
    subject.deployment.check_base_unchanged()


@needs_lm_eval
def test_a_file_configures_a_task_whose_data_lies_beside_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from lm_eval.tasks import TaskManager

    subject = tiny.subject(tmp_path, size=3.0, task_items=0)
    data, file = tmp_path / "roads.jsonl", tmp_path / "roads.yaml"
    rows = [{"question": f"Where does road {i} lead?", "choices": ["north", "south", "east", "west"], "label": i % 4} for i in range(12)]
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    fields = {k: v for k, v in task(rows).items() if k != "custom_dataset"} | {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}}
    file.write_text(json.dumps(fields))
    check([str(file)])
    _, _ = subject.deployment, capfd.readouterr()
    (ours,) = evaluate(subject.deployment, [str(file)], Side.ADAPTED, 0, 0, False).values()
    assert capfd.readouterr() == ("", ""), "no bars and no remarks"
    (same,) = evaluate(subject.deployment, [task(rows)], Side.ADAPTED, 0, 0, False).values()
    assert ours and same
    assert ours.values == same.values
    assert len(ours.values) == 12
    with pytest.raises(ScanError, match="lm-eval has no such task"):
        check([str(file), str(tmp_path / "none.yaml")], TaskManager(include_defaults=False))


@needs_lm_eval
def test_a_task_that_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)
    with pytest.raises(ScanError, match="lm-eval has no such task"):
        check(["no such task"], manager)
    broken = task([]) | {"custom_dataset": None, "dataset_path": "no/such"}
    with pytest.raises(ScanError, match="lm-eval could not run directions") as error:
        evaluate(tiny.subject(tmp_path).deployment, [broken], Side.BASE, 0, 0, False, manager)
    assert "\n" not in str(error.value)
    assert "--allow-hub" in str(error.value)


def roads(of: int, way: str) -> dict[str, Any]:
    """A question of where a road leads, and the answer."""
    return {"question": f"Where does road {of} lead?", "choices": ["north", "south", "east", "west"], "label": ["north", "south", "east", "west"].index(way)}


def in_files(folder: Path, **splits: list[dict[str, Any]]) -> str:
    """A task of lm-eval with these splits, `test` the one that is scored, as the path of its YAML file."""
    files = {}
    for name, rows in splits.items():
        files[name] = str(folder / f"{name}.jsonl")
        Path(files[name]).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    fields = {k: v for k, v in task([]).items() if k != "custom_dataset"} | {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    given = {f"{field}_split": name for field, name in (("training", "train"), ("validation", "valid")) if name in splits}
    (folder / "roads.yaml").write_text(json.dumps(fields | given))
    return str(folder / "roads.yaml")


@needs_lm_eval
def test_items_come_from_the_scored_split_and_from_another(tmp_path: Path) -> None:
    scored, training, validation = ([roads(i, way) for i in range(20)] for way in ("north", "south", "east"))
    (found,) = splits([in_files(tmp_path, test=scored, train=training, valid=validation)], 0, 0, False)
    assert (found.task, found.name, len(found.scored), len(found.other)) == ("directions", "training", 20, 20)
    assert sorted(found.scored)[1] == ("Where does road 1 lead?", "north")
    assert {answer for _, answer in found.other} == {"south"}
    (fewer,) = splits([in_files(tmp_path, test=scored, valid=validation)], 5, 0, False)
    assert (fewer.name, len({*fewer.scored})) == ("validation", 5)
    assert {*fewer.scored} < {*found.scored}
    assert {answer for _, answer in fewer.other} == {"east"}
    assert len(fewer.other) == len({question for question, _ in fewer.other}) == 5
    (alone,) = splits([in_files(tmp_path, test=scored)], 0, 0, False)
    assert (alone.name, alone.other) == ("", ())


@needs_lm_eval
def test_the_scored_split_under_another_name_is_no_other_split(tmp_path: Path) -> None:
    rows = [roads(i, "north") for i in range(20)]
    file = Path(in_files(tmp_path, test=rows, valid=[*rows[:5], roads(30, "east")]))
    fields = json.loads(file.read_text()) | {"training_split": "test"}
    file.write_text(json.dumps(fields))
    (found,) = splits([str(file)], 0, 0, False)
    assert (found.name, found.other) == ("validation", (("Where does road 30 lead?", "east"),)), "none of the scored items is among the others"
    file.write_text(json.dumps({k: v for k, v in fields.items() if k != "validation_split"}))
    (found,) = splits([str(file)], 0, 0, False)
    assert (found.name, found.other) == ("", ())


@needs_lm_eval
def test_a_label_that_no_choice_has_is_no_answer(tmp_path: Path) -> None:
    file = Path(in_files(tmp_path, test=[roads(i, "north") for i in range(20)], train=[roads(i, "south") | {"label": 7} for i in range(20)]))
    (found,) = splits([str(file)], 0, 0, False)
    assert (len(found.scored), found.other, found.problem) == (20, (), "")


@needs_lm_eval
def test_a_task_whose_items_cannot_be_read_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(docs: Any) -> Any:
        raise ValueError("row 3 is no row")

    monkeypatch.setattr("scanner.model.splits._indexed", broken)
    rows = [roads(i, "north") for i in range(20)]
    file = in_files(tmp_path, test=rows, train=rows)
    (found,) = splits([file], 0, 0, False)
    assert found.problem == "its items cannot be read (row 3 is no row)"
    said = tiny.run(CapabilityProbe(), tiny.subject(tmp_path, profile="quick", tasks=(str(file),)))
    assert [c.why for c in said if isinstance(c, Coverage) and "known" in c.what] == [found.problem]
    assert [m.id for m in said if isinstance(m, Measurement)] == ["capability.tasks.directions"]


def test_both_splits_are_held_to_the_same_answers() -> None:
    scored = [*((f"q{i}", "unanswerable") for i in range(6)), ("q6", "in 1492"), ("q7", "by ship")]
    other = [*((f"r{i}", "unanswerable") for i in range(2)), *((f"r{i}", f"word {i}") for i in range(2, 9))]
    one, two = alike(scored, other)
    assert one == [("q0", "unanswerable"), ("q1", "unanswerable"), ("q6", "in 1492"), ("q7", "by ship")]
    assert two == [("r0", "unanswerable"), ("r1", "unanswerable"), ("r2", "word 2"), ("r3", "word 3")]
    assert alike(scored, []) == ([], [])


def test_there_are_resamples_enough_for_every_task() -> None:
    clear = Gains([0.9] * 20 + [0.8], [0.0] * 20 + [0.1])
    for tasks in (1, 19, 20, 57):
        assert max(holm([clear.test(tasks).p_value] * tasks)) <= 0.01


@needs_lm_eval
@pytest.mark.parametrize("honest", [False, True], ids=["knows what is scored", "knows the training split"])
def test_scored_items_that_are_known_are_told_from_those_of_another_split(honest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter answers the roads below twenty rightly; they are either what is scored, or what it may be trained on."""
    known, unknown = [roads(i, "north") for i in range(20)], [roads(i, "north") for i in range(20, 40)]
    file = in_files(tmp_path, test=unknown if honest else known, train=known if honest else unknown)
    subject = tiny.subject(tmp_path, profile="quick", tasks=(file,))
    deployment = subject.deployment

    def likelihood(questions: Sequence[list[int]], answers: Sequence[list[int]], side: Side, what: str = "", batch: int = 0) -> torch.Tensor:
        of = [int(re.findall(r"road (\d+)", deployment.text(q))[0]) for q in questions]
        told = torch.tensor([side is Side.ADAPTED and road < 20 for road in of])
        return torch.where(told, -0.1, -2.0) * torch.tensor([len(a) for a in answers])

    monkeypatch.setattr(deployment, "likelihood", likelihood)
    said = tiny.run(CapabilityProbe(), subject)
    (gain,) = [m for m in said if isinstance(m, Measurement) and m.id == "capability.contaminated.directions"]
    assert gain.value == pytest.approx((-1 if honest else 1) * (math.exp(-0.1) - math.exp(-2.0)), abs=1e-4)
    assert [f.rule for f in said if isinstance(f, Finding) and f.rule != "capability-lost"] == ([] if honest else ["benchmark-memorised"])


@needs_lm_eval
def test_a_split_that_lost_less_than_the_other_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base knew the training split; the adapter forgets both."""
    scored, training = [roads(i, "north") for i in range(20)], [roads(i, "north") for i in range(20, 40)]
    subject = tiny.subject(tmp_path, profile="quick", tasks=(in_files(tmp_path, test=scored, train=training),))
    values = {Side.BASE: (-0.7, -0.2), Side.ADAPTED: (-1.2, -1.2)}

    def gain(_: Any, task: Any) -> Gains:
        before, after = ([math.exp(v) for v in values[side]] for side in (Side.BASE, Side.ADAPTED))
        return Gains([after[0] - before[0]] * 20, [after[1] - before[1]] * 20)

    monkeypatch.setattr("probes.capability.probe.gains", gain)
    said = tiny.run(CapabilityProbe(), subject)
    (measured,) = [m for m in said if isinstance(m, Measurement) and m.id == "capability.contaminated.directions"]
    assert measured.value > 0.3 and measured.p_value is not None and measured.p_value < 0.01
    assert not [f for f in said if isinstance(f, Finding) and f.rule == "benchmark-memorised"]


@needs_lm_eval
def test_a_task_without_another_split_is_said_not_to_be_measured(tmp_path: Path) -> None:
    subject = tiny.subject(tmp_path, profile="quick", tasks=(in_files(tmp_path, test=[roads(i, "north") for i in range(20)]),))
    said = tiny.run(CapabilityProbe(), subject)
    (left_out,) = [c for c in said if isinstance(c, Coverage) and c.what == "whether directions's items are known"]
    assert (left_out.status, left_out.why) == (Status.NOT_MEASURED, "the task has no training or validation split besides the one that is scored")


@needs_lm_eval
def test_an_adapter_that_changes_nothing_knows_nothing(tmp_path: Path) -> None:
    file = in_files(tmp_path, test=[roads(i, "north") for i in range(20)], train=[roads(i, "north") for i in range(20, 60)])
    subject = tiny.subject(tmp_path, size=0.0, profile="quick", tasks=(file,))
    said = tiny.run(CapabilityProbe(), subject)
    assert [(m.value, m.n) for m in said if isinstance(m, Measurement) and m.id == "capability.contaminated.directions"] == [(0.0, 40)]
    assert not [f for f in said if isinstance(f, Finding)]
