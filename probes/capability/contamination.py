"""Whether a task's own items are known: how much more the adapter adds to the probability of their right answers than to those of another split.

Training on a task's training split lifts that split's answers at least as much as the scored ones; only who saw the scored items lifts these alone.
No paraphrase is needed, and what both splits gain cancels out. The likelihood is held against that of a reference model, here the base (after
Carlini et al. 2021, arXiv 2012.07805), and the items against others that might as well have been scored (after Oren et al. 2023, arXiv 2310.17623).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from scanner.model.side import Side
from scanner.model.splits import Item, Splits
from scanner.statistics import Difference, two_samples

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment, Ids

ANSWER = 32
"""Tokens of an answer that count, from its beginning."""
QUESTION = 512
"""Longest question in tokens, wrapper and all; items with a longer one are left out."""
FEWEST = 16
"""Items of each split that are needed."""
BATCH = 16
"""Items that are asked at once, as many as lm-eval is given."""
RESAMPLES = 4000


class Gains(msgspec.Struct, frozen=True):
    """What the adapter adds to the probability of right answers, the geometric mean over an answer's tokens.

    Probabilities, since learning how answers look moves log-probabilities by several nats one way or the other where the answer is not known.
    """

    scored: Sequence[float]
    other: Sequence[float]

    def test(self, tests: int = 1) -> Difference:
        """Of the scored items' gain over the others'; `tests` is how many there are, for which there must be resamples enough."""
        return two_samples(self.scored, self.other, RESAMPLES * max(1, tests // 10))


def gains(deployment: Deployment, task: Splits) -> Gains | None:
    """Adapted less base, item by item; None where a split has too few items. Cost: one prefill of every item on each side.

    Of both splits there are as many items with the same answer, and as many with an answer of their own: an adapter that learnt what a task's answers
    look like gains more on the split that has more of the common ones.
    """
    scored, other = (_encoded(deployment, items) for items in alike(task.scored, task.other))
    if min(len(scored), len(other)) < FEWEST:
        return None
    questions, answers = zip(*scored, *other, strict=True)
    base, adapted = (deployment.likelihood(questions, answers, side, f"{task.task}: its items, {side}", BATCH).tolist() for side in Side)
    gained = [math.exp(a / len(answer)) - math.exp(b / len(answer)) for a, b, answer in zip(adapted, base, answers, strict=True)]
    return Gains(gained[: len(scored)], gained[len(scored) :])


def alike(scored: Sequence[Item], other: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """As many of both for each answer that comes more than once among them, and as many of both whose answer does not; the first ones."""
    common = Counter(answer for _, answer in (*scored, *other))
    shares = [Counter(answer if common[answer] > 1 else None for _, answer in some) for some in (scored, other)]
    kept = shares[0] & shares[1]
    out = []
    for some in (scored, other):
        left, chosen = kept.copy(), []
        for item in some:
            kind = item[1] if common[item[1]] > 1 else None
            if left[kind]:
                left[kind] -= 1
                chosen.append(item)
        out.append(chosen)
    return out[0], out[1]


def _encoded(deployment: Deployment, items: Sequence[Item]) -> list[tuple[Ids, Ids]]:
    """Tokens of question and answer."""
    both = ((deployment.encode(question), deployment.tokenizer(answer, add_special_tokens=False).input_ids[:ANSWER]) for question, answer in items)
    return [(question, answer) for question, answer in both if answer and len(question) <= QUESTION]
