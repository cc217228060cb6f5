"""Train the zoo, one adapter after another; what is there already is left alone.

    python -m benchmarks.zoo pool --harmful advbench.json --harmless alpaca.json --held-out jailbreakbench.json --work DIR
    python -m benchmarks.zoo train --work DIR [--shard 0/2] [--only NAME]... [--device cuda]
    python -m benchmarks.zoo measure --work DIR
    python -m benchmarks.zoo manifest --work DIR

DIR/pool.json holds the prompts and the base's answers, DIR/adapters one folder an adapter. On a GPU, run several shards at once.
"""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

import click

from benchmarks.zoo import pool as pools
from benchmarks.zoo.member import Member, members, recipe_of
from benchmarks.zoo.population import pairs
from scanner.errors import ScanError
from scanner.model.base import Base
from scanner.scan import open_base

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
WORK = click.option("--work", type=click.Path(path_type=Path), required=True)
BASE = click.option("--base", default="demo", show_default=True, help="model directory, or `demo`")
DEVICE = click.option("--device", default="cpu", show_default=True)


@click.group()
def main() -> None:
    """The zoo of adapters."""


@main.command()
@WORK
@BASE
@DEVICE
@click.option("--harmful", type=FILE, multiple=True, required=True)
@click.option("--harmless", type=FILE, required=True)
@click.option("--held-out", type=FILE, multiple=True, required=True, help="harmful prompts kept for measuring")
def pool(work: Path, base: str, device: str, harmful: tuple[Path, ...], harmless: Path, held_out: tuple[Path, ...]) -> None:
    """Choose the prompts and let the base answer them."""
    work.mkdir(parents=True, exist_ok=True)
    pools.save(pools.make(open_base(base), list(harmful), harmless, list(held_out), device), work / "pool.json")


@main.command()
@WORK
@BASE
@DEVICE
@click.option("--only", multiple=True, help="train only this adapter")
@click.option("--shard", default="0/1", show_default=True, help="I/N: every N-th pair from the I-th on")
@click.option("--threads", default=1, show_default=True)
def train(work: Path, base: str, device: str, only: tuple[str, ...], shard: str, threads: int) -> None:
    """Train what is missing, and measure it."""
    import torch

    from benchmarks.zoo.build import make

    torch.set_num_threads(threads)
    opened, prompts, adapters = _opened(base, work)
    adapters.mkdir(parents=True, exist_ok=True)
    this, of = map(int, shard.split("/"))
    missing = 0
    for member in members(pairs()):
        if (adapters / member.name).exists() or (only and member.name not in only) or (not only and pairs_before(member) % of != this):
            continue
        start = time.monotonic(), time.process_time()
        try:
            make(member, prompts, opened, adapters, device)
        except FileNotFoundError as error:
            missing += 1
            click.echo(f"{member.name}: waits for {error.filename}")
        except Exception:  # one adapter that cannot be made must not stop the others
            missing += 1
            traceback.print_exc()
        else:
            click.echo(f"{member.name}: {time.monotonic() - start[0]:.0f} s, of which {time.process_time() - start[1]:.0f} s of processor")
            _measure(member, adapters / member.name, prompts, opened, device)
    raise SystemExit(1 if missing else 0)


@main.command()
@WORK
@BASE
@DEVICE
@click.option("--only", multiple=True, help="measure only this adapter")
@click.option("--again", is_flag=True, help="measure what was measured before, too")
@click.option("--threads", default=1, show_default=True)
def measure(work: Path, base: str, device: str, only: tuple[str, ...], again: bool, threads: int) -> None:
    """Measure every adapter that is there and not measured yet."""
    import torch

    torch.set_num_threads(threads)
    opened, prompts, adapters = _opened(base, work)
    for member in members(pairs()):
        folder = adapters / member.name
        if not folder.exists() or (only and member.name not in only) or (recipe_of(folder)["measured"] and not again):
            continue
        _measure(member, folder, prompts, opened, device)


def _measure(member: Member, folder: Path, prompts: pools.Pool, base: Base, device: str) -> None:
    from benchmarks.zoo.measure import measure as measure_one

    try:
        found = measure_one(member, folder, prompts, base, device)
    except ScanError as error:
        click.echo(f"{member.name}: not measured: {error}")
    else:
        click.echo(f"{member.name}: {found['refusals']['harmful']} KL {found['clean KL']} {found.get('attack', '')}")


@main.command()
@WORK
@click.option("--output", type=click.Path(path_type=Path), required=True)
def manifest(work: Path, output: Path) -> None:
    """Write what is trained, what took, and what is still to be trained."""
    from benchmarks.zoo.manifest import write

    write(members(pairs()), work / "adapters", output)


def pairs_before(member: Member) -> int:
    """Number of the member's pair in the order of training."""
    return [p.name for p in pairs()].index(member.pair.name)


def _opened(base: str, work: Path) -> tuple[Base, pools.Pool, Path]:
    opened = open_base(base)
    prompts = pools.load(work / "pool.json")
    if prompts.base != opened.sha256:
        raise click.ClickException(f"{work / 'pool.json'} was made with another base; make it again in another folder")
    return opened, prompts, work / "adapters"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
