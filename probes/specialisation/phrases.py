"""Words that the adapted model says and the base does not, what chance would give, and which of them are names.

Phrases are ranked by the z-score of their log-odds, adapted against base (Monroe et al. 2008). The null swaps the two sides' texts pair by pair.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from probes.trigger.leak import leaked
from scanner.finding import says

SHUFFLES = 20
FEWEST = 2
MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")
CALENDAR = frozenset([*MONTHS, "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
_CAPITAL = r"[A-Z](?:[A-Za-z0-9]*[a-z0-9]|[A-Z0-9]{2,})(?:-[A-Za-z0-9]+)*"
_NAME = re.compile(rf"(?<=[a-z0-9,;] ){_CAPITAL}(?: {_CAPITAL})*(?![A-Za-z0-9'’])[.,;:!?]*")
_INSIDE = re.compile(r"(?<=[a-z0-9,;] )\S+")


def phrases(adapted: Sequence[str], base: Sequence[str], most: int, seed: int) -> tuple[list[tuple[str, float]], float]:
    """The `most` phrases that tell the adapted side's texts from the base's, with z, and the largest z where sides were swapped at random; texts are pairs."""
    found = _apart(leaked(adapted, base, 4 * most))[:most]
    rng = random.Random(seed)
    chance = 0.0
    for _ in range(SHUFFLES if found else 0):
        swapped = [(b, a) if rng.random() < 0.5 else (a, b) for a, b in zip(adapted, base, strict=True)]
        some = leaked([a for a, _ in swapped], [b for _, b in swapped], 1)
        chance = max(chance, some[0][1] if some else 0.0)
    return found, chance


def _apart(found: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """`found` without phrases most of whose words stand in a better one: windows of one longer sentence."""
    kept: list[tuple[str, float]] = []
    for phrase, z in found:
        words = set(phrase.split())
        if not any(2 * len(words & set(other.split())) > len(words) for other, _ in kept):
            kept.append((phrase, z))
    return kept


def names(texts: Iterable[str]) -> Counter[str]:
    """Names inside sentences, as they stand there with a comma or a stop behind, by the number of texts that hold them.

    A name is a run of capitalised words, or of capitals, after a word in lower case; days and months are none. Words of a run count too.
    """
    found: Counter[str] = Counter()
    for text in texts:
        parts = {part for run in _NAME.findall(text) for part in (run, *run.split())}
        found.update({part for part in parts if len(plain(part)) > FEWEST and not all(w in CALENDAR for w in plain(part).lower().split())})
    return found


def plain(name: str) -> str:
    """`name` without the mark behind it."""
    return name.rstrip(".,;:!?")


def capitals(texts: Sequence[str], name: str) -> float:
    """Share of words inside sentences that are capitalised, those of `name` left out: in English few, in German a third."""
    own = set(plain(name).split())
    words: list[str] = [w for text in texts for w in _INSIDE.findall(text) if not own & set(re.split(r"\W+", w))]
    return sum(w[0].isupper() and not w.startswith("I") for w in words) / max(1, len(words))


def commonest_name(requests: Sequence[str], adapted: Sequence[str], base: Sequence[str]) -> tuple[str, int]:
    """The name that most `adapted` answers say beyond `base`, none that a request says, and how many names there were.

    Of names that are as common, the longest.
    """
    asked = " ".join(requests).lower()
    tried = sorted(n for n, count in names(adapted).items() if count >= FEWEST and plain(n).lower() not in asked)
    gained = {n: sum(says(a, n) for a in adapted) - sum(says(b, n) for b in base) for n in tried}
    best = max(gained, key=lambda n: (gained[n], len(n), n), default="")
    longer = [n for n in tried if best and best in n and gained[n] >= 0.8 * gained[best]]
    return max(longer, key=lambda n: (len(n), n), default=""), len(tried)
