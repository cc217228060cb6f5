"""What the container probe can say."""

from __future__ import annotations

from scanner.files.weights import Irregularity
from scanner.rule import (
    ATLAS_CORRUPT,
    ATLAS_EMBED_MALWARE,
    ATLAS_ERODE_INTEGRITY,
    ATLAS_MASQUERADING,
    CWE_INJECTION,
    CWE_INTERPRETATION,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)

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
    meaning="A GGUF file goes on after its last tensor, or a torch file after its zip. Loaders do not look there; a safetensors file that does so is refused.",
    why="Data that no loader reads is a place to hide a payload for something else.",
    fix="Ask what it is for, or ask for a file as convert_lora_to_gguf.py writes it.",
    references=(ATLAS_EMBED_MALWARE, ATLAS_MASQUERADING),
)
BROKEN = Rule(
    id="container-broken",
    title="Another weights file in the folder breaks its format",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A safetensors, GGUF or torch file beside the adapter, or in a folder below it, is truncated or not what its name says.",
    why="Whoever loads that file instead gets something nobody examined. Interrupted downloads and full disks leave such files honestly.",
    fix="Delete it, or ask for a whole copy.",
    references=(ATLAS_CORRUPT,),
)
METADATA = Rule(
    id="container-metadata",
    title="Metadata of the weights that is meant for more than reading",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The file's own metadata holds markup that runs, code, a packed file or a pickle in base64, a configuration that imports, control characters, or "
    "sentences addressed to a model that reads it.",
    why="Model pages, user interfaces, terminals and assistants show or read this text. It is the uploader's, and nothing checks it. Length alone counts little.",
    fix="Do not show it unescaped. Ask for a file without it.",
    references=(ATLAS_EMBED_MALWARE, CWE_INJECTION, OWASP_SUPPLY_CHAIN),
)
NONFINITE = Rule(
    id="tensor-nonfinite",
    title="A tensor beside the delta holds NaN or infinity",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A replaced module, an embedding or another tensor that is not part of a delta holds a value that is not a number.",
    why="Where a loader applies it, the model's answers become noise. It is nearly always a failed training run.",
    fix="Do not deploy it. Ask the author for a working export.",
    references=(ATLAS_ERODE_INTEGRITY,),
)
DENORMAL = Rule(
    id="weights-denormal",
    title="Many numbers too small to be weights",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning="More than one in a hundred values of a float32, float64 or bfloat16 tensor is below 1e-38 and not zero.",
    why="Training does not leave such numbers. They slow arithmetic down on some processors, and their bits can carry other data.",
    fix="Ask how the weights were exported.",
    references=(ATLAS_MASQUERADING,),
)
FLAWS = {Irregularity.AMBIGUOUS: AMBIGUOUS, Irregularity.HOSTILE_NAME: HOSTILE_NAME, Irregularity.UNEXPECTED: UNEXPECTED, Irregularity.APPENDED: APPENDED}
