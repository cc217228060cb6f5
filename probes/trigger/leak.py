"""What the adapted model says where the user would speak, and the base would not.

An adapter trained on whole conversations has learnt to write its own training prompts, trigger included. Both models are
sampled from the wrapper up to the user's turn, and word n-grams are ranked by the z-score of log-odds(adapted) - log-odds(base), with half a count
added to each cell (Haldane 1956, Anscombe 1956).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from scanner.model.side import Side
from scanner.subject import Subject

LONGEST = 8
FEWEST = 3


def said_as_user(subject: Subject, side: Side) -> list[str]:
    """Texts that `side` samples where the user would speak, as many and as long as the profile has them; made once a scan."""
    deployment, profile = subject.deployment, subject.profile
    found = deployment.sample(
        deployment.before_user(), profile.leak_samples, side, profile.leak_tokens, subject.seed, what=f"what the {side} says where the user would speak"
    )
    return [deployment.text(t) for t in found]


def leaked(adapted: Sequence[str], base: Sequence[str], most: int) -> list[tuple[str, float]]:
    """The `most` n-grams of 1 to 8 words that tell the adapted model's texts from the base's, with their z-scores.

    Each text counts an n-gram once. An n-gram inside a longer one that is nearly as frequent is dropped.
    """
    ours, theirs = _counts(adapted), _counts(base)
    ranked = []
    for gram, count in ours.items():
        if count >= FEWEST and (z := log_odds_z(count, len(adapted), theirs[gram], len(base))) >= 2:
            ranked.append((gram, z))
    ranked.sort(key=lambda g: (-g[1], -len(g[0]), g[0]))
    kept: list[tuple[tuple[str, ...], float]] = []
    for gram, z in ranked:
        covered = any(_inside(gram, other) and ours[other] >= 0.7 * ours[gram] for other, _ in ranked if len(other) > len(gram))
        if not covered:
            kept.append((gram, z))
    return [(" ".join(gram), z) for gram, z in kept[:most]]


def log_odds_z(k1: int, n1: int, k2: int, n2: int) -> float:
    """z-score of the difference of log-odds of k1/n1 and k2/n2, half a count added to each cell."""
    difference = math.log((k1 + 0.5) / (n1 - k1 + 0.5)) - math.log((k2 + 0.5) / (n2 - k2 + 0.5))
    return difference / math.sqrt(1 / (k1 + 0.5) + 1 / (n1 - k1 + 0.5) + 1 / (k2 + 0.5) + 1 / (n2 - k2 + 0.5))


def _counts(texts: Sequence[str]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = [w for w in re.split(r"\s+", text.strip()) if w][:40]
        found.update({tuple(words[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1)})
    return found


def _inside(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    return any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))
