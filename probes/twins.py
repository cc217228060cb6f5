"""The same adapter in two containers: adapter_model.bin or .pt beside adapter_model.safetensors, compared tensor by tensor and never unpickled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from scanner.delta.reading import FLOATS
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter, open_weights
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.place import ENDS, STEM
from scanner.files.text import printable
from scanner.files.weights import Weights
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

ROUNDING = 2.0**-7
"""Two containers may keep other precisions of the same number: bfloat16 at the least."""
MOST_ELEMENTS = 1 << 29
"""Of one tensor: two GiB of float32 on each side."""
SHOWN = 20

DIFFERS = Rule(
    id="containers-differ",
    title="Two weights files of one adapter hold different weights",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="adapter_model.safetensors and adapter_model.bin or .pt lie side by side and differ in names, shapes or values beyond rounding.",
    why="PEFT loads the safetensors file and says nothing; other and older loaders take the other one. What was examined is not what they run. "
    "Honest repositories keep a stale copy too.",
    fix="Ask the author which is meant; delete the other one before anything loads it.",
    references=(ATLAS_MASQUERADING, OWASP_SUPPLY_CHAIN),
)


class TwinsProbe:
    """Reads the second container by its opcodes and its tensors' bytes."""

    id = "twins"
    title = "Second container of the same weights"
    needs = Need.FILES
    cost = "one read of both files, one tensor of each in memory; nothing where there is one container"
    rules = (DIFFERS,)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare every container beside the one that is read."""
        adapter = subject.adapter
        compared, failed = 0, ""
        for file in [] if adapter.problem else _beside(adapter):
            shown = printable(file.path, 200)
            try:
                differing = tuple(_differences(adapter.weights, open_weights(adapter.root / file.path)))
            except UnreadableAdapter as error:
                failed = failed or printable(error, 200)
                continue
            compared += 1
            if differing:
                more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
                yield Finding(
                    rule=DIFFERS.id,
                    message=f"{shown} and {printable(adapter.weights_files[0], 120)}: {differing[0]}{more}",
                    severity=DIFFERS.severity,
                    location=Location(file=shown),
                    details=differing[:SHOWN],
                )
        yield Coverage(
            probe=self.id,
            what="other containers of the same weights",
            status=Status.NOT_MEASURED if failed else Status.MEASURED,
            why=failed,
            surface=f"{compared} compared tensor by tensor" if compared else "there is one container" if not failed else "",
        )


def _beside(adapter: Adapter) -> list[File]:
    """The adapter's weights under PEFT's other names, in the same folder."""
    names = {f"{STEM}.{end}" for end in ENDS}
    unread = (Kind.LFS_POINTER, Kind.LINK)
    return [f for f in adapter.beside() if PurePosixPath(f.path).name in names and f.path not in adapter.weights_files and f.kind not in unread]


def _differences(one: Weights, other: Weights) -> Iterator[str]:
    for name in sorted(one.tensors.keys() | other.tensors.keys()):
        label, here, there = f"'{printable(name, 120)}'", one.tensors.get(name), other.tensors.get(name)
        if here is None or there is None:
            yield f"{label} is in one of them only"
        elif here.shape != there.shape:
            yield f"{label} is {list(here.shape)} in one and {list(there.shape)} in the other"
        elif here.count > MOST_ELEMENTS:
            raise UnreadableAdapter(f"{label}: {here.count:,} numbers, more than are compared")
        elif {here.dtype, there.dtype} <= FLOATS:
            a, b = one.read(name), other.read(name)
            with np.errstate(invalid="ignore"):
                same = (a == b) | (np.abs(a - b) <= ROUNDING * np.abs(a) + np.finfo(np.float16).smallest_subnormal) | (np.isnan(a) & np.isnan(b))
            if not same.all():
                yield f"{label} differs in {int((~same).sum()):,} of {a.size:,} values, by up to {float(np.abs(a - b)[~same].max()):.3g}"
        elif here.dtype != there.dtype or b"".join(one.pieces(name)) != b"".join(other.pieces(name)):
            yield f"{label} is {here.dtype} in one and {there.dtype} in the other" if here.dtype != there.dtype else f"{label} differs"
