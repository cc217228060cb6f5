"""What is fuzzed: every parser that meets a stranger's bytes, as a function of bytes that returns or raises.

A target raises only where there is a bug: an exception that is not a ScanError, or a message that is not one printable line.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.evasions.build import CARD, CONFIG, WEIGHTS, adapter, torch_zip
from benchmarks.evasions.case import cases
from scanner.errors import ScanError

LARGEST_SEED = 8192


@dataclass(frozen=True)
class Target:
    """A parser."""

    name: str
    what: str
    run: Callable[[bytes], None]
    files: tuple[str, ...]
    """Files of the evasion cases that are its seeds, by name."""

    def seeds(self) -> Iterator[bytes]:
        """Contents of those files in every case, the small ones, each once."""
        seen: set[bytes] = set()
        for case in cases():
            if case.family == "peft" or (case.family in ("uploads", "names", "packed") and not {"*.zip", "*.tar"} & set(self.files)):
                continue
            with tempfile.TemporaryDirectory() as folder:
                path = case.build(Path(folder) / "case")
                for found in sorted(p for pattern in self.files for p in (path.rglob(pattern) if path.is_dir() else [path] if path.match(pattern) else [])):
                    if found.is_file() and not found.is_symlink() and found.stat().st_size <= LARGEST_SEED:
                        seen.add(found.read_bytes())
        yield from sorted(seen)


@cache
def _folder() -> Path:
    """An honest adapter in memory where there is such a file system."""
    memory = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one
    made = tempfile.mkdtemp(prefix="unmask-fuzz-", dir=memory if memory.is_dir() else None)
    return adapter(Path(made) / "adapter")


def clean_up() -> None:
    """Delete what the targets wrote."""
    if _folder.cache_info().currsize:
        shutil.rmtree(_folder().parent)
        _folder.cache_clear()


def _one_line(message: str) -> None:
    if not message.isprintable():
        raise AssertionError(f"not one printable line: {message!r}")


def scanned(path: Path) -> None:
    """Scan `path` and render its result."""
    from scanner.report import reports
    from scanner.scan import scan

    try:
        result = scan(path)
    except ScanError as error:
        _one_line(str(error))
        return
    for finding in result.findings:
        for text in (finding.message, finding.location.file, finding.location.item, *finding.details):
            _one_line(text)
    reports()["json"]().render(result)


def _file(name: str, wrap: Callable[[bytes], bytes] = bytes) -> Callable[[bytes], None]:
    """The honest adapter with the file `name` made of the input."""

    def run(data: bytes) -> None:
        path = _folder() / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(wrap(data))
        try:
            scanned(_folder())
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_bytes(before)

    return run


def _alone(name: str) -> Callable[[bytes], None]:
    """The input as a file of its own."""

    def run(data: bytes) -> None:
        path = _folder().parent / name
        path.write_bytes(data)
        scanned(path)

    return run


def _container(data: bytes) -> None:
    from scanner.files.safetensors_file import SafetensorsFile

    path = _folder().parent / "fuzzed.safetensors"
    path.write_bytes(data)
    try:
        file = SafetensorsFile(path)
        for tensor in list(file.tensors.values())[:8]:
            if tensor.count < 1_000_000:
                file.read(tensor.name)
    except ScanError as error:
        _one_line(str(error))


def _json(data: bytes) -> None:
    from scanner.files.strict_json import BadJson, load_object

    try:
        load_object(data, 1 << 20)
    except BadJson as error:
        _one_line(str(error))


def _template(data: bytes) -> None:
    from probes.wrapper.syntax import read

    try:
        read(data.decode("utf-8", "replace"))
    except ValueError:
        return


def _tensors(data: bytes) -> None:
    from scanner.files.tensor_pickle import NotTensors, tensors

    try:
        tensors(data)
    except NotTensors as error:
        _one_line(str(error))


TARGETS = {
    target.name: target
    for target in (
        Target("container", "the header of a safetensors file, and its first tensors", _container, ("*.safetensors",)),
        Target("json", "strict JSON", _json, ("*.json",)),
        Target("template", "the reader of chat templates", _template, ("*.jinja",)),
        Target("tensors", "the pickle inside a torch file, read for its tensors", _tensors, ("*.bin", "*.pt")),
        Target("gguf", "a scan of that GGUF adapter", _alone("adapter.gguf"), ("*.gguf",)),
        Target("zip", "a scan of that zip upload", _alone("upload.zip"), ("*.zip",)),
        Target("tar", "a scan of that tar upload", _alone("upload.tar"), ("*.tar",)),
        Target("weights", "a scan with that header", _file(WEIGHTS), (WEIGHTS,)),
        Target("config", "a scan with that adapter_config.json", _file(CONFIG), (CONFIG,)),
        Target("card", "a scan with that README.md", _file(CARD), (CARD,)),
        Target("tokenizer", "a scan with that tokenizer.json", _file("tokenizer.json"), ("tokenizer.json",)),
        Target("settings", "a scan with that tokenizer_config.json", _file("tokenizer_config.json"), ("tokenizer_config.json", "generation_config.json")),
        Target("chat", "a scan with that chat_template.jinja", _file("chat_template.jinja"), ("*.jinja",)),
        Target("pickle", "a scan with that file beside the adapter", _file("optimizer.pt"), ("*.pt", "*.bin", "*.pth", "*.npy", "*.gz", "*.zip")),
        Target("archive", "a scan with a torch archive around that pickle", _file("optimizer.pt", torch_zip), ("*.pt", "*.bin", "*.pth")),
        Target("sums", "a scan with those SHA256SUMS", _file("SHA256SUMS"), ("SHA256SUMS",)),
        Target("signature", "a scan with that model.sig", _file("model.sig"), ("model.sig",)),
    )
}
