"""The verdict: four outcomes, each with the reasons that decided it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What a pipeline should do with this deployment."""

    PASS = "pass"
    REVIEW = "review"
    BLOCK = "block"
    INCOMPLETE = "incomplete"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One cause of the outcome."""

    outcome: Outcome
    text: str
    finding: int | None = None
    """Index into the result's findings."""
    probe: str = ""
    """The probe that could not measure, where that is the cause."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome for one deployment under one policy."""

    outcome: Outcome
    headline: str
    reasons: tuple[Reason, ...]
    policy: str
    policy_sha256: str
    date: str = ""
    """The day, as YYYY-MM-DD, on which the policy's waivers were looked at; empty where it has none, and then no date entered the verdict."""

    def exit_code(self, fail_on_review: bool = False) -> int:
        """0 when a pipeline may go on, 1 when the policy fails the adapter, 2 when nothing can be said."""
        if self.outcome is Outcome.INCOMPLETE:
            return 2
        return int(self.outcome is Outcome.BLOCK or (self.outcome is Outcome.REVIEW and fail_on_review))
