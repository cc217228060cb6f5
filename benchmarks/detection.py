"""Detectors on the zoo: score them one row at a time, then make the table.

    python -m benchmarks.detection score --zoo tests/zoo/adapters --work DIR --detector "E1" [--only ADAPTER]
    python -m benchmarks.detection table --zoo tests/zoo/adapters --work DIR --output benchmarks/results/detection.json --page docs/zoo.md

What was scored is kept in DIR by the adapter's files and is not scored again, so both commands can be stopped and resumed; the table says which
versions of unmask's sources its scans are of. A detector sees a copy of the adapter under a name that says nothing, without its recipe.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.detectors.all import DETECTORS
from benchmarks.detectors.detector import Detector
from benchmarks.detectors.unmask import PROFILES, behind, sources, told
from benchmarks.table import page, report
from benchmarks.zoo.member import DEPLOYED, RECIPE, deployed, recipe_of, sha256

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ZOO = click.option("--zoo", type=FOLDER, default=Path("tests/zoo/adapters"), show_default=True)
WORK = click.option("--work", type=click.Path(path_type=Path), required=True)
SCORED = tuple(name for name, detector in DETECTORS.items() if not detector.reads)
CHOSEN = click.option("--detector", "detectors", multiple=True, type=click.Choice(sorted(SCORED)), help="only these rows")


@click.group()
def main() -> None:
    """Detectors on the zoo."""


@main.command()
@ZOO
@WORK
@CHOSEN
@click.option("--only", multiple=True, help="only this adapter")
@click.option("--threads", default=0, help="torch's threads; 0 leaves them")
def score(zoo: Path, work: Path, detectors: tuple[str, ...], only: tuple[str, ...], threads: int) -> None:
    """Score every adapter of the zoo that is not scored yet."""
    if threads:
        import torch

        torch.set_num_threads(threads)
    for folder in adapters(zoo):
        if only and folder.name not in only:
            continue
        for name in detectors or SCORED:
            place = kept(work, folder, name)
            if place.exists():
                continue
            found = _score(DETECTORS[name], folder, place.parent)
            place.write_text(json.dumps(found))
            click.echo(
                f"{folder.name}  {name}: {found['vector'] if found['vector'] and len(found['vector']) == 1 else bool(found['vector'])}  {found['seconds']} s"
            )


def _score(detector: Detector, folder: Path, work: Path) -> dict[str, Any]:
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as neutral:
        copy = deployed(folder, Path(neutral) / "adapter")
        start = time.monotonic()
        vector = detector.measure(copy, work)
    return {"vector": vector, "seconds": round(time.monotonic() - start, 2), "sources": sources() if detector.name.startswith("unmask") else ""}


@main.command()
@ZOO
@WORK
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--page", "page_", type=click.Path(path_type=Path), required=True)
def table(zoo: Path, work: Path, output: Path, page_: Path) -> None:
    """Write the table of what was scored, as JSON and as a page."""
    folders = adapters(zoo)
    vectors = {name: {f.name: found for f in folders if (found := _found(work, f, detector))} for name, detector in DETECTORS.items()}
    results = {f.name: _results(work, f) for f in folders}
    made = report([recipe_of(f) for f in folders], {n: v for n, v in vectors.items() if v}, results)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(made, indent=1) + "\n")
    page_.write_text(page(made))


def adapters(zoo: Path) -> list[Path]:
    """The adapters of a zoo that are there with their weights, by name."""
    return sorted(p.parent for p in zoo.glob(f"*/{RECIPE}") if all((p.parent / n).exists() for n in DEPLOYED))


def kept(work: Path, folder: Path, detector: str) -> Path:
    """Where the score of an adapter's present files under `detector` is kept."""
    slug = "".join(c if c.isalnum() else "-" for c in detector.lower())
    files = hashlib.sha256("".join(sha256(folder / name) for name in DEPLOYED).encode()).hexdigest()
    return work / folder.name / files[:12] / f"{slug}.score.json"


def _found(work: Path, folder: Path, detector: Detector) -> dict[str, Any] | None:
    """An adapter's score, kept or read off what another detector kept; None where there is none."""
    place = kept(work, folder, detector.reads or detector.name)
    if not place.exists():
        return None
    found: dict[str, Any] = {"vector": detector.measure(folder, place.parent), "seconds": 0.0} if detector.reads else json.loads(place.read_text())
    return found


def _results(work: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """What the scans behind an adapter's scores tell, by profile."""
    found: dict[str, dict[str, Any]] = {}
    for profile in PROFILES:
        if place := behind(kept(work, folder, f"unmask {profile}").parent, profile):
            found[profile] = told(json.loads(place.read_text()))
    return found


if __name__ == "__main__":
    main()
