from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from probes.code.probe import CodeProbe
from probes.code.recipes import LARGEST
from probes.code.tools import TOOLS
from scanner.rule import Severity
from tests.adapters import adapter, raised


@pytest.mark.parametrize(
    ("name", "text", "rule", "severity"),
    [
        ("a.yaml", "x: !!python/object/apply:os.system ['id']\n", "yaml-object", Severity.HIGH),
        ("a.yaml", "x: !<tag:yaml.org,2002:python/object/apply:mypkg.run> []\n", "yaml-object", Severity.MEDIUM),
        ("a.yml", "x: !!python/object/apply:transformers.trainer_utils.IntervalStrategy\n- steps\n", "yaml-object", Severity.LOW),
        ("requirements.txt", "peft\n--extra-index-url http://packages.example.net/simple\n", "build-recipe", Severity.LOW),
        ("x/.vscode/tasks.json", '{"tasks": [{"runOptions": {"runOn": "folderOpen"}}]}', "tool-runs", Severity.MEDIUM),
        (".envrc", "export A=1\n", "tool-runs", Severity.MEDIUM),
        ("plot.html", "<body onload='x()'>", "page-script", Severity.LOW),
        ("hook.pth", "import os; os.system('id')\n", "code-file", Severity.MEDIUM),
        (".vscode/tasks.json", '{"runOn": "folder\\u004fpen"}', "tool-runs", Severity.MEDIUM),
        (".VSCode/Tasks.json", '// \udcff\n{"runOn": "folderOpen"}', "tool-runs", Severity.MEDIUM),
        (".vscode/tasks.json", " " * (1 << 20) + '{"runOn": "folderOpen"}', "tool-runs", Severity.MEDIUM),
        (".vscode/settings.json", '{"git.path": "./x"}', "tool-runs", Severity.MEDIUM),
        (".vscode/settings.json", '{"python.defaultInterpreterPath": "${workspaceFolder}/x"}', "tool-runs", Severity.MEDIUM),
        (".idea/workspace.xml", "<configuration type='ShConfigurationType'/>", "tool-runs", Severity.MEDIUM),
        (".zed/tasks.json", '[{"command": "id"}]', "tool-runs", Severity.MEDIUM),
        (".dir-locals.el", '((nil . ((eval . (shell-command "id")))))', "tool-runs", Severity.MEDIUM),
        ("mise.toml", '[hooks]\nenter = "id"\n', "tool-runs", Severity.MEDIUM),
        (".hg/hgrc", "[hooks]\nupdate = id\n", "tool-runs", Severity.MEDIUM),
        (".Rprofile", "system('id')\n", "tool-runs", Severity.MEDIUM),
        (".pdbrc", "import os\n", "tool-runs", Severity.MEDIUM),
        (".env", "LD_PRELOAD=./x.so\n", "tool-runs", Severity.MEDIUM),
        ("AutoRun.inf", "[autorun]\nopen=x.exe\n", "tool-runs", Severity.MEDIUM),
        ("desktop.ini", "[.ShellClassInfo]\r\nIconResource=\\\\host\\share\\x.ico,0\r\n", "tool-runs", Severity.MEDIUM),
        ("x.url", "[InternetShortcut]\nURL=file://host/x.exe\n", "tool-runs", Severity.MEDIUM),
        ("x.library-ms", "<libraryDescription/>", "tool-runs", Severity.MEDIUM),
        ("x.fish", "id\n", "code-file", Severity.MEDIUM),
        ("plot.R", "system('id')\n", "code-file", Severity.MEDIUM),
        ("x.reg", "Windows Registry Editor Version 5.00\n", "code-file", Severity.MEDIUM),
        ("docker-compose.yml", "services:\n  a:\n    image: x\n", "build-recipe", Severity.LOW),
        (".github/workflows/x.yml", "on: push\n", "build-recipe", Severity.LOW),
        ("environment.yml", "dependencies:\n- pip:\n  - git+https://example.net/x\n", "build-recipe", Severity.LOW),
        ("pip.conf", "[global]\nindex-url = http://example.net\n", "build-recipe", Severity.LOW),
        (".npmrc", "registry=http://example.net\n", "build-recipe", Severity.LOW),
        ("pytest.ini", "[pytest]\naddopts = -p os\n", "build-recipe", Severity.LOW),
        ("Modelfile", 'FROM llama3\nADAPTER .\nSYSTEM "Obey."\n', "build-recipe", Severity.LOW),
        ("modules.json", '[{"idx": 0, "name": "0", "path": "", "type": "subprocess.Popen"}]', "remote-code", Severity.MEDIUM),
        ("model_index.json", '{"_class_name": "X", "unet": ["subprocess", "Popen"]}', "remote-code", Severity.MEDIUM),
        ("x/config.json", '{"a": "' + " " * (4 << 20) + '", "auto_map": {"AutoModel": "x.Y"}}', "remote-code", Severity.MEDIUM),
    ],
)
def test_a_file_that_makes_a_tool_run_something_is_told(name: str, text: str, rule: str, severity: Severity, tmp_path: Path) -> None:
    path = adapter(tmp_path / "a") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (found,) = raised(CodeProbe(), tmp_path / "a")
    assert (found.rule, found.severity, found.location.file) == (rule, severity, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.yaml", "learning_rate: 1e-4\nnote: '!!python is not a tag here'\n"),
        ("requirements.txt", "# from https://pypi.org\npeft==0.17\ntorch>=2\n"),
        ("pyproject.toml", "[tool.ruff]\nline-length = 100\n"),
        ("figure.svg", "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>"),
        (".vscode/settings.json", '{"editor.tabSize": 2, "python.defaultInterpreterPath": "${workspaceFolder}/.venv/bin/python"}'),
        (".idea/workspace.xml", "<project><component name='RunManager'><configuration type='PythonConfigurationType'/></component></project>"),
        (".env", "WANDB_PROJECT=x\nHF_ENDPOINT=https://hf-mirror.com\n"),
        ("desktop.ini", "[.ShellClassInfo]\r\nIconResource=C:\\Program Files\\Drive\\x.exe,23\r\n"),
        ("paper.url", "[InternetShortcut]\nURL=https://arxiv.org/abs/2106.09685\n"),
        ("environment.yml", "channels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip:\n  - peft\n"),
        ("pytest.ini", "[pytest]\naddopts = -q\n"),
        ("modules.json", '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]'),
        (
            "model_index.json",
            '{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "safety_checker": [null, null], '
            '"checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}',
        ),
    ],
)
def test_what_runs_nothing_is_nothing(name: str, text: str, tmp_path: Path) -> None:
    path = adapter(tmp_path / "a") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert raised(CodeProbe(), tmp_path / "a") == []


@pytest.mark.parametrize("end", ["utf-16", "utf-16-be"])
def test_windows_writes_its_settings_in_utf16(end: str, tmp_path: Path) -> None:
    text = "[.ShellClassInfo]\r\nIconResource=\\\\host\\share\\x.ico\r\n"
    (adapter(tmp_path / "a") / "desktop.ini").write_bytes((b"\xfe\xff" if end == "utf-16-be" else b"") + text.encode(end))
    assert [f.rule for f in raised(CodeProbe(), tmp_path / "a")] == ["tool-runs"]


@pytest.mark.parametrize("piece", ["\n", " ", "a=  ", '"', "[ ", "@ ", "a" * 50 + "\n", "- ", "<", ",\t", "git "])
def test_no_text_makes_a_pattern_slow(piece: str) -> None:
    for text in (piece * (LARGEST // 16 // len(piece)), "=" + piece * (LARGEST // 16 // len(piece))):
        for _, _, content, what in TOOLS:
            started = time.process_time()
            re.compile(content).search(text)
            assert time.process_time() - started < 0.5, what
