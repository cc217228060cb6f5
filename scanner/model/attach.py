"""An adapter's changes on a loaded model, on and off again exactly.

Additions are forward hooks that exist only while the adapted side runs. Replacements put another tensor object into the module
and afterwards put the very object back, so the base's own tensors are never written to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from transformers import DynamicCache
from transformers.pytorch_utils import Conv1D

from scanner.delta.change import Change
from scanner.delta.dense import Dense
from scanner.delta.experts import Experts
from scanner.delta.kronecker import Kronecker
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.replaced import Replaced, Rows
from scanner.delta.rotated import Rotated
from scanner.delta.scaled import Scaled, Shifted
from scanner.delta.virtual import VirtualTokens
from scanner.errors import UnusableBase
from scanner.files.text import printable
from scanner.model.base import spellings
from scanner.model.invocation import Invocations

Attachment = Callable[[], AbstractContextManager[None]]
Hook = Callable[..., Any]
Place = tuple[Any, str]
"""A module and the name of a tensor of it."""
Slice = tuple[int, slice]
"""An expert, and rows of its matrix."""
_EXPERT = re.compile(r"^(?P<layer>.*\.layers\.\d+)\.(?:mlp|block_sparse_moe)\.experts\.(?P<expert>\d{1,6})\.(?P<part>w[123]|(?:gate|up|down)_proj)$")
_PARTS = {"w1": ("gate_up_proj", 0), "gate_proj": ("gate_up_proj", 0), "w3": ("gate_up_proj", 1), "up_proj": ("gate_up_proj", 1),
          "w2": ("down_proj", None), "down_proj": ("down_proj", None)}  # fmt: skip


def attach(model: torch.nn.Module, changes: tuple[Change, ...], device: torch.device, invocations: Invocations | None = None) -> list[Attachment]:
    """What makes `model` the adapted one while entered, in order. Raises UnusableBase where a change does not fit the model.

    Deltas that act only after certain tokens ask `invocations` where these are; whoever runs the model keeps it up to date.
    """
    invocations = invocations or Invocations(())
    attachments = [a for change in changes if isinstance(change, Replaced | Rows) for a in _attachments(model, change, device, invocations)]
    with ExitStack() as stack:  # what is added on top may depend on the weights that replace the base's
        for attachment in attachments:
            stack.enter_context(attachment())
        stacked, others = _stacked(model, [c for c in changes if not isinstance(c, Replaced | Rows)])
        attachments += [a for change in others for a in _attachments(model, change, device, invocations)]
        attachments += [_swapped([place], _slices(place, found, device)) for place, found in stacked.items()]
    return attachments


def _stacked(model: Any, changes: list[Change]) -> tuple[dict[Place, list[tuple[Slice, ModuleDelta]]], list[Change]]:
    """Deltas of single experts whose weights `model` keeps in one tensor for all, by that tensor; and the other changes.

    Such adapters were trained on checkpoints with a module for every expert; transformers 5 stacks them as gate_up_proj and down_proj.
    """
    stacked: dict[Place, list[tuple[Slice, ModuleDelta]]] = {}
    others = []
    for change in changes:
        match = _EXPERT.match(change.module)
        experts = _submodule(model, f"{match['layer']}.mlp.experts") if match else None
        if match is None or experts is None or not isinstance(change, ModuleDelta) or not _is_plain(change) or _submodule(model, change.module) is not None:
            others.append(change)
            continue
        parameter, part = _PARTS[match["part"]]
        half = change.shape[0]
        rows = slice(None) if part is None else slice(part * half, (part + 1) * half)
        stacked.setdefault((experts, parameter), []).append(((int(match["expert"]), rows), change))
    return stacked, others


def _slices(place: Place, deltas: list[tuple[Slice, ModuleDelta]], device: torch.device) -> torch.Tensor:
    """The stack with the deltas of single experts added, each in its own place."""
    module, parameter = place
    old: torch.Tensor | None = module._parameters.get(parameter)
    for (expert, rows), delta in deltas:
        if old is None or old.ndim != 3 or expert >= len(old) or tuple(old[expert, rows].shape) != delta.shape:
            raise _misfit(delta, torch.Size(()) if old is None else old.shape)
    assert old is not None
    new = old.float().clone()
    for (expert, rows), delta in deltas:
        new[expert, rows] += torch.from_numpy(delta.difference()).to(device)
    return new.to(old.dtype)


def _submodule(model: Any, name: str) -> Any:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


@torch.inference_mode()
def virtual(model: Any, changes: tuple[Change, ...], device: torch.device) -> Any:
    """The adapter's virtual tokens as a cache of one sequence, as if they had been read before the prompt; None where there are none."""
    found = [c for c in changes if isinstance(c, VirtualTokens)]
    if not found:
        return None
    (change,) = found
    values = torch.from_numpy(change.values.read()).to(device=device, dtype=model.dtype)
    config = model.config.get_text_config()
    if not change.heads:
        if values.shape[1] != config.hidden_size:
            raise UnusableBase(f"virtual tokens are {values.shape[1]} wide, the base {config.hidden_size}: the adapter was made for another base")
        return model(inputs_embeds=values[None], use_cache=True).past_key_values
    if change.layers != config.num_hidden_layers or values.shape[1] % (change.layers * 2 * change.heads):
        raise UnusableBase(f"virtual tokens of {change.layers} layers, the base has {config.num_hidden_layers}: the adapter was made for another base")
    cache = DynamicCache(config=config)
    for layer, both in enumerate(values.view(1, change.count, change.layers, 2, change.heads, -1).permute(2, 3, 0, 4, 1, 5)):
        cache.update(both[0], both[1], layer)
    return cache


