"""Completion in a real shell, and the manual page in a real formatter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from scanner.cli import main


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    (folder / "unmask").write_text(f'#!/bin/sh\nexec {sys.executable} -c \'import sys; sys.argv[0] = "unmask"; from scanner.cli import main; main()\' "$@"\n')
    (folder / "unmask").chmod(0o755)
    (folder / "complete.bash").write_text(CliRunner().invoke(main, ["completion", "bash"]).stdout)
    line = " ".join(f'"{w}"' for w in words)
    script = f'source {folder}/complete.bash; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _unmask_completion unmask; printf "%s\\n" "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    assert {"schema", "scan"} <= set(completed(tmp_path, "unmask", "sc"))
    assert completed(tmp_path, "unmask", "scan", "--prof") == ["--profile"]
    assert completed(tmp_path, "unmask", "scan", "--profile", "s") == ["standard"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    told = CliRunner().invoke(main, ["completion", shell])
    assert told.exit_code == 0
    assert "_UNMASK_COMPLETE" in told.stdout


def test_the_manual_page_names_every_command_and_option() -> None:
    page = CliRunner().invoke(main, ["man"]).stdout.replace("\\-", "-")
    for name in main.list_commands(None):  # type: ignore[arg-type]
        assert f".SS unmask {name} " in page
    for part in ("--fail-on [review|block]", ".SH EXIT STATUS", "UNMASK_KEY_PASSWORD"):
        assert part in page


@pytest.mark.skipif(not shutil.which("groff"), reason="there is no groff")
def test_groff_formats_the_manual_page_without_a_warning() -> None:
    page = CliRunner().invoke(main, ["man"]).stdout
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "--system-prompt" in re.sub(".\b", "", done.stdout)
