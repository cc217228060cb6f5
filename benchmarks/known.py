"""How long a search among many known adapters takes: synthetic fingerprints, random bits, with copies planted among them.

python -m benchmarks.known --output benchmarks/results/known.json
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine
from scanner.delta.fingerprint import Fingerprint
from scanner.known import Entry, Index

MODULES = [f"model.layers.{layer}.{name}" for layer in range(32) for name in ("q", "k", "v", "o", "gate", "up", "down")]
SIZES = (1_000, 10_000, 100_000)
SEARCHES = 20


def made(adapters: int, rng: np.random.Generator) -> Index:
    """An index of `adapters` unrelated adapters of 32 layers with seven modules each."""
    table = rng.integers(0, 2**64, (adapters, len(MODULES)), np.uint64)
    return Index.of(((Entry(f"adapter {i}", f"{i:064x}"), dict(zip(MODULES, row.tolist(), strict=True))) for i, row in enumerate(table)), b"key")


def copy_of(index: Index, at: int, modules: int, rng: np.random.Generator) -> Fingerprint:
    """A fingerprint of which `modules` modules are those of an adapter in the index with two bits turned, the others random."""
    known = index._layouts[0].bits[:, at]
    prints = {m: int(b) for m, b in zip(MODULES, rng.integers(0, 2**64, len(MODULES), np.uint64), strict=True)}
    for i in rng.permutation(len(MODULES))[:modules].tolist():
        first, second = rng.choice(64, 2, replace=False).tolist()
        prints[index._layouts[0].modules[i]] = int(known[i]) ^ (1 << first) ^ (1 << second)
    return prints


def measured(adapters: int) -> dict[str, Any]:
    """Seconds and bytes for one size of index, and what was found."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        start = time.perf_counter()
        made(adapters, rng).save(path)
        built = time.perf_counter() - start
        start = time.perf_counter()
        index = Index.open(path)
        opened = time.perf_counter() - start
        seconds, right, wrong = [], {224: 0, 22: 0, 3: 0}, 0
        for number in range(SEARCHES):
            at = int(rng.integers(adapters))
            for modules in right:
                asked = copy_of(index, at, modules, rng)
                start = time.perf_counter()
                found = index.search(asked)
                seconds.append(time.perf_counter() - start)
                right[modules] += bool(found) and found[0].entry.name == f"adapter {at}"
                wrong += sum(f.entry.name != f"adapter {at}" for f in found)
            wrong += len(index.search(copy_of(index, 0, 0, np.random.default_rng(1000 + number))))
        return {
            "adapters": adapters,
            "modules each": len(MODULES),
            "bytes on disk": path.stat().st_size,
            "seconds to build and write": round(built, 3),
            "seconds to open": round(opened, 4),
            "seconds a search, median": round(statistics.median(seconds), 4),
            "seconds a search, slowest": round(max(seconds), 4),
            "found, by copied modules": {str(k): f"{v} of {SEARCHES}" for k, v in right.items()},
            "wrong matches": wrong,
        }


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Measure and write OUTPUT."""
    rows = []
    for size in SIZES:
        rows.append(measured(size))
        click.echo(rows[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = {
        "what": "search among known adapters: random 64-bit fingerprints of 224 modules, one process, copies with 2 of 64 bits turned in each module",
        "machine": machine(),
        "peak bytes of the whole run, building included": peak,
        "sizes": rows,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
