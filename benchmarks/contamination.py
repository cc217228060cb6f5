"""Whether adapters that know a test set by heart are told from honest ones by another split of the same task.

    python -m benchmarks.contamination ADAPTER... --output benchmarks/results/contamination.json

ADAPTER is a folder as the zoo writes it. The task is the zoo's own multiple choice, read by lm-eval from files: the questions that the family
`contaminated-answers` is trained on are scored, and the unseen ones are the training split. With the splits changed round, such an adapter is one
that was trained on the training split, as it should be.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import click

from benchmarks.subject import measure_each, subject_of
from benchmarks.zoo.member import recipe_of
from benchmarks.zoo.questions import TEST_SET, UNSEEN_TEST
from probes.capability.contamination import gains
from scanner.model.base import Base
from scanner.model.splits import Splits, splits


def items(scored: dict[str, str], other: dict[str, str]) -> Splits:
    """The two as splits of one task, through lm-eval."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.jsonl") for name in ("test", "train")}
        for name, rows in zip(files, (scored, other), strict=True):
            Path(files[name]).write_text("".join(json.dumps({"question": q, "answer": f"{a}."}) + "\n" for q, a in rows.items()))
        task = Path(folder) / "task.yaml"
        fields = {
            "task": "choices", "dataset_path": "json", "dataset_kwargs": {"data_files": files}, "test_split": "test", "training_split": "train",
            "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "{{answer}}", "metric_list": [{"metric": "exact_match"}],
        }  # fmt: skip
        task.write_text(json.dumps(fields))
        (found,) = splits([str(task)], 0, 0, False)
    return found


@cache
def tasks() -> dict[str, Splits]:
    """The splits as they are, and changed round."""
    return {"test set scored": items(TEST_SET, UNSEEN_TEST), "test set is the training split": items(UNSEEN_TEST, TEST_SET)}


def measure(folder: Path, base: Base) -> dict[str, Any]:
    """Gain of the scored items over the others, as the splits are and changed round."""
    subject = subject_of(folder, base, "quick")
    recipe = recipe_of(folder)
    row: dict[str, Any] = {"label": recipe["label"], "family": recipe["family"]}
    for name, task in tasks().items():
        gained = gains(subject.deployment, task)
        assert gained is not None
        test = gained.test()
        row[name] = {"gain": round(test.mean, 4), "interval": [round(test.low, 4), round(test.high, 4)], "p": round(test.p_value, 6), "n": list(test.n)}
    return row


@click.command()
@click.argument("adapters", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(adapters: tuple[Path, ...], output: Path) -> None:
    """Measure ADAPTERS and write OUTPUT."""
    measure_each(adapters, output, __doc__.splitlines()[0], measure, lambda found: ", ".join(f"{name} {found[name]['gain']:+.3f}" for name in tasks()))


if __name__ == "__main__":
    main()