def _attachments(model: torch.nn.Module, change: Change, device: torch.device, invocations: Invocations) -> Iterator[Attachment]:
    if isinstance(change, VirtualTokens):
        return  # no module changes; they are put before the prompt
    if isinstance(change, Replaced):
        yield from _replaced(model, change, device)
        return
    module = _module(model, change)
    if isinstance(change, Rows):
        yield _swapped(_sharing(model, module.weight), _rows(change, module, device))  # a tied output head reads the trained rows too
    elif isinstance(change, ModuleDelta) and _is_router(module):
        yield _swapped([(module, "weight")], _routing(change, module, device))
    elif isinstance(change, ModuleDelta):
        hook = _lowrank(change, module, device)
        yield _hooked(module, _waiting(hook, change.only_after, invocations) if change.only_after else hook)
    elif isinstance(change, Kronecker):
        _oriented(change, module)
        yield _hooked(module, _kronecker(change, module, device))
    elif isinstance(change, Dense):
        yield _swapped([(module, "weight")], _dense(change, module, device))
    elif isinstance(change, Experts):
        yield _swapped([(module, change.parameter)], _experts(change, module, device))
    elif isinstance(change, Scaled | Shifted | Rotated):
        _oriented(change, module)
        yield from _vectors(change, module, device)
    else:
        raise UnusableBase(f"{printable(change.module, 100)}: {type(change).__name__} cannot be applied")


def _module(model: torch.nn.Module, change: Change) -> Any:
    found = _named(model, change)
    if found is None:
        raise UnusableBase(f"the adapter changes {printable(change.module, 100)}, which the base does not have: it was made for another base")
    return found


def _named(model: torch.nn.Module, change: Change) -> Any:
    return next((m for name in spellings(change.module) if (m := _submodule(model, name)) is not None), None)


def _oriented(change: Change, module: Any) -> torch.Tensor:
    """The module's weight as (out_features, in_features). Raises UnusableBase for another kind of module and for another shape."""
    oriented: torch.Tensor
    if isinstance(module, Conv1D):
        oriented = module.weight.T
    elif isinstance(module, torch.nn.Linear | torch.nn.Embedding):
        oriented = module.weight
    else:
        raise UnusableBase(f"{printable(change.module, 100)} is {type(module).__name__}, to which the adapter is not applied, so it was not measured")
    if not change.fits(tuple(oriented.shape)):
        raise _misfit(change, oriented.shape)
    return oriented


def _misfit(change: Change, shape: torch.Size) -> UnusableBase:
    return UnusableBase(f"{printable(change.module, 100)}: the adapter's delta does not fit the base's weight {list(shape)}: it was made for another base")


def _hooked(module: torch.nn.Module, hook: Hook, before: bool = False) -> Attachment:
    @contextmanager
    def attached() -> Iterator[None]:
        handle = module.register_forward_pre_hook(hook) if before else module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    return attached


def _sharing(model: torch.nn.Module, parameter: torch.Tensor) -> list[tuple[torch.nn.Module, str]]:
    """Every place of `model` that holds this very tensor."""
    return [(m, n) for m in model.modules() for n, p in m._parameters.items() if p is parameter]


