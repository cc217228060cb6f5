from __future__ import annotations

from pathlib import Path

import pytest

from probes.code.git import settings
from probes.code.probe import CodeProbe
from probes.leaks import LeaksProbe
from scanner.rule import Severity
from tests.adapters import adapter, raised

LFS = """#!/bin/sh
command -v git-lfs >/dev/null 2>&1 || { printf >&2 "\\n%s\\n\\n" "This repository is configured for Git LFS but 'git-lfs' was not found on your path."; exit 2; }
git lfs post-checkout "$@"
"""


def git(folder: Path, name: str, text: str) -> Path:
    path = adapter(folder) / ".git" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hooks/post-checkout", LFS),
        ("hooks/pre-commit.sample", "#!/bin/sh\nexec git diff\n"),
        (
            "config",
            '[core]\n\tfsmonitor = true\n\thooksPath =\n[remote "origin"]\n\turl = https://huggingface.co/a/b\n[filter "lfs"]\n\tsmudge = git-lfs smudge -- %f\n',
        ),
    ],
)
def test_what_git_and_git_lfs_write_themselves_is_nothing(name: str, text: str, tmp_path: Path) -> None:
    assert raised(CodeProbe(), git(tmp_path / "a", name, text)) == []


@pytest.mark.parametrize(
    ("name", "text", "severity"),
    [
        ("hooks/post-checkout", LFS.replace("exit 2", "curl example.net; exit 2"), Severity.MEDIUM),
        ("config", "[core]\n\tfsmonitor = ./run.sh\n", Severity.HIGH),
        ("config", '[core] sshCommand = "sh -c id"\n', Severity.HIGH),
        ("modules/x/config", '[filter "a"]\n\tsmudge = sh x\n', Severity.MEDIUM),
    ],
)
def test_what_git_would_run_is_told(name: str, text: str, severity: Severity, tmp_path: Path) -> None:
    (found,) = raised(CodeProbe(), git(tmp_path / "a", name, text))
    assert (found.rule, found.severity, found.location.file) == ("git-runs", severity, f".git/{name}")


def test_a_git_folder_is_no_part_of_the_hash_and_its_secrets_are_found(tmp_path: Path) -> None:
    from scanner.files.adapter import Adapter

    plain = Adapter.open(adapter(tmp_path / "plain"))
    cloned = git(tmp_path / "a", "config", '[remote "origin"]\n\turl = https://trainer:Zk3vQ9sLw2Xa@git.example.org/x.git\n')
    assert Adapter.open(cloned).sha256 == plain.sha256
    assert "leaked-secret" in {f.rule for f in raised(LeaksProbe(), cloned)}


def test_settings_are_read_as_git_reads_them() -> None:
    assert list(settings('[a "B.c"]\n x = 1\n;y = 2\n[d] Z="q"\n')) == [("a.B.c.x", "1"), ("d.z", "q")]
