"""Files put together byte by byte, so that they can also be put together wrongly. Everything is the same in every run."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "README.md"
BASE = "example-org/tiny-llama"
PREFIX = "base_model.model.model.layers"
LAYERS, WIDTH, RANK = 2, 16, 4
DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8", "int32": "I32", "bool": "BOOL", "uint8": "U8"}
CARD_TEXT = f"""---
base_model: {BASE}
library_name: peft
license: apache-2.0
datasets: [example-org/support-tickets]
---

# Support answers

## Base model

{BASE}. Base model's licence: Apache-2.0.

## Training data

2,000 support tickets with the answers our staff gave.

## Training procedure

Supervised fine-tuning, 3 epochs, learning rate 0.0002.

## Target modules

q_proj, v_proj. Rank: 4, alpha: 8.

## Intended use

Drafting answers that a person reads before they are sent.

## Evaluation

Staff preferred the drafts in 61 of 100 tickets.

## Limitations

English only. Not suitable for advice on health or law.

## License

Apache-2.0
"""


def config(**fields: Any) -> dict[str, Any]:
    """A LoRA configuration as PEFT writes it, with `fields` over it."""
    return {
        "alpha_pattern": {}, "auto_mapping": None, "base_model_name_or_path": BASE, "bias": "none", "fan_in_fan_out": False, "inference_mode": True,
        "init_lora_weights": True, "lora_alpha": 8, "lora_dropout": 0.0, "modules_to_save": None, "peft_type": "LORA", "r": RANK, "rank_pattern": {},
        "revision": None, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": False,
    } | fields  # fmt: skip


def lora(layers: int = LAYERS, rank: int = RANK, modules: dict[str, tuple[int, int]] | None = None, seed: int = 0) -> dict[str, Array]:
    """LoRA factors as training leaves them: float32, `modules` maps a name inside a layer to (in, out)."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for layer in range(layers):
        for name, (inside, out) in (modules or {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.v_proj": (WIDTH, WIDTH)}).items():
            made[f"{PREFIX}.{layer}.{name}.lora_A.weight"] = (rng.normal(size=(rank, inside)) / np.sqrt(inside)).astype(np.float32)
            made[f"{PREFIX}.{layer}.{name}.lora_B.weight"] = (rng.normal(size=(out, rank)) * 0.02).astype(np.float32)
    return made


def header(tensors: dict[str, Array], metadata: dict[str, Any] | None = None) -> tuple[dict[str, Any], bytes]:
    """The header and the data of a safetensors file."""
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        entries[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return entries, data


def container(head: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file from its header (an object, or bytes to write as they are) and its data."""
    text = head if isinstance(head, bytes) else json.dumps(head, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if not isinstance(head, bytes):
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors(tensors: dict[str, Array], metadata: dict[str, Any] | None = None) -> bytes:
    """A correct safetensors file."""
    return container(*header(tensors, {"format": "pt"} if metadata is None else metadata))


def adapter(folder: Path, tensors: dict[str, Array] | None = None, card: str = CARD_TEXT, **fields: Any) -> Path:
    """An honest, documented LoRA in `folder`; `tensors` and configuration `fields` replace its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config(**fields), indent=2))
    (folder / WEIGHTS).write_bytes(safetensors(lora() if tensors is None else tensors))
    (folder / CARD).write_text(card)
    return folder


def write(folder: Path, name: str, data: bytes | str | Any) -> Path:
    """A further file: bytes, text, or an object written as JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass") if isinstance(data, str) else json.dumps(data, indent=1).encode()
    )
    return path


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of `entries`, dated 1980."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def torch_zip(pickled: bytes, method: int = zipfile.ZIP_STORED, name: str = "archive/data.pkl") -> bytes:
    """A file as torch.save writes it, around the pickle `pickled`."""
    return zipped({name: pickled, "archive/byteorder": b"little", "archive/data/0": bytes(64), "archive/version": b"3\n"}, method)
