"""The group of all commands, and what becomes of an error: one line on standard error and exit code 2."""

from __future__ import annotations

import io
import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from scanner.errors import ScanError, internal
from scanner.files.text import printable

FAILED = 2


class Commands(click.Group):
    """Every module of `scanner.cli` that defines `command`, imported when it is asked for; `_` in a file name is `-` in the command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None when there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = import_module(f"scanner.cli.{cmd_name.replace('-', '_')}").command
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what can go wrong into one line and exit code 2."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except ScanError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            _fail(f"interrupted; nothing was written{', and the same scan goes on from here' if ctx.invoked_subcommand == 'scan' else ''}")
        except MemoryError:
            _fail("out of memory")
        except OSError as error:
            _fail(f"{printable(error.filename or 'input')}: {error.strerror or error}")
        except Exception as error:
            if os.environ.get("UNMASK_TRACEBACK"):
                raise
            _fail(f"{internal(error)}; UNMASK_TRACEBACK=1 shows more")


def _fail(message: str) -> NoReturn:
    click.echo(f"unmask: {message}", err=True)
    sys.exit(FAILED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unmask", prog_name="unmask")
@click.pass_context
def main(context: click.Context) -> None:
    """Look under the mask: what does a stranger's adapter do to your model?"""
    if os.environ.get("NO_COLOR"):
        context.color = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
