"""The declared base: whether there is one, where it leads, and whether it is the one at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from probes.config.claim import Claim, Claims
from probes.config.rules import BASE_PATH, INSIDE, NO_BASE, OTHER_BASE, REVISION
from scanner.files.text import printable
from scanner.model.base import Base
from scanner.rule import Severity

FIELD = "base_model_name_or_path"
_SYSTEM = re.compile(r"^/(etc|proc|dev|sys|boot|root/\.|var/run|run)(/|$)|(^|[/\\])\.(ssh|aws|gnupg|kube|docker|config)([/\\]|$)")
_ELSEWHERE = re.compile(r"^(\\\\|//)[^\\/]|^(https?|ftp|smb|file)://", re.IGNORECASE)
_LOCAL = re.compile(r"^[/~.\\]|^[A-Za-z]:[\\/]")
_PULL = re.compile(r"refs/pr/\d+$|pr/\d+$")
_MODEL = re.compile(r"/(?:(?:config|params|model_index|modules)\.json|[^/]*\.gguf)$", re.IGNORECASE)
"""What makes a folder one that loaders take for a model."""
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def leads_away(place: str) -> bool:
    """Whether `place` climbs twice or more, names a system folder, or another computer."""
    climbs = len(re.findall(r"(?:^|[/\\])\.\.(?=[/\\]|$)", place))
    return climbs >= 2 or _ELSEWHERE.search(place) is not None or _SYSTEM.search(place) is not None


def inside(declared: str, paths: Iterable[str]) -> str:
    """The folder of a model among the uploaded `paths` that `declared` leads to from some folder that the upload lies in, or an empty string.

    transformers takes a folder of that name for the base before it asks the Hub, and where it is run decides which folder that is.
    """
    wanted = [p for p in declared.replace("\\", "/").lower().split("/") if p not in ("", ".", "..", "~")]
    for folder in dict.fromkeys(p.rpartition("/")[0] for p in paths if _MODEL.search(p)):
        parts = folder.lower().split("/")
        length = min(len(wanted), len(parts)) if folder else 0
        if length and parts[-length:] == wanted[-length:]:
            return folder
    return ""


def declared_base(raw: dict[str, Any], base: Base | None, paths: Iterable[str] = ()) -> Claims:
    """What the declared base says by itself, against the uploaded `paths`, and against `base`."""
    declared = raw.get(FIELD)
    declared = declared if isinstance(declared, str) else ""
    if folder := inside(declared, paths):
        yield Claim(INSIDE, FIELD, f"{FIELD} is {printable(declared, 120)}, and {printable(folder, 120)} in this folder is a model")
    if leads_away(declared):
        yield Claim(BASE_PATH, FIELD, f"{FIELD} is {printable(declared, 120)}")
    elif not declared or _LOCAL.search(declared):
        yield Claim(NO_BASE, FIELD, f"{FIELD} is {printable(declared, 120) or 'empty'}")
    elif base is not None:
        names = {base.name, *base.origin, str(base.config.get("_name_or_path", ""))}
        ends = {n.rstrip("/").rsplit("/", 1)[-1].lower() for n in names if n}
        if declared.rstrip("/").rsplit("/", 1)[-1].lower() not in ends:
            yield Claim(OTHER_BASE, FIELD, f"declared {printable(declared, 120)}, scanned on {printable(base.name, 120)}")
    revision = raw.get("revision")
    if isinstance(revision, str) and (_PULL.match(revision) or ".." in revision.split("/") or leads_away(revision)):
        yield Claim(REVISION, "revision", f"revision is {printable(revision, 80)}", Severity.LOW if _PULL.match(revision) else None)
    if base is not None and isinstance(revision, str) and _COMMIT.fullmatch(revision):
        path = base.path.resolve()
        if path.parent.name == "snapshots" and not path.name.startswith(revision):
            yield Claim(OTHER_BASE, "revision", f"declared at revision {revision}, scanned at {printable(path.name, 60)}")
