"""A PEFT method: what it is called, how its tensors become changes, and how far that was verified."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from scanner.delta.reading import Reading


class Exactness(StrEnum):
    """How well the change of the base is known from the files."""

    EXACT = "exact"
    WITH_BASE = "exact with the base, bounded without"
    TOKENS = "no change of weights: virtual tokens"
    NO = "not measured"


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One row of docs/methods.md."""

    id: str
    """The configuration's peft_type, or a variant of LORA."""
    title: str
    exactness: Exactness
    runs: bool
    """Whether the behavioural half applies it."""
    note: str = ""
    read: Callable[[Reading], None]
