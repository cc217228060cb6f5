"""Every case before six scanners: what a pipeline that runs their command line would do.

    python -m benchmarks.evasions.run --output benchmarks/results/evasions.json
    python -m benchmarks.evasions.table      writes docs/evasions.md from it

Each scanner runs on every case with the flags its documentation gives for a gate, and where that passes, with those that make it stop most. It is installed
in a virtual environment of its own below the user's cache folder. With --only, the cases whose id begins so; with --again, one scanner's
answers replace those in the file, and those that are not there are added.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from benchmarks.detectors.unmask import sources
from benchmarks.evasions.case import cases
from benchmarks.evasions.scanners import PEERS, SECONDS, UNMASK, Running
from benchmarks.machine import machine

SCANNERS = (UNMASK, *PEERS)


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--only", multiple=True, help="Cases whose id begins so.")
@click.option("--again", multiple=True, type=click.Choice([s.name for s in SCANNERS]), help="Scanners to run; the others' answers are kept.")
def main(output: Path, only: tuple[str, ...], again: tuple[str, ...]) -> None:
    """Run the scanners on the cases and write every outcome to OUTPUT."""
    chosen = [c for c in cases() if not only or c.id.startswith(only)]
    earlier: dict[str, Any] = json.loads(output.read_text())["cases"] if again and output.exists() else {}
    started = time.monotonic()
    scanners = [s for s in SCANNERS if not again or s.name in again]
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        running: dict[tuple[str, str], Running] = {}
        for number, case in enumerate(chosen):
            with tempfile.TemporaryDirectory() as folder:
                path = case.build(Path(folder) / "case")
                seen: dict[str, Any] = earlier.get(case.id, {}).get("seen", {})
                for scanner in (s for s in SCANNERS if s in scanners or s.name not in seen):
                    mine: dict[str, Any] = {}
                    for mode in ("default", "strict"):
                        if mode == "strict" and (scanner.strict == scanner.default or mine["default"]["outcome"] != "passed"):
                            mine["strict"] = mine["default"]
                            continue
                        if (scanner.name, mode) not in running:
                            running[scanner.name, mode] = Running(scanner, Path(home), mode == "strict")
                        mine[mode] = running[scanner.name, mode].verdict(path)
                    seen[scanner.name] = mine
                _forgive(Path(folder))
            table[case.id] = {"family": case.family, "what": case.what, "expect": case.expect.value, "seen": seen}
            if number % 20 == 0:
                click.echo(f"{number} of {len(chosen)} cases, {time.monotonic() - started:.0f} s", err=True)
        for process in running.values():
            process.close()
    result = {
        "what": "exit codes of each command line on each case; a pipeline stops where the code is not 0",
        "limit": f"{SECONDS:g} s a run; modules are imported once and every run is a forked child, so seconds leave the start out",
        "scanners": {
            s.name: {
                "version": s.requirement or f"unmask {version('unmask')}, sources {sources()}",
                "default": " ".join(s.default),
                "strict": " ".join(s.strict),
                "note": s.note,
            }
            for s in SCANNERS
        },
        "machine": machine(),
        "cases": table,
    }
    output.write_text(written(result), encoding="utf-8")


def written(result: dict[str, Any]) -> str:
    """`result` as JSON with one case a line."""
    head = json.dumps({**result, "cases": {}}, indent=1).removesuffix("{}\n}")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in result["cases"].items())
    return f"{head}{{\n{lines}\n }}\n}}\n"


def _forgive(folder: Path) -> None:
    """Make everything below `folder` deletable again, whatever a scanner did to it."""
    for here, _, _ in os.walk(folder):
        Path(here).chmod(0o700)


if __name__ == "__main__":
    main()
