"""A base model on disk: what it is, what it hashes to, and its weights one at a time, without torch."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanner.errors import UnreadableAdapter, UnusableBase
from scanner.files.safetensors_file import SafetensorsFile
from scanner.files.strict_json import BadJson, load_object
from scanner.files.text import printable

INPUTS, OUTPUTS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "shared"), ("lm_head", "embed_out")
CONV1D_MODELS = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp")
CONV1D_MODULES = ("c_attn", "q_attn", "c_proj", "c_fc")
ROUTERS = (".block_sparse_moe.gate", ".mlp.gate")
WRAPPER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
    "tokenizer.model", "generation_config.json",
)  # fmt: skip


class Base(msgspec.Struct, frozen=True, dict=True):
    """A Hugging Face model directory, trusted by the user who named it."""

    path: Path
    name: str
    """How the user named it."""
    config: dict[str, Any]
    shards: tuple[SafetensorsFile, ...]
    origin: tuple[str, ...] = ()
    """Other names this base is known by, such as the model it was assembled from."""

    @classmethod
    def open(cls, path: Path | str, *, name: str = "", origin: tuple[str, ...] = ()) -> Base:
        """Open the model directory `path`. Raises UnusableBase with one line when it is not one."""
        folder = Path(path)
        if not folder.is_dir():
            raise UnusableBase(f"base {printable(path)}: no such folder; give a model directory, or `demo`, or a Hub id with --allow-hub")
        try:
            config, _ = load_object((folder / "config.json").read_bytes(), 1 << 20)
        except OSError:
            raise UnusableBase(f"base {printable(path)}: no config.json, so this is not a model directory") from None
        except BadJson as error:
            raise UnusableBase(f"base {printable(path)}: config.json: {error}") from None
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise UnusableBase(f"base {printable(path)}: no .safetensors weights")
        try:
            shards = tuple(SafetensorsFile(f) for f in files)
        except UnreadableAdapter as error:
            raise UnusableBase(f"base {printable(path)}: {error}") from None
        flaws = [f"{printable(s.path.name)}: {s.flaws[0].what}" for s in shards if s.flaws]
        if flaws:
            raise UnusableBase(f"base {printable(path)}: {flaws[0]}")
        return cls(folder, name or str(path), config, shards, origin)

    @cached_property
    def sha256(self) -> str:
        """One hash for weights, config, tokenizer and chat template: SHA-256 over the SHA-256 of each file."""
        lines = []
        wrapper = [self.path / n for n in ("config.json", *WRAPPER_FILES)]
        for file in sorted([s.path for s in self.shards] + [p for p in wrapper if p.exists()]):
            with file.open("rb") as stream:
                lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def _where(self) -> dict[str, SafetensorsFile]:
        return {name: shard for shard in self.shards for name in shard.tensors}

    def shape(self, module: str, parameter: str = "weight") -> tuple[int, ...] | None:
        """Shape of a tensor of `module`, a matrix as (out_features, in_features); None when the base has no such tensor."""
        name = self._name(module, parameter)
        if name is None:
            return None
        shape = self._where[name].tensors[name].shape
        return shape[::-1] if self._turned(name, shape) else shape

    def weight(self, module: str, parameter: str = "weight") -> np.ndarray[Any, np.dtype[np.float32]]:
        """A tensor of `module` as float32, a matrix as (out_features, in_features). Raises KeyError when there is none."""
        name = self._name(module, parameter)
        if name is None:
            raise KeyError(f"{module}.{parameter}")
        value = self._where[name].read(name)
        return value.T if self._turned(name, value.shape) else value

    def _name(self, module: str, parameter: str) -> str | None:
        """The tensor's name on disk: checkpoints may leave out the model's own prefix, and the output head where it is tied."""
        names = [f"{name}.{parameter}" for spelt in spellings(module) for name in (spelt, spelt.partition(".")[2])]
        if module.rsplit(".", 1)[-1] in OUTPUTS and self.config.get("tie_word_embeddings", True):
            names += [n for n in self._where if n.split(".")[-2:] in [[i, parameter] for i in INPUTS]]
        return next((n for n in names if n in self._where), None)

    def _turned(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a matrix is stored as (in_features, out_features), as GPT-2's Conv1D does."""
        return len(shape) == 2 and self.config.get("model_type") in CONV1D_MODELS and name.split(".")[-2] in CONV1D_MODULES

    @cached_property
    def chat_template(self) -> str:
        """The base's chat template, or an empty string."""
        file = self.path / "chat_template.jinja"
        if file.exists():
            return file.read_text()
        try:
            settings, _ = load_object((self.path / "tokenizer_config.json").read_bytes(), 8 << 20)
        except (OSError, BadJson):
            return ""
        template = settings.get("chat_template", "")
        return template if isinstance(template, str) else ""


def spellings(module: str) -> tuple[str, ...]:
    """`module` and its other name: Mixtral's router is `block_sparse_moe.gate` on disk and in older adapters, `mlp.gate` where transformers 5 has loaded it."""
    for one, other in (ROUTERS, ROUTERS[::-1]):
        if module.endswith(one):
            return module, module.removesuffix(one) + other
    return (module,)
