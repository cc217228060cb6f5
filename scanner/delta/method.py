"""A PEFT method: what it is called, how its tensors become changes, and how far they are known."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from scanner.delta.reading import Reading


class Exactness(StrEnum):
    """How well the change of the base is known."""

    EXACT = "from the files"
    WITH_BASE = "with the base"


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A method of its own, with its own peft_type."""

    id: str
    """The configuration's peft_type."""
    title: str
    read: Callable[[Reading], None]
    exactness: Exactness
    note: str = ""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A form of LoRA that a field of its configuration asks for."""

    title: str
    verified: str
    """Name of the comparison with PEFT in the tests."""
    exactness: Exactness = Exactness.EXACT
    note: str = ""
