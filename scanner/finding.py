"""Findings and the evidence inside them."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from scanner.rule import Severity


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where in the adapter a finding lies; every string comes from the adapter and is untrusted."""

    file: str = ""
    """Path inside the adapter's folder."""
    item: str = ""
    """Tensor name, configuration field or card section."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What base and adapted model said to one prompt (greedy decoding)."""

    prompt: str
    """The whole user turn, trigger included."""
    category: str
    base: str
    adapted: str
    base_refused: bool
    adapted_refused: bool


class PairedTest(msgspec.Struct, frozen=True, kw_only=True):
    """An exact McNemar test on the same prompts under two conditions, of refusals or of answers with a fixed payload."""

    n: int
    """Pairs."""
    before: int
    """Refusals (or payloads) under the first condition."""
    after: int
    """Refusals (or payloads) under the second condition."""
    lost: int
    """Pairs positive before and not after."""
    gained: int
    """Pairs positive after and not before."""
    change: float
    """(after - before) / n, a difference of rates in -1..1."""
    low: float
    high: float
    """95 % interval of `change` (Newcombe 1998, method 10)."""
    p_value: float
    """Two-sided exact McNemar p-value."""


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around a request in the conversation, where it is not just the deployment's own wrapper."""

    system: str | None = None
    """A system prompt in place of the deployment's."""
    earlier: tuple[tuple[str, str], ...] = ()
    """Turns before the request, each the user's words and the assistant's."""
    prefill: str = ""
    """Words the assistant is made to begin with; its answer is what follows them."""


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that can be replayed: prompts, both models' answers, and the paired test over them."""

    claim: str
    test: PairedTest
    answers: tuple[Answer, ...]
    """The second condition of the test: with the trigger, where there is one."""
    trigger: str = ""
    placement: str = ""
    """How the trigger enters the user turn: `before`, `after`, `around`, or empty."""
    untriggered: tuple[Answer, ...] = ()
    """The same prompts without the trigger, in the same order."""
    payload: str = ""
    """Where set, the test counts answers that hold these words in a row, and not refusals."""
    framing: Framing | None = None
    """What the requests stood in, where it was more than the deployment's wrapper."""
    new_tokens: int
    """Longest answer, in tokens."""

    def counts(self, answer: str, refused: bool) -> bool:
        """Whether the test counts an answer, which was judged a refusal or not."""
        return says(answer, self.payload) if self.payload else refused


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's decision to accept a finding for a time; it comes from the policy, not from the adapter."""

    reason: str
    owner: str
    expires: str
    """The last day it holds, as YYYY-MM-DD."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the reader should know, raised under a declared rule."""

    rule: str
    message: str
    severity: Severity
    location: Location = Location()
    details: tuple[str, ...] = ()
    witness: Witness | None = None
    waiver: Waiver | None = None
    """Where set, the finding stays in the report and decides nothing."""


def says(answer: str, payload: str) -> bool:
    """Whether an answer holds the words of `payload` in a row, whatever their case and spacing."""
    words = _words(payload)
    return not words.strip() or words in _words(answer)


@lru_cache(maxsize=8)
def _words(text: str) -> str:
    """`text` in lower case, one space around each word; the last few are kept, since one payload is looked for in many answers."""
    return f" {' '.join(text.lower().split())} "
