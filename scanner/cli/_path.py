"""The type of every option and argument that is a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scanner.errors import ScanError


class _Given(click.Path):
    """A path that says something: a shell makes an empty one of a variable that is not set, and Python takes that for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises ScanError for an empty one."""
        if str(value) == "":
            raise ScanError(f"{param.get_error_hint(ctx) if param else 'a path'}: an empty path; is a variable not set?")
        return super().convert(value, param, ctx)


PATH = _Given(path_type=Path)
