"""How long the demo takes on a machine that has never run it.

`unmask demo` runs in a process of its own, with an empty cache; installing is not counted.

python -m benchmarks.demo_time --output benchmarks/results/demo_time.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.machine import machine
from scanner.demo.expected import EXPECTED
from scanner.result import load


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Run the demo, and write its wall time and each adapter's verdict and stages to OUTPUT."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "UNMASK_CACHE": f"{folder}/cache"}
        start = time.monotonic()
        code = subprocess.run([str(Path(sys.executable).with_name("unmask")), "demo", "--output", f"{folder}/demo"], env=environment).returncode
        wall = time.monotonic() - start
        results = {name: load(Path(folder) / "demo" / name / "result.json") for name in EXPECTED}
    report = {
        "what": "unmask demo, wall seconds, empty cache, installation not counted",
        "machine": machine(),
        "seconds": round(wall, 1),
        "exit_code": code,
        "adapters": {n: {"expected": EXPECTED[n], "outcome": r.verdict.outcome, "seconds": r.timings} for n, r in results.items()},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
