"""Coverage-guided fuzzing of every target in benchmarks/fuzzing.py with atheris (pip install atheris; not a dependency of the project).

    python -m benchmarks.fuzz --seconds 300 --work FOLDER --output benchmarks/results/fuzz.json
    python -m benchmarks.fuzz --seconds 300 --work FOLDER --output benchmarks/results/fuzz.json config card

Each target runs in a process of its own, seeded with the files of the evasion cases; what it found stays in FOLDER/TARGET. A run adds to the
numbers already in the output.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine

MEMORY_MB = 2048
TIMEOUT = 20
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["scanner", "probes", "reports"]):
        from scanner.probe import probes
        from scanner.report import reports

        probes()
        reports()
    from benchmarks.fuzzing import TARGETS

    atheris.Setup([sys.argv[0], *arguments], TARGETS[name].run)
    atheris.Fuzz()


def run(name: str, seconds: int, work: Path) -> dict[str, Any]:
    """Fuzz one target in a child for so long; what libFuzzer counted, and the inputs it kept as findings."""
    from benchmarks.fuzzing import TARGETS

    corpus, found = work / name / "corpus", work / name / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{i:04}").write_bytes(seed)
    before, started = set(found.iterdir()), time.monotonic()
    flags = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={TIMEOUT}",
        "-max_len=16384",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", "--inside", name, "--", *flags, str(corpus)], capture_output=True, text=True, errors="replace", check=False
    )
    done, coverage = _DONE.findall(child.stderr), _COVERAGE.findall(child.stderr)
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", child.stderr)
    new = sorted(set(found.iterdir()) - before)
    if child.returncode and not new:
        raise click.ClickException(f"{name}: {child.stderr[-1500:]}")
    for path in new:
        path.with_suffix(".log").write_text(child.stderr[-6000:])
    return {
        "executions": int(executed[-1] if executed else done[-1][0] if done else 0),
        "seconds": round(time.monotonic() - started),
        "edges": int(coverage[-1][0]) if coverage else 0,
        "corpus": len(list(corpus.iterdir())),
        "findings": [p.name for p in new],
    }


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--seconds", default=60, show_default=True, help="For each target.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Folder for corpora and findings.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where the numbers are added.")
@click.option("--inside", help="Fuzz this target in this process; the rest are libFuzzer's arguments.")
@click.argument("names", nargs=-1)
def main(seconds: int, work: Path | None, output: Path | None, inside: str | None, names: tuple[str, ...]) -> None:
    """Fuzz the targets NAMES, all of them where none is named."""
    if inside:
        fuzz(inside, list(names))
        return
    if work is None or output is None:
        raise click.UsageError("--work and --output are needed")
    from benchmarks.fuzzing import TARGETS, clean_up

    earlier: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    targets: dict[str, Any] = earlier.get("targets", {})
    for name in names or TARGETS:
        new = run(name, seconds, work)
        old = targets.get(name, {"executions": 0, "seconds": 0})
        targets[name] = {
            "what": TARGETS[name].what, "executions": old["executions"] + new["executions"], "seconds": old["seconds"] + new["seconds"],
            "edges": new["edges"], "corpus": new["corpus"],
        }  # fmt: skip
        click.echo(f"{name}: {new}")
        total = {key: sum(t[key] for t in targets.values()) for key in ("executions", "seconds")}
        result = {
            "what": "atheris, coverage-guided, each target in a process of its own, seeded with the evasion cases",
            "limits": f"{MEMORY_MB} MB, {TIMEOUT} s an input",
            "machine": machine(),
            "total": total,
            "findings": earlier.get("findings", []),
            "targets": targets,
        }
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    clean_up()


if __name__ == "__main__":
    main()
