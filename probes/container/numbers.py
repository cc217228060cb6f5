"""The numbers of the weights file: values that are none, and values too small to be weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from probes.container.rules import DENORMAL, NONFINITE
from scanner.files.text import printable
from scanner.files.weights import Tensor, Weights
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import Rule
from scanner.subject import Subject

FORMS = {"F64": ("<u8", 52, 11), "F32": ("<u4", 23, 8), "BF16": ("<u2", 7, 8), "F16": ("<u2", 10, 5)}
"""Integer of the same width, bits of the fraction, bits of the exponent (IEEE 754)."""
SHARE = 0.01


class NumbersProbe:
    """NaN and infinity outside the delta, denormal numbers everywhere."""

    id = "numbers"
    title = "Numbers in the weights"
    needs = Need.DELTA
    cost = "one read of the tensors outside the delta, and of those in float32, float64 and bfloat16"
    rules = (NONFINITE, DENORMAL)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Count bit patterns; nothing is converted."""
        weights, file = subject.adapter.weights, next(iter(subject.adapter.weights_files), "")
        outside = {s.name for s in subject.delta.strays}
        nonfinite: list[str] = []
        tiny: list[str] = []
        for name, tensor in weights.tensors.items():
            if tensor.dtype not in FORMS or not tensor.count or (tensor.dtype == "F16" and name not in outside):
                continue
            bad, small = _count(weights, name, tensor)
            if bad and name in outside:
                nonfinite.append(printable(name, 160))
            if tensor.dtype != "F16" and small > SHARE * tensor.count:
                tiny.append(printable(name, 160))
        for rule, names in ((NONFINITE, nonfinite), (DENORMAL, tiny)):
            if names:
                yield _finding(rule, printable(file, 200), names)
        yield Coverage(probe=self.id, what="bit patterns of the weights", status=Status.MEASURED, surface=f"{len(weights.tensors):,} tensors")


def _count(weights: Weights, name: str, tensor: Tensor) -> tuple[int, int]:
    """Values that are NaN or infinite, and those that are denormal."""
    form, fraction, exponent = FORMS[tensor.dtype]
    mask = ((1 << exponent) - 1) << fraction
    bad = small = 0
    for data in weights.pieces(name):
        bits = np.frombuffer(data, form)
        raised = bits & np.array(mask, bits.dtype)
        bad += int(np.count_nonzero(raised == mask))
        lowest = raised == 0
        if lowest.any():
            small += int(np.count_nonzero(bits[lowest] & np.array((1 << fraction) - 1, bits.dtype)))
    return bad, small


def _finding(rule: Rule, file: str, names: list[str]) -> Finding:
    message = f"{len(names)} tensor{'s' if len(names) > 1 else ''}, first {names[0]}"
    return Finding(rule=rule.id, message=message, severity=rule.severity, location=Location(file=file, item=names[0]), details=tuple(names[:20]))
