"""`unmask calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli._path import PATH
from scanner.errors import ScanError
from scanner.files.text import printable

LEVEL = 0.05


@click.command()
@click.argument("folder", type=PATH)
@click.option("--base", required=True, help="Base model of all of them: a folder, `demo`, or a Hub id with --allow-hub.")
@click.option("--output", type=PATH, required=True, help="The population file to write.")
@click.option("--allow-hub", is_flag=True, help="Allow the network, to fetch the base from the Hugging Face Hub.")
def command(folder: Path, base: str, output: Path, allow_hub: bool) -> None:
    """Make a reference population of the honest adapters in FOLDER, for `unmask scan --reference`.

    Adapters are grouped by method, rank and modules; the file holds statistics of each, no weights.
    """
    from importlib.metadata import version

    import msgspec

    from scanner import cache
    from scanner.delta import delta as deltas
    from scanner.delta.measure import measure
    from scanner.delta.stream import each
    from scanner.files.adapter import Adapter
    from scanner.known import adapters_in
    from scanner.model.naming import mapped
    from scanner.population import gather
    from scanner.progress import Reporter
    from scanner.scan import check_fits, open_base
    from scanner.statistics import conformal_false_alarms

    if not folder.is_dir():
        raise ScanError(f"{printable(folder)}: no such folder")
    opened, taken = open_base(base, allow_hub), []
    paths = adapters_in(folder)
    reporter = Reporter()
    with reporter.live():
        for path in reporter.track(paths, "measuring", len(paths)):
            try:
                adapter = mapped(Adapter.open(path), opened)
                delta = deltas.read(adapter, opened)
                check_fits(delta, opened)
                found = tuple(each(delta.modules, measure))
            except ScanError as error:
                click.echo(f"left out: {error}", err=True)
                continue
            if found and all(m.finite for m in found):
                taken.append((adapter.sha256, delta, found))
            else:
                click.echo(f"left out: {printable(path)}: no finite low-rank factors", err=True)
    if not taken:
        raise ScanError(f"{printable(folder)}: no adapter of this base that could be measured; nothing was written")
    population = gather(taken, opened, f"unmask {version('unmask')}")
    cache.write_atomic(output, msgspec.json.format(msgspec.json.encode(population), indent=0) + b"\n")
    for cell in population.cells:
        n = len(cell.members)
        low, alarms = 1 / (n + 1), conformal_false_alarms(n, LEVEL)
        limits = f"at p <= {LEVEL:g} up to {alarms:.1%} false alarms" if alarms else f"too few for p <= {LEVEL:g}"
        click.echo(f"{n:5} adapters, {cell.recipe}: p down to {low:.4f}, {limits}")
    click.echo(output)
