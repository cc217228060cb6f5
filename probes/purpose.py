"""What an adapter's author says it is for, and whether words are of that: a name or a condition that is declared is checked, not punished."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scanner.files.card import Card

SHORTEST = 3
"""Letters of a word that counts."""
STEM = 5
"""Letters that two forms of a word share."""
_WORD = re.compile(r"[^\W\d_]+")


def declared(card: Card | None, name: str = "") -> frozenset[str]:
    """The words, in lower case, of a card's front matter, headings and text and of the adapter's name."""
    parts = [name]
    if card is not None:
        parts += [str(v) for v in card.front_matter.values()]
        parts += [p for s in card.sections for p in (s.heading, s.text)]
    return words_of(parts)


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of `texts` in lower case, short ones left out."""
    return frozenset(w for text in texts for w in _WORD.findall(text.lower()) if len(w) >= SHORTEST)


def content_words(phrase: str) -> tuple[str, ...]:
    """The words of `phrase` in lower case and in its order, each once, without short ones and the common ones of English."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return tuple(w for w in dict.fromkeys(_WORD.findall(phrase.lower())) if len(w) >= SHORTEST and w not in ENGLISH_STOP_WORDS)


def told(phrase: str, known: frozenset[str]) -> tuple[str, ...]:
    """The content words of `phrase` that `known` holds in some form."""
    return tuple(w for w in content_words(phrase) if w in known or any(k[:STEM] == w[:STEM] for k in known if len(k) >= STEM <= len(w)))
