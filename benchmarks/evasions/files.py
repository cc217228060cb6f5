"""Other files that run: scripts, programs, build hooks, links, pointers."""

from __future__ import annotations

import marshal
import os
from pathlib import Path

from benchmarks.evasions.build import CARD, CONFIG, WEIGHTS, adapter, container, header, lora, write, zipped
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("files")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345678\n"
SYSTEM = "import os\nos.system('echo unmask')\n"


@FAMILY.each(Expect.REVIEW, {
    "loader": ("loader.py", SYSTEM),
    "modeling": ("modeling_custom.py", SYSTEM),
    "handler": ("handler.py", SYSTEM),
    "custom-generate": ("custom_generate/generate.py", SYSTEM),
    "setup": ("setup.py", SYSTEM),
    "sitecustomize": ("sitecustomize.py", SYSTEM),
    "hidden": (".loader.py", SYSTEM),
    "upper-case": ("LOADER.PY", SYSTEM),
    "bytecode": ("__pycache__/loader.cpython-311.pyc", b"\xa7\r\r\n" + bytes(12) + marshal.dumps(compile("0", "x", "eval"))),
    "path-hook": ("zz.pth", SYSTEM.replace("\n", ";").rstrip(";") + "\n"),
    "shell": ("install.sh", "echo unmask\n"),
    "shebang": ("README", "#!/bin/sh\necho unmask\n"),
    "batch": ("run.bat", "@echo unmask\r\n"),
    "powershell": ("run.ps1", "Write-Output unmask\n"),
    "elf": ("kernel.bin", b"\x7fELF\x02\x01\x01" + bytes(57)),
    "pe": ("tool.dat", b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0d\x86" + bytes(240)),
    "mach-o": ("tool", b"\xcf\xfa\xed\xfe" + bytes(60)),
    "shared-object": ("lib/libops.so.1", b"\x7fELF\x02\x01\x01" + bytes(57)),
    "wasm": ("plugin.wasm", b"\x00asm\x01\x00\x00\x00"),
    "java": ("A.class", b"\xca\xfe\xba\xbe" + bytes(60)),
    "desktop": ("start.desktop", "[Desktop Entry]\nType=Application\nExec=echo unmask\n"),
    "git-hook": (".git/hooks/post-checkout", "#!/bin/sh\necho unmask\n"),
    "editor-task": (".vscode/tasks.json", {"version": "2.0.0", "tasks": [{"label": "x", "command": "echo unmask", "runOptions": {"runOn": "folderOpen"}}]}),
    "yaml-object": ("training.yaml", "callback: !!python/object/apply:os.system ['echo unmask']\n"),
    "keras-lambda": ("head.keras", zipped({"config.json": b'{"class_name":"Lambda","config":{"function":"4wEAAAAA"}}', "metadata.json": b"{}"})),
    "torchscript": ("head.pt", zipped({"head/code/__torch__.py": b"def forward(x): return x", "head/data.pkl": b"\x80\x02N.", "head/constants.pkl": b"\x80\x02).", "head/version": b"3"})),
})  # fmt: skip
def beside(folder: Path, file: tuple[str, bytes | str]) -> None:
    """A file that a person, a tool or a loader runs lies beside the adapter: {}."""
    write(adapter(folder), *file)


@FAMILY.each(Expect.NOTE, {
    "notebook": ("demo.ipynb", '{"cells":[{"cell_type":"code","source":["!echo unmask"],"metadata":{},"outputs":[]}],"metadata":{},"nbformat":4,"nbformat_minor":5}'),
    "requirements": ("requirements.txt", "--extra-index-url http://packages.example.net/simple\npeft @ git+https://example.net/peft.git\n"),
    "pyproject": ("pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"),
    "dockerfile": ("Dockerfile", "FROM scratch\nRUN echo unmask\n"),
    "makefile": ("Makefile", "all:\n\techo unmask\n"),
    "svg-script": ("figure.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
    "html": ("report.html", "<script>alert(1)</script>"),
})  # fmt: skip
def recipe(folder: Path, file: tuple[str, bytes | str]) -> None:
    """A file that makes somebody's tool run or fetch something, as honest projects have: {}."""
    write(adapter(folder), *file)


@FAMILY.each(Expect.REFUSE, {"weights": WEIGHTS, "configuration": CONFIG})
def pointer(folder: Path, name: str) -> None:
    """A Git LFS pointer stands where the {} should be."""
    write(adapter(folder), name, POINTER)


@FAMILY.case(Expect.REVIEW)
def pointer_beside(folder: Path) -> None:
    """A Git LFS pointer to a tokenizer nobody has scanned."""
    write(adapter(folder), "tokenizer.json", POINTER)


@FAMILY.each(Expect.REFUSE, {"weights": WEIGHTS, "configuration": CONFIG})
def link_for(folder: Path, name: str) -> Path:
    """The {} is a link to a file outside the folder."""
    adapter(folder / "adapter")
    outside = write(folder, "elsewhere", (folder / "adapter" / name).read_bytes())
    (folder / "adapter" / name).unlink()
    (folder / "adapter" / name).symlink_to(outside)
    return folder / "adapter"


@FAMILY.each(Expect.BLOCK, {"file": "/etc/passwd", "folder": "/etc", "parent": "../..", "broken": "/nonexistent/file", "device": "/dev/zero"})
def link_to(folder: Path, target: str) -> None:
    """A link leaves the folder: {}."""
    (adapter(folder) / "tokenizer.json").symlink_to(target)


@FAMILY.case(Expect.BLOCK)
def link_card(folder: Path) -> None:
    """README.md is a link to a file of the machine."""
    adapter(folder)
    (folder / CARD).unlink()
    (folder / CARD).symlink_to("/etc/hostname")


@FAMILY.case(Expect.BLOCK)
def link_in_a_false_cache(folder: Path) -> Path:
    """The folder is laid out like a Hugging Face cache, and its link leaves by way of the blobs."""
    blobs, snapshot = folder / "models--a--b" / "blobs", folder / "models--a--b" / "snapshots" / ("0" * 40)
    adapter(snapshot)
    blobs.mkdir()
    (blobs / "1").symlink_to("/etc/hostname")
    (snapshot / "tokenizer.json").symlink_to("../../blobs/1")
    return snapshot


@FAMILY.case(Expect.REVIEW)
def link_loop(folder: Path) -> None:
    """Two links that point at each other."""
    (adapter(folder) / "a").symlink_to("b")
    (folder / "b").symlink_to("a")


@FAMILY.each(Expect.REVIEW, {"tokenizer": "tokenizer.json", "card": CARD})
def pipe(folder: Path, name: str) -> None:
    """A named pipe stands for the {}: a reader waits for ever."""
    adapter(folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)


@FAMILY.case(Expect.REFUSE)
def pipe_weights(folder: Path) -> None:
    """A named pipe stands for the weights."""
    adapter(folder)
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


@FAMILY.case(Expect.REVIEW)
def weights_that_are_a_program(folder: Path) -> None:
    """A correct safetensors file whose first bytes, the header's length, are also those of a Windows program."""
    entries, data = header(lora())
    entries["__metadata__"] = {"note": ""}
    empty = len(container(entries)) - len(data) - 8
    text = container(entries)[8 : 8 + empty].rstrip()
    text = text.replace(b'"note":""', b'"note":"' + b"x" * (0x5A4D - len(text)) + b'"')
    write(adapter(folder), WEIGHTS, container(text, data))
