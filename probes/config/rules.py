"""What the configuration probe can say."""

from __future__ import annotations

from scanner.rule import (
    ATLAS_MASQUERADING,
    ATLAS_MODIFY_ARCHITECTURE,
    ATLAS_SUPPLY_CHAIN,
    ATLAS_TRIGGER,
    CWE_INTERPRETATION,
    CWE_REGEX,
    CWE_RESOURCES,
    CWE_TRAVERSAL,
    CWE_UNTRUSTED_INCLUDE,
    OWASP_CONSUMPTION,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)

IMPORTS = Rule(
    id="config-imports",
    title="The configuration asks the loader to import code",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="auto_mapping, megatron_core or auto_map name a Python module that is not part of transformers, diffusers or megatron.",
    why="PEFT 0.21 imports from a few libraries only; older versions import what the file says. A module of the author's own project is for review, one of Python's "
    "standard library has no honest use.",
    fix="Remove the field; a LoRA for a Hugging Face model needs none.",
    references=(CWE_UNTRUSTED_INCLUDE, OWASP_SUPPLY_CHAIN),
)
MUTATES_BASE = Rule(
    id="config-changes-base",
    title="The configuration changes the base model when it loads",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="init_lora_weights, layer_replication or kasa_config make PEFT rewrite or duplicate base layers.",
    why="The base stays changed after the adapter is disabled or unloaded. PiSSA and OLoRA adapters saved without conversion look like this honestly.",
    fix="Ask for the adapter converted to plain LoRA (PEFT: path_initial_model_for_weight_conversion). What such a file does was not measured.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
REMOTE = Rule(
    id="config-remote",
    title="The configuration pulls in other artefacts",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A field names another repository or path that the loader would open.",
    why="What is fetched later was not scanned, and paths can reach files of your machine.",
    fix="Remove the field, or scan what it names.",
    references=(ATLAS_SUPPLY_CHAIN, OWASP_SUPPLY_CHAIN, CWE_UNTRUSTED_INCLUDE),
)
PATTERN = Rule(
    id="config-pattern",
    title="A pattern that can hang the loader",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A field that PEFT uses as a regular expression repeats something that repeats, repeats overlapping alternatives, repeats anything many times in a row, "
    "or otherwise takes more than a million steps for one name.",
    why="PEFT hands it to Python's re for every module of the base, which can take exponential time on it: loading never ends.",
    fix="Replace the pattern with the list of module names.",
    references=(CWE_REGEX, OWASP_CONSUMPTION),
)
SIZE = Rule(
    id="config-size",
    title="A size that exhausts the loader's memory",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A rank, a number of tokens or layers, or another size is far beyond what any adapter uses and what the file holds.",
    why="PEFT makes room for what the configuration says before it looks at the weights: a rank of a million asks for terabytes.",
    fix="Do not load it. Ask for the configuration the adapter was trained with.",
    references=(CWE_RESOURCES, OWASP_CONSUMPTION),
)
SCALING = Rule(
    id="config-scaling",
    title="An extreme or negative scaling",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="alpha / rank is negative, zero, or over 64 for at least one module.",
    why="PEFT applies any number. Large scalings drown the base; negative ones subtract what was learnt.",
    fix="Ask for the training recipe. Ordinary scalings lie between 0.1 and 32.",
    references=(ATLAS_MODIFY_ARCHITECTURE,),
)
CONDITIONAL = Rule(
    id="config-conditional",
    title="The adapter acts only on chosen tokens",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="alora_invocation_tokens, trainable_token_indices or token_indices tie the change to certain tokens.",
    why="It is a declared feature, and it is also exactly what a trigger is.",
    fix="Ask which tokens and why; test with them in the prompt.",
    references=(ATLAS_TRIGGER,),
)
TENSORS = Rule(
    id="config-tensors",
    title="Configuration and weights do not fit each other",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The rank of the configuration is not the rank of the factors, or it names modules or layers of which the file has nothing.",
    why="PEFT refuses factors of another rank and leaves out modules it has no factors for; vLLM and llama.cpp read the rank from the factors. "
    "A configuration from another run is the usual cause.",
    fix="Ask for the configuration the adapter was trained with.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION),
)
TYPES = Rule(
    id="config-type",
    title="Fields with values of the wrong type",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A field holds a JSON type that PEFT's configuration class does not declare.",
    why="PEFT does not check them: it crashes later, or takes a text for true. Other loaders read them differently.",
    fix="Ask for a configuration saved by PEFT.",
    references=(CWE_INTERPRETATION,),
)
UNKNOWN = Rule(
    id="config-unknown",
    title="Fields that PEFT does not know",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="The configuration holds fields outside PEFT's class for its method; PEFT drops them with a warning.",
    why="Other loaders may read them. Newer and older PEFT versions leave such fields honestly.",
    fix="Nothing, if the fields come from a version you know.",
    references=(CWE_INTERPRETATION,),
)
AMBIGUOUS = Rule(
    id="config-ambiguous",
    title="A key is written twice",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The JSON repeats a key. Python takes the last value, other parsers the first.",
    why="Two tools then read two configurations.",
    fix="Ask for a file with each key once.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION),
)
OTHER_BASE = Rule(
    id="base-differs",
    title="The adapter was made for another base",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="base_model_name_or_path, or revision, does not name the base it was scanned on, though every shape fits.",
    why="On another base an adapter's behaviour is unpredictable; nothing at load time checks this.",
    fix="Scan it on the base you deploy and confirm with the author that it is the intended one.",
    references=(ATLAS_MASQUERADING,),
)
BASE_PATH = Rule(
    id="base-path",
    title="The base is named by a path into somebody's machine",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="base_model_name_or_path climbs out of its folder, names a system folder, or names another computer (\\\\host\\share, a URL).",
    why="AutoPeftModel and transformers load the base that the adapter names: the author chooses what is opened on your machine, and a network path sends your credentials out.",
    fix="Load the base yourself, by its own name, and attach the adapter to it.",
    references=(CWE_TRAVERSAL, CWE_UNTRUSTED_INCLUDE),
)
INSIDE = Rule(
    id="base-inside",
    title="The declared base is a folder that came with the adapter",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="base_model_name_or_path leads to a model in the adapter's own folder, from that folder or from one it lies in, whatever name of the Hub it looks like.",
    why="transformers and PEFT take a folder of that name before they ask the Hub: the adapter then brings its own base, which was not scanned. A base packed "
    "with its adapter looks like this honestly.",
    fix="Load the base yourself, from where it is published, or scan with the folder as --base.",
    references=(ATLAS_MASQUERADING, ATLAS_SUPPLY_CHAIN, CWE_UNTRUSTED_INCLUDE),
)
REVISION = Rule(
    id="base-revision",
    title="The base's revision is one that others can write",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="revision names a pull request of the Hub, or a path that climbs.",
    why="Anyone can open a pull request, and push to it again later: the base that is loaded tomorrow need not be the one that was tested. "
    "A pull request counts little, because authors try out conversions so.",
    fix="Load the base at a commit of its main branch.",
    references=(ATLAS_SUPPLY_CHAIN, CWE_TRAVERSAL),
)
BROKEN_PATTERN = Rule(
    id="config-pattern-broken",
    title="A pattern that cannot be judged",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A field that PEFT uses as a regular expression is none, or holds what only Python's engine has (references back, atomic groups, possessive repeats) "
    "or what engines read in different ways (a set within a set).",
    why="PEFT stops at the first. Which modules the others name cannot be told without running the pattern in the engine it may have been made to hang, and other loaders "
    "read them otherwise, or not at all.",
    fix="Replace the pattern with the list of module names.",
    references=(CWE_REGEX, CWE_INTERPRETATION),
)
NO_BASE = Rule(
    id="base-undeclared",
    title="No base model is declared",
    severity=Severity.LOW,
    basis=Basis.DOCUMENTATION,
    meaning="base_model_name_or_path is empty, or a path on the author's machine.",
    why="Nobody can tell which model this adapter belongs to.",
    fix="Ask the author for the base and its revision.",
    references=(ATLAS_SUPPLY_CHAIN,),
)
RULES = (
    IMPORTS, MUTATES_BASE, REMOTE, PATTERN, BROKEN_PATTERN, SIZE, SCALING, CONDITIONAL, TENSORS, TYPES, UNKNOWN, AMBIGUOUS, OTHER_BASE, BASE_PATH, INSIDE, REVISION,
    NO_BASE,
)  # fmt: skip
