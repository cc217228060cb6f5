"""Progress on standard error: bars on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


class Reporter:
    """Shows stages and steps; does nothing when `quiet`, or by default when standard error is not a terminal."""

    def __init__(self, quiet: bool | None = None) -> None:
        """`quiet=None` decides by looking at standard error."""
        self._bar: Progress | None = None
        if not (not sys.stderr.isatty() if quiet is None else quiet):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show bars while the block runs."""
        if self._bar is None:
            yield
        else:
            with self._bar:
                yield

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Iterate `items`, showing how many of `total` are done; `what` must be our own words."""
        if self._bar is None:
            yield from items
            return
        task = self._bar.add_task(what, total=total)
        try:
            for item in items:
                yield item
                self._bar.advance(task)
        finally:
            self._bar.remove_task(task)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Show that `what` is going on while the block runs."""
        if self._bar is None:
            yield
            return
        task = self._bar.add_task(what, total=None)
        try:
            yield
        finally:
            self._bar.remove_task(task)
