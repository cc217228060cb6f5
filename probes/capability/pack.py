"""The shipped questions, and who answers them right: the answer of largest likelihood, a token, behind the question and the first words."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from scanner.finding import Framing
from scanner.model.side import Side

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

BEGUN = "The answer is"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question in two wordings, with its answers; the first is right."""

    id: str
    kind: str
    asked: str
    reworded: str
    answers: tuple[str, ...]


def questions() -> tuple[Question, ...]:
    """Every shipped question."""
    data = tomllib.loads((files("probes.capability") / "pack.toml").read_text(encoding="utf-8"))
    return tuple(
        Question(id=f"{kind}-{number}", kind=kind, asked=asked, reworded=reworded, answers=tuple(answers))
        for kind, part in data.items()
        for number, (asked, reworded, answers) in enumerate(part["items"], 1)
    )


def right(deployment: Deployment, asked: Sequence[tuple[str, Sequence[str]]], side: Side) -> list[bool]:
    """Whether the right answer, the first, is the likeliest: log-likelihood over the number of its tokens; a tie is wrong."""
    contexts, continuations = [], []
    for question, answers in asked:
        before = deployment.encode(question, Framing(prefill=BEGUN))
        for answer in answers:
            contexts.append(before)
            continuations.append(deployment.tokenizer(f" {answer}", add_special_tokens=False).input_ids)
    likelihoods = deployment.likelihood(contexts, continuations, side, f"capability: {side}").tolist()
    values = (likelihood / len(c) for likelihood, c in zip(likelihoods, continuations, strict=True))
    out = []
    for _, answers in asked:
        first, *others = [next(values) for _ in answers]
        out.append(first > max(others))
    return out
