"""Methods that train a few vectors of the base itself: LN tuning, BEFT, trainable tokens.

Zhao et al. 2023, arXiv 2312.11420 (LN tuning).
"""

from __future__ import annotations

from scanner.delta.reading import Reading
from scanner.delta.replaced import Replaced
from scanner.delta.scaled import Shifted


def ln_tuning(reading: Reading) -> None:
    """Whole norm weights and biases."""
    for module, tensors in reading.groups("ln_tuning_layers.weight", "ln_tuning_layers.bias").items():
        for ending, value in tensors.items():
            reading.changes.append(Replaced(module=module, parameter=ending.rpartition(".")[2], value=value))


def beft(reading: Reading) -> None:
    """A vector added to every output of a module."""
    for module, tensors in reading.groups("beft_bias").items():
        reading.changes.append(Shifted(module=module, shift=tensors["beft_bias"].flat))


def trainable_tokens(reading: Reading) -> None:
    """Rows of embeddings."""
    reading.tokens("trainable_tokens_delta", reading.raw.get("token_indices"))
