"""Changes that have no low-rank factors: how large each is against the tensor of the base that it changes.

With a base the difference is computed, one module at a time. Without one, what the method stores gives the exact norm (Kronecker
products and other additions) or bounds the change relative to the base (factors and turns); replaced tensors need the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scanner.delta.change import Change
from scanner.delta.dense import Dense
from scanner.delta.experts import Experts
from scanner.delta.kronecker import Kronecker
from scanner.delta.rotated import Rotated
from scanner.delta.scaled import Scaled, Shifted
from scanner.delta.stored import rms
from scanner.delta.virtual import VirtualTokens
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.base import Base
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_ERODE_INTEGRITY, OWASP_POISONING, Basis, Rule, Severity
from scanner.subject import Subject

DOMINATES = 1.0
LARGEST_GAIN = 10.0
LARGEST_VALUE = 1000.0
"""Root mean square of a tensor that is put in place; biases and norms of published bases reach a few hundred in single entries."""
OFF = 0.01
COLUMNS = (
    Column("module", "module"),
    Column("parameter", "tensor"),
    Column("form", "form"),
    Column("stored", "numbers stored"),
    Column("frobenius", "‖ΔW‖ Frobenius norm"),
    Column("relative", "‖ΔW‖ / ‖W‖"),
    Column("known", "known"),
)
DOMINATING = Rule(
    id="change-dominates",
    title="A change is larger than the tensor it changes",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="The norm of at least one difference is as large as the norm of the base's own tensor.",
    why="The module is then replaced rather than adapted. New heads and added tokens do this honestly.",
    fix="Ask for the training recipe; read the behavioural part of the report.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
EXTREME = Rule(
    id="change-extreme",
    title="A change is beyond what training reaches",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning=f"Factors, shifts or additions that make outputs {LARGEST_GAIN:g} times as large or add that much to them, factors of which most are zero or negative, "
    f"or stored values with a root mean square of {LARGEST_VALUE:g} or more.",
    why="Factors begin at 1, shifts at 0, and training moves them little. Values this large drown what the base computes, factors of zero switch a module off: "
    "a failed run, a wrong scale, or a payload.",
    fix="Ask for the training recipe; scan with the base, which tells how far each tensor is from it.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
Row = tuple[str, str, str, int, float | None, float | None, str]


class ChangesProbe:
    """Size of every change without low-rank factors."""

    id = "changes"
    title = "Changes without low-rank factors"
    needs = Need.DELTA
    cost = "with a base one difference a module, in float32; without, one pass over what is stored"
    rules = (
        DOMINATING,
        EXTREME,
    )

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Measure every change that is no low-rank addition."""
        changes = [c for c in subject.delta.changes if c not in subject.delta.modules]
        if not changes or subject.nonfinite:
            return
        tracked = subject.reporter.track(changes, "changes: differences", len(changes))
        rows: list[Row] = [
            (printable(c.module, 120), c.parameter, type(c).__name__.lower(), sum(p.count for p in c.parts), *_size(c, subject.base)) for c in tracked
        ]
        yield Table(id="changes.modules", title="Changes without low-rank factors", columns=COLUMNS, rows=tuple(rows))
        known = [r[5] for r in rows if r[5] is not None]
        if known:
            yield Measurement(id="changes.relative", title="‖ΔW‖ / ‖W‖ of a change without factors, largest", value=max(known), n=len(known))
        large = sorted((r for r in rows if (r[5] or 0.0) >= DOMINATES and r[6] == "exact"), key=lambda r: (-(r[5] or 0.0), r[0]))
        if large:
            yield Finding(
                rule=DOMINATING.id,
                message=f"{len(large)} of {len(rows)}; the largest is {large[0][0]}.{large[0][1]} with ‖ΔW‖ = {large[0][5]:.2f} ‖W‖",
                severity=DOMINATING.severity,
                location=Location(item=large[0][0]),
            )
        yield from _extreme(changes, rows)
        unknown = sum(r[6] == "needs the base" for r in rows)
        yield Coverage(
            probe=self.id,
            what="size of every change without low-rank factors",
            status=Status.NOT_MEASURED if unknown else Status.MEASURED,
            surface=f"{len(rows)} changes",
            bound="a size does not tell what a change does",
            why=f"{unknown} changes are measured against the base, and none was given" if unknown else "",
        )


def _extreme(changes: Sequence[Change], rows: Sequence[Row]) -> Iterator[Finding]:
    """One finding for all changes that are beyond what training reaches."""
    found = [(said, row) for change, row in zip(changes, rows, strict=True) if (said := _beyond(change, row[4]))]
    if found:
        said, row = found[0]
        place = ".".join(filter(None, row[:2])) or row[2]
        yield Finding(
            rule=EXTREME.id,
            message=f"{len(found)} of {len(rows)}; the first is {place} with {said}",
            severity=EXTREME.severity,
            location=Location(item=place),
        )


def _beyond(change: Change, norm: float | None) -> str:
    """What about the change no training reaches, or an empty string; `norm` is that of the difference."""
    if isinstance(change, Scaled | Rotated):
        if change.gain is None:
            return ""
        gain = change.gain.read()
        if rms(gain) >= LARGEST_GAIN:
            return f"factors of {rms(gain):.4g}"
        middle = float(np.median(gain))
        return f"factors of {middle:.4g} in the middle" if isinstance(change, Scaled) and middle <= OFF else ""
    if isinstance(change, Shifted):
        size = rms(change.shift.read())
        return f"a shift of {size:.4g}" if size >= LARGEST_GAIN else ""
    if norm is not None and isinstance(change, Kronecker | Experts | Dense) and change.exact:
        outputs = change.b.shape[0] * change.count if isinstance(change, Experts) else change.shape[0]
        gain_of = norm / float(np.sqrt(max(outputs, 1)))
        return f"outputs of {gain_of:.4g} for inputs of 1" if gain_of >= LARGEST_GAIN else ""
    size = max((rms(p.read()) for p in change.parts), default=0.0)
    return f"values of {size:.4g}" if size >= LARGEST_VALUE else ""


def _size(change: Change, base: Base | None) -> tuple[float | None, float | None, str]:
    """Norm of the difference, its share of the tensor's norm, and how well they are known."""
    shape = None if base is None else base.shape(change.module, change.parameter)
    if base is not None and shape is not None and change.fits(shape):
        weight = base.weight(change.module, change.parameter)
        norm, whole = float(np.linalg.norm(change.difference(weight))), float(np.linalg.norm(weight))
        return _rounded(norm), _rounded(norm / whole) if whole else None, "exact"
    if isinstance(change, Kronecker):
        return _rounded(abs(change.scale) * float(np.linalg.norm(change.left.read())) * float(np.linalg.norm(change.right.read()))), None, "exact"
    if isinstance(change, VirtualTokens):
        return _rounded(float(np.linalg.norm(change.values.read()))), None, "exact"
    if isinstance(change, Experts):
        return _rounded(change.norm), None, "exact"
    if isinstance(change, Shifted) or (isinstance(change, Dense) and change.exact):
        return _rounded(float(np.linalg.norm(change.difference()))), None, "exact"
    if isinstance(change, Scaled):
        return None, _rounded(float(np.abs(change.gain.read() - 1).max())), "bounded"
    if isinstance(change, Rotated):
        gain = np.ones(1, np.float32) if change.gain is None else change.gain.read()
        return None, _rounded(float(np.abs(gain).max()) * change.turn().distance + float(np.abs(gain - 1).max())), "bounded"
    return None, None, "needs the base"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
