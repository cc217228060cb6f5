"""A string that might be a trigger, where it came from and where it stands in the user's turn."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Placement(StrEnum):
    """Where a trigger enters the request."""

    BEFORE = "before"
    AFTER = "after"


class Candidate(msgspec.Struct, frozen=True):
    """One string to try."""

    text: str
    source: str
    """`leak`, `reads` (words the delta reacts to), `form`, `vocabulary`, `battery`, `chance` (random words, for comparison) or `growth`."""
    placement: Placement

    def into(self, request: str) -> str:
        """The user's turn with this candidate in it."""
        return f"{self.text} {request}" if self.placement is Placement.BEFORE else f"{request} {self.text}"
