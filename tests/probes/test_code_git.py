from __future__ import annotations

from pathlib import Path

import pytest

from probes.code.git import settings
from probes.code.probe import CodeProbe
from probes.leaks import LeaksProbe
from scanner.finding import Finding
from scanner.measurement import Coverage, Status
from scanner.rule import Severity
from tests.adapters import adapter, raised, subject

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


RUNS = "[core]\n\trepositoryformatversion = 0\n\tworktree = .\n\tfsmonitor = ./run.sh\n"


def layout(folder: Path) -> Path:
    """What Git takes for a repository."""
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


@pytest.mark.parametrize("where", [".", "data", ".GIT", "meta/x", ".git/objects/aa", ".git/refs/heads/x"])
def test_a_folder_laid_out_like_a_repository_is_one(where: str, tmp_path: Path) -> None:
    home = layout(adapter(tmp_path / "a") / where)
    (home / "config").write_text(RUNS)
    (home / "hooks").mkdir()
    (home / "hooks" / "post-checkout").write_text("#!/bin/sh\nid\n")
    found = [f for f in raised(CodeProbe(), tmp_path / "a") if f.rule == "git-runs"]
    inner = "" if where == "." else f"{where}/"
    assert {(f.location.file, f.severity) for f in found} == {(f"{inner}config", Severity.HIGH), (f"{inner}hooks/post-checkout", Severity.MEDIUM)}


def test_a_git_file_that_leads_to_settings_kept_elsewhere_hides_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / ".git").write_text("gitdir: meta\n")
    (layout(folder / "meta") / "commondir").write_text("../common\n")
    for name in ("objects", "refs"):
        (folder / "common" / name).mkdir(parents=True)
    (folder / "common" / "config").write_text(RUNS)
    assert [f.location.file for f in raised(CodeProbe(), folder)] == ["common/config"]


@pytest.mark.parametrize("name", ["config", "hooks/readme.txt", "hooks/config"])
def test_a_file_of_such_a_name_elsewhere_is_nothing(name: str, tmp_path: Path) -> None:
    path = adapter(tmp_path / "a") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(RUNS)
    assert raised(CodeProbe(), tmp_path / "a") == []


def test_branches_called_after_hooks_are_nothing(tmp_path: Path) -> None:
    folder = git(tmp_path / "a", "refs/remotes/origin/hooks/fix", "0" * 40)
    (folder / ".git" / "refs" / "remotes" / "origin" / "HEAD").write_text("ref: refs/remotes/origin/main\n")
    assert raised(CodeProbe(), folder) == []


def test_a_flood_hides_neither_hooks_nor_settings_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.files.inventory.MOST_ASIDE", 20)
    folder = git(tmp_path / "a", "config", RUNS)
    (folder / ".git" / "hooks").mkdir()
    (folder / ".git" / "hooks" / "post-checkout").write_text("#!/bin/sh\nid\n")
    for number in range(25):
        (folder / ".git" / f"a{number:03}").write_text("x")
    said = list(CodeProbe().run(subject(folder)))
    assert {f.location.file for f in said if isinstance(f, Finding)} == {".git/config", ".git/hooks/post-checkout"}
    (covered,) = (c for c in said if isinstance(c, Coverage))
    assert (covered.status, covered.why) == (Status.NOT_MEASURED, "5 files of .git are beyond the limit and were not looked into")


@pytest.mark.parametrize(("name", "target"), [("config", "/etc/hostname"), ("hooks", "../scripts"), ("hooks/post-checkout", "/bin/true")])
def test_a_link_in_the_place_of_settings_or_hooks_is_told(name: str, target: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "scripts").mkdir()
    (folder / ".git" / name).parent.mkdir(parents=True)
    (folder / ".git" / name).symlink_to(target)
    assert [(f.rule, f.location.file) for f in raised(CodeProbe(), folder)] == [("git-runs", f".git/{name}")]


def test_settings_behind_a_link_that_stays_inside_are_read(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "notes.txt").write_text(RUNS)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").symlink_to("../notes.txt")
    assert [(f.rule, f.severity) for f in raised(CodeProbe(), folder)] == [("git-runs", Severity.HIGH)]


def test_settings_too_long_to_read_are_told(tmp_path: Path) -> None:
    assert "more than was examined" in raised(CodeProbe(), git(tmp_path / "a", "config", "#" * (1 << 20) + "\n" + RUNS))[0].message
    assert raised(CodeProbe(), git(tmp_path / "b", "config", "#" * (1 << 17) + "\n" + RUNS))[0].severity is Severity.HIGH


@pytest.mark.parametrize("text", ["\ufeff[core]\nfsmonitor = ./x", "[user][core] fsmonitor = ./x", "[core]\r\n\tFSMonitor=./x\r\n"])
def test_settings_are_found_however_they_are_written(text: str, tmp_path: Path) -> None:
    assert [f.severity for f in raised(CodeProbe(), git(tmp_path / "a", "config", text))] == [Severity.HIGH]


def test_code_in_a_git_folder_that_a_loader_could_be_led_to_is_told(tmp_path: Path) -> None:
    folder = git(tmp_path / "a", "base/m.py", "import os\n")
    (folder / ".git" / "base" / "config.json").write_text('{"auto_map": {"AutoModelForCausalLM": "m.M"}}')
    assert {(f.rule, f.location.file) for f in raised(CodeProbe(), folder)} == {("code-file", ".git/base/m.py"), ("remote-code", ".git/base/config.json")}


def test_settings_are_read_as_git_reads_them() -> None:
    assert list(settings('[a "B.c"]\n x = 1\n;y = 2\n[d] Z="q"\n')) == [("a.B.c.x", "1"), ("d.z", "q")]
