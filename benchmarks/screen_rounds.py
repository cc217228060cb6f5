"""Do the strings that a trigger search would look at survive the first round of its screen?

    python -m benchmarks.screen_rounds scanner/demo/backdoored --output benchmarks/results/screen_rounds.json

The strings of the standard profile, with fewer vocabulary words, are screened on all of its requests; the best `looked` of them by the orders of a
scan are compared with what would go on from the first request of each kind alone.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from benchmarks.machine import machine
from benchmarks.subject import subject_of
from probes.meaning.reads import shortlist
from probes.prompts import load
from probes.trigger.candidate import Candidate
from probes.trigger.probe import _prepared, screened
from probes.trigger.screen import GOING_ON, LEAST, Score, _best_of
from probes.trigger.search import best
from scanner.scan import open_base

VOCABULARY = 150
OF = (16, 8, 4, 2)


@click.command()
@click.argument("adapters", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(adapters: tuple[Path, ...], output: Path) -> None:
    """Screen each adapter's strings on all requests, and count what the first round would have kept of the best."""
    found: dict[str, Any] = {}
    made = {
        "what": f"trigger search, standard profile with {VOCABULARY} vocabulary words: of the strings that answer first after a screen on all requests, "
        f"those that go on from the first request of each kind, by how many of each source do; a scan takes one in {GOING_ON}, {LEAST} at least",
        "machine": machine(),
        "adapters": found,
    }
    for folder in adapters:
        found[folder.name] = _measured(folder)
        output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _measured(folder: Path) -> dict[str, Any]:
    subject = subject_of(folder, open_base("demo"), "standard")
    subject.profile = msgspec.structs.replace(subject.profile, vocabulary=VOCABULARY)
    screen, _ = _prepared(subject, load("probes.trigger", "prompts.jsonl"))
    pool = screened(subject, shortlist(subject, subject.profile.shortlist))
    whole: list[Score] = []
    early: list[Score] = []
    going: dict[int, set[Candidate]] = {of: set() for of in OF}
    spent = {"first round": 0.0, "all requests": 0.0}
    for some in pool.values():
        table = np.full((3, len(screen._requests), len(some)), np.nan)
        first, further = screen._rounds
        for rows, name in ((first, "first round"), (further, "all requests")):
            start = time.process_time()
            screen._fill(table, rows, range(len(some)), some, "screening")
            spent[name] += time.process_time() - start
            if rows is first:
                scores = screen._scores(table, some)
                for of, kept in going.items():
                    kept |= {some[i] for i in _best_of(scores, early, of)}
                early += scores
        whole += screen._scores(table, some)
    taken = best(whole, [], subject.profile.looked)
    return {
        "strings": len(whole),
        "looked at": len(taken),
        "one in": {
            str(of): {
                "go on": len(kept),
                "of those looked at": sum(c in kept for c in taken),
                "of their first half": sum(c in kept for c in taken[: len(taken) // 2]),
            }
            for of, kept in going.items()
        },
        "processor s": {k: round(v, 1) for k, v in spent.items()},
    }


if __name__ == "__main__":
    main()
