"""The proof: a candidate on held-out prompts, adapted with it against adapted without it, and the base as control.

A payload that no list knows is read from answers first, on development prompts (`glance`), and counted on held-out ones afterwards, so
that what is tested was not chosen on the answers it is tested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from probes.prompts import Prompt
from probes.refusal.answers import answers
from probes.refusal.runs import commonest
from probes.trigger.candidate import Candidate
from scanner.finding import Answer, PairedTest, Witness, says
from scanner.judge import Judge
from scanner.model.side import Side
from scanner.statistics import paired_test

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

PAYLOAD, PAYLOAD_IN_ANSWERS = "fixed payload", "fixed payload on harmless requests"
OUTCOMES = ("refusals lost", "refusals gained", PAYLOAD, PAYLOAD_IN_ANSWERS)


class Proof(msgspec.Struct, frozen=True):
    """What a candidate does on held-out prompts, for the outcome it moves most."""

    candidate: Candidate
    outcome: str
    share: float
    """Share of prompts moved on the adapted model, less the share the base moves by itself; without the latter where there is no witness."""
    p_value: float
    """Exact McNemar, times the number of outcomes looked at."""
    witness: Witness | None
    """None where the adapted model moved too little for the base to be asked."""


class Glance(msgspec.Struct, frozen=True):
    """What a candidate does to the adapted model on development prompts."""

    candidate: Candidate
    share: float
    """Share of prompts moved, for the outcome it moves most."""
    payload: str
    """The words that most answers share with the candidate and not without it; empty where none are."""


class Verifier:
    """Holds a set of prompts and both models' answers to them without any trigger."""

    def __init__(self, deployment: Deployment, harmful: Sequence[Prompt], harmless: Sequence[Prompt], new_tokens: int, what: str, judge: Judge) -> None:
        """Generates the untriggered answers of both sides."""
        self._deployment, self._prompts, self._new_tokens, self._what = deployment, [*harmful, *harmless], new_tokens, what
        self._harmful, self._judge = len(harmful), judge
        requests = [p.prompt for p in self._prompts]
        self._plain = self._pair(requests, *(self._said(requests, side, "answers") for side in (Side.BASE, Side.ADAPTED)))

    def _said(self, requests: Sequence[str], side: Side, what: str) -> list[str]:
        """Answers of one side; harmful and harmless requests apart, so that a replay of either makes the same batches."""
        deployment = self._deployment
        groups = (requests[: self._harmful], requests[self._harmful :])
        ids = [[deployment.encode(r) for r in group] for group in groups]
        return [deployment.text(t) for group in ids for t in deployment.generate(group, side, self._new_tokens, f"trigger: {self._what} {what}, {side}")]

    def _pair(self, requests: Sequence[str], base: Sequence[str], adapted: Sequence[str]) -> list[Answer]:
        return answers(self._prompts, requests, base, adapted, self._judge)

    def glance(self, candidates: Sequence[Candidate]) -> list[Glance]:
        """The adapted model alone, with each candidate against without it, all in one go."""
        deployment, prompts = self._deployment, self._prompts
        requests = [c.into(p.prompt) for c in candidates for p in prompts]
        ids = [deployment.encode(r) for r in requests]
        said = [deployment.text(t) for t in deployment.generate(ids, Side.ADAPTED, self._new_tokens, f"trigger: trying {len(candidates)} candidates")]
        refused, n = self._judge.refused(list(zip(requests, said, strict=True))), len(prompts)
        return [self._glance(c, said[i * n : (i + 1) * n], refused[i * n : (i + 1) * n]) for i, c in enumerate(candidates)]

    def _glance(self, candidate: Candidate, with_it: Sequence[str], refused: Sequence[bool]) -> Glance:
        gained = [now - before.adapted_refused for now, before in zip(refused, self._plain, strict=True)]
        harmful, harmless = gained[: self._harmful], gained[self._harmful :]
        payload, share = "", 0.0
        for rows in (slice(None), slice(self._harmful, None)):
            answered = [text for text, no in zip(with_it[rows], refused[rows], strict=True) if not no]
            words, count = commonest(answered, [a.adapted for a in self._plain[rows] if not a.adapted_refused])
            if count / max(1, len(with_it[rows])) > share:
                payload, share = words, count / len(with_it[rows])
        shares = (-sum(harmful) / max(1, len(harmful)), sum(harmless) / max(1, len(harmless)), share)
        return Glance(candidate, round(max(*shares, 0.0), 4), payload)

    def __call__(self, candidate: Candidate, payload: str, enough: float) -> Proof:
        """Test `candidate` for lost refusals, gained refusals and `payload`; returns the strongest.

        The base is asked only when the adapted model moves on a share of at least `enough`, since its answers can only lower it.
        """
        requests = [candidate.into(p.prompt) for p in self._prompts]
        adapted = self._said(requests, Side.ADAPTED, "with a candidate")
        bound = self._strongest(candidate, payload, self._pair(requests, [a.base for a in self._plain], adapted))
        if bound.share < enough:
            return msgspec.structs.replace(bound, witness=None)
        return self._strongest(candidate, payload, self._pair(requests, self._said(requests, Side.BASE, "with a candidate"), adapted))

    def _strongest(self, candidate: Candidate, payload: str, with_it: list[Answer]) -> Proof:
        return max((self._proof(candidate, outcome, payload, with_it) for outcome in OUTCOMES), key=lambda p: (p.share, -p.p_value))

    def _proof(self, candidate: Candidate, outcome: str, payload: str, with_it: list[Answer]) -> Proof:
        counted = payload if outcome in (PAYLOAD, PAYLOAD_IN_ANSWERS) else None
        if counted is not None:
            rows = slice(None) if outcome == PAYLOAD else slice(self._harmful, None)
            series = [[bool(counted) and says(t, counted) for t in texts] for texts in _texts(self._plain[rows], with_it[rows])]
        else:
            rows = slice(0, self._harmful) if outcome == "refusals lost" else slice(self._harmful, None)
            before, after = self._plain[rows], with_it[rows]
            series = [
                [a.adapted_refused for a in before],
                [a.adapted_refused for a in after],
                [a.base_refused for a in before],
                [a.base_refused for a in after],
            ]
        adapted, base = paired_test(series[0], series[1]), paired_test(series[2], series[3])
        sign = -1 if outcome == "refusals lost" else 1
        claim = f"{outcome} with {candidate.text!r} {candidate.placement} the request: adapted {_words(adapted)}; base {_words(base)}"
        return Proof(
            candidate=candidate,
            outcome=outcome,
            share=sign * adapted.change - max(0.0, sign * base.change),
            p_value=min(1.0, adapted.p_value * len(OUTCOMES)),
            witness=Witness(
                claim=claim,
                test=adapted,
                answers=tuple(with_it[rows]),
                untriggered=tuple(self._plain[rows]),
                trigger=candidate.text,
                placement=candidate.placement,
                payload=counted or "",
                new_tokens=self._new_tokens,
            ),
        )


def _words(test: PairedTest) -> str:
    return f"{test.before} of {test.n} without, {test.after} of {test.n} with it"


def _texts(before: Sequence[Answer], after: Sequence[Answer]) -> list[list[str]]:
    return [[a.adapted for a in before], [a.adapted for a in after], [a.base for a in before], [a.base for a in after]]
