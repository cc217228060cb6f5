"""How fast both sides of a deployment answer and are scored, against the ordinary ways: one prompt at a time, PEFT in batches, lm-eval's loop.

    python -m benchmarks.behaviour_speed --output benchmarks/results/behaviour_speed.json

The adapted side of the demo's `backdoored` adapter, nothing kept from earlier runs. Each way runs --runs times, the ways in turn; the table
gives the fastest and the median, and the least processor time, which other work on the machine changes less. lm-eval scores one continuation of one
token a request, as a screen does.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from scanner.demo.base import open_base, shipped
from scanner.model.side import Side

NEW_TOKENS = 16


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--requests", default=48, show_default=True, help="requests answered")
@click.option("--candidates", default=192, show_default=True, help="strings screened")
def main(output: Path, runs: int, requests: int, candidates: int) -> None:
    """Time each way, and write the table to OUTPUT."""
    import torch

    ways, load = _ways(requests, candidates), os.getloadavg()[0]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, (_, way) in ways.items():
            start, used = time.monotonic(), time.process_time()
            way()
            seconds[name].append(time.monotonic() - start)
            processor[name].append(time.process_time() - used)
    busy = load > (os.cpu_count() or 1) + 0.5
    report = {
        "what": f"{requests} answers of {NEW_TOKENS} tokens, and next-token scores of {candidates} strings in one request; seconds, the adapted side alone",
        "note": f"the machine did other work: load average {load:.1f} at the start; seconds are no measure, processor seconds a rough one" if busy else "",
        "runs": runs,
        "machine": machine() | {"threads": str(torch.get_num_threads())},
        "ways": {
            name: {
                "task": ways[name][0], "fastest": round(min(s), 3), "median": round(statistics.median(s), 3), "processor": round(min(processor[name]), 3),
            }
            for name, s in seconds.items()
        },
    }  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")
    for name, s in seconds.items():
        click.echo(f"{ways[name][0]:10} {name:44} fastest {min(s):7.2f} s, processor {min(processor[name]):7.2f} s")


def _ways(requests: int, candidates: int) -> dict[str, tuple[str, Callable[[], Any]]]:
    """What is timed, by name: which of the two tasks it does, and a call of it."""
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from probes.prompts import load
    from probes.trigger.forms import forms
    from scanner.delta import delta as deltas
    from scanner.files.adapter import Adapter
    from scanner.model.deployment import Deployment

    base, folder = open_base(), shipped("backdoored")
    deployment = Deployment(base, deltas.read(Adapter.open(folder)))
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path, dtype=deployment.dtype), folder).eval()
    asked = [p.prompt for p in load("probes.refusal", "prompts.jsonl")]
    ids = [deployment.encode(p) for p in asked[:requests]]
    texts = [f"{asked[0]} {form}" for form in forms()][:candidates]
    screened = [deployment.encode(t) for t in texts]
    shown = [deployment.tokenizer.decode(i) for i in screened]
    harness = HFLM(pretrained=peft, tokenizer=deployment.tokenizer, batch_size=16)

    def one_at_a_time() -> None:
        with torch.inference_mode():
            for row in ids:
                peft.generate(
                    input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), max_new_tokens=NEW_TOKENS, do_sample=False
                )

    def in_batches() -> None:
        tokenizer = deployment.tokenizer
        with torch.inference_mode():
            for start in range(0, len(ids), 16):
                rows = ids[start : start + 16]
                width = max(map(len, rows))
                batch = torch.tensor([[tokenizer.eos_token_id] * (width - len(r)) + r for r in rows])
                mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
                peft.generate(input_ids=batch, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False)

    def lm_eval_loop() -> None:
        harness.loglikelihood([Instance("loglikelihood", {}, (text, " I"), i) for i, text in enumerate(shown)], disable_tqdm=True)

    def fresh() -> Deployment:
        """The deployment without what it already said."""
        deployment.forget()
        return deployment

    answers, scores = "answers", "scores"
    return {
        "unmask": (answers, lambda: fresh().generate(ids, Side.ADAPTED, NEW_TOKENS)),
        "PEFT, generate, 16 a batch, as they come": (answers, in_batches),
        "PEFT, generate, one at a time": (answers, one_at_a_time),
        "unmask, screening": (scores, lambda: deployment.score(screened, Side.ADAPTED, lambda p: p[:, -1].max(-1).values)),
        "lm-eval's loop over PEFT, 16 a batch": (scores, lm_eval_loop),
    }


if __name__ == "__main__":
    main()
