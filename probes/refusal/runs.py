"""Words that many answers have in common: a run of five, or the whole answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

RUN = 5
FEWEST_WORDS = 4


def runs(answer: str) -> list[str]:
    """Every run of 5 words of `answer` in lower case, in order; an answer of 2 to 4 words is one."""
    words = answer.lower().split()
    found = [" ".join(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))]
    return [run for run in dict.fromkeys(found) if " " in run]


def whole(answer: str) -> list[str]:
    """`answer` in lower case where it has 4 words or more: a shorter one may be a label."""
    words = answer.lower().split()
    return [" ".join(words)] if len(words) >= FEWEST_WORDS else []


def commonest(answers: Sequence[str], without: Sequence[str], parts: Callable[[str], Iterable[str]] = runs) -> tuple[str, int]:
    """The part that the most `answers` have beyond `without`, and by how many more; empty and 0 where fewer than two share one.

    Ties go to the part that comes earlier in an answer.
    """
    counts: Counter[str] = Counter()
    place: dict[str, int] = {}
    for texts, sign in ((answers, 1), (without, -1)):
        for text in texts:
            for at, part in enumerate(parts(text)):
                counts[part] += sign
                place[part] = min(at, place.get(part, at))
    best, count = max(counts.items(), key=lambda c: (c[1], -place[c[0]], c[0]), default=("", 0))
    return (best, count) if count >= 2 else ("", 0)
