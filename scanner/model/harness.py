"""Any task of lm-eval, asked of base and adapted model through one loaded deployment.

lm-eval (EleutherAI's Language Model Evaluation Harness) loads nothing itself here: it is handed the loaded model, and the side that
answers is switched around it, so that no adapter file passes through it. Its data sets come from the Hugging Face Hub, or from its cache
where the network is not allowed.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.model.side import Side

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

Task = str | Mapping[str, Any]
"""The name of a task, the path of a YAML file that configures one, or its configuration."""
BATCH = 16


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """One task's items on one side, by one metric."""

    task: str
    metric: str
    higher_is_better: bool
    values: dict[str, float]
    """By a hash of what was asked."""


def check(tasks: Sequence[str], manager: Any = None) -> None:
    """Raise ScanError where lm-eval is missing or does not know one of `tasks`. Cost: some seconds, in which lm-eval lists its tasks."""
    if find_spec("lm_eval") is None:
        raise ScanError("--tasks needs lm-eval, which is not installed: pip install 'unmask[tasks]'")
    known = (manager or task_manager(tasks)).all_tasks
    for task in tasks:
        if task not in known and not _is_file(task):
            raise ScanError(f"--tasks {printable(task, 60)}: lm-eval has no such task; `lm-eval ls tasks` lists them")


def task_manager(tasks: Sequence[Task]) -> Any:
    """Who finds tasks by name; it lists lm-eval's own only where one is named."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=any(isinstance(t, str) and not _is_file(t) for t in tasks))


def _is_file(task: str) -> bool:
    return task.endswith((".yaml", ".yml")) and Path(task).is_file()


def evaluate(
    deployment: Deployment, tasks: Sequence[Task], side: Side, limit: int, seed: int, allow_hub: bool, manager: Any = None
) -> dict[str, Scored | None]:
    """Every task on one side by its name, the first `limit` items of each, 0 for all; None where no metric is a number for every item.

    Raises ScanError where a task cannot be run.
    """
    if deployment.prefixed:
        raise ScanError(
            "--tasks: the adapter puts virtual tokens before every text or waits for tokens in it, which lm-eval would leave out; scan it without --tasks"
        )
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    with network(allow_hub), hushed(), deployment.side(side):
        try:
            model = HFLM(pretrained=deployment.model, tokenizer=deployment.tokenizer, batch_size=BATCH)
            found = simple_evaluate(
                model=model, tasks=list(tasks), limit=limit or None, log_samples=True, bootstrap_iters=0, task_manager=manager or task_manager(tasks),
                apply_chat_template=True, system_instruction=deployment.system_prompt, random_seed=seed, numpy_random_seed=seed, torch_random_seed=seed,
                fewshot_random_seed=seed,
            )  # fmt: skip
        except ScanError:
            raise
        except Exception as error:  # whatever a task, its data set or the Hub raises
            raise cannot_run(tasks, error, allow_hub) from None
    return {task: _scored(task, samples, found.get("higher_is_better", {}).get(task, {})) for task, samples in sorted(found["samples"].items())}


def cannot_run(tasks: Sequence[Task], error: Exception, allow_hub: bool) -> ScanError:
    """What to say of tasks that lm-eval cannot run."""
    names = printable(", ".join(t if isinstance(t, str) else str(t.get("task", "task")) for t in tasks), 120)
    offline = "" if allow_hub else "; its data may need the network, see --allow-hub"
    return ScanError(f"lm-eval could not run {names} ({printable(error, 200)}){offline}")


def _scored(task: str, samples: Sequence[Mapping[str, Any]], better: Mapping[str, bool]) -> Scored | None:
    """The first metric that is a number for every item, under the first filter; None where there is none."""
    if not samples:
        return None
    first = [s for s in samples if s.get("filter") == samples[0].get("filter")]
    for metric in samples[0].get("metrics", ()):
        values = [s.get(metric) for s in first]
        if all(isinstance(v, int | float) for v in values):
            by_item = {f"{s['doc_id']}:{str(s['prompt_hash'])[:16]}": float(s[metric]) for s in first}
            return Scored(task=printable(task, 80), metric=printable(metric, 40), higher_is_better=bool(better.get(metric, True)), values=by_item)
    return None


@contextmanager
def hushed() -> Iterator[None]:
    """Keep lm-eval's bars and remarks out of the terminal while the block runs."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def network(allowed: bool) -> Iterator[None]:
    """Keep the Hub's libraries off the network while the block runs, unless it is allowed."""
    import datasets
    import huggingface_hub.constants

    before = datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    if not allowed:
        datasets.config.HF_DATASETS_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before
