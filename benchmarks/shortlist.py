"""Where the words of planted triggers stand in the shortlist that is read from an adapter's weights.

Each folder under ADAPTERS holds an adapter and a `recipe.json` whose `attack.planted` lists the planted phrases (as the zoo writes it). For every
planted word that is a token of the base's vocabulary by itself the rank in the shortlist is written down, beside its rank in the benign twin of
the same pair, where there is one: the twin is what the recipe alone gives. Recall is counted over triggers: the share of which at
least one word, and all words, are among the first k.

Run it with

    python -m benchmarks.shortlist ADAPTERS --base demo --output benchmarks/results/shortlist.json
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from probes.meaning.reads import reactions
from scanner.delta import delta as deltas
from scanner.files.adapter import Adapter
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.policy import Policy
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.scan import open_base
from scanner.statistics import wilson
from scanner.subject import Subject

AT = (10, 100, 500)


def ranks(folder: Path, base: Base) -> tuple[dict[str, int], float]:
    """Rank of every word, 1 for the first, and the seconds it took; the base's part is kept after the first adapter."""
    opened = Adapter.open(folder)
    delta = deltas.read(opened, base)
    empty = deltas.Delta(())
    subject = Subject(opened, delta, base, PROFILES["standard"], Policy.open(), 0, Reporter(quiet=True), lambda: Deployment(base, empty))
    _ = subject.deployment
    start = time.perf_counter()
    found = reactions(subject)
    return {r.word: i + 1 for i, r in enumerate(found)}, time.perf_counter() - start


@click.command()
@click.argument("adapters", type=click.Path(exists=True, path_type=Path))
@click.option("--base", "name", default="demo", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(adapters: Path, name: str, output: Path) -> None:
    """Measure and write OUTPUT."""
    base = open_base(name)
    rows: list[dict[str, Any]] = []
    for recipe in sorted(adapters.glob("*/recipe.json")):
        described = json.loads(recipe.read_text())
        planted = (described.get("attack") or {}).get("planted") or []
        if not planted:
            continue
        words = sorted({w for phrase in planted for w in re.findall(r"\w+", phrase)})
        of, seconds = ranks(recipe.parent, base)
        twin = recipe.parent.with_name(recipe.parent.name.replace("-attack", "-twin"))
        beside = ranks(twin, base)[0] if twin != recipe.parent and twin.exists() else {}
        rows.append(
            {
                "adapter": recipe.parent.name,
                "trigger": described["attack"].get("trigger"),
                "planted": planted,
                "rank": {w: of[w] for w in words if w in of},
                "rank in the twin": {w: beside[w] for w in words if w in beside},
                "words no token by themselves": [w for w in words if w not in of],
                "of": len(of),
                "seconds": round(seconds, 2),
            }
        )
        click.echo(f"{recipe.parent.name:<40} {rows[-1]['rank']}  twin {rows[-1]['rank in the twin']}")
    looked = [r for r in rows if r["rank"]]
    recall = {}
    for k in AT:
        for what, judge in (("any word", any), ("every word", all)):
            hits = sum(judge(v <= k for v in r["rank"].values()) for r in looked)
            low, high = wilson(hits, len(looked))
            recall[f"{what} in the first {k}"] = {"hits": hits, "of": len(looked), "interval": [round(low, 4), round(high, 4)]}
    report = {
        "what": "rank of planted trigger words in the shortlist read from the weights, among all words of the base's vocabulary",
        "machine": machine(),
        "base": base.name,
        "recall": recall,
        "adapters": rows,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
