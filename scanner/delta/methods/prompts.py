"""Methods that train virtual tokens and leave the base alone: prompt tuning, P-tuning, prefix tuning. Papers in virtual.py."""

from __future__ import annotations

import msgspec

from scanner.delta.reading import Reading
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
