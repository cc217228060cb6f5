"""What a loader really does with the weights file: applied, ignored, or written over the base."""

from __future__ import annotations

import math
from collections.abc import Iterator

from probes.loaders import pairs, views
from scanner.delta.delta import Role
from scanner.delta.methods.lora import REWRITING
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Status, Table
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
LARGEST_RATIO = 4.0
"""Patterns and rounding of alpha give such differences of scale honestly."""

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
    why="It is a declared feature, used for heads and embeddings, and it can carry any behaviour. Without a base it cannot be measured.",
    fix="Scan with the base, so that the difference and the behaviour are measured.",
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
    title="Parts of the adapter that unmask does not measure",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A method, a tensor or a field that a loader may apply and unmask does not understand, or that has no meaning as it stands.",
    why="What runs can then be more than what was measured. The verdict is incomplete, never a pass.",
    fix="Ask for an adapter without them, converted to plain LoRA where possible, or scan the merged model.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
HEAD = Rule(
    id="task-head",
    title="The adapter brings a task head",
    severity=Severity.INFO,
    basis=Basis.INTEGRITY,
    meaning="The configuration's task needs a head (classifier, score, qa_outputs), and the file holds it.",
    why="It is how such adapters are made. The head decides the answer, so it is as much part of the model as the delta.",
    fix="Nothing, if the adapter is for this task.",
)
EMBEDDING = Rule(
    id="embedding-replaced",
    title="A whole embedding or output matrix lies in the file",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="PEFT copies it over the base's own, and it stays there after the adapter is unloaded.",
    why="PEFT saves it by itself where embeddings are trained or tokens were added; it is also a way to change every token at once.",
    fix="Scan with the base: an unchanged copy is then recognised. Ask for an adapter without it.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
BIAS = Rule(
    id="bias-trained",
    title="The adapter replaces biases of the base",
    severity=Severity.INFO,
    basis=Basis.INTEGRITY,
    meaning="bias is all or lora_only: PEFT copies trained biases over the base's, and they stay after the adapter is unloaded.",
    why="It is a declared feature. Two adapters on one base then disturb each other.",
    fix="Load the base anew for every adapter.",
)
DISAGREE = Rule(
    id="loaders-disagree",
    title="Loaders make different models of this file",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="PEFT, vLLM and llama.cpp change different modules, or change them by different amounts, without a word.",
    why="What was tested with one loader is not what runs with another; a change can hide from whoever tests with PEFT. Prefixes left over from "
    "wrapping a model twice, rsLoRA and alpha patterns do it honestly.",
    fix="Test with the loader you deploy with, or ask for a file saved anew by PEFT's save_pretrained, with one alpha for all modules.",
    references=(ATLAS_MASQUERADING,),
)
NONFINITE = Rule(
    id="weights-nonfinite",
    title="The weights hold NaN or infinity, or come to it",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="At least one factor holds a value that is not a number, or the factors multiply to more than float32 holds. PEFT loads it silently and the "
    "model's answers become noise.",
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
    Role.HEAD: HEAD,
    Role.EMBEDDING: EMBEDDING,
    Role.BIAS: BIAS,
    Role.DECOY: DECOY,
}


_OTHERS_APPLY = {Role.UNTARGETED: Severity.HIGH, Role.WRAPPED: Severity.MEDIUM, Role.UNPREFIXED: Severity.MEDIUM}
_IGNORED_BY_PEFT = (Role.OTHER, *_OTHERS_APPLY)


class LoadingProbe:
    """Every tensor of the file, by what PEFT does with it."""

    id = "loading"
    title = "What really loads"
    needs = Need.DELTA
    cost = "one pass over the factors"
    rules = (BASE_OVERWRITE, SAVED_MODULE, HEAD, EMBEDDING, BIAS, DECOY, DISAGREE, IGNORED, UNAPPLIED, NONFINITE, SHADOWED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Account for every tensor."""
        for rule in dict.fromkeys(_STRAY.values()):
            names = [printable(s.name, 160) for s in subject.delta.strays if _STRAY.get(s.role) is rule]
            if names:
                yield Finding(
                    rule=rule.id,
                    message=_counted(names),
                    severity=rule.severity,
                    location=Location(file=WEIGHTS, item=names[0]),
                    details=tuple(names[:20]),
                )
        taken = {v.loader for v in views(subject.adapter, subject.delta)[1:] if not v.refuses}
        left = [
            printable(s.name, 160) for s in subject.delta.strays if s.role in _IGNORED_BY_PEFT and not (taken and s.role in _OTHERS_APPLY and "lora_" in s.name)
        ]
        if left:
            yield Finding(
                rule=IGNORED.id, message=_counted(left), severity=IGNORED.severity, location=Location(file=WEIGHTS, item=left[0]), details=tuple(left[:20])
            )
        yield from self._disagreements(subject)
        unmeasured = subject.delta.unmeasured
        if unmeasured:
            yield Finding(
                rule=UNAPPLIED.id,
                message=f"{unmeasured[0].what}: {unmeasured[0].why}" + (f" (and {len(unmeasured) - 1} more)" if len(unmeasured) > 1 else ""),
                severity=UNAPPLIED.severity,
                location=Location(file=WEIGHTS, item=unmeasured[0].what),
                details=tuple(f"{u.what}: {u.why}" for u in unmeasured[:20]),
            )
        changes = subject.delta.changes
        bad = [printable(m, 160) for m in subject.nonfinite]
        if bad:
            yield Finding(
                rule=NONFINITE.id,
                message=f"{len(bad)} of {len(changes)} modules, first {bad[0]}",
                severity=NONFINITE.severity,
                location=Location(file=WEIGHTS, item=bad[0]),
                details=tuple(bad[:20]),
            )
        yield _loaders(subject)
        for file in subject.adapter.files:
            if file.path in ("adapter_model.bin", "adapter_model.pt") and file.path not in subject.adapter.weights_files:
                yield Finding(rule=SHADOWED.id, message=f"{file.path} beside {WEIGHTS}", severity=SHADOWED.severity, location=Location(file=file.path))
        yield Coverage(
            probe=self.id,
            what="every tensor by what PEFT does with it",
            status=Status.NOT_MEASURED if unmeasured or not changes else Status.MEASURED,
            surface=f"{len(subject.adapter.weights.tensors)} tensors: {len(changes)} changes of the base, {len(subject.delta.strays)} tensors outside {subject.delta.method}",
            why=f"{unmeasured[0].what}: {unmeasured[0].why}" if unmeasured else "" if changes else "nothing changes the base",
        )

    def _disagreements(self, subject: Subject) -> Iterator[Finding]:
        """Where PEFT, vLLM and llama.cpp make different models of the file."""

        def finding(message: str, severity: Severity, names: list[str]) -> Finding:
            shown = tuple(printable(n, 160) for n in names[:20])
            return Finding(rule=DISAGREE.id, message=message, severity=severity, location=Location(file=WEIGHTS, item=shown[0]), details=shown)

        peft, *others = views(subject.adapter, subject.delta)
        loaded = [v for v in others if not v.refuses]
        if not loaded:
            return
        who = " and ".join(v.loader for v in loaded)
        written: dict[str, list[str]] = {}
        for pair in pairs(subject.adapter):
            written.setdefault(pair.module, []).append(pair.written)
        twice = sorted(m for m, names in written.items() if len(names) > 1)
        if twice:
            message = f"{len(twice)} modules have factors under two names, first {printable(twice[0], 120)}: {who} and PEFT need not take the same ones"
            yield finding(message, Severity.HIGH, [n for m in twice for n in written[m]])
        for role, severity in _OTHERS_APPLY.items():
            names = [s.name for s in subject.delta.strays if s.role is role and "lora_" in s.name]
            if names:
                yield finding(
                    f"{len(names)} {role.value.partition(':')[0]}, first {printable(names[0], 120)}: PEFT ignores them, {who} apply them", severity, names
                )
        if str(subject.adapter.config_file.raw.get("init_lora_weights")).lower().startswith(REWRITING):
            return
        for view in loaded:
            ratios = {m: s / peft.scales[m] for m, s in view.scales.items() if peft.scales.get(m)}
            unlike = sorted((m for m, r in ratios.items() if not math.isclose(r, 1.0, rel_tol=1e-3)), key=lambda m: (-abs(math.log(abs(ratios[m]) or 1e-9)), m))
            if unlike:
                worst = ratios[unlike[0]]
                usual = subject.adapter.config.use_rslora or 1 / LARGEST_RATIO <= worst <= LARGEST_RATIO
                message = f"{view.loader} multiplies {len(unlike)} of {len(ratios)} modules by another scale than PEFT, at most by {worst:.3g} times it"
                yield finding(message, Severity.LOW if usual else Severity.MEDIUM, unlike)


def _counted(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}, first {names[0]}"


def _loaders(subject: Subject) -> Table:
    """What each loader does with the file."""
    rows = []
    for view in views(subject.adapter, subject.delta):
        scales = sorted(set(view.scales.values()))
        applied = 0 if view.refuses else len(view.scales)
        scale = "" if view.refuses or not scales else f"{scales[0]:.4g}" if len(scales) == 1 else f"{scales[0]:.4g} to {scales[-1]:.4g}"
        rows.append((view.loader, view.refuses or "loads it", applied, scale))
    names = (("loader", "loader"), ("loads", "what it does with the file"), ("modules", "modules with low-rank factors it changes"), ("scale", "scale"))
    return Table(id="loading.loaders", title="The same file in three loaders", columns=tuple(Column(*n) for n in names), rows=tuple(rows))
