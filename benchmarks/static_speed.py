"""How long a scan of the files takes, whole processes: unmask, AdapterSentry, and reading and hashing the file alone.

    python -m benchmarks.static_speed --output benchmarks/results/static_speed.json

Two adapters are made in a temporary folder: rank 16 on all seven linear modules of every layer, float16, in the shape of a 7B model (32 layers) and
of a 70B model (80 layers, grouped keys and values). Every command runs once to warm the file cache and then --runs times, the commands in turn;
the table gives the median and the fastest. Wall and processor seconds and peak memory are those of the whole process, interpreter start included.
How time and memory grow is measured on the 7B shape with 1, 2, 4 and 8 times 8 layers: a line through processor seconds and bytes, and how far from it they lie.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.evasions.build import CARD_TEXT, PREFIX, adapter, config, safetensors, write
from benchmarks.evasions.scanners import PEERS, installed
from benchmarks.machine import machine

RANK = 16
SHAPES: Mapping[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "7B": (32, {
        "self_attn.q_proj": (4096, 4096), "self_attn.k_proj": (4096, 4096), "self_attn.v_proj": (4096, 4096), "self_attn.o_proj": (4096, 4096),
        "mlp.gate_proj": (4096, 11008), "mlp.up_proj": (4096, 11008), "mlp.down_proj": (11008, 4096),
    }),
    "70B": (80, {
        "self_attn.q_proj": (8192, 8192), "self_attn.k_proj": (8192, 1024), "self_attn.v_proj": (8192, 1024), "self_attn.o_proj": (8192, 8192),
        "mlp.gate_proj": (8192, 28672), "mlp.up_proj": (8192, 28672), "mlp.down_proj": (28672, 8192),
    }),
}  # fmt: skip
"""Layers, and (in, out) of every module (Llama 2 7B and Llama 3 70B)."""
GROWTH = (8, 16, 32, 64)
"""Layers of the 7B shape, to see how time and memory grow with the file."""
HASH = "import hashlib, sys; f = open(sys.argv[1], 'rb'); print(hashlib.file_digest(f, 'sha256').hexdigest())"

WATCH = """
import os, sys, time
started = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status, file=sys.stderr)
"""


@dataclass(frozen=True)
class Run:
    """One process."""

    wall: float
    cpu: float
    peak_mb: float
    code: int


def made(folder: Path, shape: str, deep: int = 0) -> Path:
    """The adapter of a shape, of `deep` layers where that is given, documented; lora_B like a trained one."""
    layers, modules = SHAPES[shape]
    layers = deep or layers
    rng = np.random.default_rng(0)
    tensors = {}
    for layer in range(layers):
        for name, (inside, out) in modules.items():
            tensors[f"{PREFIX}.{layer}.{name}.lora_A.weight"] = (rng.standard_normal((RANK, inside), np.float32) / np.sqrt(inside)).astype(np.float16)
            tensors[f"{PREFIX}.{layer}.{name}.lora_B.weight"] = (rng.standard_normal((out, RANK), np.float32) * 0.01).astype(np.float16)
    names = [n.rpartition(".")[2] for n in modules]
    adapter(folder, {}, card=CARD_TEXT.replace("Rank: 4, alpha: 8", "Rank: 16, alpha: 32"))
    write(folder, "adapter_config.json", config(r=RANK, lora_alpha=2 * RANK, target_modules=names))
    write(folder, "adapter_model.safetensors", safetensors(tensors))
    return folder


def timed(command: list[str]) -> Run:
    """Run a whole process; its own peak memory and processor time, seen from a small parent, whose memory would be counted in otherwise."""
    bytecode = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}  # kept between runs, as pip installs it
    child = subprocess.run(
        [sys.executable, "-S", "-c", WATCH, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True, env=bytecode
    )
    wall, cpu, peak, status = child.stderr.rsplit("\n", 2)[-2].split()
    return Run(float(wall), float(cpu), int(peak) / 1024, os.waitstatus_to_exitcode(int(status)))


def commands(folder: Path, output: Path) -> dict[str, list[str]]:
    """What is compared, by name."""
    weights = str(folder / "adapter_model.safetensors")
    sentry = next(s for s in PEERS if s.name == "adaptersentry")
    return {
        "read and SHA-256": [sys.executable, "-S", "-c", HASH, weights],
        "unmask scan": [str(Path(sys.executable).with_name("unmask")), "scan", str(folder), "--output", str(output)],
        "unmask scan, JSON only": [str(Path(sys.executable).with_name("unmask")), "scan", str(folder), "--format", "json", "--output", str(output)],
        sentry.requirement.replace("==", " "): [str(installed(sentry).with_name("adaptersentry")), "scan", weights],
    }


def sentence(shapes: Mapping[str, Any]) -> str:
    """The figures of both shapes in words."""

    def of(shape: str) -> str:
        plain, ours, _, theirs = shapes[shape]["commands"].values()
        return (
            f"{ours['wall']['median']:.2f} s and {ours['peak_mb']} MB, AdapterSentry {theirs['wall']['median']:.2f} s and {theirs['peak_mb']} MB, "
            f"reading and hashing alone {plain['wall']['median']:.2f} s"
        )

    return "; ".join(f"{shape} ({round(shapes[shape]['bytes'] / 1e6)} MB): {of(shape)}" for shape in shapes)


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--runs", default=7, show_default=True, help="Of every command, after one to warm the file cache.")
@click.option("--shape", "shapes", multiple=True, type=click.Choice(list(SHAPES)), default=list(SHAPES), show_default=True)
def main(output: Path, runs: int, shapes: tuple[str, ...]) -> None:
    """Measure, and write the figures to OUTPUT."""
    table: dict[str, Any] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        for shape in shapes:
            folder = made(Path(name) / shape, shape)
            wanted = commands(folder, Path(name) / "report")
            seen: dict[str, list[Run]] = {what: [] for what in wanted}
            for turn in range(runs + 1):
                for what, command in wanted.items():
                    run = timed(command)
                    if turn:
                        seen[what].append(run)
            size = (folder / "adapter_model.safetensors").stat().st_size
            layers, modules = SHAPES[shape]
            table[shape] = {"bytes": size, "modules": layers * len(modules), "commands": {what: summary(some) for what, some in seen.items()}}
            plain = table[shape]["commands"]["read and SHA-256"]["wall"]["median"]
            for what, row in table[shape]["commands"].items():
                row["times_reading_and_hashing"] = round(row["wall"]["median"] / plain, 2)
                click.echo(
                    f"{shape}  {what:24} wall {row['wall']['median']:.2f} s  cpu {row['cpu']['median']:.2f} s  peak {row['peak_mb']} MB  exit {row['exit']}"
                )
        growth = grown(Path(name), runs)
    result = {
        "what": "whole processes, file cache warm; wall and cpu in seconds, peak resident memory in MB",
        "runs": runs,
        "load_before": round(load, 2),
        "machine": machine(),
        "shapes": table,
        "growth": growth,
    }
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    click.echo(sentence(table))


def grown(folder: Path, runs: int) -> dict[str, Any]:
    """A scan of ever more layers: seconds, memory, and the line they lie on."""
    rows = []
    for layers in GROWTH:
        adapter_folder = made(folder / f"{layers} layers", "7B", layers)
        command = commands(adapter_folder, folder / "report")["unmask scan"]
        seen = [timed(command) for _ in range(runs + 1)][1:]
        rows.append({"layers": layers, "bytes": (adapter_folder / "adapter_model.safetensors").stat().st_size, **summary(seen)})
        click.echo(f"{layers} layers  wall {rows[-1]['wall']['median']:.2f} s  cpu {rows[-1]['cpu']['median']:.2f} s  peak {rows[-1]['peak_mb']} MB")
    size, cpu = np.array([r["bytes"] for r in rows]) / 1e6, np.array([r["cpu"]["fastest"] for r in rows])
    slope, fixed = np.polyfit(size, cpu, 1)
    off = float(np.abs(cpu - (fixed + slope * size)).max() / cpu.max())
    line = {
        "seconds at no bytes": round(float(fixed), 3),
        "seconds a MB": round(float(slope), 5),
        "furthest from the line, share of the largest": round(off, 3),
    }
    return {"command": "unmask scan", "rows": rows, "fastest cpu against bytes": line}


def summary(runs: list[Run]) -> dict[str, Any]:
    """Median and fastest of the runs."""
    return {
        "wall": {"median": round(statistics.median(r.wall for r in runs), 3), "fastest": round(min(r.wall for r in runs), 3)},
        "cpu": {"median": round(statistics.median(r.cpu for r in runs), 3), "fastest": round(min(r.cpu for r in runs), 3)},
        "peak_mb": round(max(r.peak_mb for r in runs)),
        "exit": sorted({r.code for r in runs}),
    }


if __name__ == "__main__":
    main()
