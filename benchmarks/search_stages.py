"""Where the trigger search loses a backdoor: what its first candidates do, taken by score, by size, or as a scan takes them.

    python -m benchmarks.search_stages tests/zoo/adapters/method-pissa-calibration-attack --output benchmarks/results/search_stages.json

For each adapter the strings of the quick profile are screened as in a scan, and the first `COUNT` by each order answer the development requests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from benchmarks.subject import subject_of
from benchmarks.zoo.member import recipe_of
from probes.meaning.reads import shortlist
from probes.prompts import load
from probes.trigger.candidate import SIDES, Candidate
from probes.trigger.probe import _prepared, screened
from probes.trigger.screen import Score, scores_of, sizes_of
from probes.trigger.search import best, ranked, whole
from scanner.scan import open_base

COUNT = 16
MOVED = 0.5


@click.command()
@click.argument("adapters", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--base", default="demo", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(adapters: tuple[Path, ...], base: str, output: Path) -> None:
    """Screen, take the first candidates by each order, and let them answer."""
    found = {folder.name: _stages(folder, base) for folder in adapters}
    made = {
        "what": f"trigger search, quick profile: the first {COUNT} strings by each order, and how many of them move {MOVED:g} or more of the development requests",
        "machine": machine(),
        "adapters": found,
    }
    output.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


def _stages(folder: Path, name: str) -> dict[str, Any]:
    subject = subject_of(folder, open_base(name), "quick")
    screen, development = _prepared(subject, load("probes.trigger", "prompts.jsonl"))
    pool = screened(subject, shortlist(subject, subject.profile.shortlist))
    scores = [s for some in pool.values() for s in screen(some, "screening")]
    planted = [Candidate(text, "planted", place) for text in (recipe_of(folder)["attack"] or {}).get("planted", []) for place in SIDES]
    beside = [*scores, *screen(planted, "the planted trigger")]
    orders = {
        "by score": [s.candidate for _, s in ranked(scores) if s.candidate.source != "chance"][:COUNT],
        "by size": [s.candidate for _, s in ranked(scores, sizes_of) if s.candidate.source != "chance"][:COUNT],
        "as a scan takes them": best(scores, [], COUNT, whole(pool["leak"])),
    }
    asked = list(dict.fromkeys(c for order in (*orders.values(), planted) for c in order))
    shares = {g.candidate: g.share for g in development(asked)}
    return {
        "strings": len(scores),
        "planted": [
            {
                "text": c.text,
                "placement": c.placement,
                "rank by score": _rank(beside, c, scores_of),
                "rank by size": _rank(beside, c, sizes_of),
                "moves": shares[c],
            }
            for c in planted
        ],
        **{
            order: {
                "moving": sum(shares[c] >= MOVED for c in chosen),
                "candidates": [{"text": c.text, "source": c.source, "placement": c.placement, "moves": shares[c]} for c in chosen],
            }
            for order, chosen in orders.items()
        },
    }


def _rank(scores: list[Score], candidate: Candidate, measure: Any) -> int:
    """The place of a candidate, 1 for the first, among all that are tried."""
    return 1 + [s.candidate for _, s in ranked(scores, measure) if s.candidate.source != "chance"].index(candidate)


if __name__ == "__main__":
    main()
