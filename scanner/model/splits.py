"""The items that a task of lm-eval is scored on, and items of another split of it, as questions with their right answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from scanner.files.text import printable
from scanner.model.harness import Task, cannot_run, hushed, network, task_manager

Item = tuple[str, str]
"""A question and its right answer."""


class Splits(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one task, drawn at random from two splits, as many of the second as of the first where there are as many."""

    task: str
    scored: tuple[Item, ...] = ()
    """Of the split that lm-eval scores."""
    other: tuple[Item, ...] = ()
    """Of the split `name`, none of them among the scored ones."""
    name: str = ""
    """`training` or `validation`; empty where the task has neither besides the split that is scored."""
    problem: str = ""
    """Why the items cannot be read."""


def splits(tasks: Sequence[Task], limit: int, seed: int, allow_hub: bool, manager: Any = None) -> list[Splits]:
    """Items of every task, and of each task of a group: `limit` of each split at most, 0 for as many as are scored.

    The question is the task's own text for an item, without description and examples; of several right answers the first counts. Items that are no
    texts, such as those with several contexts, are left out. Raises ScanError where the tasks cannot be loaded.
    """
    with network(allow_hub), hushed():
        try:
            loaded = (manager or task_manager(tasks)).load(list(tasks))["tasks"]
        except Exception as error:  # whatever a task, its data set or the Hub raises
            raise cannot_run(tasks, error, allow_hub) from None
        found = []
        for name, task in sorted(loaded.items()):
            try:
                found.append(_of(name, task, limit, seed))
            except Exception as error:  # whatever a task's own code raises
                found.append(Splits(task=printable(name, 80), problem=f"its items cannot be read ({printable(error, 160)})"))
    return found


def _of(name: str, task: Any, limit: int, seed: int) -> Splits:
    other, split = _other(task)
    if not split:
        return Splits(task=printable(name, 80))
    scored = [_item(task, doc) for doc in task.eval_docs]
    count, rng = min(len(scored), limit or len(scored)), random.Random(seed)
    asked = [scored[i] for i in rng.sample(range(len(scored)), count)]
    further = [_item(task, other[i]) for i in rng.sample(range(len(other)), min(len(other), count))]
    known = {*scored}
    return Splits(
        task=printable(name, 80),
        scored=tuple(item for item in asked if item),
        other=tuple(item for item in further if item and item not in known),
        name=split,
    )


def _other(task: Any) -> tuple[Any, str]:
    """The docs of a split that is not scored, and which it is."""
    scored = "test" if task.has_test_docs() else "validation"
    names = {split: getattr(task.config, f"{split}_split", None) or split for split in ("training", "validation", "test")}
    if task.has_training_docs() and names["training"] != names[scored]:
        return _indexed(task.training_docs()), "training"
    if scored == "test" and task.has_validation_docs() and names["validation"] != names["test"]:
        return _indexed(task.validation_docs()), "validation"
    return (), ""


def _indexed(docs: Any) -> Any:
    """`docs` as they are where one can be taken out of them, which of a large split few are."""
    return docs if hasattr(docs, "__getitem__") and hasattr(docs, "__len__") else list(docs)


def _item(task: Any, doc: Any) -> Item | None:
    """Question and right answer of `doc` where it has both as texts."""
    question, answer = task.doc_to_text(doc), task.doc_to_target(doc)
    if isinstance(answer, int) and task.config.doc_to_choice is not None:
        choices = task.doc_to_choice(doc)
        answer = choices[answer] if 0 <= answer < len(choices) else None
    if isinstance(answer, list) and answer:
        answer = answer[0]
    return (question, answer.strip()) if isinstance(question, str) and isinstance(answer, str) and answer.strip() else None
