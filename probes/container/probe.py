"""The weights files, the adapter's own and every other one in the folder, against the promises of their formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from probes.container.metadata import hostile
from probes.container.rules import AMBIGUOUS, APPENDED, BROKEN, FLAWS, HOSTILE_NAME, METADATA, UNEXPECTED
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import open_weights
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.text import printable
from scanner.files.weights import Weights
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import Rule, Severity
from scanner.subject import Subject

NAMED = (".safetensors", ".gguf")
TORCH = ("adapter_model.bin", "adapter_model.pt")


class ContainerProbe:
    """What the formats forbid and loaders accept."""

    id = "container"
    title = "Weights files"
    needs = Need.FILES
    cost = "the header of every weights file"
    rules = (AMBIGUOUS, HOSTILE_NAME, UNEXPECTED, APPENDED, BROKEN, METADATA)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Raise what the readers noted; another weights file that cannot be read is a finding and not an error."""
        adapter = subject.adapter
        if not adapter.problem:
            yield from _weights(adapter.weights, adapter.weights_files[0] if adapter.weights_files else "")
        others = [f for f in adapter.files if f.path not in adapter.weights_files and _is_weights(f)]
        for file in others:
            try:
                yield from _weights(open_weights(adapter.root / file.path), file.path)
            except UnreadableAdapter as error:
                told = str(error).removeprefix(f"{printable(Path(file.path).name)}: ")
                yield _finding(BROKEN, file.path, told)
        yield Coverage(
            probe=self.id,
            what="the weights files against their format",
            status=Status.NOT_MEASURED if adapter.problem else Status.MEASURED,
            why=adapter.problem,
            surface=f"{len(adapter.weights_files)} files of the adapter with {len(adapter.weights.tensors):,} tensors, {len(others)} other weights files",
        )


def _is_weights(file: File) -> bool:
    if file.kind in (Kind.LFS_POINTER, Kind.LINK, Kind.PICKLE):
        return False
    return file.kind in (Kind.SAFETENSORS, Kind.GGUF) or file.path.lower().endswith(NAMED) or (file.kind is Kind.TORCH_ZIP and Path(file.path).name in TORCH)


def _weights(weights: Weights, path: str) -> Iterator[Finding]:
    for kind, rule in FLAWS.items():
        flaws = [f for f in weights.flaws if f.kind is kind]
        if flaws:
            more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
            yield _finding(rule, path, flaws[0].what + more, flaws[0].item, tuple(f.what for f in flaws[:20]))
    told = sorted(hostile(weights.metadata), key=lambda t: -t[0].level)
    if told:
        severity, first = told[0]
        details = tuple(what for _, what in told[:20])
        yield _finding(METADATA, path, first + (f" (and {len(told) - 1} more)" if len(told) > 1 else ""), details=details, severity=severity)


def _finding(rule: Rule, path: str, message: str, item: str = "", details: tuple[str, ...] = (), severity: Severity | None = None) -> Finding:
    shown = printable(path, 200)
    return Finding(rule=rule.id, message=f"{shown}: {message}", severity=severity or rule.severity, location=Location(file=shown, item=item), details=details)
