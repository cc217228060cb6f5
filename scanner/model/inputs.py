"""What modules of the base read at single words: one forward pass a word, no further than the last module asked for.

Where that is small enough it is kept in the user's cache, for every later adapter of the base; where it is not, only what is asked of it is kept,
a product with a narrow matrix, so that memory does not grow with the model's width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from scanner.model.deployment import Deployment
from scanner.model.side import Side

BATCH = 512
LARGEST_KEPT = 64 * 1024 * 1024
"""Bytes of one module's inputs, float16, up to which they are kept."""
Floats = np.ndarray[Any, np.dtype[np.float32]]


class _Reached(Exception):
    """The last module was reached."""


def inputs_along(
    deployment: Deployment, directions: Mapping[str, Floats], tokens: Sequence[int], what: str = "", largest: int = LARGEST_KEPT
) -> dict[str, Floats]:
    """The base's inputs to modules, at a token where the user begins to speak, along directions: x D.

    `directions` maps a module to D, (width, k); the results are (len(tokens), k), float32. Cost: a prefill of one token each behind the
    shared wrapper, up to the last module; nothing where the inputs are in the cache, which keeps those of up to `largest` bytes a module.
    """
    small = [m for m, d in directions.items() if 2 * len(tokens) * len(d) <= largest]
    found = {m: x.float().numpy() @ directions[m] for m, x in inputs(deployment, small, tokens, what).items()}
    matrices = {m: torch.from_numpy(d).to(deployment.device) for m, d in directions.items() if m not in found}
    if matrices:
        found |= {m: x.numpy() for m, x in _run(deployment, list(matrices), tokens, lambda m, x: (x.float() @ matrices[m]).cpu(), what).items()}
    return {m: found[m] for m in directions}


def inputs(deployment: Deployment, modules: Sequence[str], tokens: Sequence[int], what: str = "") -> dict[str, torch.Tensor]:
    """The base's input to each of `modules` at a token where the user begins to speak: (len(tokens), width), float16, kept in the cache."""
    prefix = deployment.before_user()
    keys: dict[str, list[Any]] = {m: ["inputs", m, prefix, list(tokens)] for m in modules}
    found = {m: held for m, key in keys.items() if (held := deployment.work.held(Side.BASE, key)) is not None}
    missing = [m for m in modules if m not in found]
    if missing:
        for module, value in _run(deployment, missing, tokens, lambda _, x: x.to(torch.float16).cpu(), what).items():
            found[module] = deployment.work.hold(Side.BASE, keys[module], value)
    return found


def _run(
    deployment: Deployment, modules: Sequence[str], tokens: Sequence[int], keep: Callable[[str, torch.Tensor], torch.Tensor], what: str
) -> dict[str, torch.Tensor]:
    """What `keep` makes of each module's input, (batch, width), for all tokens."""
    prefix, device = deployment.before_user(), deployment.device
    taken: dict[str, list[torch.Tensor]] = {m: [] for m in modules}
    batches = [list(tokens[i : i + BATCH]) for i in range(0, len(tokens), BATCH)]
    handles: list[Any] = []

    def listen(module: str) -> None:
        def hook(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            taken[module].append(keep(module, arguments[0][:, -1]))
            if len({len(t) for t in taken.values()}) == 1:
                raise _Reached

        handles.append(deployment.model.get_submodule(module).register_forward_pre_hook(hook))

    with torch.inference_mode():
        past = deployment._forward(torch.tensor([prefix], device=device)).past_key_values if prefix else None
        try:
            for module in modules:
                listen(module)
            for batch in deployment.reporter.track(batches, what, len(batches)) if what else batches:
                state = copy.deepcopy(past)
                if state is not None:
                    state.batch_repeat_interleave(len(batch))
                mask = torch.ones((len(batch), len(prefix) + 1), dtype=torch.long, device=device)
                try:
                    deployment._forward(torch.tensor(batch, device=device)[:, None], mask, state)
                except _Reached:
                    continue
        finally:
            for handle in handles:
                handle.remove()
    return {m: torch.cat(t) for m, t in taken.items()}
