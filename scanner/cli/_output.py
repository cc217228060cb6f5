"""Options and steps of every command that writes reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli._path import PATH
from scanner.errors import ScanError
from scanner.files.text import printable

if TYPE_CHECKING:
    from scanner.comparison import Comparison
    from scanner.report import Report
    from scanner.result import Result

SIGNED = "attestation.dsse.json"


def formats_option(default: str | None) -> Callable[[Any], Any]:
    """`--format`, as the parameter `formats`; with None the policy's are the default."""
    shown: bool | str = True if default else "the policy's"
    return click.option("--format", "formats", envvar="UNMASK_FORMAT", default=default, show_default=shown, help="Reports to write, separated by commas.")


def output_option(default: str) -> Callable[[Any], Any]:
    """`--output`."""
    return click.option("--output", type=PATH, envvar="UNMASK_OUTPUT", default=Path(default), show_default=True, help="Folder for the reports.")


def sign_option() -> Callable[[Any], Any]:
    """`--sign`, the path of a private key."""
    return click.option("--sign", type=PATH, help="EC private key (PEM): writes a signed attestation as well.")


def fail_on_option(default: str | None = "block") -> Callable[[Any], Any]:
    """`--fail-on`; with None the policy's is the default."""
    shown: bool | str = True if default else "the policy's"
    told = "`review`: exit 1 on review and block; `block`: exit 1 on block only."
    return click.option("--fail-on", type=click.Choice(["review", "block"]), envvar="UNMASK_FAIL_ON", default=default, show_default=shown, help=told)


def chosen(names: str) -> list[type[Report]]:
    """The formats named in `names`, which commas separate. Raises ScanError for one that is not installed."""
    from scanner.report import reports

    known = reports()
    wanted = list(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))
    for name in wanted:
        if name not in known:
            raise ScanError(f"--format {printable(name, 40)}: choose from {', '.join(known)}")
    return [known[name] for name in wanted]


def write(result: Result, formats: list[type[Report]], folder: Path, sign: Path | None = None, earlier: Comparison | None = None) -> list[Path]:
    """Render every format, and the attestation signed with the key `sign`, then write them all; returns the paths.

    `earlier` is the comparison with an earlier result. Raises ScanError for a format that cannot show it.
    """
    from scanner import cache

    rendered = [(folder / kind.filename, _rendered(kind(), result, earlier)) for kind in formats]
    if sign:
        rendered.append((folder / SIGNED, _signed(result, sign)))
    for path, data in rendered:
        cache.write_atomic(path, data)
    return [path for path, _ in rendered]


def _rendered(report: Report, result: Result, earlier: Comparison | None) -> bytes:
    from scanner.report import ReportSince

    if earlier is None:
        return report.render(result)
    if not isinstance(report, ReportSince):
        raise ScanError(f"--against: {report.id} cannot show what changed; use --format html, or `unmask compare`")
    return report.render_since(result, earlier)


def _signed(result: Result, key: Path) -> bytes:
    import msgspec

    from scanner import dsse

    (attestation,) = chosen("attestation")
    return msgspec.json.encode(dsse.sign(attestation().render(result), dsse.IN_TOTO, key)) + b"\n"
