"""File and folder names that forge a log, hide a type, or cost a reader everything."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.evasions.build import CONFIG, WEIGHTS, adapter, write
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("names")


@FAMILY.each(Expect.REVIEW, {
    "newline": "x\nPASS  nothing found.txt", "escape-sequence": "\x1b[2Jclean.txt", "bidi": "card_\u202etxt.exe", "zero-width": "read\u200bme.txt", "tag-characters": "a\U000e0061.txt",
    "backslash": "..\\..\\evil.txt", "reserved": "CON.txt", "trailing-dot": "adapter_config.json.", "trailing-space": "adapter_model.safetensors ", "colon": "adapter_model.safetensors:stream",
    "cyrillic-twin": "\u0430dapter_config.json", "full-width-twin": "adapter_config\uff0ejson", "leading-dash": "--trust-remote-code", "delete": "a\x7f.txt",
})  # fmt: skip
def name(folder: Path, text: str) -> None:
    """A file's name is not what it seems: {}."""
    write(adapter(folder), text, "text\n")


@FAMILY.case(Expect.REFUSE)
def not_utf8(folder: Path) -> None:
    """A file name that is not UTF-8."""
    adapter(folder)
    os.close(os.open(os.fsencode(folder) + b"/\xff\xfe.txt", os.O_CREAT | os.O_WRONLY))


@FAMILY.case(Expect.REFUSE)
def folder_with_a_newline(folder: Path) -> None:
    """A folder whose name forges a line of a log."""
    write(adapter(folder), "a\nb/notes.txt", "text\n")


@FAMILY.case(Expect.REFUSE)
def five_thousand_and_one_files(folder: Path) -> None:
    """More than five thousand files."""
    adapter(folder)
    for i in range(5_001):
        (folder / f"{i}.txt").touch()


@FAMILY.case(Expect.REVIEW)
def three_hundred_folders_deep(folder: Path) -> None:
    """A file three hundred folders down, and a script there."""
    here = adapter(folder)
    for _ in range(300):
        here = here / "d"
        here.mkdir()
    write(here, "x.py", "print(1)\n")


@FAMILY.each(Expect.REFUSE, {"weights": WEIGHTS, "configuration": CONFIG})
def folder_for(folder: Path, text: str) -> None:
    """A folder stands where the {} should be."""
    (adapter(folder) / text).unlink()
    (folder / text).mkdir()


@FAMILY.each(Expect.REFUSE, {"weights": WEIGHTS, "configuration": CONFIG})
def empty_file(folder: Path, text: str) -> None:
    """The {} is empty."""
    write(adapter(folder), text, b"")


@FAMILY.case(Expect.REFUSE)
def sparse(folder: Path) -> None:
    """A weights file of 4 TiB that takes no room on the disk."""
    with (adapter(folder) / WEIGHTS).open("r+b") as stream:
        stream.truncate(1 << 42)


@FAMILY.case(Expect.REVIEW)
def sparse_beside(folder: Path) -> None:
    """A file of 4 TiB beside the adapter: hashing it takes a day."""
    with write(adapter(folder), "data.bin", b"x").open("r+b") as stream:
        stream.truncate(1 << 42)


@FAMILY.case(Expect.REFUSE)
def nothing(folder: Path) -> None:
    """An empty folder."""


@FAMILY.case(Expect.REFUSE)
def only_a_card(folder: Path) -> None:
    """A folder with a card and no adapter."""
    write(folder, "README.md", "# An adapter\n")


@FAMILY.case(Expect.REFUSE)
def missing_path(folder: Path) -> Path:
    """A path that is not there."""
    return folder / "nowhere"
