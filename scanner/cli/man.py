"""`unmask man`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

import click

_EXIT = (
    ("0", "The policy lets the adapter pass; or a replay reproduced, a pack holds, nothing is worse."),
    ("1", "The policy fails the adapter; or a replay did not reproduce, a pack does not hold, something is worse."),
    ("2", "It could not be done, or the scan is incomplete: one line on standard error says why."),
)
_ENVIRONMENT = (
    ("UNMASK_CACHE", "Folder for the base's work, and the adapted side's until its scan ends, instead of the user's cache folder."),
    ("UNMASK_KEY_PASSWORD", "Password of the private key given with --sign."),
    ("UNMASK_TRACEBACK", "Where set, an internal error shows its traceback."),
    ("NO_COLOR", "Where set, nothing is coloured."),
)


@click.command()
@click.pass_context
def command(context: click.Context) -> None:
    """Print the manual page: unmask man | man -l -"""
    root = context.find_root()
    click.echo("\n".join(_page(root)))


def _page(root: click.Context) -> Iterator[str]:
    group = root.command
    assert isinstance(group, click.Group)
    yield f'.TH UNMASK 1 "" "unmask {_text(version("unmask"))}" "User Commands"'
    yield f".SH NAME\nunmask \\- {_text(_first_line(group))}"
    yield ".SH SYNOPSIS\n.B unmask\n.I COMMAND\n[options] [arguments]"
    yield f".SH DESCRIPTION\n{_text(group.help or '')}"
    yield "Results go to standard output, everything else to standard error."
    yield ".SH COMMANDS"
    for path, found in _commands(group, root, "unmask"):
        yield from _command(path, found, root)
    for title, entries in (("EXIT STATUS", _EXIT), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {title}"
        for name, text in entries:
            yield f".TP\n.B {_text(name)}\n{_text(text)}"


def _commands(group: click.Group, context: click.Context, path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from _commands(found, context, f"{path} {name}")
        elif found is not None and not found.hidden:
            yield f"{path} {name}", found


def _command(path: str, found: click.Command, root: click.Context) -> Iterator[str]:
    context = click.Context(found, info_name=path.partition(" ")[2], parent=root)
    yield f".SS {_text(path)} {_text(' '.join(found.collect_usage_pieces(context)))}"
    for paragraph in re.split(r"\n\s*\n", found.help or ""):
        yield f"{_text(' '.join(paragraph.split()))}\n.PP"
    for parameter in found.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[1]:
            yield f".TP\n.B {_text(record[0])}\n{_text(' '.join(record[1].split()))}"


def _first_line(found: click.Command) -> str:
    return (found.help or "").strip().partition("\n")[0]


def _text(text: str) -> str:
    """Words that groff prints as they are: hyphens, backslashes and leading dots are not commands."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
