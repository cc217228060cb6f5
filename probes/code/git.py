"""A `.git` folder that came with the upload: what Git itself would run from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from probes.code.rules import GIT_RUNS
from scanner.files.inventory import GIT, File
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import Severity

LARGEST = 64 * 1024
_LFS_HOOK = re.compile(
    r"#!/bin/sh\s+command -v git-lfs >/dev/null 2>&1 \|\| \{ (?:echo|printf) >&2 (?:\"(?:[^\"$`\\]|\\n)*\"\s*)+; exit 2; \}\s+git lfs [a-z-]{4,20} \"\$@\"\s*"
)
"""What `git lfs install` writes, and nothing else."""
_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9.-]+)\s*(?:\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*)")
_RUNS = re.compile(
    r"core\.(?:fsmonitor|sshcommand|hookspath|editor|pager|gitproxy|askpass)|sequence\.editor|gpg\.(?:.*\.)?program|uploadpack\.packobjectshook"
    r"|filter\.(?P<filter>.*)\.(?:clean|smudge|process)|diff\.(?:.*\.)?(?:external|textconv|command)|merge\..*\.driver|credential\.(?:.*\.)?helper|include(?:if\..*)?\.path"
    r"|(?:pager|difftool|mergetool|browser|man)\..*|remote\..*\.(?:uploadpack|receivepack|vcs)|submodule\..*\.update|protocol\.ext\.allow",
    re.IGNORECASE,
)
_PLAIN = re.compile(
    r"|true|false|yes|no|on|off|0|1|never|always|user|checkout|merge|rebase|none|store|cache|manager|osxkeychain|git-lfs [a-z% -]{4,60}", re.IGNORECASE
)
"""Values that name no command of the author's own."""


def runs(path: Path, file: File) -> Iterator[Finding]:
    """A finding where the file of a `.git` folder is a hook that is switched on, or a configuration that names a command."""
    parts = PurePosixPath(file.path).parts
    inner = parts[parts.index(GIT) + 1 :]
    shown = printable(file.path, 200)
    if inner[:1] == ("hooks",) and file.bytes and not inner[-1].endswith(".sample"):
        if file.bytes > LARGEST or not _LFS_HOOK.fullmatch(path.read_text("utf-8", "replace")):
            yield _finding(shown, f"{shown}: a hook, which Git runs", GIT_RUNS.severity)
    elif inner[-1] in ("config", "config.worktree") and file.bytes <= LARGEST:
        for field, value in settings(path.read_text("utf-8", "replace")):
            if (_RUNS.fullmatch(field) and not _PLAIN.fullmatch(value)) or (field.startswith("alias.") and value.startswith("!")):
                severity = Severity.HIGH if field in ("core.fsmonitor", "core.hookspath", "core.sshcommand") else GIT_RUNS.severity
                yield _finding(shown, f"{shown}: {printable(field, 80)} is {printable(value, 120)}", severity)


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case and values of a Git configuration (https://git-scm.com/docs/git-config), read loosely."""
    section = ""
    for line in text.split("\n"):
        head = _SECTION.match(line)
        if head:
            section = ".".join(filter(None, (head[1].lower(), head[2])))
            line = line[head.end() :]
        if field := _FIELD.match(line):
            yield f"{section}.{field[1].lower()}", field[2].strip().strip('"')


def _finding(file: str, message: str, severity: Severity) -> Finding:
    return Finding(rule=GIT_RUNS.id, message=message, severity=severity, location=Location(file=file))
