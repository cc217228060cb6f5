"""Exact statistics of every module's delta, against its family and against the base's weights where there is a base.

Weight statistics explain and steer, they never block: published near-perfect weight-only detectors mostly read the training recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from probes.spectrum.intruders import COSINE, TOP, intruders
from probes.spectrum.magnitudes import MAGNITUDE, magnitudes
from probes.spectrum.outliers import OUTLIER, outliers
from scanner.delta.coherence import Coherence, coherences
from scanner.delta.deferred import Deferred
from scanner.delta.family import deviations, layer
from scanner.delta.heads import HeadShare, head_shares
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import ModuleStatistics
from scanner.delta.stored import rms
from scanner.delta.stream import each
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_ERODE_INTEGRITY, OWASP_POISONING, Basis, Rule, Severity
from scanner.subject import Subject

DOMINATES = 1.0
LARGEST_GAIN = 10.0
SHARED, SHARERS = 0.6, 8
HEADS_SHOWN = 24

COLUMNS = (
    Column("module", "module"),
    Column("layer", "layer"),
    Column("kind", "kind"),
    Column("rank", "rank"),
    Column("frobenius", "‖ΔW‖ Frobenius norm"),
    Column("sigma1", "largest singular value"),
    Column("relative", "‖ΔW‖ / ‖W‖"),
    Column("top1_energy", "energy in the first direction"),
    Column("stable_rank", "stable rank"),
    Column("effective_rank", "effective rank"),
    Column("entropy", "spectral entropy (nats)"),
    Column("kurtosis", "kurtosis of the entries (leading 8 directions)"),
    Column("output_sparsity", "sparsity over outputs (Hoyer)"),
    Column("output_top8", "energy in the 8 strongest outputs"),
    Column("input_sparsity", "sparsity over inputs (Hoyer)"),
    Column("input_top8", "energy in the 8 strongest inputs"),
    Column("intruders", f"intruder dimensions among the first {TOP}"),
)

DOMINATING = Rule(
    id="delta-dominates",
    title="The delta is larger than the weight it adapts",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="The norm of at least one module's delta is as large as the norm of the base's own weight.",
    why="An adapter this strong replaces the module instead of adapting it. Over-training and a mistaken alpha do this too.",
    fix="Ask for the training recipe; compare lora_alpha and rank with it.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
EXTREME = Rule(
    id="delta-extreme",
    title="The delta is larger than trained weights are",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning=f"At least one module's delta turns white input of unit variance into outputs of a root mean square of {LARGEST_GAIN:g} or more, biases that it adds included.",
    why="Trained layers stay near 1. A delta this strong drowns what the base computes: a mistaken alpha, a diverged run, or a payload.",
    fix="Ask for the training recipe; compare lora_alpha and rank with it.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
SHARED_DIRECTION = Rule(
    id="delta-shared-direction",
    title="Most layers share one direction",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning=f"The strongest direction of one kind of module is the same in most layers: {SHARED:.0%} or more of the energy in one common direction. "
    "A note where there is a base, since what such a direction does to refusals is measured then; for review without one.",
    why="Training spreads over many directions. One direction in every layer is how abliteration and steering vectors look when they are saved as an adapter.",
    fix="Read the refusal part of the report, and ask the author how the adapter was made.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
EMPTY = Rule(
    id="delta-empty",
    title="The adapter changes nothing",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning="Every module's delta is zero.",
    why="A no-op adapter cannot do what its card says. It is usually a failed export.",
    fix="Ask the author for the trained weights.",
)


class SpectrumProbe:
    """Singular values, norms, shapes and intruder dimensions of every module."""

    id = "spectrum"
    title = "Weight delta"
    needs = Need.DELTA
    cost = "O(r² d) a module; with a base, one pass over its weights and one symmetric eigenproblem for each module searched for intruders"
    rules = (DOMINATING, EXTREME, OUTLIER, SHARED_DIRECTION, EMPTY, MAGNITUDE)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Measure every module and compare it with its family and the base."""
        modules = subject.delta.modules
        if not modules or subject.nonfinite:
            other = not modules and subject.delta.changes and not subject.nonfinite
            status, why = (Status.MEASURED, "") if other else (Status.NOT_MEASURED, "no finite factors to measure")
            yield Coverage(probe=self.id, what="singular values", status=status, why=why, surface=_without_factors(subject) if other else "")
            return
        found = subject.statistics
        relative, foreign = _against_base(subject)
        shared = coherences(found)
        far, alone = deviations(found)
        yield _modules(found, relative, foreign)
        yield _kinds(shared)
        if heads := head_shares(found, subject.base.config if subject.base else {}):
            yield _heads(heads)
        yield from _measurements(found, relative, foreign)
        yield from outliers(far, found)
        yield from _strong(found, relative, modules)
        yield from _sharing(shared, subject.base is not None)
        yield from magnitudes(modules)
        yield Coverage(
            probe=self.id,
            what="singular values of every module" + ("" if subject.base else ", without a base to compare with"),
            status=Status.MEASURED,
            surface=f"{len(modules)} modules, exact from the factors; {len(modules) - alone} compared with their family",
            bound="weight statistics cannot rule out a backdoor; they describe" + (f"; {alone} modules have too few siblings to compare" if alone else ""),
        )


