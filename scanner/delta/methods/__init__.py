"""Every PEFT method that is understood, one file a family."""

from __future__ import annotations

from scanner.delta.method import Exactness, Method
from scanner.delta.methods import adalora, lora

METHODS: dict[str, Method] = {
    m.id: m
    for m in (
        Method(id="LORA", title="LoRA", exactness=Exactness.EXACT, runs=True, read=lora.read),
        Method(id="ADALORA", title="AdaLoRA", exactness=Exactness.EXACT, runs=True, read=adalora.read),
    )
}
