"""Files that are no scripts and make a tool run or fetch something: editor tasks, build files, YAML objects, pages with scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from probes.code.pickles import Level, level
from probes.code.rules import BUILD_RECIPE, PAGE_SCRIPT, TOOL_TASK, YAML_OBJECT
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.pickle_imports import Import
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import Rule, Severity

LARGEST = 1 << 20
RECIPES: tuple[tuple[Rule, str, str, str], ...] = (
    (TOOL_TASK, r"(?:.*/)?\.vscode/tasks\.json", r'"runOn"\s*:\s*"folderOpen"', "a task that an editor runs when the folder is opened"),
    (TOOL_TASK, r"(?:.*/)?(?:\.devcontainer(?:/.*)?/)?\.?devcontainer\.json", r'"\w*Command"\s*:', "commands of a development container"),
    (TOOL_TASK, r"(?:.*/)?\.(?:claude|cursor|gemini)/.*\.json|(?:.*/)?\.mcp\.json", r'"(?:command|hooks)"\s*:', "commands of an assistant that writes code"),
    (TOOL_TASK, r"(?:.*/)?\.(?:envrc|exrc|vimrc|nvimrc|lvimrc|gdbinit|lldbinit|bashrc|zshrc|profile)", r"\S", "commands that a shell or an editor runs in this folder"),
    (TOOL_TASK, r"(?:.*/)?package\.json", r'"(?:pre|post)?(?:install|prepare)"\s*:', "commands that npm runs when it installs"),
    (BUILD_RECIPE, r"(?i)(?:.*/)?(?:Dockerfile(?:\.[\w-]+)?|[\w-]+\.dockerfile|Containerfile)", r"(?im)^\s*(?:FROM|RUN|CMD|ENTRYPOINT|ADD)\b", "a container's recipe"),
    (BUILD_RECIPE, r"(?:.*/)?(?:GNUmakefile|[Mm]akefile|justfile|CMakeLists\.txt|Taskfile\.ya?ml)", r"\S", "a build file"),
    (BUILD_RECIPE, r"(?:.*/)?pyproject\.toml", r"(?m)^\s*\[\s*build-system\s*\]|backend-path", "a Python project whose installation runs its build backend"),
    (BUILD_RECIPE, r"(?:.*/)?\.pre-commit-config\.yaml", r"\brepo:", "hooks that pre-commit fetches and runs"),
    (BUILD_RECIPE, r"(?i)(?:.*/)?[\w-]*requirements[\w-]*\.txt|(?:.*/)?requirements/.*\.txt",
     r"(?m)^\s*(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|-e|--editable)\b|^[^#\n]*(?:@\s*|\b)(?:git|hg|svn|bzr)?\+?(?:https?|ssh|file)://",
     "requirements from elsewhere than the package index"),
    (PAGE_SCRIPT, r"(?i).*\.(?:svg|html?|xhtml|xml)", r"(?i)<\s*script\b|javascript:|\bon(?:load|error|click|mouseover|begin)\s*=|<\s*(?:foreignObject|iframe|object|embed)\b", "a page with a script"),
)  # fmt: skip
"""Rule, pattern for the path, pattern for the content, and what it is."""
_NAMED = tuple((rule, re.compile(path), re.compile(content), what) for rule, path, content, what in RECIPES)
_YAML = re.compile(
    r"!!?(?:<tag:yaml\.org,2002:)?python/(object/apply|object/new|object|name|module):([\w.]{1,200})|!<tag:yaml\.org,2002:python/(object/apply|object/new|object|name|module):([\w.]{1,200})>"
)


def recipes(path: Path, file: File) -> Iterator[Finding]:
    """Findings about a text or JSON file of at most 1 MiB read."""
    yaml = file.path.lower().endswith((".yaml", ".yml"))
    named = [(rule, content, what) for rule, name, content, what in _NAMED if name.fullmatch(file.path)]
    if file.kind not in (Kind.TEXT, Kind.JSON, Kind.SCRIPT) or not (yaml or named):
        return
    with path.open("rb") as stream:
        text = stream.read(LARGEST).decode("utf-8", "replace")
    shown = printable(file.path, 200)
    for rule, content, what in named:
        if found := content.search(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Finding(rule=rule.id, message=f"{shown}: {what}", severity=rule.severity, location=Location(file=shown, item=f"line {line}"))
    if yaml and (objects := _objects(text)):
        severity, name = max(objects, key=lambda o: o[0].level)
        names = tuple(printable(n, 120) for _, n in objects[:20])
        yield Finding(
            rule=YAML_OBJECT.id,
            message=f"{shown}: names {printable(name, 120)}",
            severity=severity,
            location=Location(file=shown, item=printable(name, 80)),
            details=names,
        )


def _objects(text: str) -> list[tuple[Severity, str]]:
    """How bad each Python object is that the YAML asks a loader to make: `os.system` as bad as in a pickle, what trainers write little."""
    found = []
    for match in list(_YAML.finditer(text))[:1000]:
        called, name = match[1] or match[3], match[2] or match[4]
        module, _, last = name.rpartition(".")
        how = level(Import(module, last)) if called != "module" and module else Level.EXPECTED
        severity = {Level.EXPECTED: Severity.LOW, Level.UNKNOWN: Severity.MEDIUM, Level.DANGEROUS: Severity.HIGH}[how]
        found.append((severity if called.startswith("object/") else min(severity, YAML_OBJECT.severity, key=lambda s: s.level), name))
    return found
