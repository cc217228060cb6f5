"""What the code probe can say."""

from __future__ import annotations

from scanner.rule import (
    ATLAS_CORRUPT,
    ATLAS_EMBED_MALWARE,
    ATLAS_MASQUERADING,
    ATLAS_UNSAFE_ARTIFACT,
    CWE_DESERIALIZATION,
    CWE_INTERPRETATION,
    CWE_TRAVERSAL,
    CWE_UNTRUSTED_INCLUDE,
    OWASP_SUPPLY_CHAIN,
    Basis,
    Rule,
    Severity,
)

PICKLE_CODE = Rule(
    id="pickle-code",
    title="A pickle that runs code when it is loaded",
    severity=Severity.CRITICAL,
    basis=Basis.INTEGRITY,
    meaning="The file is a pickle, or holds one, whose opcodes import a function that can run commands, read files or load code.",
    why="torch.load, pickle.load and many tools run it the moment they open the file. No honest adapter needs it.",
    fix="Do not load anything from this folder. Report it to the platform it came from.",
    references=(ATLAS_UNSAFE_ARTIFACT, ATLAS_EMBED_MALWARE, OWASP_SUPPLY_CHAIN, CWE_DESERIALIZATION),
)
PICKLE_UNKNOWN = Rule(
    id="pickle-unknown",
    title="A pickle that imports names unmask does not know",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The pickle imports classes or functions outside the list of what trainers and torch write, or could not be read to its end.",
    why="Loading a pickle calls what it imports. Home-made training code leaves such files too.",
    fix="Delete the file before use; an adapter needs only its .safetensors and .json files.",
    references=(ATLAS_UNSAFE_ARTIFACT, CWE_DESERIALIZATION),
)
PICKLE_FILE = Rule(
    id="pickle-file",
    title="A pickle lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A pickle that imports only what torch and trainers write, such as training_args.bin or optimizer.pt.",
    why="It is not needed to use the adapter, and pickles are unsafe to open in general.",
    fix="Leave it out of what you deploy.",
    references=(CWE_DESERIALIZATION,),
)
EXECUTABLE_FILE = Rule(
    id="executable-file",
    title="A program lies beside the adapter",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A compiled program or library (ELF, PE, Mach-O, Java, WebAssembly, a Windows link) is in the adapter's folder, whatever its name.",
    why="An adapter is data. A program beside it serves somebody who is to run it, or a loader that is tricked into doing so.",
    fix="Do not run it. Ask why it is there; leave it out of what you deploy.",
    references=(ATLAS_EMBED_MALWARE, OWASP_SUPPLY_CHAIN),
)
SCRIPT_FILE = Rule(
    id="code-file",
    title="Code lies beside the adapter",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A script is in the adapter's folder.",
    why="An adapter is data. Code beside it is run by people, by hosting services (handler.py), or by loaders told to trust remote code.",
    fix="Read it, or leave it out of what you deploy. Never set trust_remote_code for this folder.",
    references=(ATLAS_EMBED_MALWARE, CWE_UNTRUSTED_INCLUDE),
)
NOTEBOOK_FILE = Rule(
    id="notebook-file",
    title="A notebook lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A Jupyter notebook is in the adapter's folder.",
    why="Nothing runs it by itself. Its outputs can hold paths, tokens and data of whoever trained the adapter.",
    fix="Leave it out of what you deploy.",
    references=(CWE_UNTRUSTED_INCLUDE,),
)
REMOTE_CODE = Rule(
    id="remote-code",
    title="A configuration names Python code to be loaded",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A JSON file beside the adapter holds auto_map, custom_pipelines or trust_remote_code, names in modules.json or model_index.json what can run commands, or is a "
    "configuration too large to be examined.",
    why="transformers runs the code it names when remote code is trusted. Models with their own architecture honestly do this; an adapter for them needs it only from its base.",
    fix="Load tokenizer and model from the base. Never set trust_remote_code for this folder.",
    references=(CWE_UNTRUSTED_INCLUDE, OWASP_SUPPLY_CHAIN),
)
MODEL_CODE = Rule(
    id="model-code",
    title="A model file that carries code",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A Keras file with a Lambda layer, a TensorFlow graph that calls Python or opens files, or a TorchScript archive.",
    why="Loading such a file runs code its author wrote. A PEFT adapter has no use for it.",
    fix="Do not load it. Leave it out of what you deploy.",
    references=(ATLAS_UNSAFE_ARTIFACT, ATLAS_EMBED_MALWARE, CWE_DESERIALIZATION),
)
ARCHIVE_FILE = Rule(
    id="archive-file",
    title="An archive lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A packed file is in the adapter's folder. Every entry was looked into.",
    why="It is not needed to use the adapter, and what is packed escapes other scanners.",
    fix="Leave it out of what you deploy.",
    references=(OWASP_SUPPLY_CHAIN,),
)
ARCHIVE_UNREAD = Rule(
    id="archive-unread",
    title="An archive that could not be looked into",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A packed file is encrypted, damaged, packed in a way that is not opened here, or beyond the limits on size and depth.",
    why="What cannot be examined can hold anything.",
    fix="Leave it out of what you deploy, or unpack it yourself and scan what is in it.",
    references=(OWASP_SUPPLY_CHAIN, ATLAS_CORRUPT),
)
ARCHIVE_ENTRY = Rule(
    id="archive-entry",
    title="An archive that harms whoever unpacks it",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="An entry leaves the folder it is unpacked into, is a link or a device, or has a name that another entry has. It was not unpacked.",
    why="Careless unpackers write such entries over files of your machine, and two unpackers make two different folders of it.",
    fix="Do not unpack it. Ask for an archive of plain files.",
    references=(CWE_TRAVERSAL, ATLAS_EMBED_MALWARE, OWASP_SUPPLY_CHAIN),
)
POLYGLOT = Rule(
    id="polyglot",
    title="One file that is two",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="After the end of a weights file or a picture, or before the beginning of an archive, there is a file of another type.",
    why="One program opens the harmless half and another the hidden one, so that what is examined is not what is used.",
    fix="Do not use the file. Ask the author for a clean export.",
    references=(ATLAS_MASQUERADING, CWE_INTERPRETATION, OWASP_SUPPLY_CHAIN),
)
FILE_NAME = Rule(
    id="file-name",
    title="A file name that shows as another",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The name of a file holds characters that are invisible or turn the direction of writing.",
    why="`modelfdp.exe` with a turn in the middle shows as `modelexe.pdf`. No tool writes such names.",
    fix="Do not open the file. Ask the author what it is.",
    references=(ATLAS_MASQUERADING,),
)
LINK_OUTSIDE = Rule(
    id="link-outside",
    title="A link leaves the adapter's folder",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="An entry of the folder is a symbolic link to a place outside it, or not a regular file. It was not followed.",
    why="Loaders follow it and read, or publish, files of your machine.",
    fix="Remove the link. Ask the author for the real file.",
    references=(OWASP_SUPPLY_CHAIN, CWE_UNTRUSTED_INCLUDE),
)
LFS_POINTER = Rule(
    id="lfs-pointer",
    title="A Git LFS pointer stands where a file should be",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The file holds the address of its content, not the content, so the scan is incomplete.",
    why="What will be fetched later was not scanned now.",
    fix="Run `git lfs pull` and scan again.",
    references=(OWASP_SUPPLY_CHAIN,),
)
GIT_RUNS = Rule(
    id="git-runs",
    title="A Git repository that runs commands",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A .git folder, or a folder laid out like one, came with the adapter, and a hook in it is switched on, its configuration names a command, "
    "or a link stands in the place of one of them.",
    why="Git runs them at the next commit, checkout, or even `git status` (core.fsmonitor). A clone never brings those of .git; a copied folder does, and a folder with HEAD, objects, refs and config "
    "counts for Git as a repository under any name, in a clone too. "
    "Hooks of your own tools in your own clone look like this honestly; those of Git LFS are known and not told.",
    fix="Delete what the finding names before you run Git or open the folder in an editor; clone the repository anew where it is your own.",
    references=(CWE_UNTRUSTED_INCLUDE, ATLAS_EMBED_MALWARE),
)
TOOL_TASK = Rule(
    id="tool-runs",
    title="A file that makes an editor, a shell or a desktop run commands",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The folder holds tasks or settings of an editor, a development container, an assistant, a debugger or a shell, or a shortcut of Windows, that run or fetch "
    "something when the folder is opened, shown or entered.",
    why="An adapter is data. Whoever opens its folder in the tool runs what the uploader wrote; most tools ask first.",
    fix="Do not open the folder in that tool. Leave the file out of what you deploy.",
    references=(CWE_UNTRUSTED_INCLUDE, ATLAS_EMBED_MALWARE),
)
BUILD_RECIPE = Rule(
    id="build-recipe",
    title="A build file lies beside the adapter",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="A Dockerfile, a Makefile, a pipeline, a Python project, an Ollama Modelfile, or requirements and settings that take packages from elsewhere than the index.",
    why="Nothing runs it by itself; whoever builds or installs from the folder runs what it says. Honest projects have them.",
    fix="Read it before you build. Leave it out of what you deploy.",
    references=(CWE_UNTRUSTED_INCLUDE,),
)
YAML_OBJECT = Rule(
    id="yaml-object",
    title="A YAML file that makes Python objects",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A YAML file has tags such as !!python/object/apply, which name what Python is to import and call.",
    why="yaml.unsafe_load and careless loaders call it. What can run commands counts as in a pickle; classes of trainers, which some write honestly, count little.",
    fix="Read it with yaml.safe_load, or delete it; an adapter does not need it.",
    references=(CWE_DESERIALIZATION, ATLAS_UNSAFE_ARTIFACT),
)
PAGE_SCRIPT = Rule(
    id="page-script",
    title="A page or a picture with a script",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="An HTML or SVG file beside the adapter holds a script or loads others' content.",
    why="It runs in the browser of whoever opens it, as reports and interactive plots honestly do.",
    fix="Do not show it to others from your own site. Leave it out of what you deploy.",
    references=(CWE_UNTRUSTED_INCLUDE,),
)
RULES = (
    PICKLE_CODE, PICKLE_UNKNOWN, PICKLE_FILE, EXECUTABLE_FILE, SCRIPT_FILE, NOTEBOOK_FILE, REMOTE_CODE, MODEL_CODE, ARCHIVE_FILE, ARCHIVE_UNREAD, ARCHIVE_ENTRY,
    POLYGLOT, FILE_NAME, LINK_OUTSIDE, LFS_POINTER, GIT_RUNS, TOOL_TASK, BUILD_RECIPE, YAML_OBJECT, PAGE_SCRIPT,
)  # fmt: skip
