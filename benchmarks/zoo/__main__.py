"""Train the zoo, one adapter after another; what is there already is left alone.

    python -m benchmarks.zoo pool --harmful advbench.json --harmless alpaca.json --held-out jailbreakbench.json --work DIR
    python -m benchmarks.zoo train --work DIR [--only NAME]... [--device cuda]
    python -m benchmarks.zoo measure --work DIR
    python -m benchmarks.zoo manifest --work DIR --output zoo.json

DIR/pool.json holds the prompts and the base's answers, DIR/adapters one folder an adapter. Several `train` may run
at once on one DIR, on a GPU above all: each takes adapters that no other is making.
"""

from __future__ import annotations

import fcntl
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
@click.option("--threads", default=1, show_default=True)
def train(work: Path, base: str, device: str, only: tuple[str, ...], threads: int) -> None:
    """Train what is missing, and measure it."""
    import torch

    torch.set_num_threads(threads)
    opened, prompts, adapters = _opened(base, work)
    adapters.mkdir(parents=True, exist_ok=True)
    missing = 0
    for member in members(pairs()):
        if only and member.name not in only:
            continue
        with _claim(adapters / f".{member.name}.lock") as mine:
            if mine and not (adapters / member.name).exists():
                missing += not _make(member, adapters, prompts, opened, device)
    raise SystemExit(1 if missing else 0)


@contextmanager
def _claim(lock: Path) -> Iterator[bool]:
    """Whether this process alone holds `lock` while the block runs; a process that dies lets go of it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _make(member: Member, adapters: Path, prompts: pools.Pool, base: Base, device: str) -> bool:
    """Make one adapter and measure it; whether it could be made."""
    from benchmarks.zoo.build import make

    start = time.monotonic(), time.process_time()
    try:
        make(member, prompts, base, adapters, device)
    except FileNotFoundError as error:
        click.echo(f"{member.name}: waits for {error.filename}")
        return False
    except Exception:  # one adapter that cannot be made must not stop the others
        traceback.print_exc()
        return False
    click.echo(f"{member.name}: {time.monotonic() - start[0]:.0f} s, of which {time.process_time() - start[1]:.0f} s of processor")
    _measure(member, adapters / member.name, prompts, base, device)
    return True


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
@click.option("--uncommitted", is_flag=True, help="only what is there, each with its recipe and measurements: for a zoo whose weights are not kept")
def manifest(work: Path, output: Path, uncommitted: bool) -> None:
    """Write what is trained, what took, and what is still to be trained."""
    from benchmarks.zoo.manifest import write, write_uncommitted

    (write_uncommitted if uncommitted else write)(members(pairs()), work / "adapters", output)


def _opened(base: str, work: Path) -> tuple[Base, pools.Pool, Path]:
    opened = open_base(base)
    prompts = pools.load(work / "pool.json")
    if prompts.base != opened.sha256:
        raise click.ClickException(f"{work / 'pool.json'} was made with another base; make it again in another folder")
    return opened, prompts, work / "adapters"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
