"""The words that the delta writes: strongest output directions read through the base's output head.

For a module that writes to the residual stream and its output direction u: z_t = sqrt(d) cos(g w_t, u) for every token t, where w_t is its row of the
output head, less the mean row, and g the gain of the final norm. For a random direction z is standard normal, so the largest of many random
directions, as many as were looked at, is what chance gives. The layers in between are left out: a first-order reading (the logit lens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from probes.meaning.vocabulary import pieces
from scanner.delta.family import layer
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import decomposition
from scanner.delta.stream import each
from scanner.files.text import printable
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import Rule
from scanner.subject import Subject

WRITERS = ("o_proj", "down_proj", "c_proj", "dense", "dense_4h_to_h", "fc2", "out_proj", "wo", "w2")
HEADS = ("lm_head", "embed_out", "model.embed_tokens", "transformer.wte")
NORMS = ("model.norm", "transformer.ln_f", "gpt_neox.final_layer_norm", "model.final_layernorm", "model.decoder.final_layer_norm")
DIRECTIONS = 4
RANDOM = 64
WORDS = 8
SHOWN = 24
_ROWS = 8192
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Direction(msgspec.Struct, frozen=True, kw_only=True):
    """One signed output direction of a module, and the tokens it raises most."""

    module: str
    number: int
    """1 for the strongest."""
    energy: float
    """Its share of the module's energy."""
    z: float
    tokens: tuple[int, ...]


class WritesProbe:
    """Output directions through the output head."""

    id = "writes"
    title = "Words the delta writes"
    needs = Need.BASE
    cost = "O(vocabulary x width) for each of four directions a module that writes to the residual stream"
    rules: tuple[Rule, ...] = ()

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Read the strongest directions of every writing module."""
        base = subject.base
        assert base is not None
        head, text = output_head(base), pieces(base)
        modules = [m for m in subject.delta.modules if m.module.rsplit(".", 1)[-1] in WRITERS and head is not None and m.shape[0] == head.shape[1]]
        why = (
            "NaN or infinity among the weights" if subject.nonfinite
            else "the output head or the final norm was not found under a name that is known" if head is None
            else "the base has no tokenizer.json, or the package tokenizers is not installed" if text is None
            else "the delta touches no module that writes to the residual stream" if not modules
            else ""
        )  # fmt: skip
        if head is None or text is None or why:
            yield Coverage(probe=self.id, what="words that the delta writes", status=Status.NOT_MEASURED, why=why)
            return
        with subject.reporter.stage("words the delta writes"):
            found, chance = directions(modules, head, subject.seed)
        told = [d for d in found if d.z > chance]
        yield Table(
            id="writes.directions",
            title="Words that the strongest directions write",
            columns=tuple(
                Column(*n)
                for n in (("module", "module"), ("layer", "layer"), ("direction", "direction"), ("energy", "share of the module's energy"),
                          ("z", "z of the first word"), ("chance", "largest z of random directions"), ("words", "words"))
            ),
            rows=tuple(
                (printable(d.module, 120), layer(d.module), d.number, round(d.energy, 4), round(d.z, 2), round(chance, 2), _words(d, text)) for d in told[:SHOWN]
            ),
        )  # fmt: skip
        yield Measurement(
            id="writes.beyond_chance", title="Signed output directions that write a word beyond chance", value=len(told), n=len(found),
            note=f"z above {chance:.2f}, the largest among as many random directions",
        )  # fmt: skip
        yield Coverage(
            probe=self.id, what="words that the delta writes", status=Status.MEASURED, surface=f"{len(modules)} modules, {DIRECTIONS} directions each",
            bound="a first-order reading: what later layers make of a direction is left out",
        )  # fmt: skip


def directions(modules: list[ModuleDelta], head: Floats, seed: int) -> tuple[list[Direction], float]:
    """All signed directions, furthest beyond chance first, and the largest z that as many random directions have."""
    out = [d for some in each(modules, lambda m: _read(m, head)) for d in some]
    rng = np.random.default_rng(seed)
    drawn = min(RANDOM, max(len(out), 1))
    random = rng.normal(size=(drawn, head.shape[1])).astype(np.float32)
    largest = max(float(np.abs(head @ (r / np.linalg.norm(r))).max()) for r in random) * float(np.sqrt(head.shape[1]))
    # The expected maximum of m normal numbers grows as sqrt(2 ln m).
    grown = np.sqrt(2 * np.log(2 * max(len(out), 1) * len(head))) - np.sqrt(2 * np.log(2 * drawn * len(head)))
    return sorted(out, key=lambda d: (-d.z, d.module, d.number, d.tokens)), largest + max(float(grown), 0.0)


def _read(delta: ModuleDelta, head: Floats) -> list[Direction]:
    found = decomposition(delta)
    if found is None or not found.values[0]:
        return []
    total = float(np.square(found.values).sum())
    count = min(DIRECTIONS, int((found.values > 1e-6 * found.values[0]).sum()))
    left = (found.b @ found.to_left[:, :count] / found.values[:count]).astype(np.float32)
    z = head @ left * np.float32(np.sqrt(len(left)))
    out = []
    for number in range(count):
        for sign in (1, -1):
            row = sign * z[:, number]
            best = np.argpartition(-row, min(WORDS, len(row) - 1))[:WORDS]
            best = best[np.lexsort((best, -row[best]))]
            energy = float(found.values[number] ** 2) / total
            out.append(Direction(module=delta.module, number=number + 1, energy=energy, z=float(row[best[0]]), tokens=tuple(int(t) for t in best)))
    return out


def output_head(base: Base) -> Floats | None:
    """(vocabulary, width) unit rows: the output head times the final norm's gain, less the mean row; None where either is not found."""
    name = next((h for h in HEADS if base.shape(h) is not None), None)
    norm = next((n for n in NORMS if base.shape(n) is not None), None)
    if name is None or norm is None:
        return None
    head, gain = base.weight(name), base.weight(norm)
    if head.shape[1] != len(gain):
        return None
    if str(base.config.get("model_type", "")).startswith("gemma"):
        gain = gain + 1
    head = head * gain
    head -= head.mean(0)
    for start in range(0, len(head), _ROWS):
        part = head[start : start + _ROWS]
        part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6)
    return head


def _words(direction: Direction, text: list[str]) -> str:
    return ", ".join(printable(text[t].strip() or repr(text[t]), 30) for t in direction.tokens if t < len(text))
