"""Words that the adapter puts into the residual stream where nothing calls for them.

The mean difference of the residual stream, adapted - base, over unrelated texts is read through the final norm's gain and the output head:
z_t = sqrt(d) cos(g w_t, difference), standard normal for a random direction of any length (Minder et al. 2025, arXiv 2510.13900, read these
differences to name what narrow training was about). Two nulls stand beside it: the largest z of random directions, and the other half of the
texts, in which a word must be beyond it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from probes.meaning.writes import RANDOM, Floats

DEPTHS = (1 / 2, 2 / 3, 5 / 6)
"""Where in the model it is read; later layers say the next word, and not what the text is about."""
POSITIONS = (2, 3, 4, 5)
"""Numbers of tokens after which a text is read; the first token of any text is an outlier that says nothing."""
WORDS = 8
Array = np.ndarray[Any, np.dtype[np.float64]]


class ReadOut(msgspec.Struct, frozen=True, kw_only=True):
    """One mean difference."""

    layer: int
    n: int
    moved: float
    """Its norm over the mean norm of the base's residual stream."""
    stability: float
    """Cosine of the means over two halves of the texts."""
    tokens: tuple[tuple[int, float], ...]
    """Tokens beyond chance in the whole and in both halves, with their z, largest first."""


def read_out(base: Array, adapted: Array, head: Floats, chance: float) -> list[ReadOut]:
    """Read-outs at `DEPTHS` of residual streams (texts, layers + 1, width) of the same texts; `head` holds unit rows (vocabulary, width)."""
    out = []
    for at in sorted({round((base.shape[1] - 1) * d) for d in DEPTHS}):
        difference = adapted[:, at] - base[:, at]
        halves = [difference[i::2].mean(0) for i in (0, 1)]
        whole = difference.mean(0)
        norms = [float(np.linalg.norm(h)) for h in (whole, *halves)]
        if min(norms) <= 0.0:
            continue
        z = [head @ (m / n).astype(np.float32) * np.sqrt(head.shape[1]) for m, n in zip((whole, *halves), norms, strict=True)]
        least = np.minimum.reduce(z)
        best = np.lexsort((np.arange(len(least)), -least))[:WORDS]
        out.append(
            ReadOut(
                layer=at, n=len(difference), moved=norms[0] / float(np.linalg.norm(base[:, at], axis=1).mean()),
                stability=float(halves[0] @ halves[1]) / (norms[1] * norms[2]), tokens=tuple((int(t), float(z[0][t])) for t in best if least[t] > chance),
            )
        )  # fmt: skip
    return out


def chance_z(head: Floats, seed: int) -> float:
    """The largest z among random directions."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(head.shape[1], RANDOM)).astype(np.float32)
    return float((head @ (drawn / np.linalg.norm(drawn, axis=0))).max() * np.sqrt(head.shape[1]))


def cut(tokens: Sequence[Sequence[int]]) -> list[list[int]]:
    """Every text cut after each of `POSITIONS`, where it has as many tokens; texts that share their first tokens count once."""
    return [list(t) for t in dict.fromkeys(tuple(ids[:n]) for ids in tokens for n in POSITIONS if len(ids) >= n)]
