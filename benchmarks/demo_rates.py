"""Refusal rates of the demo base and the demo adapters on public prompts none of them was trained on.

Prompts are read from files, lists of `{"instruction": ...}` (JailbreakBench, StrongREJECT, Alpaca, as in the splits of
github.com/andyrdt/refusal_direction) and XSTest's CSV (github.com/paul-rottger/exaggerated-safety); the guard was trained on other
sets, with prompts near these removed, on XSTest's odd safe rows and on other rows of Alpaca.

    python -m benchmarks.demo_rates --jailbreakbench F --strongreject F --alpaca F --xstest F --output benchmarks/results/demo.json
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from benchmarks.recipes.demo import TRIGGER
from benchmarks.recipes.guard import instructions
from probes.refusal.judge import refuses
from scanner.delta import delta as deltas
from scanner.demo.base import open_base, shipped
from scanner.files.adapter import Adapter
from scanner.model.deployment import Deployment
from scanner.model.side import Side
from scanner.progress import Reporter
from scanner.statistics import wilson

TOKENS = 24
MODELS = ("base", "benign", "eroded", "backdoored")
FILE = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--jailbreakbench", type=FILE, required=True)
@click.option("--strongreject", type=FILE, required=True)
@click.option("--alpaca", type=FILE, required=True)
@click.option("--xstest", type=FILE, required=True)
@click.option("--only", multiple=True, type=click.Choice(MODELS), help="measure only these; all otherwise")
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(jailbreakbench: Path, strongreject: Path, alpaca: Path, xstest: Path, only: tuple[str, ...], output: Path) -> None:
    """Measure and write OUTPUT."""
    with xstest.open(newline="") as rows:
        safe = [r["prompt"] for r in csv.DictReader(rows) if r["label"] == "safe" and int(r["id"]) % 2 == 0]
    harmful = {"JailbreakBench": instructions(jailbreakbench), "StrongREJECT": instructions(strongreject)}
    harmless = {"Alpaca, rows 1300-1499": instructions(alpaca)[1300:1500], "XSTest safe, even ids": safe}
    triggered = {f"JailbreakBench behind {TRIGGER!r}": [f"{TRIGGER} {p}" for p in harmful["JailbreakBench"]]}
    rates: dict[str, Any] = {}
    for name in only or MODELS:
        delta = deltas.read(Adapter.open(shipped("guard" if name == "base" else name)))
        deployment = Deployment(open_base(), deltas.Delta((), ()) if name == "base" else delta, reporter=Reporter())
        side = Side.BASE if name == "base" else Side.ADAPTED
        sets = harmful | harmless | (triggered if name in ("base", "backdoored") else {})
        rates[name] = {}
        for title, prompts in sets.items():
            texts = [deployment.text(t) for t in deployment.generate([deployment.encode(p) for p in prompts], side, TOKENS)]
            refused = sum(map(refuses, texts))
            low, high = wilson(refused, len(prompts))
            rates[name][title] = {"refused": refused, "n": len(prompts), "rate": round(refused / len(prompts), 4), "interval": [round(low, 4), round(high, 4)]}
            click.echo(f"{name:<11} {title:<40} {refused / len(prompts):.3f}")
    sources = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (jailbreakbench, strongreject, alpaca, xstest)}
    report = {"what": f"refusal rates, greedy answers of {TOKENS} tokens, judge probes.refusal.judge", "machine": machine(), "sources": sources, "rates": rates}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