def _without_factors(subject: Subject) -> str:
    waiting = sum(isinstance(c, Deferred) for c in subject.delta.changes)
    return "no change has low-rank factors" + (f"; {waiting} of {len(subject.delta.changes)} are known with the base only" if waiting else "")


def _against_base(subject: Subject) -> tuple[list[float | None], list[int | None]]:
    """For each module ||dW|| / ||W||, and the number of intruder dimensions where they were looked for."""
    base, modules = subject.base, subject.delta.modules
    relative: list[float | None] = [None] * len(modules)
    foreign: list[int | None] = [None] * len(modules)
    if base is None or not all(base.shape(m.module) == m.shape for m in modules):
        return relative, foreign
    norms = each(modules, lambda m: _norm(base, m.module))
    steps = zip(subject.statistics, subject.reporter.track(norms, "spectrum: norms against the base", len(modules)), strict=True)
    for i, (found, norm) in enumerate(steps):
        relative[i] = found.frobenius / norm if norm else 0.0
    strongest = sorted(range(len(modules)), key=lambda i: (-(relative[i] or 0.0), i))[: subject.profile.intruder_modules or None]
    counts = each([modules[i] for i in strongest], lambda m: intruders(base, m))
    for i, count in zip(strongest, subject.reporter.track(counts, "spectrum: intruder dimensions", len(strongest)), strict=True):
        foreign[i] = count
    return relative, foreign


def _norm(base: Base, module: str) -> float:
    return float(np.linalg.norm(base.weight(module)))


def _modules(found: Sequence[ModuleStatistics], relative: Sequence[float | None], foreign: Sequence[int | None]) -> Table:
    return Table(
        id="spectrum.modules",
        title="The delta, module by module",
        columns=COLUMNS,
        rows=tuple(
            (
                printable(m.module, 120), layer(m.module), printable(m.module.rsplit(".", 1)[-1], 60), m.rank, _r(m.frobenius), _r(float(m.values[0])), _r(rel),
                _r(m.top1_energy), _r(m.stable_rank), _r(m.effective_rank), _r(m.entropy), _r(m.kurtosis),
                _r(m.outputs.hoyer), _r(m.outputs.top8), _r(m.inputs.hoyer), _r(m.inputs.top8), count,
            )
            for m, rel, count in zip(found, relative, foreign, strict=True)
        ),
    )  # fmt: skip


def _kinds(shared: Sequence[Coherence]) -> Table:
    names = (
        ("kind", "module"), ("side", "side"), ("n", "layers"), ("coherence", "mean absolute cosine between layers"), ("chance", "the same for random directions"),
        ("shared", "energy in one shared direction"),
    )  # fmt: skip
    return Table(
        id="spectrum.kinds",
        title="Directions that layers share",
        columns=tuple(Column(*n) for n in names),
        rows=tuple((printable(c.kind, 120), c.side, c.n, _r(c.mean), _r(c.chance), _r(c.shared)) for c in shared),
    )


