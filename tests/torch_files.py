"""Torch files as torch.save writes them, made without torch."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

View = tuple[str, str, int, int, tuple[int, ...], tuple[int, ...]]
"""Storage class, key, elements, offset, shape, strides."""
_CLASSES = {"float32": "FloatStorage", "float16": "HalfStorage", "float64": "DoubleStorage", "int64": "LongStorage", "int32": "IntStorage"}


def saved(values: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """`values` as torch.save would write them."""
    views, storages = {}, {}
    for key, (name, value) in enumerate(values.items()):
        flat = np.ascontiguousarray(value).reshape(value.shape)
        strides = tuple(s // flat.itemsize for s in flat.strides)
        views[name] = (_CLASSES[str(value.dtype)], str(key), value.size, 0, value.shape, strides)
        storages[f"x/data/{key}"] = flat.tobytes()
    return archive(tensor_map(views), {"x/byteorder": b"little", **storages, "x/version": b"3\n"})


def archive(data: bytes | None, others: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with `data` as its pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        if data is not None:
            made.writestr("x/data.pkl", data)
        for name, content in (others or {}).items():
            made.writestr(name, content)
    return stream.getvalue()


def tensor_map(views: dict[str, View] | Iterable[tuple[str, View]]) -> bytes:
    """The pickle of a map of tensors, protocol 2."""
    pairs = views.items() if isinstance(views, dict) else views
    return b"\x80\x02}(" + b"".join(_text(name) + _tensor(view) for name, view in pairs) + b"u."


def _tensor(view: View) -> bytes:
    kind, key, count, offset, shape, strides = view
    storage = b"(" + _text("storage") + f"ctorch\n{kind}\n".encode() + _text(key) + _text("cpu") + _number(count) + b"tQ"
    sizes = b"".join(b"(" + b"".join(map(_number, numbers)) + b"t" for numbers in (shape, strides))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _number(offset) + sizes + b"\x89ccollections\nOrderedDict\n)RtR"


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x08" + value.to_bytes(8, "little", signed=True)
