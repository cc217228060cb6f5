"""Which pickle scanner tells code from what trainers leave behind: unmask's lists, picklescan and fickling on the same files.

The dangerous files are the tests' own (`tests/pickles.py`): shapes of one attack, and one file for each function that runs, loads or
reaches out. The honest ones are what torch, numpy, datetime and trainers write, and files given with --honest (none is committed).
A scanner that cannot read a dangerous file counts as having caught it if it says so; on an honest file that is an alarm.
The shapes and functions were known while unmask's lists were written, so its own figure on them is not held out. The honest files of the
committed result are the 119 training_args, optimizer, scheduler, scaler and random states and adapter_model.bin found in the folders of
adapters in 35 public repositories (`benchmarks/real_adapters.py` names them).

    pip install fickling==0.1.12
    python -m benchmarks.pickles --output benchmarks/results/pickles.json [--honest FILE]...
"""

from __future__ import annotations

import io
import json
import pickle
import tempfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine
from probes.code.probe import CodeProbe
from scanner.files.adapter import Adapter
from scanner.subject import Subject
from tests.pickles import DANGEROUS, FUNCTIONS, LEFT_BY_TRAINERS, stack_global

HONEST: dict[str, Any] = {
    "numpy arrays": {"step": np.arange(3), "loss": np.float64(1.5)},
    "random state": {"python": (3, tuple(range(10)), None), "numpy": np.random.default_rng(0).bit_generator.state},
    "dates and paths": {"when": datetime(2026, 1, 1, tzinfo=UTC), "where": Path("out")},
    "collections": {"counts": Counter("abc"), "lists": defaultdict(list, a=[1]), "order": OrderedDict(a=1), "set": {1, 2}},
}


def unmask(path: Path) -> str:
    """The worst rule of the code probe."""
    found = {f.rule for f in CodeProbe().run(_subject(path)) if hasattr(f, "rule")}
    return "alarm" if "pickle-code" in found else "review" if "pickle-unknown" in found else "nothing"


def _subject(path: Path) -> Subject:
    from scanner.delta.delta import Delta
    from scanner.policy import Policy
    from scanner.profile import PROFILES
    from scanner.progress import Reporter

    return Subject(Adapter.look(path), Delta(()), None, PROFILES["quick"], Policy.open(), 0, Reporter(quiet=True))


def picklescan(path: Path) -> str:
    """Its own verdict on a file."""
    from picklescan.scanner import SafetyLevel, scan_file_path

    found = scan_file_path(str(path))
    if found.infected_files or found.scan_err:
        return "alarm" if found.infected_files else "unreadable"
    return "review" if any(g.safety is SafetyLevel.Suspicious for g in found.globals) else "nothing"


def fickling(path: Path) -> str:
    """The worst severity of its analysis of every pickle in the file; a torch file's pickles are taken out of the zip."""
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import StackedPickle

    worst = Severity.LIKELY_SAFE
    for data in _pickles(path):
        for found in StackedPickle.load(io.BytesIO(data)):
            worst = max(worst, check_safety(found).severity)
    return "nothing" if worst is Severity.LIKELY_SAFE else "review" if worst < Severity.LIKELY_UNSAFE else "alarm"


def _pickles(path: Path) -> list[bytes]:
    if not zipfile.is_zipfile(path) or not path.read_bytes().startswith(b"PK"):
        return [path.read_bytes()]
    with zipfile.ZipFile(path) as archive:
        return [archive.read(n) for n in archive.namelist() if n.endswith(".pkl")]


SCANNERS: dict[str, Callable[[Path], str]] = {"unmask": unmask, "picklescan": picklescan, "fickling": fickling}


def _verdict(scanner: Callable[[Path], str], path: Path) -> str:
    try:
        return scanner(path)
    except Exception as error:
        return f"unreadable ({type(error).__name__})"


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--honest", type=click.Path(exists=True, path_type=Path), multiple=True, help="More honest pickles.")
def main(output: Path, honest: tuple[Path, ...]) -> None:
    """Scan every case with every scanner, and write the table."""
    rows: dict[str, dict[str, dict[str, str]]] = {"dangerous": {}, "honest": {}}
    with tempfile.TemporaryDirectory() as name:
        cases = [("dangerous", n, d) for n, d in DANGEROUS.items()]
        cases += [("dangerous", f"calls {f}", stack_global(*f.rsplit(".", 1))) for f in FUNCTIONS]
        cases += [("honest", n, d) for n, d in LEFT_BY_TRAINERS.items()]
        cases += [("honest", f"{n}, protocol {p}", pickle.dumps(v, p)) for n, v in HONEST.items() for p in (2, 4)]
        for number, (kind, label, data) in enumerate(cases):
            path = Path(name) / str(number) / "optimizer.pt"
            path.parent.mkdir()
            path.write_bytes(data)
            rows[kind][label] = {n: _verdict(s, path) for n, s in SCANNERS.items()}
    given: dict[str, Counter[str]] = {n: Counter(_verdict(s, p) for p in honest) for n, s in SCANNERS.items()}
    totals = {n: _total(n, rows, given[n]) for n in SCANNERS}
    result = {
        "machine": machine() | {n: version(n) for n in ("picklescan", "fickling")},
        "totals": totals,
        "honest files given": {"count": len(honest), **{n: dict(c) for n, c in given.items()}},
        "cases": rows,
    }
    output.write_text(json.dumps(result, indent=1) + "\n")
    for scanner, total in totals.items():
        click.echo(f"{scanner}: {total}")


def _total(scanner: str, rows: dict[str, dict[str, dict[str, str]]], given: Counter[str]) -> dict[str, int]:
    dangerous, honest = ([r[scanner] for r in rows[kind].values()] for kind in ("dangerous", "honest"))
    return {
        "dangerous": len(dangerous),
        "caught": sum(v == "alarm" for v in dangerous),
        "for review": sum(v == "review" for v in dangerous),
        "said to be unreadable": sum(v.startswith("unreadable") for v in dangerous),
        "missed": sum(v == "nothing" for v in dangerous),
        "honest": len(honest) + given.total(),
        "false alarms": sum(v == "alarm" or v.startswith("unreadable") for v in [*honest, *given.elements()]),
        "honest for review": sum(v == "review" for v in [*honest, *given.elements()]),
    }


if __name__ == "__main__":
    main()
