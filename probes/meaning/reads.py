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

from probes.meaning import vocabulary
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
        if site and layer(module.module) in layers and ".experts." not in module.module:  # an expert reads some tokens only
            found.setdefault(f"{layer(module.module)} {site}", []).append(module)
    return found


def _reactions(deployment: Deployment, sites: dict[str, list[ModuleDelta]], seed: int) -> list[Reaction]:
    from scanner.model.inputs import inputs_along

    words = vocabulary.words(deployment)
    asked = {modules[0].module: [(m, d) for m in modules if (d := _directions(m)) is not None] for modules in sites.values()}
    asked = {site: pairs for site, pairs in asked.items() if pairs}
    if not asked or not words:
        return []
    tokens = sorted(words)
    rng = np.random.default_rng(seed)
    random = {site: rng.normal(size=(pairs[0][0].shape[1], RANDOM)).astype(np.float32) for site, pairs in asked.items()}
    stacked = {site: np.hstack([random[site], *(d.right for _, d in pairs)]) for site, pairs in asked.items()}
    names, p_values = [], []
    for site, along in inputs_along(deployment, stacked, tokens, "words the delta reacts to").items():
        spread = np.square((along - along.mean(0)) / np.maximum(along.std(0), 1e-12))
        chance, at = np.maximum(spread[:, :RANDOM].mean(1), 1e-6), RANDOM
        for module, found in asked[site]:
            names.append(module.module)
            p_values.append(_p_values(spread[:, at : at + len(found.weights)] @ found.weights / chance))
            at += len(found.weights)
    table = np.array(p_values)
    score = -np.log10(len(table) / (1 / table).sum(0))
    strongest = table.argmin(0)
    reacted = [Reaction(word=words[t][1:], score=float(score[i]), module=names[int(strongest[i])]) for i, t in enumerate(tokens)]
    return sorted(reacted, key=lambda r: (-r.score, r.word))


class _Directions(msgspec.Struct, frozen=True):
    """Input directions of a module, (width, n), and the share of its energy that each carries, (n,)."""

    right: Floats
    weights: Floats


def _directions(delta: ModuleDelta) -> _Directions | None:
    """Input directions of `delta`; None where it is zero or not a number."""
    found = decomposition(delta)
    if found is None or not found.values[0]:
        return None
    alive = found.values > 1e-6 * found.values[0]
    energy = np.square(found.values[alive])
    right = (found.to_right[alive] / found.values[alive, None]) @ found.a
    return _Directions(np.ascontiguousarray(right.T, np.float32), (energy / energy.sum()).astype(np.float32))


def _p_values(score: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rank from above, ties to the earlier word, divided by the number of words."""
    order = np.argsort(-score, kind="stable")
    rank = np.empty(len(score))
    rank[order] = np.arange(1, len(score) + 1)
    return np.asarray(rank / len(score))
