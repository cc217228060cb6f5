from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from probes.container import ContainerProbe
from tests.adapters import adapter, raised, tensors
from tests.scanner.files.test_gguf_file import lora


def rewritten(folder: Path, change: tuple[bytes, bytes]) -> Path:
    """The adapter with its header changed as text."""
    file = folder / "adapter_model.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + length].replace(*change, 1)
    file.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])
    return folder


CASES = {
    "container-ambiguous": (b"{", b" \n{"),
    "container-field": (b'"dtype"', b'"note":"x","dtype"'),
    "container-name": (b'"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"', b'"a\\u0000b"'),
}


@pytest.mark.parametrize("rule", CASES)
def test_what_the_format_forbids_is_told(rule: str, tmp_path: Path) -> None:
    weights = tensors() | {"spare": np.ones(1, np.float32)}
    folder = rewritten(adapter(tmp_path / "a", weights), CASES[rule] if rule != "container-name" else (b'"spare"', b'"a\\u0000b"'))
    (found,) = raised(ContainerProbe(), folder)
    assert (found.rule, found.location.file) == (rule, "adapter_model.safetensors")
    assert found.message.isprintable()


def test_bytes_after_a_gguf_adapter_are_told(tmp_path: Path) -> None:
    path = lora(tmp_path / "x.gguf")
    assert raised(ContainerProbe(), path) == []
    path.write_bytes(path.read_bytes() + b"payload")
    (found,) = raised(ContainerProbe(), path)
    assert (found.rule, found.location.file) == ("container-appended", "x.gguf")


def test_what_libraries_write_is_nothing(tmp_path: Path) -> None:
    assert raised(ContainerProbe(), adapter(tmp_path / "a")) == []
    assert raised(ContainerProbe(), rewritten(adapter(tmp_path / "b"), (b"}}", b"}}" + b" " * 24))) == []
    assert raised(ContainerProbe(), rewritten(adapter(tmp_path / "c"), (b"{", b'{"__metadata__":' + json.dumps({"format": "pt"}).encode() + b","))) == []
