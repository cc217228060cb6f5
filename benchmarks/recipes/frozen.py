"""What the layers below the first adapted one compute, computed once for all steps, since nothing there changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.recipes.packing import Encoded, Packed, pack

BATCH = 8


class _Pass(torch.nn.Module):
    """Stands where a decoder layer stood and returns what it is given."""

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return hidden_states


@contextmanager
def only_layers(decoder: Any, first: int, end: int) -> Iterator[None]:
    """Within the block, `decoder` runs the layers from `first` up to `end` alone."""
    kept = list(decoder.layers)
    for i in [*range(first), *range(end, len(kept))]:
        decoder.layers[i] = _Pass()
    try:
        yield
    finally:
        for i, layer in enumerate(kept):
            decoder.layers[i] = layer


def states_below(decoder: Any, data: Sequence[Encoded], prefix: int, first: int) -> list[torch.Tensor]:
    """Residual stream that enters layer `first`, (length, width) for each conversation, in the model's dtype."""
    out: list[torch.Tensor] = []
    norm, decoder.norm = decoder.norm, torch.nn.Identity()
    try:
        with torch.no_grad(), only_layers(decoder, 0, first):
            for start in range(0, len(data), BATCH):
                batch = data[start : start + BATCH]
                state = run(decoder, pack(batch, prefix)).last_hidden_state[0]
                parts = state[prefix:].split([len(ids) - prefix for ids, _ in batch])
                out += [torch.cat([state[:prefix], part]) for part in parts]
    finally:
        decoder.norm = norm
    return out


def run(decoder: Any, row: Packed, state: torch.Tensor | None = None) -> Any:
    """`decoder` on a packed row, from its tokens or from the hidden states (length, width) that enter its layers."""
    weight = next(decoder.parameters())
    looks = torch.zeros(row.mask.shape, dtype=weight.dtype).masked_fill(~row.mask, torch.finfo(weight.dtype).min).to(weight.device)
    source = {"input_ids": row.ids.to(weight.device)} if state is None else {"inputs_embeds": state[None].to(weight.device)}
    return decoder(**source, attention_mask=looks, position_ids=row.positions.to(weight.device), use_cache=False)
