"""The weights' containers: what the format forbids and loaders accept."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.files.text import printable
from scanner.files.weights import Irregularity
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_CORRUPT, ATLAS_EMBED_MALWARE, ATLAS_MASQUERADING, CWE_INTERPRETATION, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

AMBIGUOUS = Rule(
    id="container-ambiguous",
    title="Readers disagree about the weights file",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The file breaks its format in a way that some loaders accept: a name written twice, a tensor in two shards, white space before the header.",
    why="Two programs then load two different adapters from one file, and the one that was examined need not be the one that runs. "
    "No library writes such files.",
    fix="Ask for a file saved by PEFT's save_pretrained.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION, OWASP_SUPPLY_CHAIN),
)
HOSTILE_NAME = Rule(
    id="container-name",
    title="A tensor has a name that no module can have",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The name of a tensor holds control characters, invisible characters or steps of a path, or is empty or endless.",
    why="No model has such a module, so the name is not for the loader: it is for logs, terminals, and tools that make file names of it.",
    fix="Ask for a file saved by PEFT's save_pretrained. Do not unpack its tensors into files.",
    references=(ATLAS_CORRUPT, OWASP_SUPPLY_CHAIN),
)
UNEXPECTED = Rule(
    id="container-field",
    title="The weights file holds fields that its format does not know",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="An entry of the header has more than a dtype, a shape and offsets.",
    why="Loaders skip such fields, so they are a place to hide data, and no library writes them.",
    fix="Ask what they are for, or ask for a file saved by PEFT's save_pretrained.",
    references=(ATLAS_MASQUERADING,),
)
APPENDED = Rule(
    id="container-appended",
    title="Bytes after the end of the weights",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A GGUF file goes on after its last tensor. llama.cpp does not look there. (A safetensors file that does so is refused.)",
    why="Data that no loader reads is a place to hide a payload for something else.",
    fix="Ask what it is for, or ask for a file as convert_lora_to_gguf.py writes it.",
    references=(ATLAS_EMBED_MALWARE, ATLAS_MASQUERADING),
)
_RULES = {Irregularity.AMBIGUOUS: AMBIGUOUS, Irregularity.HOSTILE_NAME: HOSTILE_NAME, Irregularity.UNEXPECTED: UNEXPECTED, Irregularity.APPENDED: APPENDED}


class ContainerProbe:
    """The weights files against the promises of their formats."""

    id = "container"
    title = "Weights files"
    needs = Need.FILES
    cost = "none: the headers were read when the adapter was opened"
    rules = (AMBIGUOUS, HOSTILE_NAME, UNEXPECTED, APPENDED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Raise what the reader noted, one finding a rule."""
        adapter = subject.adapter
        where = adapter.weights_files[0] if adapter.weights_files else ""
        for kind, rule in _RULES.items():
            flaws = [f for f in adapter.weights.flaws if f.kind is kind]
            if flaws:
                yield Finding(
                    rule=rule.id,
                    message=f"{printable(where, 120)}: {flaws[0].what}{f' (and {len(flaws) - 1} more)' if len(flaws) > 1 else ''}",
                    severity=rule.severity,
                    location=Location(file=printable(where, 200), item=flaws[0].item),
                    details=tuple(f.what for f in flaws[:20]),
                )
        yield Coverage(
            probe=self.id,
            what="the weights files against their format",
            status=Status.NOT_MEASURED if adapter.problem else Status.MEASURED,
            why=adapter.problem,
            surface=f"{len(adapter.weights_files)} files, {len(adapter.weights.tensors):,} tensors",
        )
