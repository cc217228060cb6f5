"""A Git repository that came with the upload, in a `.git` folder or laid out in any other: what Git itself would run from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from probes.code.rules import GIT_RUNS
from scanner.files.inventory import GIT, SETTINGS, File, could_run
from scanner.files.kinds import Kind
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import Severity

LARGEST = 1 << 20
_LFS_HOOK = re.compile(
    r"#!/bin/sh\s+command -v git-lfs >/dev/null 2>&1 \|\| \{ (?:echo|printf) >&2 (?:\"(?:[^\"$`\\]|\\n)*\"\s*)+; exit 2; \}\s+git lfs [a-z-]{4,20} \"\$@\"\s*"
)
"""What `git lfs install` writes, and nothing else."""
_COMMON = {"objects", "refs"}
"""What a folder must hold for Git to take settings and hooks from it (https://git-scm.com/docs/gitrepository-layout)."""
_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9.-]+)\s*(?:\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*)")
_RUNS = re.compile(
    r"core\.(?:fsmonitor|sshcommand|hookspath|editor|pager|gitproxy|askpass|alternaterefscommand)|sequence\.editor|interactive\.difffilter|gpg\.(?:.*\.)?program|uploadpack\.packobjectshook"
    r"|filter\.(?P<filter>.*)\.(?:clean|smudge|process)|diff\.(?:.*\.)?(?:external|textconv|command)|merge\..*\.driver|credential\.(?:.*\.)?helper|include(?:if\..*)?\.path"
    r"|(?:pager|difftool|mergetool|browser|man)\..*|remote\..*\.(?:uploadpack|receivepack|vcs)|submodule\..*\.update|protocol\.(?:ext\.)?allow"
    r"|gc\.recentobjectshook|(?:trailer|guitool|tar|hook)\..*\.(?:cmd|command)|sendemail\..*cmd|init\.templatedir|imap\.tunnel",
    re.IGNORECASE,
)
_PLAIN = re.compile(
    r"|true|false|yes|no|on|off|0|1|never|always|user|checkout|merge|rebase|none|store|cache|manager|osxkeychain|git-lfs [a-z% -]{4,60}", re.IGNORECASE
)
"""Values that name no command of the author's own."""


def runs(root: Path, files: Iterable[File]) -> Iterator[Finding]:
    """A finding for each of `files`, below `root`, that Git would run or take commands from, and for a link in the place of one.

    Git takes any folder with HEAD, objects and refs for a repository, whatever it is called, and goes where a `.git` file or `commondir` leads.
    """
    names: dict[PurePosixPath, set[str]] = {}
    for file in files:
        if not could_run(file.path):
            continue
        path = PurePosixPath(file.path)
        is_settings = path.name.lower() in SETTINGS
        home = path.parent.parent if path.parent.name.lower() == "hooks" and not is_settings else path.parent
        here = names[home] if home in names else names.setdefault(home, {p.name.lower() for p in (root / home).iterdir()})
        if is_settings and (GIT in home.parts or "head" in here or here >= _COMMON):
            yield from _settings(root / path, file)
        elif not is_settings and (home.name == GIT or here >= _COMMON):
            yield from _hook(root / path, file)


def _hook(path: Path, file: File) -> Iterator[Finding]:
    shown = printable(file.path, 200)
    if file.kind is Kind.LINK:
        yield _finding(shown, f"{shown}: a link in the place of hooks, not followed", GIT_RUNS.severity)
        return
    on = file.bytes and path.parent.name.lower() == "hooks" and not path.name.endswith(".sample")
    if on and (file.bytes > LARGEST or not _LFS_HOOK.fullmatch(path.read_text("utf-8", "replace"))):
        yield _finding(shown, f"{shown}: a hook, which Git runs", GIT_RUNS.severity)


def _settings(path: Path, file: File) -> Iterator[Finding]:
    shown = printable(file.path, 200)
    if file.kind is Kind.LINK or file.bytes > LARGEST:
        what = "a link, not followed" if file.kind is Kind.LINK else f"{file.bytes:,} bytes, more than was examined"
        yield _finding(shown, f"{shown}: settings of Git, {what}", GIT_RUNS.severity)
        return
    for field, value in settings(path.read_text("utf-8-sig", "replace")):
        if (_RUNS.fullmatch(field) and not _PLAIN.fullmatch(value)) or (field.startswith("alias.") and value.startswith("!")):
            severity = Severity.HIGH if field in ("core.fsmonitor", "core.hookspath", "core.sshcommand") else GIT_RUNS.severity
            yield _finding(shown, f"{shown}: {printable(field, 80)} is {printable(value, 120)}", severity)


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case and values of a Git configuration (https://git-scm.com/docs/git-config), read loosely."""
    section = ""
    for line in text.split("\n"):
        while head := _SECTION.match(line):
            section = ".".join(filter(None, (head[1].lower(), head[2])))
            line = line[head.end() :]
        if field := _FIELD.match(line):
            yield f"{section}.{field[1].lower()}", field[2].strip().strip('"')


def _finding(file: str, message: str, severity: Severity) -> Finding:
    return Finding(rule=GIT_RUNS.id, message=message, severity=severity, location=Location(file=file))
