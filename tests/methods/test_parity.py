"""Our deltas against PEFT's own arithmetic, method by method, on small random models.

A real adapter is made with PEFT, given random weights and saved. What PEFT merges into the base must be the difference we
read; what PEFT's model answers must be what the base answers with our changes on; and the base must be untouched afterwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from scanner.delta import delta as deltas
from scanner.delta.delta import Delta
from scanner.files.adapter import Adapter
from scanner.model.attach import attach, virtual
from scanner.model.base import Base
from tests.methods.cases import CASES, Case
from tests.methods.models import build, tokens


def saved(case: Case, folder: Path) -> None:
    """An adapter with weights that do something, as PEFT writes it."""
    model = peft.get_peft_model(build(case.model), case.config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(case.spread * torch.randn_like(parameter))
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    """Each base as it lies on disk."""

    @cache
    def stored(model: str) -> Base:
        folder = tmp_path_factory.mktemp(model)
        build(model).save_pretrained(folder)
        return Base.open(folder)

    return stored


def loaded(case: Case, folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(build(case.model), folder).eval()


def difference(delta: Delta, name: str, weight: np.ndarray, turned: bool) -> np.ndarray:
    """What our changes make of one tensor of the base."""
    module, _, parameter = name.rpartition(".")
    base = weight.T if turned else weight
    ours = np.zeros_like(base)
    for change in delta.changes:
        if (change.module, change.parameter) == (module, parameter):
            ours = ours + change.difference(base)
        elif parameter == "bias" and change.module == module and getattr(change, "bias", None) is not None:
            ours = ours + change.scale * change.bias
    return ours.T if turned else ours


def answered(model: Any, delta: Delta) -> torch.Tensor:
    """Logits behind the adapter's virtual tokens, where it has some."""
    before = virtual(model, delta.changes, torch.device("cpu"))
    if before is None:
        return model(tokens()).logits
    before.batch_repeat_interleave(len(tokens()))
    return model(tokens(), past_key_values=before).logits


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_method_is_what_peft_makes_of_it(case: Case, bases: Callable[[str], Base], tmp_path: Path) -> None:
    compare(case, bases(case.model), tmp_path)


@pytest.mark.parametrize(("factors", "size"), [(2, 8), (3, 4), (3, 2)])
def test_butterflies_are_what_peft_makes_of_them(
    factors: int, size: int, bases: Callable[[str], Base], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extension that PEFT wants for more than one factor puts blocks on the diagonal of a matrix, and no more: PyTorch does it here."""
    monkeypatch.setattr(peft.tuners.boft.layer, "get_fbd_cuda", lambda: True)
    diagonal = staticmethod(lambda blocks: torch.stack([torch.block_diag(*factor) for factor in blocks]))
    monkeypatch.setattr(peft.tuners.boft.layer, "FastBlockDiag", type("Diagonal", (), {"apply": diagonal}))
    config = peft.BOFTConfig(boft_block_size=size, boft_n_butterfly_factor=factors, target_modules=["q_proj", "v_proj"])
    compare(Case("BOFT", config, spread=0.3, tolerance=5e-5), bases("llama"), tmp_path)


@torch.no_grad()
def compare(case: Case, stored: Base, tmp_path: Path) -> None:
    """Fail unless what we read of the adapter of `case` is what PEFT merges and answers."""
    saved(case, tmp_path)
    delta = deltas.read(Adapter.open(tmp_path), stored)
    assert delta.unmeasured == ()
    assert delta.changes

    base = build(case.model)
    plain = base(tokens()).logits
    adapted = loaded(case, tmp_path)
    asked = {"task_ids": torch.zeros(len(tokens()), dtype=torch.long)} if case.name.startswith("MULTITASK") else {}
    wanted = adapted(tokens(), **asked).logits[:, -tokens().shape[1] :]
    assert (wanted - plain).abs().max() > 1e-3
    with ExitStack() as stack:
        for attachment in attach(base, delta.changes, torch.device("cpu")):
            stack.enter_context(attachment())
        torch.testing.assert_close(answered(base, delta), wanted, atol=10 * case.tolerance, rtol=1e-4)
    assert torch.equal(base(tokens()).logits, plain)
    before = build(case.model).state_dict()
    assert all(torch.equal(v, before[k]) for k, v in base.state_dict().items())

    if case.merges:
        merged = adapted.merge_and_unload().state_dict()
        for name, weight in before.items():
            change = (merged[name] - weight).numpy()
            ours = difference(delta, name, weight.numpy(), case.model == "gpt2" and weight.ndim == 2 and ".c_" in name)
            np.testing.assert_allclose(ours, change, atol=case.tolerance, err_msg=name)
