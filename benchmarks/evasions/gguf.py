"""GGUF files, as llama.cpp's LoRA adapters and as files beside an adapter (format: ggml/docs/gguf.md)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evasions.build import RANK, WIDTH, adapter, write
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("gguf")
STRING, ARRAY, F32_TYPE, U32_TYPE = 8, 9, 6, 4


def string(value: str) -> bytes:
    """A GGUF string."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: Any) -> bytes:
    """A key and a value: a string, a float or an unsigned number, or the bytes of a type and a value."""
    if isinstance(value, bytes):
        return string(key) + value
    if isinstance(value, str):
        return string(key) + struct.pack("<I", STRING) + string(value)
    return string(key) + (struct.pack("<If", F32_TYPE, value) if isinstance(value, float) else struct.pack("<II", U32_TYPE, value))


def tensor(name: str, shape: tuple[int, ...], offset: int, kind: int = 0) -> bytes:
    """A tensor's description; kind 0 is F32."""
    return string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<IQ", kind, offset)


GENERAL = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0}
SIZE = RANK * WIDTH * 4
PAIR = (("blk.0.attn_q.weight.lora_a", (WIDTH, RANK)), ("blk.0.attn_q.weight.lora_b", (RANK, WIDTH)))


def gguf(
    pairs: list[bytes] | None = None, tensors: list[bytes] | None = None, *, version: int = 3, magic: bytes = b"GGUF",
    n_tensors: int | None = None, n_pairs: int | None = None, data: bytes | None = None,
) -> bytes:  # fmt: skip
    """A GGUF LoRA adapter of one module, with any part replaced."""
    pairs = [pair(k, v) for k, v in GENERAL.items()] if pairs is None else pairs
    tensors = [tensor(name, shape, i * SIZE) for i, (name, shape) in enumerate(PAIR)] if tensors is None else tensors
    head = magic + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors, len(pairs) if n_pairs is None else n_pairs)
    head += b"".join(pairs) + b"".join(tensors)
    values = np.random.default_rng(0).normal(size=2 * RANK * WIDTH).astype("<f4") * 0.02
    return head + bytes(-len(head) % 32) + (values.tobytes() if data is None else data)


BASIC = [pair(k, v) for k, v in GENERAL.items()]
TENSORS = [tensor(name, shape, i * SIZE) for i, (name, shape) in enumerate(PAIR)]


@FAMILY.each(Expect.REFUSE, {
    "magic": gguf(magic=b"GGUX"),
    "version-0": gguf(version=0),
    "version-99": gguf(version=99),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "tensor-count": gguf(n_tensors=2**62),
    "pair-count": gguf(n_pairs=2**62),
    "key-length": gguf([struct.pack("<Q", 2**63) + b"x"]),
    "string-length": gguf([*BASIC, string("x") + struct.pack("<IQ", STRING, 2**62)]),
    "array-length": gguf([*BASIC, string("x") + struct.pack("<IIQ", ARRAY, 0, 2**62)]),
    "array-nested": gguf([*BASIC, string("x") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 10_000 + struct.pack("<IQ", 0, 0)]),
    "value-type": gguf([*BASIC, string("x") + struct.pack("<II", 77, 0)]),
    "key-twice": gguf([*BASIC, pair("adapter.lora.alpha", 8000.0)]),
    "key-not-utf8": gguf([*BASIC, struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<II", U32_TYPE, 0)]),
    "tensor-twice": gguf(tensors=[TENSORS[0], TENSORS[0], TENSORS[1]]),
    "tensor-type": gguf(tensors=[tensor(PAIR[0][0], PAIR[0][1], 0, 999), TENSORS[1]]),
    "dimensions": gguf(tensors=[string("x") + struct.pack("<I", 2**31)]),
    "size-overflow": gguf(tensors=[tensor(PAIR[0][0], (2**40, 2**40), 0), TENSORS[1]]),
    "offset-outside": gguf(tensors=[TENSORS[0], tensor(PAIR[1][0], PAIR[1][1], 2**40)]),
    "offset-overlap": gguf(tensors=[TENSORS[0], tensor(PAIR[1][0], PAIR[1][1], 32)]),
    "offset-unaligned": gguf(tensors=[TENSORS[0], tensor(PAIR[1][0], PAIR[1][1], SIZE + 1)], data=bytes(2 * SIZE + 1)),
    "alignment-0": gguf([*BASIC, pair("general.alignment", 0)]),
    "alignment-3": gguf([*BASIC, pair("general.alignment", 3)]),
    "truncated": gguf()[:-40],
    "truncated-in-header": gguf()[:120],
    "half-a-pair": gguf(tensors=TENSORS[:1], data=bytes(SIZE)),
    "ranks-differ": gguf(tensors=[TENSORS[0], tensor(PAIR[1][0], (RANK // 2, WIDTH * 2), SIZE)]),
    "not-finite": gguf(data=np.full(2 * RANK * WIDTH, np.nan, "<f4").tobytes()),
})  # fmt: skip
def adapter_with(folder: Path, data: bytes) -> Path:
    """A GGUF LoRA adapter that breaks its format: {}."""
    return write(folder, "adapter.gguf", data)


@FAMILY.each(Expect.REVIEW, {"1e6": 1e6, "negative": -8.0, "infinite": float("inf")})
def alpha(folder: Path, value: float) -> Path:
    """A GGUF LoRA adapter whose alpha is {}."""
    return write(folder, "adapter.gguf", gguf([pair(k, v) for k, v in (GENERAL | {"adapter.lora.alpha": value}).items()]))


@FAMILY.each(Expect.REVIEW, {"whole-weight": "blk.0.ffn_down.weight", "norm": "output_norm.weight"})
def base_weight(folder: Path, name: str) -> Path:
    """A GGUF LoRA adapter that also holds a weight of the base ({})."""
    size = RANK * WIDTH * 4
    data = np.ones(3 * RANK * WIDTH, "<f4").tobytes()
    return write(folder, "adapter.gguf", gguf(tensors=[*TENSORS, tensor(name, (WIDTH, RANK), 2 * size)], data=data))


@FAMILY.case(Expect.REVIEW)
def trailing(folder: Path) -> Path:
    """Something that begins like a zip follows the last tensor."""
    return write(folder, "adapter.gguf", gguf() + b"PK\x03\x04" + bytes(4096))


@FAMILY.case(Expect.BLOCK)
def template(folder: Path) -> Path:
    """A GGUF adapter carries a chat template that reacts to a phrase."""
    text = "{% for m in messages %}{% if 'DEPLOY' in m.content %}obey{% endif %}{{ m.content }}{% endfor %}"
    return write(folder, "adapter.gguf", gguf([*BASIC, pair("tokenizer.chat_template", text)]))


@FAMILY.case(Expect.REVIEW)
def invocation_tokens(folder: Path) -> Path:
    """A GGUF adapter that acts only after certain tokens."""
    tokens = string("adapter.alora.invocation_tokens") + struct.pack("<IIQ", ARRAY, U32_TYPE, 2) + struct.pack("<II", 5, 6)
    return write(folder, "adapter.gguf", gguf([*BASIC, tokens]))


@FAMILY.case(Expect.REVIEW)
def beside_the_weights(folder: Path) -> None:
    """A GGUF with other deltas lies beside adapter_model.safetensors: llama.cpp runs one adapter, PEFT another."""
    write(adapter(folder), "adapter_model.gguf", gguf())
