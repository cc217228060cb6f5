"""docs/evasions.md, written from benchmarks/results/evasions.json.

python -m benchmarks.evasions.table
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
RESULTS, FUZZ = ROOT / "benchmarks" / "results" / "evasions.json", ROOT / "benchmarks" / "results" / "fuzz.json"
PAGE = ROOT / "docs" / "evasions.md"
FIRM, ANY, HONEST = ("block", "refuse"), ("block", "refuse", "review"), ("clean", "look")
TITLES = {
    "pickles": "Pickles that run code", "packed": "Archives beside the adapter", "files": "Programs, hooks, links, pointers", "container": "safetensors files",
    "gguf": "GGUF files", "loading": "What really loads", "weights": "Values and scalings", "configuration": "adapter_config.json", "templates": "Chat templates",
    "wrapper": "Tokenizer and generation settings", "names": "File names and layouts", "uploads": "Uploaded archives", "provenance": "Sums and signatures", "card": "Model cards",
    "honest": "Honest shapes", "peft": "PEFT's methods",
}  # fmt: skip
INTRODUCTION = """# Evasions

{count} adapters made from nothing by `benchmarks/evasions/`: {hostile} hostile or malformed ones and {honest} as honest people upload them, every one of PEFT's
methods saved by PEFT itself among them. Payloads are `echo`. Each scanner's command line is run on each, and its exit code is what counts: a pipeline
stops where it is not 0. The figures are in `benchmarks/results/evasions.json`, with the machine, every exit code and a line on what each case is;

    python -m benchmarks.evasions.run --output benchmarks/results/evasions.json
    python -m benchmarks.evasions.table

makes them again. The other scanners were made for other things: most of them look for code in model files, and none but AdapterSentry knows adapters.
What they miss here is often not what they promise. The cases were written by unmask's authors while they wrote unmask, so its own row says that it does what
its authors thought of, and no more: a case that nobody here thought of is in no row.
"""


def rows(cases: dict[str, Any], scanners: list[str], mode: str, wanted: Callable[[dict[str, Any]], bool], good: str) -> Iterator[str]:
    """A line for each family: of how many cases each scanner comes to `good`."""
    families = list(dict.fromkeys(c["family"] for c in cases.values() if wanted(c)))
    total: Counter[str] = Counter()
    for family in families:
        some = [c for c in cases.values() if c["family"] == family and wanted(c)]
        counts = {s: sum(c["seen"][s][mode]["outcome"] == good for c in some) for s in scanners}
        total.update(counts | {"": len(some)})
        yield f"| {TITLES.get(family, family)} | {len(some)} | {' | '.join(str(counts[s]) for s in scanners)} |"
    yield f"| **all** | **{total['']}** | {' | '.join(f'**{total[s]}**' for s in scanners)} |"


def table(cases: dict[str, Any], scanners: list[str], mode: str, wanted: Callable[[dict[str, Any]], bool], good: str = "stopped") -> str:
    """A Markdown table of counts."""
    head = f"| | cases | {' | '.join(scanners)} |\n|---|---{'|---' * len(scanners)}|\n"
    return head + "\n".join(rows(cases, scanners, mode, wanted, good)) + "\n"


def failures(cases: dict[str, Any], scanners: list[str]) -> str:
    """How often each scanner crashed, hung or had nothing to scan."""
    lines = []
    for title, outcome in (
        ("ended in a traceback or a signal", "crashed"),
        ("gave no answer in a minute", "hung"),
        ("said that there was nothing it scans", "unscanned"),
    ):
        counts = [sum(c["seen"][s]["strict"]["outcome"] == outcome for c in cases.values()) for s in scanners]
        lines.append(f"| {title} | {' | '.join(map(str, counts))} |")
    return f"| | {' | '.join(scanners)} |\n|---{'|---' * len(scanners)}|\n" + "\n".join(lines) + "\n"


def missed(cases: dict[str, Any]) -> str:
    """The cases that unmask itself does not treat as it should."""
    open_ = [f"- `{i}`: {c['what']}" for i, c in cases.items() if c["expect"] in ANY and c["seen"]["unmask"]["strict"]["outcome"] != "stopped"]
    return "\n".join(open_) if open_ else "None."


def fuzzed(result: dict[str, Any]) -> str:
    """How long each parser was fuzzed, and what came of it."""
    lines = [f"| {t['what']} | {t['executions']:,} | {t['seconds']:,} | {t['edges']:,} |" for t in result["targets"].values()]
    total = result["total"]
    found = "".join(f"- {f}\n" for f in result["findings"]) or "Nothing was found in this run; what earlier runs found was put right and is among the cases.\n"
    return (
        f"{result['what']}; {result['limits']}. `python -m benchmarks.fuzz`, `benchmarks/results/fuzz.json`. {found}\n"
        "| parser | executions | seconds | edges |\n|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n| **all** | **{total['executions']:,}** | **{total['seconds']:,}** | |\n"
    )


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    cases, scanners = result["cases"], list(result["scanners"])
    hostile = [c for c in cases.values() if c["expect"] not in HONEST]
    flags = "\n".join(
        f"- **{name}** ({s['version']}): `{s['default']}`"
        + (f"; strict `{s['strict']}`" if s["strict"] != s["default"] else "")
        + (f"; {s['note']}" if s["note"] else "")
        + "."
        for name, s in result["scanners"].items()
    )
    said = Counter(c["expect"] for c in cases.values())
    return "\n".join((
        INTRODUCTION.format(count=len(cases), hostile=len(hostile), honest=len(cases) - len(hostile)),
        f"## Stopped, each scanner at its strictest\n\nThe {sum(said[e] for e in ANY)} cases that somebody should look at or that should go no further.\n",
        table(cases, scanners, "strict", lambda c: c["expect"] in ANY),
        f"## Stopped, with the flags of each documentation\n\nThe {sum(said[e] for e in FIRM)} cases that should go no further: code that runs, files that break their format, what rewrites the base.\n",
        table(cases, scanners, "default", lambda c: c["expect"] in FIRM),
        "## False alarms\n\nHonest adapters that each scanner stops, with the flags of its documentation and at its strictest. Some of the honest ones hold something "
        "that a strict pipeline may want to see (trained tokens, a saved output matrix); they count as honest all the same.\n",
        "With the documented flags:\n", table(cases, scanners, "default", lambda c: c["expect"] in HONEST),
        "At the strictest:\n", table(cases, scanners, "strict", lambda c: c["expect"] in HONEST),
        "## Crashes and hangs\n", failures(cases, scanners),
        "## How a run is judged\n", flags + "\n",
        "A scanner that takes one file is given the adapter's weights, or each pickle, and stops when any run stops. A crash or a hang counts as neither stopped nor passed.\n",
        f"## What files cannot tell\n\n{said['note']} further cases happen in honest files too often to be stopped; unmask names them in its findings. {said['behaviour']} are not told "
        "from honest adapters by anything in their files, such as a payload spread over all layers; `--base` is for those.\n",
        "## Fuzzing\n", fuzzed(json.loads(FUZZ.read_text())),
        "## Open\n\nCases that unmask should have stopped and did not in that run; `tests/evasions/known_gaps.txt` lists what is open now, honest adapters that are stopped among them: their methods "
        "are not measured and end in exit code 2.\n", missed(cases) + "\n",
    ))  # fmt: skip


@click.command()
@click.option("--results", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=RESULTS, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=PAGE, show_default=True)
def main(results: Path, output: Path) -> None:
    """Write the page."""
    output.write_text(page(json.loads(results.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
