"""What a deployment has computed already: the base's for good, the adapted side's until its scan ends.

A scan that is interrupted goes on from there when it is run again; one that ends takes the adapted side's with it, so that the cache does not
grow with the number of adapters.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from scanner import cache
from scanner.model.side import Side

if TYPE_CHECKING:
    import torch

BASE, ADAPTED = "base-work", "adapted-work"
DAYS = 14
"""How long an interrupted scan can be taken up again."""


class Work:
    """Files in the user's cache, each named by all that its content depends on."""

    def __init__(self, base: str, adapter: str, conditions: list[Any]) -> None:
        """`base` and `adapter` are SHA-256 of the two; without the second the adapted side's is in a folder that goes with this object.

        `conditions` is what numbers depend on besides those and the tokens. Removes what scans left here that were interrupted long ago.
        """
        self._conditions = conditions
        if adapter:
            unfinished = cache.root() / ADAPTED
            _expire(unfinished)
            adapted = unfinished / hashlib.sha256(f"{base} {adapter}".encode()).hexdigest()[:32]
        else:
            adapted = Path(tempfile.mkdtemp(prefix="unmask-"))
            finalize(self, shutil.rmtree, adapted, ignore_errors=True)
        self._folders = {Side.BASE: cache.root() / BASE / base[:16], Side.ADAPTED: adapted}

    def ids(self, side: Side, key: list[Any], compute: Callable[[], list[list[int]]]) -> list[list[int]]:
        """Token ids under `key`, computed where they are not there yet."""
        file = self._place(side, key, "json")
        try:
            return msgspec.json.decode(file.read_bytes(), type=list[list[int]])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            value = compute()
            cache.write_atomic(file, msgspec.json.encode(value))
            return value

    def tensor(self, side: Side, key: list[Any], compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A tensor under `key`, computed where it is not there yet."""
        held = self.held(side, key)
        return self.hold(side, key, compute()) if held is None else held

    def held(self, side: Side, key: list[Any]) -> torch.Tensor | None:
        """The tensor under `key`; None where it is not there."""
        try:
            found: torch.Tensor = load_tensors(self._place(side, key, "safetensors").read_bytes())["value"]
            return found
        except (OSError, SafetensorError, KeyError):
            return None

    def hold(self, side: Side, key: list[Any], value: torch.Tensor) -> torch.Tensor:
        """Keep `value` under `key`, and return it."""
        cache.write_atomic(self._place(side, key, "safetensors"), save_tensors({"value": value.contiguous()}))
        return value

    def forget(self) -> None:
        """Remove what is kept of the adapted side."""
        shutil.rmtree(self._folders[Side.ADAPTED], ignore_errors=True)

    def _place(self, side: Side, key: list[Any], suffix: str) -> Path:
        digest = hashlib.sha256(json.dumps([self._conditions, key]).encode()).hexdigest()
        return self._folders[side] / f"{digest}.{suffix}"


def _expire(folder: Path) -> None:
    oldest = time.time() - DAYS * 86400
    for left in folder.glob("*"):
        try:
            if left.stat().st_mtime < oldest:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another scan was faster
            continue
