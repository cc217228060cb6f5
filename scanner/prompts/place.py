"""Where a set's file is: a path, a file of an installed package, or a file of a data set on the Hub at one pinned commit."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from scanner.errors import ScanError
from scanner.files.text import printable

HUB, PACKAGE = "hub:", "package:"
_PINNED = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40}):(?P<file>[^:]+)")
_INSIDE = re.compile(r"(?P<package>[A-Za-z_][\w.]*):(?P<file>[^:]+)")


def located(place: str | Path, allow_hub: bool) -> Path:
    """The file at `place`: a path, `package:NAME:FILE`, or `hub:OWNER/NAME@COMMIT:FILE`, COMMIT in 40 hexadecimal digits.

    The Hub's comes from the local cache, or from the network where `allow_hub` says so. Raises ScanError where there is no such file.
    """
    told = str(place)
    if told.startswith(HUB):
        return _on_hub(told, allow_hub)
    if told.startswith(PACKAGE):
        return _in_package(told)
    return Path(place)


def _on_hub(told: str, allow_hub: bool) -> Path:
    found = _PINNED.fullmatch(told.removeprefix(HUB))
    if found is None:
        raise ScanError(f"{printable(told, 160)}: write {HUB}OWNER/NAME@COMMIT:FILE, COMMIT in 40 hexadecimal digits, so that the set stays the same")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(hf_hub_download(found["repo"], found["file"], repo_type="dataset", revision=found["commit"], local_files_only=not allow_hub))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        offline = "" if allow_hub else "; it is not in the local cache, see --allow-hub"
        raise ScanError(f"{printable(told, 160)}: the Hub gave nothing ({printable(error, 120)}){offline}") from None


def _in_package(told: str) -> Path:
    found = _INSIDE.fullmatch(told.removeprefix(PACKAGE))
    if found is None:
        raise ScanError(f"{printable(told, 160)}: write {PACKAGE}NAME:FILE, FILE as a path inside the package")
    try:
        place = files(found["package"]).joinpath(*found["file"].split("/"))
    except (ImportError, TypeError, ValueError) as error:
        raise ScanError(f"{printable(told, 160)}: no such package ({printable(error, 120)})") from None
    if not isinstance(place, Path):
        raise ScanError(f"{printable(told, 160)}: the package is no folder")
    return place
