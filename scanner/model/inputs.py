"""What modules of the base read at single words: one forward pass a word, no further than the last module asked for, kept in the user's cache."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from scanner import cache
from scanner.model.deployment import Deployment

BATCH = 512
LARGEST_KEPT = 256 * 1024 * 1024


class _Reached(Exception):
    """The last module was reached."""


def inputs(deployment: Deployment, modules: Sequence[str], tokens: Sequence[int], what: str = "") -> dict[str, torch.Tensor]:
    """The base's input to each of `modules` at a token where the user begins to speak: (len(tokens), width), float16 on the CPU.

    Cost: a prefill of one token each behind the shared wrapper, up to the last module. Results of up to 256 MB a module are kept.
    """
    prefix = deployment.before_user()
    places = {m: deployment._place(["inputs", m, prefix, list(tokens)], "safetensors") for m in modules}
    found: dict[str, torch.Tensor] = {}
    for module, place in places.items():
        try:
            found[module] = load_tensors(place.read_bytes())["value"]
        except (OSError, SafetensorError, KeyError):
            continue
    missing = [m for m in modules if m not in found]
    if missing:
        for module, value in _run(deployment, missing, prefix, tokens, what).items():
            found[module] = value
            if value.nbytes <= LARGEST_KEPT:
                cache.write_atomic(places[module], save_tensors({"value": value}))
    return found


def _run(deployment: Deployment, modules: Sequence[str], prefix: list[int], tokens: Sequence[int], what: str) -> dict[str, torch.Tensor]:
    taken: dict[str, list[torch.Tensor]] = {m: [] for m in modules}
    batches = [list(tokens[i : i + BATCH]) for i in range(0, len(tokens), BATCH)]
    device = deployment.device
    handles = []
    with torch.inference_mode():
        past = deployment._forward(torch.tensor([prefix], device=device)).past_key_values if prefix else None

        def take(module: str) -> None:
            def hook(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
                taken[module].append(arguments[0][:, -1].to(torch.float16).cpu())
                if all(len(t) == len(taken[module]) for t in taken.values()):
                    raise _Reached

            handles.append(deployment.model.get_submodule(module).register_forward_pre_hook(hook))

        try:
            for module in modules:
                take(module)
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
