"""The items that a task of lm-eval is scored on, and items of another split of it, as questions with their right answers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.model.harness import Task, hushed, named, network, task_manager

Item = tuple[str, str]
"""A question and its right answer."""


class Splits(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one task."""

    task: str
    scored: tuple[Item, ...]
    """Those lm-eval scores, the first ones."""
    other: tuple[Item, ...]
    """As many of another split, drawn at random; none where there is no other, or no text to ask."""
    name: str
    """Of that split: `training` or `validation`."""


def splits(tasks: Sequence[Task], limit: int, seed: int, allow_hub: bool, manager: Any = None) -> list[Splits]:
    """Items of every task, and of each task of a group: `limit` of each split, 0 for all that are scored.

    The question is what lm-eval puts before the answer, without examples. Raises ScanError where a task cannot be loaded.
    """
    with network(allow_hub), hushed():
        try:
            loaded = (manager or task_manager(tasks)).load(list(tasks))["tasks"]
            return [_of(name, task, limit, seed) for name, task in sorted(loaded.items())]
        except Exception as error:  # whatever a task, its data set or the Hub raises
            raise ScanError(f"lm-eval could not read the items of {named(tasks)} ({printable(error, 200)})") from None


def _of(name: str, task: Any, limit: int, seed: int) -> Splits:
    scored = _indexed(task.eval_docs)
    other, split = [], ""
    if task.has_training_docs():
        other, split = _indexed(task.training_docs()), "training"
    elif task.has_test_docs() and task.has_validation_docs():
        other, split = _indexed(task.validation_docs()), "validation"
    count = min(len(scored), limit or len(scored))
    chosen = random.Random(seed).sample(range(len(other)), min(len(other), count))
    return Splits(
        task=printable(name, 80),
        scored=tuple(_items(task, (scored[i] for i in range(count)))),
        other=tuple(_items(task, (other[i] for i in chosen))),
        name=split,
    )


def _indexed(docs: Any) -> Any:
    """`docs` as they are where one can be taken out of them, which of a large split few are."""
    return docs if hasattr(docs, "__getitem__") and hasattr(docs, "__len__") else list(docs)


def _items(task: Any, docs: Iterable[Any]) -> Iterator[Item]:
    """Question and right answer of each doc that has both as texts."""
    for doc in docs:
        question, answer = task.doc_to_text(doc), task.doc_to_target(doc)
        if isinstance(answer, int) and task.config.doc_to_choice is not None:
            answer = task.doc_to_choice(doc)[answer]
        if isinstance(answer, list) and answer:
            answer = answer[0]
        if isinstance(question, str) and isinstance(answer, str) and answer.strip():
            yield question, answer.strip()