def _swapped(places: list[tuple[torch.nn.Module, str]], value: torch.Tensor) -> Attachment:
    new = torch.nn.Parameter(value, requires_grad=False)

    @contextmanager
    def attached() -> Iterator[None]:
        old = [(module, name, module._parameters[name]) for module, name in places]
        try:
            for module, name, _ in old:
                module._parameters[name] = new
            yield
        finally:
            for module, name, parameter in old:
                module._parameters[name] = parameter

    return attached


def _replaced(model: torch.nn.Module, change: Replaced, device: torch.device) -> Iterator[Attachment]:
    module = _named(model, change)
    old = module._parameters.get(change.parameter) if module is not None else None
    if module is None or old is None:
        if change.everywhere:
            return  # a name the base does not have, which PEFT ignores
        raise UnusableBase(f"the adapter replaces {printable(f'{change.module}.{change.parameter}', 100)}, which the base does not have")
    if not change.fits(tuple(old.shape)):
        raise _misfit(change, old.shape)
    places = [(module, change.parameter)]
    if change.everywhere:
        places = _sharing(model, old)
    yield _swapped(places, torch.from_numpy(change.value.read()).to(device=device, dtype=old.dtype))


def _rows(change: Rows, module: Any, device: torch.device) -> torch.Tensor:
    weight: torch.Tensor = module.weight.detach().clone()
    if not change.fits(tuple(weight.shape)):
        raise _misfit(change, weight.shape)
    weight[list(change.tokens)] = torch.from_numpy(change.values.read()).to(device=device, dtype=weight.dtype)
    return weight


def _lowrank(change: ModuleDelta, module: Any, device: torch.device) -> Hook:
    """The hook that adds a low-rank delta to a linear module, a Conv1D or an embedding.

    LoRA runs in the model's dtype, as inference servers run it (PEFT keeps the branch in float32, which differs by less than
    the rounding of the output); DoRA runs in float32.
    """
    oriented = _oriented(change, module)
    a, b = torch.from_numpy(change.a).to(device), torch.from_numpy(change.b).to(device)
    magnitude = change.magnitude
    gain = None
    if magnitude is not None:
        gain = torch.from_numpy(magnitude).to(device) / lengths(oriented.float(), a, b, change.scale, change.columns)
    if isinstance(module, torch.nn.Embedding):
        return _on_embedding(module, a, b, change.scale, gain)
    bias = change.bias
    shift = None if bias is None else torch.from_numpy(bias).to(device) * change.scale
    return _dora(module, a, b, change.scale, gain, shift) if gain is not None else _lora(module.weight.dtype, a, b, change.scale, shift)


def _is_plain(change: ModuleDelta) -> bool:
    """Whether a delta is its product and no more, everywhere."""
    return change.exact and change.bias is None and not change.only_after


def _is_router(module: Any) -> bool:
    """Whether a module holds one matrix that it multiplies itself, as the routers of a mixture do."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim == 2 and not isinstance(module, torch.nn.Linear | torch.nn.Embedding | Conv1D)


def _routing(change: ModuleDelta, module: Any, device: torch.device) -> torch.Tensor:
    """The router's weight, (experts, width), with the product added: its outputs are no rows of hidden states to add to."""
    weight: torch.Tensor = module.weight
    if not change.fits(tuple(weight.shape)):
        raise _misfit(change, weight.shape)
    if not _is_plain(change):
        raise UnusableBase(f"{printable(change.module, 100)} is a router, to which DoRA, aLoRA and LoRA biases are not applied, so it was not measured")
    return (weight.float() + torch.from_numpy(change.difference()).to(device)).to(weight.dtype)


