"""What the weights say: exact spectra of every module's delta, against the base's weights where there is a base.

Weight statistics explain and steer, they never block: published near-perfect weight-only detectors mostly read the training
recipe. Intruder dimensions follow Shuttleworth et al. 2024 (arXiv 2410.21228).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from scanner.delta.delta import ModuleDelta
from scanner.delta.spectra import Matrix, Spectrum, spectrum
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_ERODE_INTEGRITY, ATLAS_POISON_MODEL, OWASP_POISONING, Basis, Rule, Severity
from scanner.subject import Subject

DOMINATES = 1.0
TOP = 10
INTRUDER_COSINE = 0.5
OUTLIER = 8.0

_LAYER = re.compile(r"\.(\d+)\.")

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
    Column("intruders", "intruder dimensions among the first 10"),
)


class SpectrumProbe:
    """Singular values, norms and intruder dimensions of every module."""

    id = "spectrum"
    title = "Weight delta"
    needs = Need.DELTA
    cost = "O(r² d) a module; with a base, one pass over its weights and one symmetric eigenproblem for each module searched for intruders"
    rules = (
        Rule(
            id="delta-dominates",
            title="The delta is larger than the weight it adapts",
            severity=Severity.MEDIUM,
            basis=Basis.STATISTIC,
            meaning="The norm of at least one module's delta is as large as the norm of the base's own weight.",
            why="An adapter this strong replaces the module instead of adapting it. Over-training and a mistaken alpha do this too.",
            fix="Ask for the training recipe; compare lora_alpha and rank with it.",
            references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
        ),
        Rule(
            id="delta-outlier",
            title="One module's delta stands far outside its family",
            severity=Severity.LOW,
            basis=Basis.STATISTIC,
            meaning="A module's norm or concentration is far from that of the same module in other layers.",
            why="Payloads edited into one place look like this; so do some honest adapters in the first and last layers.",
            fix="Read the behavioural part of the report; this alone decides nothing.",
            references=(ATLAS_POISON_MODEL,),
        ),
        Rule(
            id="delta-empty",
            title="The adapter changes nothing",
            severity=Severity.LOW,
            basis=Basis.STATISTIC,
            meaning="Every module's delta is zero.",
            why="A no-op adapter cannot do what its card says. It is usually a failed export.",
            fix="Ask the author for the trained weights.",
        ),
    )

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Measure every module and compare each with its family."""
        modules = subject.delta.modules
        if not modules or not subject.delta.finite:
            yield Coverage(probe=self.id, what="singular values", status=Status.NOT_MEASURED, why="no finite factors to measure")
            return
        spectra = [(m, spectrum(m)) for m in modules]
        base = subject.base
        relative: list[float | None] = [None] * len(spectra)
        intruders: list[int | None] = [None] * len(spectra)
        if base is not None and all(base.shape(m.module) == m.shape for m in modules):
            steps = subject.reporter.track(enumerate(spectra), "spectrum: norms against the base", len(spectra))
            for i, (module, found) in steps:
                norm = float(np.linalg.norm(base.weight(module.module)))
                relative[i] = found.frobenius / norm if norm else 0.0
            strongest = sorted(range(len(spectra)), key=lambda i: (-(relative[i] or 0.0), i))[: subject.profile.intruder_modules or None]
            for i in subject.reporter.track(strongest, "spectrum: intruder dimensions", len(strongest)):
                intruders[i] = _intruders(base, *spectra[i])
        yield Table(
            id="spectrum.modules",
            title="The delta, module by module",
            columns=COLUMNS,
            rows=tuple(
                (
                    printable(m.module, 120), _layer(m.module), _kind(m.module), m.rank, _r(s.frobenius), _r(float(s.values[0])), _r(rel),
                    _r(s.top1_energy), _r(s.stable_rank), _r(s.effective_rank), _r(s.entropy), intr,
                )
                for (m, s), rel, intr in zip(spectra, relative, intruders, strict=True)
            ),
        )  # fmt: skip
        total = float(np.sqrt(sum(s.frobenius**2 for _, s in spectra)))
        yield Measurement(id="spectrum.frobenius", title="Norm of the whole delta", value=_r(total) or 0.0, n=len(spectra))
        yield Measurement(
            id="spectrum.top1_energy",
            title="Energy in each module's first direction, median",
            value=_r(float(np.median([s.top1_energy for _, s in spectra]))) or 0.0,
            n=len(spectra),
        )
        known = [r for r in relative if r is not None]
        if known:
            yield Measurement(id="spectrum.relative", title="‖ΔW‖ / ‖W‖, largest over modules", value=_r(max(known)) or 0.0, n=len(known))
            looked = [i for i in intruders if i is not None]
            yield Measurement(
                id="spectrum.intruders",
                title="Intruder dimensions (cosine below 0.5) among the first 10",
                value=sum(looked),
                n=len(looked),
                note="looked for in the modules with the largest ‖ΔW‖ / ‖W‖",
            )
        if total == 0.0:
            yield Finding(rule="delta-empty", message=f"all {len(spectra)} modules have a delta of zero", severity=Severity.LOW)
        yield from self._dominating(spectra, relative)
        yield from self._outliers(spectra)
        yield Coverage(
            probe=self.id,
            what="singular values of every module" + ("" if known else ", without a base to compare with"),
            status=Status.MEASURED,
            surface=f"{len(spectra)} modules, exact from the factors",
            bound="weight statistics cannot rule out a backdoor; they describe",
        )

    def _dominating(self, spectra: list[tuple[ModuleDelta, Spectrum]], relative: list[float | None]) -> Iterator[Finding]:
        large = [(r, m.module) for (m, _), r in zip(spectra, relative, strict=True) if r is not None and r >= DOMINATES]
        if large:
            worst, module = max(large)
            yield Finding(
                rule="delta-dominates",
                message=f"{len(large)} of {len(spectra)} modules; the worst is {printable(module, 120)} with ‖ΔW‖ = {worst:.2f} ‖W‖",
                severity=Severity.MEDIUM,
                location=Location(item=printable(module, 120)),
            )

    def _outliers(self, spectra: list[tuple[ModuleDelta, Spectrum]]) -> Iterator[Finding]:
        families: dict[str, list[tuple[str, Spectrum]]] = {}
        for module, found in spectra:
            if _layer(module.module) is not None:
                families.setdefault(_kind(module.module), []).append((module.module, found))
        lines: list[tuple[float, str, str]] = []
        for members in families.values():
            if len(members) < 8:
                continue
            for name, series in (
                ("norm", [np.log(s.frobenius + 1e-12) for _, s in members]),
                ("first-direction energy", [s.top1_energy for _, s in members]),
            ):
                values = np.array(series)
                centre = np.median(values)
                spread = 1.4826 * np.median(np.abs(values - centre)) or float(np.abs(values - centre).mean()) or 1.0
                z = (values - centre) / spread
                lines += [(float(abs(v)), module, f"{name} z = {v:+.1f}") for v, (module, _) in zip(z, members, strict=True) if abs(v) >= OUTLIER]
        if lines:
            lines.sort(key=lambda line: (-line[0], line[1]))
            yield Finding(
                rule="delta-outlier",
                message=f"{printable(lines[0][1], 120)}: {lines[0][2]} within its family",
                severity=Severity.LOW,
                location=Location(item=printable(lines[0][1], 120)),
                details=tuple(f"{printable(m, 120)}: {what}" for _, m, what in lines[:20]),
            )


