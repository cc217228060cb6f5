"""What else in the adapter's folder a loader could take for the adapter: other weights, indexes of shards, configurations under a look-alike name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from scanner.errors import UnreadableAdapter
from scanner.files import config
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.place import STEM
from scanner.files.sharded import read_index
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, CWE_TRAVERSAL, Basis, Rule, Severity
from scanner.subject import Subject

INDEX = ".index.json"
_TAKEN = re.compile(r"(?:model|pytorch_model|consolidated)(?:[-.][\w-]+)?\.(?:safetensors|bin|pth)|tf_model\.h5|flax_model\.msgpack", re.ASCII)
"""Names that transformers, vLLM or a converter take for a whole model."""

WEIGHTS = Rule(
    id="weights-beside",
    title="Other weights lie beside the adapter's",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The adapter's folder holds a whole model, or weights for llama.cpp, under a name that loaders take by themselves.",
    why="What such a loader runs was not examined as an adapter. A merged copy beside the adapter looks like this honestly; other files of weights, and those in "
    "folders below, count little.",
    fix="Delete them from what you deploy, or scan them by themselves.",
    references=(ATLAS_MASQUERADING,),
)
INDEXED = Rule(
    id="weights-index",
    title="An index of shards that does not fit the folder",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="An index beside the weights names files that are not there, or that lie outside the folder, or cannot be read.",
    why="A loader that goes by the index reads other files than those that were examined. An index left over from a conversion looks like this honestly; "
    "one that leaves the folder does not.",
    fix="Delete the index; the weights are whole without it.",
    references=(ATLAS_MASQUERADING, CWE_TRAVERSAL),
)


class RivalsProbe:
    """The adapter's own folder, and weights in others that are no adapter's."""

    id = "rivals"
    title = "Other files a loader could take"
    needs = Need.FILES
    cost = "one read of each index of shards, at most 16 MiB"
    rules = (WEIGHTS, INDEXED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Name each of them."""
        adapter = subject.adapter
        here = adapter.beside()
        beside = [f for f in here if f.path not in adapter.weights_files]
        near = {f.path for f in here}
        adapters = {PurePosixPath(f.path).parent for f in adapter.files if PurePosixPath(f.path).name == config.NAME}
        below = [f for f in adapter.files if f.path not in near and not (_is_adapters(f) and PurePosixPath(f.path).parent in adapters)]
        others = sorted((f for f in (*beside, *below) if _is_weights(f)), key=lambda f: (_severity(f, near) is not WEIGHTS.severity, f.path))
        if others and not adapter.problem:
            names = tuple(printable(f.path, 160) for f in others)
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            yield Finding(
                rule=WEIGHTS.id, message=f"{names[0]}, {others[0].kind}, {others[0].bytes:,} bytes{more}", severity=_severity(others[0], near), location=Location(file=names[0]),
                details=names[:20],
            )  # fmt: skip
        for file in beside:
            if file.path.endswith(INDEX) and file.sha256 and (problem := _index(adapter.root / file.path, {PurePosixPath(f.path).name for f in here})):
                shown = printable(file.path, 200)
                yield Finding(rule=INDEXED.id, message=f"{shown}: {problem}", severity=INDEXED.severity, location=Location(file=shown))
        yield Coverage(probe=self.id, what="other files a loader could take", status=Status.MEASURED, surface=f"{len(beside)} files beside the weights")


def _is_weights(file: File) -> bool:
    name = PurePosixPath(file.path).name
    return file.kind in (Kind.SAFETENSORS, Kind.GGUF) or (
        _TAKEN.fullmatch(name) is not None and file.kind not in (Kind.LFS_POINTER, Kind.LINK, Kind.TEXT, Kind.EMPTY)
    )


def _is_adapters(file: File) -> bool:
    """Whether it is called as PEFT calls an adapter's weights."""
    return PurePosixPath(file.path).name.startswith(STEM)


def _severity(file: File, near: Collection[str]) -> Severity:
    taken = file.kind is Kind.GGUF or _TAKEN.fullmatch(PurePosixPath(file.path).name) is not None
    return WEIGHTS.severity if taken and file.path in near else Severity.LOW


def _index(path: Path, here: set[str]) -> str:
    """Why the index at `path` does not fit the names that lie `here`, or an empty string."""
    try:
        named = set(read_index(path).values())
    except UnreadableAdapter as error:
        return str(error).removeprefix(f"{printable(path.name)}: ")
    missing = sorted(named - here)
    return f"names {printable(missing[0], 80)}, which is not here" if missing else ""
