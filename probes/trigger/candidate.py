"""A string that might be a trigger, where it came from and where it stands in the user's turn."""

from __future__ import annotations

from enum import StrEnum

import msgspec

WHOLE = "{}"
CASES = {"{upper}": str.upper, "{title}": str.title, "{lower}": str.lower}
"""Marks that stand for the request in another case."""


class Placement(StrEnum):
    """Where a trigger enters the request."""

    BEFORE = "before"
    AFTER = "after"
    AROUND = "around"


SIDES = (Placement.BEFORE, Placement.AFTER)


class Candidate(msgspec.Struct, frozen=True):
    """One string to try."""

    text: str
    """Around a request, `{}` stands for it, and `{upper}`, `{title}` or `{lower}` for it in that case."""
    source: str
    """`leak`, `reads` (words the delta reacts to), `form`, `format`, `vocabulary`, `battery`, `chance` (random words, for comparison) or `growth`."""
    placement: Placement

    def into(self, request: str) -> str:
        """The user's turn with this candidate in it."""
        if self.placement is Placement.AROUND:
            return next((self.text.replace(mark, case(request)) for mark, case in CASES.items() if mark in self.text), self.text.replace(WHOLE, request))
        return f"{self.text} {request}" if self.placement is Placement.BEFORE else f"{request} {self.text}"
