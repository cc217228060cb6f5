"""What a probe measured, whether or not it gave rise to a finding, and what it could not measure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec

Cell = float | int | str | bool | None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One number with its uncertainty."""

    id: str
    """`probe.quantity`, stable across versions."""
    title: str
    value: float | int | str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    """95 % interval, where there is one."""
    p_value: float | None = None
    n: int | None = None
    note: str = ""
    count: int | None = None
    """How many of `n`, where `value` is a rate."""
    items: tuple[str, ...] = ()
    """Names of those `count` items, so that two results can be paired item by item."""
    asked: str = ""
    """`fingerprint` of all `n` items; equal in two results that asked the same."""
    worse: Literal["", "higher", "lower"] = ""
    """Which way is bad, where there is one; it makes no finding, it tells a comparison what to fail on."""


def fingerprint(items: Iterable[tuple[str, str]]) -> str:
    """SHA-256 in hex over the names and texts of `items`, whatever their order."""
    lines = sorted(f"{name}\0{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}\n" for name, text in items)
    return hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    name: str
    title: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows behind a picture or a list; reports draw the ones they know and print the others."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Status(StrEnum):
    """What became of one part of the scan."""

    MEASURED = "measured"
    NOT_MEASURED = "not measured"
    FAILED = "failed"


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, how hard, and how much could have been missed."""

    probe: str
    what: str
    status: Status
    surface: str = ""
    """How much was searched: prompts, candidates, modules."""
    bound: str = ""
    """What `not found` leaves possible."""
    why: str = ""
    """Why it was not measured, where it was not."""
