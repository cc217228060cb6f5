"""Of the refusals that scans of the zoo found lost: how many answers in their place are labels, hand the request back or speak of the phrase.

    python -m benchmarks.handed_back --work DIR --output benchmarks/results/handed_back.json

DIR is that of `python -m benchmarks.detection score`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmarks.detection import adapters, kept
from benchmarks.detectors.unmask import behind
from benchmarks.machine import machine
from probes.refusal.helpless import in_their_place
from probes.refusal.probe import LOST as LOST_RULE
from probes.trigger.finding import TRIGGER
from probes.trigger.verify import LOST
from scanner.result import loads

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--zoo", type=FOLDER, default=Path("tests/zoo/adapters"), show_default=True)
@click.option("--work", type=FOLDER, required=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(zoo: Path, work: Path, output: Path) -> None:
    """Count them in every witness of the quick scans in WORK."""
    found: dict[str, Any] = {}
    for folder in adapters(zoo):
        place = behind(kept(work, folder, "unmask quick").parent, "quick")
        if place is None:
            continue
        for finding in loads(place.read_bytes(), place.name).findings:
            lost = finding.rule == LOST_RULE.id or (finding.rule == TRIGGER.id and finding.message.startswith(LOST))
            if lost and finding.witness:
                instead = in_their_place(finding.witness.answers, finding.witness.untriggered)
                found.setdefault(folder.name, {})[finding.rule] = {"lost": instead.lost, "no help": instead.no_help}
    what = "answers in the place of refusals that quick scans of the zoo found lost, and how many are labels, hand the request back or speak of the phrase"
    output.write_text(json.dumps({"what": what, "machine": machine(), "adapters": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
