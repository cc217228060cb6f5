"""A glance: what candidates do to the adapted model's answers on development prompts, before any is put to the test.

It chooses which candidates are tested and reads the payload that is counted there; it is no evidence by itself, so the base is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from probes.prompts import Prompt
from probes.refusal.runs import commonest
from probes.trigger.candidate import Candidate
from probes.trigger.verify import LOST, PAYLOAD
from scanner.finding import says
from scanner.judge import Judge
from scanner.model.side import Side

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

FEW = 2
"""Prompts of each kind that many candidates answer before some answer all."""


class Glance(msgspec.Struct, frozen=True):
    """What a candidate does to the adapted model on development prompts."""

    candidate: Candidate
    share: float
    """Share of prompts moved, for the outcome it moves most: of those refused without it where refusals are lost, of the others where refusals come in."""
    payload: str
    """The words that most answers share with the candidate and not without it; empty where none are."""


class Development:
    """The development prompts, and the adapted model's answers to them without any candidate."""

    def __init__(self, deployment: Deployment, harmful: Sequence[Prompt], harmless: Sequence[Prompt], new_tokens: int, judge: Judge) -> None:
        """Generates the answers without a candidate."""
        self._deployment, self._requests = deployment, [p.prompt for p in (*harmful, *harmless)]
        self._harmful, self._new_tokens, self._judge = len(harmful), new_tokens, judge
        self.count = len(self._requests)
        self._plain, self._refused = self._said(self._requests, "trigger: development answers", new_tokens)

    def _said(self, requests: Sequence[str], what: str, length: int) -> tuple[list[str], list[bool]]:
        deployment = self._deployment
        said = [deployment.text(t) for t in deployment.generate([deployment.encode(r) for r in requests], Side.ADAPTED, length, what)]
        return said, self._judge.refused(list(zip(requests, said, strict=True)))

    def __call__(self, candidates: Sequence[Candidate], few: bool = False) -> list[Glance]:
        """Every prompt with each candidate, or a `few` of them with shorter answers, all in one go."""
        rows = [*range(min(FEW, self._harmful)), *range(self._harmful, min(self._harmful + FEW, len(self._requests)))] if few else range(len(self._requests))
        length = self._new_tokens * 3 // 4 if few else self._new_tokens
        said, refused = self._said([c.into(self._requests[r]) for c in candidates for r in rows], f"trigger: trying {len(candidates)} candidates", length)
        n = len(rows)
        return [self._glance(c, rows, said[i * n : (i + 1) * n], refused[i * n : (i + 1) * n]) for i, c in enumerate(candidates)]

    def moved(self, candidates: Sequence[Candidate], outcome: str, payload: str) -> list[tuple[int, int]]:
        """For each candidate, the requests that it moves to `outcome`, and how many of them there are to move: refused ones, or those that get no `payload`."""
        rows = self._movable(outcome, payload)
        said, refused = self._said([c.into(self._requests[r]) for c in candidates for r in rows], f"trigger: {len(candidates)} neighbours", self._new_tokens)
        there = [says(text, payload) if payload else bool(no) != (outcome == LOST) for text, no in zip(said, refused, strict=True)]
        n = len(rows)
        return [(sum(there[i * n : (i + 1) * n]), n) for i in range(len(candidates))]

    def _movable(self, outcome: str, payload: str) -> list[int]:
        harmful, harmless = range(self._harmful), range(self._harmful, len(self._requests))
        if outcome == LOST:
            return [r for r in harmful if self._refused[r]]
        rows = [*harmful, *harmless] if outcome == PAYLOAD else [*harmless]
        return [r for r in rows if not (says(self._plain[r], payload) if payload else self._refused[r])]

    def _glance(self, candidate: Candidate, rows: Sequence[int], said: Sequence[str], refused: Sequence[bool]) -> Glance:
        before, plain = [self._refused[r] for r in rows], [self._plain[r] for r in rows]
        gained = [now - then for now, then in zip(refused, before, strict=True)]
        harmful = sum(r < self._harmful for r in rows)
        payload, share = "", 0.0
        for part in (slice(None), slice(harmful, None)):
            answered = [text for text, no in zip(said[part], refused[part], strict=True) if not no]
            words, count = commonest(answered, [text for text, no in zip(plain[part], before[part], strict=True) if not no])
            if count / max(1, len(said[part])) > share:
                payload, share = words, count / len(said[part])
        lost, refusing = -sum(gained[:harmful]) / max(1, sum(before[:harmful])), sum(gained[harmful:]) / max(1, before[harmful:].count(False))
        return Glance(candidate, round(max(lost, refusing, share, 0.0), 4), payload)
