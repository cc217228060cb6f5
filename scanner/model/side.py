"""Which of the two models answers."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Base, or base and adapter."""

    BASE = "base"
    ADAPTED = "adapted"