def _intruders(base: Base, delta: ModuleDelta, found: Spectrum) -> int:
    """How many of the first ten left singular vectors of W + delta have no left singular vector of W at cosine 0.5 or more."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds

    weight = base.weight(delta.module).astype(np.float64)
    scaled = found.left * found.values

    def forward(x: Matrix) -> Matrix:
        return np.asarray(weight @ x + scaled @ (found.right.T @ x))

    def backward(y: Matrix) -> Matrix:
        return np.asarray(weight.T @ y + found.right @ (scaled.T @ y))

    smaller = min(weight.shape)
    try:
        if smaller <= TOP:
            raise ArpackError(-3)
        adapted = svds(
            LinearOperator(weight.shape, matvec=forward, rmatvec=backward, dtype=np.float64), k=TOP, v0=np.ones(smaller), return_singular_vectors="u"
        )[0]
    except ArpackError:  # no room for Lanczos, or no convergence
        adapted = np.linalg.svd(weight + scaled @ found.right.T, full_matrices=False)[0][:, :TOP]
    return int((np.abs(adapted.T @ _left_vectors(weight)).max(1) < INTRUDER_COSINE).sum())


def _left_vectors(weight: Matrix) -> Matrix:
    """Left singular vectors of `weight`, (d_out, min(d_out, d_in)), through the smaller Gram matrix."""
    if weight.shape[0] <= weight.shape[1]:
        return np.asarray(np.linalg.eigh(weight @ weight.T)[1])
    vectors = weight @ np.linalg.eigh(weight.T @ weight)[1]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-30))


def _layer(module: str) -> int | None:
    found = _LAYER.search(f".{module}.")
    return int(found[1][:6]) if found else None


def _kind(module: str) -> str:
    return printable(module.rsplit(".", 1)[-1], 60)


def _r(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
