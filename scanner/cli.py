"""The command line: parse, call, exit. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.progress import Reporter
from scanner.verdict import Outcome

FAILED = 2
_STYLE = {Outcome.PASS: "green", Outcome.REVIEW: "yellow", Outcome.BLOCK: "red", Outcome.INCOMPLETE: "magenta"}


def _fail(message: str) -> NoReturn:
    click.echo(f"unmask: {message}", err=True)
    sys.exit(FAILED)


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what can go wrong into one line and exit code 2."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ScanError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            _fail("interrupted; nothing was written")
        except MemoryError:
            _fail("out of memory")
        except OSError as error:
            _fail(f"{printable(error.filename or 'input')}: {error.strerror or error}")

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unmask", prog_name="unmask")
def main() -> None:
    """Look under the mask: what does a stranger's adapter do to your model?"""


@main.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--base", help="Base model: a folder, `demo`, or a Hub id with --allow-hub. Without it only files and weights are examined.")
@click.option("--profile", type=click.Choice(["quick", "standard", "deep"]), default="standard", show_default=True, help="How hard to look.")
@click.option("--policy", type=click.Path(path_type=Path), help="Policy file (TOML); the shipped default otherwise.")
@click.option("--system-prompt", help="System prompt of the deployment.")
@click.option("--chat-template", type=click.Path(path_type=Path), help="Chat template file of the deployment; the base's otherwise.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--format", "formats", default="html,json", show_default=True, help="Reports to write, separated by commas.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("unmask-report"), show_default=True, help="Folder for the reports.")
@click.option(
    "--fail-on", type=click.Choice(["review", "block"]), default="block", show_default=True, help="Worst outcome that still exits 0 is the one below."
)
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option("--allow-hub", is_flag=True, help="Allow the network, to fetch the base from the Hugging Face Hub.")
@_guarded
def scan(
    adapter: Path, base: str | None, profile: str, policy: Path | None, system_prompt: str | None, chat_template: Path | None,
    device: str, formats: str, output: Path, fail_on: str, seed: int, allow_hub: bool,
) -> None:  # fmt: skip
    """Scan the folder ADAPTER and write a report.

    Exit codes: 0 pass (or review, unless --fail-on review), 1 the policy fails it, 2 the scan could not be done or is incomplete.
    """
    from scanner.scan import scan as run

    chosen = _formats(formats)
    reporter = Reporter()
    with reporter.live():
        result = run(
            adapter, base, profile=profile, policy=policy, device=device, system_prompt=system_prompt,
            chat_template=_text(chat_template), seed=seed, allow_hub=allow_hub, reporter=reporter,
        )  # fmt: skip
    written = _write(result, chosen, output)
    _say(result, written)
    sys.exit(_exit_code(result.verdict.outcome, fail_on))


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--format", "formats", default="html", show_default=True, help="Reports to write, separated by commas.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("unmask-report"), show_default=True, help="Folder for the reports.")
@_guarded
def report(result: Path, formats: str, output: Path) -> None:
    """Make reports from RESULT, a result.json."""
    from scanner.result import load

    for path in _write(load(result), _formats(formats), output):
        click.echo(path)


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--finding", type=int, help="Index of the finding; the first that has a witness otherwise.")
@click.option("--adapter", type=click.Path(path_type=Path), help="The adapter, where it is not at the recorded path.")
@click.option("--base", help="The base, where it is not the recorded one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@_guarded
def replay(result: Path, finding: int | None, adapter: Path | None, base: str | None, device: str) -> None:
    """Reproduce a witness of RESULT; exit 0 if it reproduces, 1 if it does not."""
    from scanner.replay import replay as run
    from scanner.result import load

    reporter = Reporter()
    with reporter.live():
        outcome = run(load(result), finding, adapter=adapter, base=base, device=device, reporter=reporter)
    click.echo(outcome.summary)
    sys.exit(0 if outcome.reproduced else 1)


@main.command()
@click.argument("id", required=False)
@_guarded
def rules(id: str | None) -> None:
    """List every rule, or explain the rule ID."""
    from scanner.probe import rules as all_rules

    known = all_rules()
    if id is None:
        for rule in sorted(known.values(), key=lambda r: (-r.severity.level, r.id)):
            click.echo(f"{rule.severity:<9} {rule.basis:<14} {rule.id:<22} {rule.title}")
        return
    if id not in known:
        _fail(f"no rule {printable(id, 60)}; see `unmask rules`")
    rule = known[id]
    click.echo(f"{rule.id}: {rule.title}\nseverity {rule.severity}, basis {rule.basis}\n\n{rule.meaning}\n\nWhy: {rule.why}\n\nFix: {rule.fix}")
    for reference in rule.references:
        click.echo(f"  {reference.catalogue} {reference.id}  {reference.title}")


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("unmask-demo"), show_default=True, help="Folder for the reports.")
@_guarded
def demo(output: Path) -> None:
    """Scan the four shipped adapters on the shipped base, and check that each gets the verdict it should."""
    from scanner.demo.base import NAME, shipped
    from scanner.demo.expected import EXPECTED
    from scanner.scan import scan as run

    reporter = Reporter()
    right = True
    for name, outcome in EXPECTED.items():
        with reporter.live():
            result = run(shipped(name), NAME, profile="quick", reporter=reporter)
        written = _write(result, _formats("html,json"), output / name)
        click.echo(f"── {name} (should be {outcome})")
        _say(result, written)
        right = right and result.verdict.outcome is outcome
    if not right:
        _fail("an adapter did not get the verdict it should")


def _formats(names: str) -> dict[str, Any]:
    from scanner.report import reports

    known = reports()
    wanted = [n.strip() for n in names.split(",") if n.strip()]
    for name in wanted:
        if name not in known:
            raise ScanError(f"--format {printable(name, 40)}: choose from {', '.join(known)}")
    return {name: known[name] for name in wanted}


def _write(result: Any, formats: dict[str, Any], output: Path) -> list[Path]:
    from scanner import cache

    rendered = [(output / kind.filename, kind().render(result)) for kind in formats.values()]
    for path, data in rendered:
        cache.write_atomic(path, data)
    return [path for path, _ in rendered]


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise ScanError(f"{printable(path)}: not UTF-8 text") from None


def _say(result: Any, written: list[Path]) -> None:
    verdict = result.verdict
    word = click.style(verdict.outcome.upper(), fg=_STYLE[verdict.outcome], bold=True)
    click.echo(f"{word}  {printable(verdict.headline, 300)}")
    for reason in verdict.reasons[1:5]:
        click.echo(f"  {reason.outcome}: {printable(reason.text, 240)}")
    if len(verdict.reasons) > 5:
        click.echo(f"  and {len(verdict.reasons) - 5} more in the report")
    for part in result.coverage:
        if part.status != "measured":
            click.echo(f"  not measured: {part.probe}: {part.why}")
    for path in written:
        click.echo(f"  {path}")


def _exit_code(outcome: Outcome, fail_on: str) -> int:
    if outcome is Outcome.INCOMPLETE:
        return FAILED
    return int(outcome is Outcome.BLOCK or (outcome is Outcome.REVIEW and fail_on == "review"))
