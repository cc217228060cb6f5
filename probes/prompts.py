"""Prompt sets: JSON lines of id, kind, category and prompt, shipped beside the probe that asks them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TypeVar

import msgspec

from scanner.prompts.prompt import Prompt

__all__ = ["Prompt", "load", "spread"]

Item = TypeVar("Item")


def load(package: str, name: str) -> tuple[Prompt, ...]:
    """The shipped set `name` of `package`, in file order."""
    return tuple(msgspec.json.Decoder(Prompt).decode_lines((files(package) / name).read_bytes()))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` items taken evenly over the whole sequence."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]
