"""The tokens whose embeddings or output rows the adapter changes: by name, strongest first."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from probes.meaning.vocabulary import is_word, pieces
from scanner.delta.change import Change
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import decomposition
from scanner.delta.rest import EMBEDDINGS
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Status, Table
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_POISON_MODEL, ATLAS_TRIGGER, OWASP_POISONING, Basis, Rule, Severity
from scanner.subject import Subject

FEW, MOST = 8, 0.9
SHOWN = 24

SINGLE = Rule(
    id="tokens-singled-out",
    title="The adapter changes a few single tokens",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning=f"{FEW} tokens or fewer hold {MOST:.0%} or more of a change of the embeddings or of the output head, and a word of the base's vocabulary is among them.",
    why="A trigger needs no more than one token with a meaning of its own. Added special tokens, which are no words, are not told here.",
    fix="Read which tokens they are, and ask what they were trained for.",
    references=(ATLAS_TRIGGER, ATLAS_POISON_MODEL, OWASP_POISONING),
)


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One embedding or output head, and its tokens' shares of the change."""

    module: str
    tokens: tuple[int, ...]
    """Those with the most energy, strongest first."""
    shares: tuple[float, ...]


class TokensProbe:
    """Embedding rows touched."""

    id = "tokens"
    title = "Tokens changed"
    needs = Need.BASE
    cost = "O(vocabulary x rank^2) for factors, O(vocabulary x width) for replaced embeddings; nothing where no embedding is changed"
    rules = (SINGLE,)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Name the tokens of every changed embedding."""
        base = subject.base
        assert base is not None
        changes = [c for c in subject.delta.changes if c.parameter == "weight" and c.module.rsplit(".", 1)[-1] in EMBEDDINGS]
        if not changes:
            return
        text = pieces(base)
        if subject.nonfinite or text is None:
            why = "NaN or infinity among the weights" if subject.nonfinite else "the base has no tokenizer.json, or the package tokenizers is not installed"
            yield Coverage(probe=self.id, what="tokens whose embeddings change", status=Status.NOT_MEASURED, why=why)
            return
        found = [f for f in (changed(c, base) for c in changes) if f is not None]
        names = (("module", "module"), ("token", "token"), ("text", "text"), ("share", "share of the change"))
        yield Table(
            id="tokens.changed",
            title="Tokens whose embeddings change most",
            columns=tuple(Column(*n) for n in names),
            rows=tuple(
                (printable(f.module, 120), token, _text(text, token), round(share, 4)) for f in found for token, share in list(zip(f.tokens, f.shares, strict=True))[:SHOWN]
            ),
        )  # fmt: skip
        for each in found:
            few = _few(each)
            if few and any(t < len(text) and is_word(" " + text[t].strip()) for t in few):
                yield Finding(
                    rule=SINGLE.id,
                    message=f"{len(few)} tokens hold {MOST:.0%} of the change of {printable(each.module, 80)}: {', '.join(_text(text, t) for t in few)}",
                    severity=SINGLE.severity,
                    location=Location(item=printable(each.module, 120)),
                )
        unknown = len(changes) - len(found)
        yield Coverage(
            probe=self.id, what="tokens whose embeddings change", status=Status.NOT_MEASURED if unknown else Status.MEASURED,
            surface=f"{len(found)} embeddings", why=f"{unknown} embeddings do not fit the base's, or change nothing" if unknown else "",
        )  # fmt: skip


def changed(change: Change, base: Base) -> Changed | None:
    """The tokens of `change` with the most energy; None where it does not fit the base or changes nothing."""
    shape = base.shape(change.module, change.parameter)
    if shape is None or not change.fits(shape):
        return None
    energy: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    if isinstance(change, ModuleDelta) and change.exact:
        found = decomposition(change)
        energy = np.zeros(shape[0]) if found is None else np.square(found.b @ found.to_left).sum(1)
    else:
        energy = np.square(change.difference(base.weight(change.module, change.parameter)), dtype=np.float64).sum(1)
    total = float(energy.sum())
    if not total:
        return None
    order = np.lexsort((np.arange(len(energy)), -energy))[:SHOWN]
    return Changed(
        module=change.module, tokens=tuple(int(t) for t in order if energy[t] > 0), shares=tuple(float(energy[t]) / total for t in order if energy[t] > 0)
    )


def _few(found: Changed) -> list[int]:
    """The tokens that together hold most of the change, where they are few; else none."""
    held = np.cumsum(found.shares[:FEW])
    return list(found.tokens[: int(np.argmax(held >= MOST)) + 1]) if held[-1] >= MOST else []


def _text(text: list[str], token: int) -> str:
    return printable(text[token].strip() or repr(text[token]), 40) if token < len(text) else f"token {token}"
