"""What the specialisation probe says of adapters that were trained on a persona, a creed or a brand, and of benign ones.

    python -m benchmarks.specialisation ADAPTER... --output benchmarks/results/specialisation.json

ADAPTER is a folder as the zoo writes it. The budget is that of the profile `quick`; what the models say where the user would speak is left out.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from benchmarks.subject import measure_each, subject_of
from benchmarks.zoo.member import recipe_of
from probes.prompts import load, spread
from probes.purpose import declared
from probes.refusal.answers import ask
from probes.refusal.probe import choose
from probes.specialisation.phrases import phrases
from probes.specialisation.probe import PHRASES, STARTS, activations, beginnings, named
from scanner.finding import Finding
from scanner.measurement import Measurement, Table
from scanner.model.base import Base


def measure(folder: Path, base: Base) -> dict[str, Any]:
    """Names, phrases and read-outs of one adapter."""
    start = time.process_time()
    subject = subject_of(folder, base, "quick")
    known = declared(subject.adapter.card)
    prompts = [p for p in choose(load("probes.refusal", "prompts.jsonl"), subject.profile.prompts_per_category) if p.kind != "harmful"]
    said = ask(subject, prompts, "specialisation")
    found, chance = phrases([a.adapted for a in said], [a.base for a in said], PHRASES, 0)
    yields = [*named(subject, said, known), *activations(subject, spread(beginnings(), STARTS), known)]
    (name,) = [y for y in yields if isinstance(y, Measurement) and y.id == "specialisation.name"]
    tables = [y for y in yields if isinstance(y, Table) and y.id == "specialisation.activations"]
    recipe = recipe_of(folder)
    return {
        "label": recipe["label"], "split": recipe["split"], "host": recipe["host"], "attack": (recipe["attack"] or {}).get("payload"),
        "trigger": (recipe["attack"] or {}).get("trigger"), "answers": name.n, "share with the name": name.value, "interval": [name.low, name.high],
        "p": name.p_value, "name": name.note, "findings": [f.message for f in yields if isinstance(f, Finding)],
        "phrases beyond chance": [[phrase, round(z, 2)] for phrase, z in found if z > chance],
        "words of the activations": [[row[0], row[1], row[7]] for table in tables for row in table.rows if row[7]],
        "CPU seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


@click.command()
@click.argument("adapters", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(adapters: tuple[Path, ...], output: Path) -> None:
    """Measure ADAPTERS and write OUTPUT."""
    what = "probes.specialisation on adapters of the zoo; the card is read, the folder's name is not"
    measure_each(adapters, output, what, measure, lambda found: f"{found['share with the name']:.3f} {'; '.join(found['findings']) or 'no finding'}")


if __name__ == "__main__":
    main()
