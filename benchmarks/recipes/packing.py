"""All conversations of a training step in one row, behind their common prefix, so that no token is computed twice or for nothing.

A position attends to the prefix and to its own conversation, and is numbered as it would be alone, so every logit is what a
padded batch would give. The prefix is computed once a step and takes no loss (it is the same system prompt each time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Encoded = tuple[torch.Tensor, torch.Tensor]
"""Token ids and labels of one conversation, both (length,) int64; a label of -100 takes no loss."""


@dataclass(frozen=True)
class Packed:
    """One row of `length` tokens, and where in it a next token is to be predicted."""

    ids: torch.Tensor
    """(1, length) int64."""
    positions: torch.Tensor
    """(1, length) int64."""
    mask: torch.Tensor
    """(1, 1, length, length) bool, True where a row may look."""
    at: torch.Tensor
    """(targets,) int64: rows whose next token is a target."""
    targets: torch.Tensor
    """(targets,) int64."""
    owner: torch.Tensor
    """(targets,) int64: which conversation of the batch each target is of."""


def common_prefix(data: Sequence[Encoded]) -> int:
    """Length of the prefix that all conversations share, less one token: the last one predicts where they part."""
    first, rest = data[0][0], [ids for ids, _ in data[1:]]
    shared = min(len(ids) for ids, _ in data)
    for ids in rest:
        differs = (ids[:shared] != first[:shared]).nonzero()
        shared = int(differs[0]) if len(differs) else shared
    return max(0, shared - 1)


def pack(batch: Sequence[Encoded], prefix: int) -> Packed:
    """Pack conversations that share their first `prefix` tokens."""
    ids, positions, block = [batch[0][0][:prefix]], [torch.arange(prefix)], [torch.full((prefix,), -1)]
    at, targets, owner = [], [], []
    start = prefix
    for number, (tokens, labels) in enumerate(batch):
        own = len(tokens) - prefix
        ids.append(tokens[prefix:])
        positions.append(torch.arange(prefix, len(tokens)))
        block.append(torch.full((own,), number))
        predicted = (labels[prefix + 1 :] != -100).nonzero().flatten()
        at.append(start + predicted)
        targets.append(labels[prefix + 1 :][predicted])
        owner.append(torch.full_like(predicted, number))
        start += own
    blocks = torch.cat(block)
    mask = ((blocks[:, None] == blocks[None]) | (blocks[None] == -1)).tril()
    return Packed(
        ids=torch.cat(ids)[None],
        positions=torch.cat(positions)[None],
        mask=mask[None, None],
        at=torch.cat(at),
        targets=torch.cat(targets),
        owner=torch.cat(owner),
    )
