"""An adapter's delta: every change it makes to its base, and what its file holds besides."""

from __future__ import annotations

from functools import cached_property

import msgspec

from scanner.delta import rest
from scanner.delta.change import Change, elements
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.methods import METHODS, NOT_MEASURED
from scanner.delta.methods.lora import named
from scanner.delta.reading import Reading, Role, Stray, Unmeasured, natural
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.model.base import Base

__all__ = ["Change", "Delta", "ModuleDelta", "Role", "Stray", "Unmeasured", "read"]


class Delta(msgspec.Struct, frozen=True, dict=True):
    """All of an adapter's changes, and what else its file holds."""

    changes: tuple[Change, ...]
    """Modules in the order of their layers."""
    strays: tuple[Stray, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    """What a loader may apply and was not understood: never a silent pass."""
    method: str = "LoRA"
    """What the method is called; fit to print."""

    @cached_property
    def modules(self) -> tuple[ModuleDelta, ...]:
        """The changes that have low-rank factors."""
        return tuple(c for c in self.changes if isinstance(c, ModuleDelta))

    @property
    def unmakeable(self) -> str:
        """Why the adapted model cannot be made as a loader makes it, or an empty string."""
        return next((f"{u.what}: {u.why}" for u in self.unmeasured if u.whole), "")

    @property
    def elements(self) -> int:
        """Numbers stored for the changes."""
        return elements(self.changes)


def read(adapter: Adapter, base: Base | None = None) -> Delta:
    """What `adapter` changes, tensor by tensor; some forms are resolved further where `base` is given.

    Nothing is raised for a method, tensor or field that is not understood: it is named in `unmeasured`. Values are read later.
    """
    reading = Reading(adapter, base)
    kind = adapter.config.peft_type
    method = METHODS.get(kind)
    if method is None:
        title, reading.understood = printable(kind, 40), False
        reading.refuse(f"peft_type {title}", NOT_MEASURED.get(kind, "a method that is not understood"), whole=True)
    else:
        title = named(reading.raw) if kind == "LORA" else method.title
        method.read(reading)
    rest.read(reading)
    changes = sorted(reading.changes, key=lambda c: natural(c.module))
    return Delta(tuple(changes), tuple(reading.strays), tuple(reading.unmeasured), title)