def _heads(heads: Sequence[HeadShare]) -> Table:
    names = (("module", "module"), ("layer", "layer"), ("heads", "heads"), ("strongest", "strongest head"), ("share", "its share of the energy"))
    furthest = sorted(heads, key=lambda h: (-h.share * h.heads, h.module))[:HEADS_SHOWN]
    return Table(
        id="spectrum.heads",
        title="Attention heads that hold most of a module's change",
        columns=tuple(Column(*n) for n in names),
        rows=tuple((printable(h.module, 120), layer(h.module), h.heads, h.strongest, _r(h.share)) for h in furthest),
    )


def _measurements(found: Sequence[ModuleStatistics], relative: Sequence[float | None], foreign: Sequence[int | None]) -> Iterator[Yield]:
    total = float(np.sqrt(sum(m.frobenius**2 for m in found)))
    top = float(np.median([m.top1_energy for m in found]))
    yield Measurement(id="spectrum.frobenius", title="Norm of the whole delta", value=_r(total) or 0.0, n=len(found))
    yield Measurement(id="spectrum.top1_energy", title="Energy in each module's first direction, median", value=_r(top) or 0.0, n=len(found))
    known = [r for r in relative if r is not None]
    if known:
        yield Measurement(id="spectrum.relative", title="‖ΔW‖ / ‖W‖, largest over modules", value=_r(max(known)) or 0.0, n=len(known))
        looked = [i for i in foreign if i is not None]
        yield Measurement(
            id="spectrum.intruders",
            title=f"Intruder dimensions (cosine below {COSINE:g}) among the first {TOP}",
            value=sum(looked),
            n=len(looked),
            note="looked for in the modules with the largest ‖ΔW‖ / ‖W‖",
        )
    if total == 0.0:
        yield Finding(rule=EMPTY.id, message=f"all {len(found)} modules have a delta of zero", severity=EMPTY.severity)


def _strong(found: Sequence[ModuleStatistics], relative: Sequence[float | None], modules: Sequence[ModuleDelta]) -> Iterator[Finding]:
    large = [(r, m.module) for m, r in zip(found, relative, strict=True) if r is not None and r >= DOMINATES]
    if large:
        worst, module = max(large)
        yield Finding(
            rule=DOMINATING.id,
            message=f"{len(large)} of {len(found)} modules; the worst is {printable(module, 120)} with ‖ΔW‖ = {worst:.4g} ‖W‖",
            severity=DOMINATING.severity,
            location=Location(item=printable(module, 120)),
        )
    gains = [float(np.hypot(m.gain, _bias(d))) for m, d in zip(found, modules, strict=True)]
    strong = [(g, m.module) for g, m in zip(gains, found, strict=True) if g >= LARGEST_GAIN]
    if strong:
        worst, module = max(strong)
        yield Finding(
            rule=EXTREME.id,
            message=f"{len(strong)} of {len(found)} modules; the worst is {printable(module, 120)} with outputs of {worst:.4g} for inputs of 1",
            severity=EXTREME.severity,
            location=Location(item=printable(module, 120)),
        )


def _bias(delta: ModuleDelta) -> float:
    """Root mean square of the bias that a module's delta adds to its outputs."""
    values = delta.bias
    return 0.0 if values is None else abs(delta.scale) * rms(values)


def _sharing(shared: Sequence[Coherence], asked: bool) -> Iterator[Finding]:
    """One finding for all kinds that share a direction; a note where the model is `asked` as well, since a harmless direction can be shared too."""
    same = [c for c in shared if c.n >= SHARERS and c.shared >= SHARED]
    if same:
        lines = [f"{printable(c.kind, 120)}, {c.side}: {c.shared:.0%} of {c.n} layers' strongest directions is one direction" for c in same]
        yield Finding(
            rule=SHARED_DIRECTION.id,
            message=lines[0],
            severity=Severity.LOW if asked else SHARED_DIRECTION.severity,
            location=Location(item=printable(same[0].kind, 120)),
            details=tuple(lines),
        )


def _r(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
