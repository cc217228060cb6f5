"""The words that the delta reacts to: the base's hidden states at every word of its vocabulary, along the delta's input directions.

At a module with dW = U S V^T, a word w of which the module reads x_w has the response sum_i s_i^2 (v_i . (x_w - mean))^2 / var_i, var_i being the
variance of v_i . x over the vocabulary, divided by the mean response of random directions to the same word. Words are ranked by it; rank / words is
a p-value under a delta that has nothing to do with any word, and the p-values of several modules are combined by their harmonic mean
(Wilson 2019, PNAS 116:1195). Only the first adapted layers are read: what they have changed already, later ones see changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from probes.meaning.vocabulary import is_word
from scanner.delta.family import layer
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import decomposition
from scanner.files.text import printable
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.probe import Need, Yield
from scanner.rule import Rule
from scanner.subject import Subject

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

SITES = {
    "attention": ("q_proj", "k_proj", "v_proj", "qkv_proj", "c_attn", "query_key_value"),
    "feed-forward": ("gate_proj", "up_proj", "gate_up_proj", "c_fc", "fc1", "dense_h_to_4h"),
}
"""Modules that read the residual stream behind a norm: those of one site in one layer read the same."""
LAYERS = 4
RANDOM = 64
SHORTLIST = 500
SHOWN = 40
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """How strongly the delta reacts to one word."""

    word: str
    score: float
    """-log10 of the harmonic mean p-value over modules."""
    module: str
    """The module that reacts most."""


class ReadsProbe:
    """Input directions against the vocabulary."""

    id = "reads"
    title = "Words the delta reacts to"
    needs = Need.DEPLOYMENT
    cost = "one prefill a vocabulary word up to the fourth adapted layer, kept for every later adapter of the base; O(words x width x rank) a module"
    rules: tuple[Rule, ...] = ()

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Rank the vocabulary."""
        found = reactions(subject)
        if not found:
            why = "no adapted linear module is known to read the residual stream, or no token is a word by itself"
            yield Coverage(probe=self.id, what="words that the delta reacts to", status=Status.NOT_MEASURED, why=why)
            return
        chance = float(np.log10(len(found)))
        yield Table(
            id="reads.words",
            title="Words that the delta reacts to most",
            columns=tuple(Column(*n) for n in (("word", "word"), ("score", "-log10 p"), ("chance", "of the best word by chance"), ("module", "strongest in"))),
            rows=tuple((printable(r.word, 60), round(r.score, 2), round(chance, 2), printable(r.module, 120)) for r in found[:SHOWN]),
        )
        yield Measurement(
            id="reads.best", title="Strongest reaction to a word, -log10 of its harmonic mean p-value", value=round(found[0].score, 3), n=len(found),
            note=f"{printable(found[0].word, 60)}; the best of as many words has about {chance:.1f} by chance",
        )  # fmt: skip
        yield Coverage(
            probe=self.id, what="words that the delta reacts to", status=Status.MEASURED, surface=f"{len(found)} words, the first {LAYERS} adapted layers",
            bound="a ranking, not a test: common words and the training data's own subjects rank high too",
        )  # fmt: skip


def shortlist(subject: Subject, count: int = SHORTLIST) -> list[str]:
    """The `count` words of the base's vocabulary that the delta reacts to most, strongest first; empty where none can be ranked."""
    return [r.word for r in reactions(subject)[:count]]


def reactions(subject: Subject) -> list[Reaction]:
    """Every word of the vocabulary, strongest reaction first, ties by spelling. Computed once a scan."""
    kept: list[Reaction] | None = subject.__dict__.get("_reactions")
    if kept is None:
        kept = subject.__dict__["_reactions"] = _reactions(subject.deployment, readers(subject.delta.modules), subject.seed)
    return kept


def readers(modules: Sequence[ModuleDelta]) -> dict[str, list[ModuleDelta]]:
    """The modules of the first adapted layers that read the residual stream, by site: `LAYER SITE`."""
    layers = sorted({at for m in modules if (at := layer(m.module)) is not None})[:LAYERS]
    found: dict[str, list[ModuleDelta]] = {}
    for module in modules:
        site = next((s for s, names in SITES.items() if module.module.rsplit(".", 1)[-1] in names), None)
        if site and layer(module.module) in layers:
            found.setdefault(f"{layer(module.module)} {site}", []).append(module)
    return found


def _reactions(deployment: Deployment, sites: dict[str, list[ModuleDelta]], seed: int) -> list[Reaction]:
    from scanner.model.inputs import inputs

    decoded = ((t, deployment.tokenizer.decode([t])) for t in range(len(deployment.tokenizer)))
    words = {t: piece for t, piece in decoded if is_word(piece)}
    if not sites or not words:
        return []
    tokens = sorted(words)
    read = inputs(deployment, [modules[0].module for modules in sites.values()], tokens, "words the delta reacts to")
    names, p_values = [], []
    for modules in sites.values():
        x = read[modules[0].module].float().numpy()
        x -= x.mean(0)
        chance = _chance(x, seed)
        for module in modules:
            response = _response(x, module)
            if response is not None:
                names.append(module.module)
                p_values.append(_p_values(response / chance))
    if not names:
        return []
    table = np.array(p_values)
    score = -np.log10(len(table) / (1 / table).sum(0))
    strongest = table.argmin(0)
    found = [Reaction(word=words[t][1:], score=float(score[i]), module=names[int(strongest[i])]) for i, t in enumerate(tokens)]
    return sorted(found, key=lambda r: (-r.score, r.word))


def _response(x: Floats, delta: ModuleDelta) -> Floats | None:
    """(words,), energy of the response in units of each direction's variance; None for a delta of zeros."""
    found = decomposition(delta)
    if found is None or not found.values[0]:
        return None
    alive = found.values > 1e-6 * found.values[0]
    right = (found.to_right[alive] @ found.a).astype(np.float32)
    along = x @ right.T
    spread = np.maximum(along.std(0), 1e-12)
    weights = np.square(found.values[alive]) / np.square(found.values[alive]).sum()
    return np.asarray(np.square(along / spread) @ weights.astype(np.float32))


def _chance(x: Floats, seed: int) -> Floats:
    """(words,), the mean response of random directions."""
    random = np.random.default_rng(seed).normal(size=(x.shape[1], RANDOM)).astype(np.float32)
    along = x @ random
    return np.asarray(np.maximum(np.square(along / np.maximum(along.std(0), 1e-12)).mean(1), 1e-6))


def _p_values(score: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rank from above, ties to the earlier word, divided by the number of words."""
    order = np.argsort(-score, kind="stable")
    rank = np.empty(len(score))
    rank[order] = np.arange(1, len(score) + 1)
    return np.asarray(rank / len(score))
