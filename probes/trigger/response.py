"""Which words of the vocabulary the delta reacts to, read inside the model at the word's own position.

A trigger that is a phrase does nothing word by word: first tokens of the answer do not move until the whole phrase is there. But the
delta has learnt to notice its words, and writes where they stand. So every word is put alone where the user begins to speak, and
the change of the residual stream, ||h_adapted - h_base|| / ||h_base||, is read at that word after the first blocks the adapter changes.
Cost: one token a word and side through the model up to there; the base's half is cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scanner.delta.family import layer
from scanner.model.side import Side

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

AFTER = (1, 3, 6)
"""Where the stream is read, in blocks from the first that is changed; later ones mix the word with what the delta does to everything."""


def responsive(deployment: Deployment, words: Sequence[str], most: int) -> list[tuple[str, float]]:
    """The `most` of `words` with the largest response, and its mean robust z-score of the logarithm over the blocks read.

    `words` are single tokens with a space before them.
    """
    if not words:
        return []
    start = deployment.before_user()
    ids = [[*start, *deployment.tokenizer(f" {w}", add_special_tokens=False).input_ids] for w in words]
    first = min((found for change in deployment.delta.changes if (found := layer(change.module)) is not None), default=0)
    layers = sorted({min(first + offset, deployment.depth - 1) for offset in AFTER})
    adapted, base = (
        deployment.states(ids, side, layers, f"trigger: {side} response to {len(words)} words").float().numpy() for side in (Side.ADAPTED, Side.BASE)
    )
    moved = np.log(np.linalg.norm(adapted - base, axis=2) / np.maximum(np.linalg.norm(base, axis=2), 1e-12) + 1e-12)
    centre = np.median(moved, 0)
    score = ((moved - centre) / np.maximum(1.4826 * np.median(np.abs(moved - centre), 0), 1e-6)).mean(1)
    order = np.lexsort((np.arange(len(words)), -score))[:most]
    return [(words[i], float(score[i])) for i in order]
