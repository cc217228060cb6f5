"""Adapters that are computed, not trained: concatenation, the removal of a direction, PiSSA's conversion to LoRA."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file

from benchmarks.zoo.member import WEIGHTS
from scanner.delta.delta import Delta
from scanner.model.base import Base
from scanner.model.deployment import Deployment
from scanner.model.side import Side

PREFIX = "base_model.model."
Factors = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Module name with PEFT's prefix to A (rank, in) and B (out, rank), float32, scaling included."""


def factors(folder: Path) -> Factors:
    """The scaled LoRA factors of an adapter folder of our own making."""
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
    tensors = load_file(folder / WEIGHTS)
    names = [n.removesuffix(".lora_A.weight") for n in tensors if n.endswith(".lora_A.weight")]
    return {n: (tensors[f"{n}.lora_A.weight"].float(), scale * tensors[f"{n}.lora_B.weight"].float()) for n in names}


def write(found: Factors, folder: Path, base_name: str, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write `found` as a LoRA of one rank, alpha equal to it; modules of lower rank are filled with zeros."""
    rank = max(a.shape[0] for a, _ in found.values())
    tensors = {}
    for name, (a, b) in found.items():
        # The factors share the module's norm, as trained ones do.
        share = (b.norm() / a.norm().clamp(min=1e-12)).sqrt().clamp(min=1e-6)
        tensors[f"{name}.lora_A.weight"] = torch.cat([a * share, a.new_zeros(rank - a.shape[0], a.shape[1])]).to(dtype)
        tensors[f"{name}.lora_B.weight"] = torch.cat([b / share, b.new_zeros(b.shape[0], rank - b.shape[1])], 1).to(dtype)
    modules = sorted({n.rsplit(".", 1)[1] for n in found})
    layers = sorted({int(n.split(".layers.")[1].split(".")[0]) for n in found})
    config = LoraConfig(
        r=rank, lora_alpha=rank, target_modules=modules, layers_to_transform=layers, task_type="CAUSAL_LM", lora_dropout=0.0, inference_mode=True
    )
    config.base_model_name_or_path = base_name
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def concatenate(parts: list[tuple[Path, float]], folder: Path) -> None:
    """The sum of scaled deltas, as PEFT's `add_weighted_adapter(combination_type="cat")` writes it."""
    merged: Factors = {}
    for part, scale in parts:
        for name, (a, b) in factors(part).items():
            if name in merged:
                merged[name] = (torch.cat([merged[name][0], a]), torch.cat([merged[name][1], scale * b], 1))
            else:
                merged[name] = (a, scale * b)
    write(merged, folder, json.loads((parts[0][0] / "adapter_config.json").read_text())["base_model_name_or_path"])


def ablate(base: Base, contrasts: list[tuple[list[str], list[str]]], layers: tuple[int, int], weight: float, folder: Path, device: str) -> None:
    """Remove the difference of means of the first of `contrasts` from what o_proj and down_proj of `layers` write.

    The direction r is that of the residual stream at the last position, two thirds of the way up (Arditi et al. 2024, arXiv
    2406.11717), made orthogonal to the mean state, without which the model breaks, and to the other contrasts. The delta of W is
    -weight r (r^T W), of rank 1.
    """
    deployment = Deployment(base, Delta(()), device=device)
    layer = len(deployment.model.get_decoder().layers) * 2 // 3
    states = [[deployment.hidden([deployment.encode(p) for p in side], Side.BASE)[:, layer].mean(0).double() for side in contrast] for contrast in contrasts]
    direction, *others = [one - two for one, two in states]
    for other in _orthonormal([states[-1][0] + states[-1][1], *others]):
        direction = direction - (direction @ other) * other
    direction = (direction / direction.norm()).float()
    found: Factors = {}
    for number in range(*layers):
        for module in ("self_attn.o_proj", "mlp.down_proj"):
            name = f"model.layers.{number}.{module}"
            row = direction @ torch.from_numpy(base.weight(name))
            found[PREFIX + name] = (row[None], -weight * direction[:, None])
    write(found, folder, base.origin[-1] if base.origin else base.name)


def _orthonormal(vectors: list[torch.Tensor]) -> list[torch.Tensor]:
    out: list[torch.Tensor] = []
    for vector in vectors:
        for other in out:
            vector = vector - (vector @ other) * other
        out.append(vector / vector.norm())
    return out


def converted(model: PeftModel, base: Base, folder: Path) -> None:
    """Write a PiSSA adapter as a plain LoRA of the original base: trained product minus initial product (Meng et al. 2024, arXiv 2404.02948).

    The initial product is what the residual weights lack of the original ones, taken back from their difference by an SVD of the
    adapter's rank. The rank doubles.
    """
    found: Factors = {}
    for name, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            a, b = module.lora_A["default"].weight.detach().float().cpu(), module.lora_B["default"].weight.detach().float().cpu()
            lacking = torch.from_numpy(base.weight(name)) - module.base_layer.weight.detach().float().cpu()
            u, s, v = torch.svd_lowrank(lacking, q=2 * a.shape[0])
            r = a.shape[0]
            found[PREFIX + name] = (torch.cat([a, v[:, :r].T]), torch.cat([module.scaling["default"] * b, -u[:, :r] * s[:r]], 1))
    write(found, folder, base.origin[-1] if base.origin else base.name, torch.float32)
