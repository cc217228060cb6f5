"""Methods that train virtual tokens and leave the base alone: prompt tuning and its kin, P-tuning, prefix tuning. Papers in virtual.py."""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from scanner.delta.reading import Reading
from scanner.delta.stored import Array, Stored
from scanner.delta.virtual import VirtualTokens

NAME = "prompt_embeddings"
MOST_TOKENS = 100_000


class Settings(msgspec.Struct, frozen=True):
    """The fields that decide the shape."""

    num_layers: int = 0
    num_attention_heads: int = 0
    token_dim: int = 0
    num_transformer_submodules: int = 1


def embeddings(reading: Reading) -> None:
    """Rows of input embeddings."""
    _read(reading, prefix=False)


def prefix(reading: Reading) -> None:
    """Keys and values of every layer, side by side."""
    _read(reading, prefix=True)


def multitask(reading: Reading) -> None:
    """Rows of input embeddings, times a low-rank matrix of the task; with more tasks than one, which is asked for is chosen at each call."""
    values, columns, rows = (reading.shared(n) for n in (NAME, "prefix_task_cols", "prefix_task_rows"))
    if values is None or columns is None or rows is None or len(columns.shape) != 3 or len(rows.shape) != 3:
        reading.refuse(NAME, "the embeddings, or the columns and rows of the tasks, are missing or ill-shaped", whole=True)
    elif (columns.shape[0], rows.shape[0]) != (1, 1):
        reading.refuse(NAME, f"{columns.shape[0]} tasks, of which one is chosen at each call", whole=True)
    elif columns.shape[2] != rows.shape[1] or values.shape != (columns.shape[1], rows.shape[2]):
        reading.refuse(NAME, "the columns and rows of the task do not fit the embeddings", whole=True)
    else:
        _embed(reading, Stored(values.shape, partial(_of_task, values, columns, rows)))


def _of_task(values: Stored, columns: Stored, rows: Stored) -> Array:
    return np.asarray(values.read() * (columns.read()[0] @ rows.read()[0]), np.float32)


def _embed(reading: Reading, values: Stored) -> None:
    settings = reading.settings(Settings)
    if settings is not None and settings.num_transformer_submodules != 1:
        reading.refuse(NAME, "virtual tokens of encoder and decoder are not understood", whole=True)
    elif settings is not None:
        reading.changes.append(VirtualTokens(values=values))


def _read(reading: Reading, prefix: bool) -> None:
    values, settings = reading.shared(NAME), reading.settings(Settings)
    if settings is None:
        return
    if values is None or len(values.shape) != 2 or not 1 <= values.shape[0] <= MOST_TOKENS:
        reading.refuse(NAME, "missing, or not rows of virtual tokens", whole=True)
    elif settings.num_transformer_submodules != 1:
        reading.refuse(NAME, "virtual tokens of encoder and decoder are not understood", whole=True)
    elif not prefix:
        reading.changes.append(VirtualTokens(values=values))
    elif settings.num_layers < 1 or settings.num_attention_heads < 1 or values.shape[1] != settings.num_layers * 2 * settings.token_dim:
        reading.refuse(NAME, f"{list(values.shape)} is not keys and values of {settings.num_layers} layers of {settings.token_dim}", whole=True)
    else:
        reading.changes.append(VirtualTokens(values=values, layers=settings.num_layers, heads=settings.num_attention_heads))
