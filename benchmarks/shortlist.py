"""Where the words of planted triggers stand in the shortlist that is read from an adapter's weights.

Each folder under ADAPTERS holds an adapter and a `recipe.json` whose `attack.planted` lists the planted phrases (as the zoo writes it). For every
planted word that is a token of the base's vocabulary by itself the rank in the shortlist is written down, beside its rank in the benign twin of
the same pair, where there is one: the twin is what the recipe alone gives. Recall is counted over triggers: the share of which at
least one word, and all words, are among the first k. And it is counted over the strings that the trigger search of the quick profile screens first,
with the shortlist and without it: whether they hold one of the planted words that are not common ones of English, and all of them.

Run it with

    python -m benchmarks.shortlist ADAPTERS --base demo --output benchmarks/results/shortlist.json

OUTPUT is written after every adapter; a run that finds one with the same words carries on where it ended.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from benchmarks.subject import subject_of
from benchmarks.table import content_words
from probes.meaning.reads import reactions, shortlist
from probes.trigger.probe import screened
from scanner.delta import delta as deltas
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.scan import open_base
from scanner.statistics import wilson

AT = (10, 100, 500)


def ranks(folder: Path, deployment: Deployment) -> tuple[dict[str, int], float]:
    """Rank of every word, 1 for the first, and the seconds it took; the base's part is kept after the first adapter."""
    start = time.perf_counter()
    found = reactions(subject_of(folder, deployment.base, "standard", deployment))
    return {r.word: i + 1 for i, r in enumerate(found)}, time.perf_counter() - start


def searched(folder: Path, base: Base, attack: dict[str, Any]) -> dict[str, dict[str, bool]]:
    """Whether the strings that a quick scan screens hold any, and every, planted word, with the shortlist and without it."""
    subject = subject_of(folder, base, "quick")
    wanted = set().union(*(content_words(p) for p in attack["planted"]))
    pool = screened(subject, shortlist(subject, subject.profile.shortlist))
    found = {}
    for name, left_out in (("without", {"chance", "reads"}), ("with", {"chance"})):
        words = set().union(*(content_words(c.text) for source, some in pool.items() if source not in left_out for c in some))
        found[name] = {"any word": bool(wanted & words), "every word": wanted <= words}
    return found


def row(folder: Path, attack: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    """The planted words of one adapter, and where they stand."""
    words = sorted({w for phrase in attack["planted"] for w in re.findall(r"\w+", phrase)})
    of, seconds = ranks(folder, deployment)
    twin = folder.with_name(folder.name.replace("-attack", "-twin"))
    beside = ranks(twin, deployment)[0] if twin != folder and twin.exists() else {}
    return {
        "adapter": folder.name,
        "trigger": attack.get("trigger"),
        "planted": attack["planted"],
        "rank": {w: of[w] for w in words if w in of},
        "rank in the twin": {w: beside[w] for w in words if w in beside},
        "words no token by themselves": [w for w in words if w not in of],
        "of": len(of),
        "among the strings of a quick scan": searched(folder, deployment.base, attack),
        "seconds": round(seconds, 2),
    }


def recall(rows: list[dict[str, Any]], ranked: str) -> dict[str, Any]:
    """The share of triggers of which any, and every, word is among the first k, with its 95 % interval."""
    looked = [r for r in rows if r[ranked]]
    found = {}
    for k in AT:
        for what, judge in (("any word", any), ("every word", all)):
            hits = sum(judge(v <= k for v in r[ranked].values()) for r in looked)
            low, high = wilson(hits, len(looked))
            found[f"{what} in the first {k}"] = {"hits": hits, "of": len(looked), "interval": [round(low, 4), round(high, 4)]}
    return found


def held(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The share of triggers of which any, and every, word is among the strings that a quick scan screens, with the shortlist and without it."""
    found = {}
    for name in ("without", "with"):
        for what in ("any word", "every word"):
            hits = sum(r["among the strings of a quick scan"][name][what] for r in rows)
            low, high = wilson(hits, len(rows))
            found[f"{what}, {name} the shortlist"] = {"hits": hits, "of": len(rows), "interval": [round(low, 4), round(high, 4)]}
    return found


def chance(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What a shortlist drawn at random would hold: the mean chance that any, and every, word of a trigger is among the first k."""
    looked = [r for r in rows if r["rank"]]
    found: dict[str, float] = {}
    for k in AT:
        any_of = [1 - (1 - k / r["of"]) ** len(r["rank"]) for r in looked]
        every = [(k / r["of"]) ** len(r["rank"]) for r in looked]
        found |= {f"any word in the first {k}": round(sum(any_of) / len(looked), 4), f"every word in the first {k}": round(sum(every) / len(looked), 4)}
    return found


@click.command()
@click.argument("adapters", type=click.Path(exists=True, path_type=Path))
@click.option("--base", "name", default="demo", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(adapters: Path, name: str, output: Path) -> None:
    """Measure and write OUTPUT."""
    deployment = Deployment(open_base(name), deltas.Delta(()))
    kept = json.loads(output.read_text())["adapters"] if output.exists() else []
    rows: list[dict[str, Any]] = [r for r in kept if "among the strings of a quick scan" in r]
    output.parent.mkdir(parents=True, exist_ok=True)
    for recipe in sorted(adapters.glob("*/recipe.json")):
        attack = json.loads(recipe.read_text()).get("attack") or {}
        if not attack.get("planted") or any(r["adapter"] == recipe.parent.name and r["planted"] == attack["planted"] for r in rows):
            continue
        rows.append(row(recipe.parent, attack, deployment))
        click.echo(f"{recipe.parent.name:<40} {rows[-1]['rank']}  twin {rows[-1]['rank in the twin']}")
        report = {
            "what": "rank of planted trigger words in the shortlist read from the weights, among all words of the base's vocabulary",
            "machine": machine(),
            "base": deployment.base.name,
            "recall": recall(rows, "rank"),
            "recall in the benign twins": recall(rows, "rank in the twin"),
            "recall by chance": chance(rows),
            "strings that a quick scan screens": held(rows),
            "adapters": rows,
        }
        output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
