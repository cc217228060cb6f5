"""What a scan of the files says of real adapters in public repositories, and how often it alarms without reason.

LISTING is a table separated by tabs with the columns repo, commit, path and sha256 (of the weights file). COPIES holds a git repository for each,
bare or not, in a folder named OWNER+NAME. Nothing is checked out: for every row the files that lie beside the weights are taken from the commit
into a temporary folder and scanned there, each in a process of its own. Only names, verdicts and rules are written.

    python -m benchmarks.real_adapters LISTING COPIES --output benchmarks/results/real_adapters.json
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.evasions.isolated import Examiner, Seen
from benchmarks.machine import machine

DESERVED = {
    ("Jr1407/SQL", "weights-nonfinite"): "72 tensors hold NaN",
    ("LetItBe12345/NeuroDx-LM", "config-imports"): "auto_mapping names a module of the author's own",
    ("MathieuNlp/Sam_LoRA", "refused"): "a form of its own (w_a_000, w_b_000) that no loader of adapters reads; the line says so",
    ("tesla1900/finetune_llm", "refused"): "NumPy arrays of MLX, which are not read; the line says so",
    ("vtboyarc/finetuning", "refused"): "NumPy arrays of MLX, which are not read; the line says so",
    ("wujindou/BLOOM-LORA", "incomplete"): "fused factors as PEFT before 0.3 kept them (enable_lora), which PEFT no longer loads; the line says so",
}
"""Alarms that were read by hand and are right: the repository, the rule or the outcome, and why."""


@dataclass(frozen=True)
class Listed:
    """A row of the list."""

    repository: str
    commit: str
    name: str
    """Name of the weights file, without its folder."""
    sha256: str


def rows(path: Path) -> Iterator[Listed]:
    """The rows of the list whose weights are named by their sum, each file once a repository."""
    seen: set[tuple[str, str]] = set()
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            key = row["repo"], row["sha256"]
            if row["repo"].count("/") == 1 and len(row["sha256"]) == 64 and key not in seen:
                seen.add(key)
                yield Listed(row["repo"], row["commit"], row["path"].rpartition("/")[2], row["sha256"])


def git(repository: Path, *arguments: str) -> bytes:
    """What git says of a repository; empty where it cannot (a copy may lack large files and old commits)."""
    return subprocess.run(["git", f"--git-dir={repository}", *arguments], capture_output=True, check=False).stdout


def git_dir(copies: Path, name: str) -> Path | None:
    """The git directory of OWNER/NAME below `copies`."""
    folder = copies / name.replace("/", "+")
    return next((p for p in (folder / ".git", folder, *sorted(folder.glob("*"))) if (p / "HEAD").is_file()), None)


def export(repository: Path, row: Listed, folder: Path) -> str | None:
    """Write the files beside the weights into `folder`; returns the weights' path in the repository, None where they are not there."""
    tree: dict[str, str] = {}
    for line in git(repository, "ls-tree", "-r", "-z", row.commit).decode("utf-8", "surrogateescape").split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, kind, blob = facts.split()
            if kind == "blob" and mode != "120000":
                tree[path] = blob
    for path, blob in tree.items():
        if path.rpartition("/")[2] == row.name and hashlib.sha256(git(repository, "cat-file", "blob", blob)).hexdigest() == row.sha256:
            here = path.rpartition("/")[0]
            for other, content in tree.items():
                if other.rpartition("/")[0] == here and git(repository, "cat-file", "-t", content):
                    (folder / other.rpartition("/")[2]).write_bytes(git(repository, "cat-file", "blob", content))
            return path
    return None


def described(row: Listed, path: str, seen: Seen, folder: Path) -> dict[str, Any]:
    """One scanned adapter, in names and numbers."""
    return {"path": path, "commit": row.commit, "outcome": seen.outcome, "rules": list(seen.rules), "seconds": round(seen.seconds, 2)} | (
        {"message": seen.message.replace(f"{folder}/", "")} if seen.outcome not in ("pass", "review", "block") else {}
    )


def alarmed(name: str, adapters: list[dict[str, Any]], outcomes: tuple[str, ...]) -> bool:
    """Whether any adapter of the repository came to one of `outcomes` without a reason that was read and found right."""
    return any(a["outcome"] in outcomes and not any((name, what) in DESERVED for what in (a["outcome"], *a["rules"])) for a in adapters)


@click.command()
@click.argument("listing", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("copies", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(listing: Path, copies: Path, output: Path) -> None:
    """Scan the adapters of LISTING that COPIES holds."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    absent: list[str] = []
    with Examiner(seconds=60) as examiner:
        for row in rows(listing):
            repository = git_dir(copies, row.repository)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "adapter"
                folder.mkdir()
                path = export(repository, row, folder) if repository else None
                if path is None:
                    absent.append(f"{row.repository} {row.name} {row.sha256[:12]}")
                    continue
                given = folder if (folder / "adapter_config.json").exists() else folder / row.name
                found[row.repository].append(described(row, path, examiner.examine(given), folder))
                click.echo(f"{row.repository} {path}: {found[row.repository][-1]}")
    stopped = sorted(n for n, a in found.items() if alarmed(n, a, ("block", "incomplete", "refused", "crashed", "hung", "killed")))
    looked = sorted(n for n, a in found.items() if n not in stopped and alarmed(n, a, ("review",)))
    result = {
        "what": "unmask scan without a base, on the files beside each weights file; no adapter is known to be malicious",
        "repositories": len(found),
        "adapters": sum(map(len, found.values())),
        "false_alarms": {
            "exit_code_not_0": {"count": len(stopped), "repositories": stopped},
            "review_only": {"count": len(looked), "repositories": looked},
            "right_alarms": [{"repository": name, "for": what, "why": why} for (name, what), why in DESERVED.items() if name in found],
        },
        "not_in_the_copies": absent,
        "machine": machine(),
        "by_repository": dict(sorted(found.items())),
    }
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{len(found)} repositories, {result['adapters']} adapters; stopped {stopped}; for review {looked}; absent {len(absent)}")


if __name__ == "__main__":
    main()