def _lora(dtype: torch.dtype, a: torch.Tensor, b: torch.Tensor, scale: float, shift: torch.Tensor | None) -> Hook:
    """To y is added s B(A x) + s bias."""
    down, up = a.T.to(dtype), (scale * b.T).to(dtype)
    offset = None if shift is None else shift.to(dtype)

    def lora(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        x = inputs[0].reshape(-1, down.shape[0])
        added = torch.addmm(output.reshape(-1, up.shape[1]), x @ down, up).view(output.shape)
        return added if offset is None else added + offset

    return lora


def _waiting(hook: Hook, tokens: tuple[int, ...], invocations: Invocations) -> Hook:
    """`hook` where its invocation tokens have been read, the base's output before them."""

    def waiting(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if output.ndim != 3:
            raise UnusableBase("an activated LoRA on a module that does not read rows of tokens, which PEFT does not run either")
        return torch.where(invocations.acts(tokens), hook(module, inputs, output), output)

    return waiting


def _dora(module: Any, a: torch.Tensor, b: torch.Tensor, scale: float, gain: torch.Tensor, shift: torch.Tensor | None) -> Hook:
    """Makes g (y - bias + s B(A x)) + bias with g = magnitude / ||W + s B A|| per output row (arXiv 2402.09353, eq. 5)."""

    def dora(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        change = torch.nn.functional.linear(torch.nn.functional.linear(inputs[0].float(), a), b) * scale
        if shift is not None:
            change = change + shift
        plain = output.float() if module.bias is None else output.float() - module.bias.float()
        return (output + (gain - 1) * plain + gain * change).to(output.dtype)

    return dora


def _on_embedding(module: Any, a: torch.Tensor, b: torch.Tensor, scale: float, gain: torch.Tensor | None) -> Hook:
    """Row t gains s b_t A; with DoRA, every column is rescaled. Embeddings that scale their output scale the delta too."""
    factor = getattr(module, "embed_scale", None)

    def embedding(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        added = scale * (torch.nn.functional.embedding(inputs[0], b) @ a)
        if factor is not None:
            added = added * factor
        plain = output.float()
        return ((plain + added) if gain is None else gain * (plain + added)).to(output.dtype)

    return embedding


def _kronecker(change: Kronecker, module: Any, device: torch.device) -> Hook:
    """To y is added s (L (x) R) x, which is s R X L^T of x written as the columns X of in_left pieces."""
    left, right = (torch.from_numpy(p.read()).to(device=device, dtype=module.weight.dtype) for p in change.parts)

    def kronecker(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        pieces = inputs[0].reshape(*inputs[0].shape[:-1], left.shape[1], right.shape[1])
        return output + change.scale * (left @ pieces @ right.T).reshape(output.shape)

    return kronecker


def _dense(change: Dense, module: Any, device: torch.device) -> torch.Tensor:
    """The weight with the addition, in the weight's own orientation and dtype."""
    oriented = _oriented(change, module).float()
    added = torch.from_numpy(change.difference(None if change.exact else oriented.cpu().numpy())).to(device)
    adapted = oriented + added
    return (adapted.T.contiguous() if isinstance(module, Conv1D) else adapted).to(module.weight.dtype)


def _experts(change: Experts, module: Any, device: torch.device) -> torch.Tensor:
    """The stack with the additions, oriented as the module says (PEFT: `is_transposed` for inputs before outputs)."""
    old: torch.Tensor | None = module._parameters.get(change.parameter)
    shape = None if old is None else tuple(old.shape[-3:]) if old.ndim == 3 else (1, *old.shape)
    if old is None or shape is None or not change.fits(shape):
        raise _misfit(change, torch.Size(()) if old is None else old.shape)
    added = torch.from_numpy(change.difference()).to(device)
    if old.ndim == 3 and getattr(module, "is_transposed", False):
        added = added.transpose(1, 2)
    return (old.float() + added.reshape(old.shape)).to(old.dtype)


def _vectors(change: Scaled | Shifted | Rotated, module: Any, device: torch.device) -> Iterator[Attachment]:
    """Inputs or outputs, scaled, shifted or turned, in float32."""

    def place(values: Any) -> torch.Tensor:
        return torch.from_numpy(values.copy()).to(device)

    def inputs(function: Callable[[torch.Tensor], torch.Tensor]) -> Attachment:
        return _hooked(module, lambda _, given: (function(given[0].float()).to(given[0].dtype), *given[1:]), before=True)

    def outputs(function: Callable[[torch.Tensor], torch.Tensor]) -> Attachment:
        return _hooked(module, lambda _, given, output: function(output.float()).to(output.dtype))

    if isinstance(change, Shifted):
        shift = place(change.shift.read())
        yield outputs(lambda y: y + shift)
    elif isinstance(change, Scaled):
        gain = place(change.gain.read())
        yield (inputs if change.inputs else outputs)(lambda values: values * gain)
    else:
        turn = change.turn().moved(place)
        yield (inputs if change.inputs else outputs)(turn.apply)
        if change.gain is not None:
            stretch = place(change.gain.read())
            yield outputs(lambda y: y * stretch if module.bias is None else (y - module.bias) * stretch + module.bias)


def lengths(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float, columns: bool = False) -> torch.Tensor:
    """||W + s B A|| of each output row, (out_features,), or of each column, from the factors: no second matrix of W's size."""
    if columns:
        weight, a, b = weight.T, b.T, a.T
    cross = ((weight @ a.T) * b).sum(1)
    square = ((b @ (a @ a.T)) * b).sum(1)
    return (weight.square().sum(1) + 2 * scale * cross + scale * scale * square).clamp(min=0).sqrt()
