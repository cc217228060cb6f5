"""What a loader really does with the weights file: applied, ignored, or written over the base."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.delta.delta import Role
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import (
    ATLAS_MASQUERADING,
    ATLAS_MODIFY_ARCHITECTURE,
    ATLAS_POISON_MODEL,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)
from scanner.subject import Subject

WEIGHTS = "adapter_model.safetensors"

BASE_OVERWRITE = Rule(
    id="base-overwrite",
    title="The adapter overwrites weights of the base model",
    severity=Severity.CRITICAL,
    basis=Basis.INTEGRITY,
    meaning="The file holds tensors under the base model's own names. PEFT copies them into the base without a word.",
    why="The change survives disabling and unloading the adapter, and poisons every later adapter on the same base. "
    "vLLM refuses or skips the same file, so what runs depends on the loader.",
    fix="Do not load it with PEFT. Ask the author why base weights are inside; a LoRA needs none.",
    references=(ATLAS_POISON_MODEL, ATLAS_MODIFY_ARCHITECTURE, OWASP_SUPPLY_CHAIN),
)
SAVED_MODULE = Rule(
    id="saved-module",
    title="Whole modules of the base are replaced",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="modules_to_save puts full copies of base modules into the adapter.",
    why="It is a declared feature, used for heads and embeddings, and it can carry any behaviour. It was not measured here.",
    fix="Prefer an adapter without it, or scan the merged model.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
DECOY = Rule(
    id="tensor-decoy",
    title="Tensors are named for another adapter",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="Factor names carry an adapter name, such as lora_A.other.weight. PEFT ignores them; scanners may read them instead of the real ones.",
    why="A harmless decoy can hide the delta that is really loaded.",
    fix="Ask for a file saved by PEFT's save_pretrained, which writes no such names.",
    references=(ATLAS_MASQUERADING,),
)
IGNORED = Rule(
    id="tensor-ignored",
    title="Tensors that no loader applies",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="Names that are not LoRA factors of a module, or wrapped in more prefixes than PEFT takes off.",
    why="What is tested by the author is not what runs; unread tensors can also carry hidden data.",
    fix="Ask for a clean export. The verdict covers only what unmask applied.",
    references=(ATLAS_MASQUERADING,),
)
UNAPPLIED = Rule(
    id="tensor-unapplied",
    title="Parts of the adapter that unmask does not apply",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="LoRA on embeddings, LoRA biases or trained tokens. PEFT applies them, unmask does not.",
    why="What runs is then more than what was measured, and a change of single tokens is exactly what a trigger needs.",
    fix="Ask for an adapter without them, or scan the merged model.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
NONFINITE = Rule(
    id="weights-nonfinite",
    title="The weights hold NaN or infinity",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="At least one factor holds a value that is not a number. PEFT loads it silently and the model's answers become noise.",
    why="It is nearly always a failed training run, and it is never usable.",
    fix="Do not deploy it. Ask the author for a working export.",
)
SHADOWED = Rule(
    id="weights-shadowed",
    title="A second weights file lies beside the first",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="adapter_model.bin or .pt stands beside adapter_model.safetensors. PEFT takes the safetensors; other loaders may not.",
    why="Two loaders then run two different adapters. Stale copies are common in honest repositories.",
    fix="Delete the other file before use; only the safetensors was scanned.",
    references=(ATLAS_MASQUERADING,),
)
_STRAY = {
    Role.BASE_WEIGHT: BASE_OVERWRITE,
    Role.SAVED_MODULE: SAVED_MODULE,
    Role.DECOY: DECOY,
    Role.UNAPPLIED: UNAPPLIED,
    Role.WRAPPED: IGNORED,
    Role.OTHER: IGNORED,
}


class LoadingProbe:
    """Every tensor of the file, by what PEFT does with it."""

    id = "loading"
    title = "What really loads"
    needs = Need.DELTA
    cost = "one pass over the factors"
    rules = (BASE_OVERWRITE, SAVED_MODULE, DECOY, UNAPPLIED, IGNORED, NONFINITE, SHADOWED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Account for every tensor."""
        for rule in dict.fromkeys(_STRAY.values()):
            names = [printable(s.name, 160) for s in subject.delta.strays if _STRAY[s.role] is rule]
            if names:
                yield Finding(
                    rule=rule.id,
                    message=f"{len(names)} tensor{'s' if len(names) > 1 else ''}, first {names[0]}",
                    severity=rule.severity,
                    location=Location(file=WEIGHTS, item=names[0]),
                    details=tuple(names[:20]),
                )
        bad = [printable(m.module, 160) for m in subject.delta.modules if not m.finite]
        if bad:
            yield Finding(
                rule=NONFINITE.id,
                message=f"{len(bad)} of {len(subject.delta.modules)} modules, first {bad[0]}",
                severity=NONFINITE.severity,
                location=Location(file=WEIGHTS, item=bad[0]),
                details=tuple(bad[:20]),
            )
        for file in subject.adapter.files:
            if file.path in ("adapter_model.bin", "adapter_model.pt") and file.path not in subject.adapter.weights_files:
                yield Finding(rule=SHADOWED.id, message=f"{file.path} beside {WEIGHTS}", severity=SHADOWED.severity, location=Location(file=file.path))
        saved = [s for s in subject.delta.strays if s.role in (Role.SAVED_MODULE, Role.UNAPPLIED)]
        applied = len(subject.delta.modules)
        yield Coverage(
            probe=self.id,
            what="every tensor by what PEFT does with it",
            status=Status.NOT_MEASURED if saved or not applied else Status.MEASURED,
            surface=f"{len(subject.adapter.weights.tensors)} tensors: {applied} modules with a delta, {len(subject.delta.strays)} tensors that are not LoRA factors",
            why=f"{len(saved)} tensors that PEFT applies and unmask does not" if saved else "" if applied else "no module has a delta",
        )
